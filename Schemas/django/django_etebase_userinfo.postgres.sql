-- A user's login key, and the user's own keys as the client encrypted them; no row until the user signs up.
CREATE TABLE django_etebase_userinfo (
    owner_id           bigint   NOT NULL,
    version            smallint NOT NULL,
    "loginPubkey"      bytea    NOT NULL,
    salt               bytea    NOT NULL,
    "encryptedContent" bytea    NOT NULL,
    pubkey             bytea    NOT NULL,

    CONSTRAINT django_etebase_userinfo_pkey PRIMARY KEY (owner_id),
    CONSTRAINT django_etebase_userinfo_version_check CHECK (version >= 0),
    CONSTRAINT django_etebase_userinfo_owner_id_d6402bf6_fk_myauth_user_id
        FOREIGN KEY (owner_id) REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED
);
