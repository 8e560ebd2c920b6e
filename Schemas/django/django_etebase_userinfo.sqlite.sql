-- A user's login key, and the user's own keys as the client encrypted them; no row until the user signs up.
CREATE TABLE django_etebase_userinfo (
    owner_id           INTEGER           NOT NULL PRIMARY KEY REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    version            smallint unsigned NOT NULL CHECK (version >= 0),
    salt               BLOB              NOT NULL,
    "loginPubkey"      BLOB              NOT NULL,
    "encryptedContent" BLOB              NOT NULL,
    pubkey             BLOB              NOT NULL
);
