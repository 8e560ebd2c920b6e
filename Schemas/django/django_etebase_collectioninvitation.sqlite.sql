-- Invitations to a collection that are still open, with its key encrypted for the user who is invited.
CREATE TABLE django_etebase_collectioninvitation (
    id                    INTEGER           NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid                   varchar(43)       NOT NULL,
    "signedEncryptionKey" BLOB              NOT NULL,
    "fromMember_id"       INTEGER           NOT NULL REFERENCES django_etebase_collectionmember (id) DEFERRABLE INITIALLY DEFERRED,
    user_id               INTEGER           NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    version               smallint unsigned NOT NULL CHECK (version >= 0),
    "accessLevel"         INTEGER           NOT NULL
);

CREATE UNIQUE INDEX "django_etebase_collectioninvitation_user_id_fromMember_id_94e00d3e_uniq"
    ON django_etebase_collectioninvitation (user_id, "fromMember_id");

CREATE INDEX "django_etebase_collectioninvitation_fromMember_id_d2f0d46e"
    ON django_etebase_collectioninvitation ("fromMember_id");

CREATE INDEX django_etebase_collectioninvitation_uid_acdbc6b3
    ON django_etebase_collectioninvitation (uid);

CREATE INDEX django_etebase_collectioninvitation_user_id_369e4cd5
    ON django_etebase_collectioninvitation (user_id);
