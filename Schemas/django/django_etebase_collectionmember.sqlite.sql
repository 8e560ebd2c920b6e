-- Who may use a collection, with its key encrypted for that user. Access level: 0 reads, 1 administers, 2 reads and writes.
CREATE TABLE django_etebase_collectionmember (
    id                  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "encryptionKey"     BLOB    NOT NULL,
    collection_id       INTEGER NOT NULL REFERENCES django_etebase_collection (id) DEFERRABLE INITIALLY DEFERRED,
    user_id             INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    stoken_id           INTEGER NULL UNIQUE REFERENCES django_etebase_stoken (id) DEFERRABLE INITIALLY DEFERRED,
    "accessLevel"       INTEGER NOT NULL,
    "collectionType_id" INTEGER NULL REFERENCES django_etebase_collectiontype (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX django_etebase_collectionmember_user_id_collection_id_a70b8e47_uniq
    ON django_etebase_collectionmember (user_id, collection_id);

CREATE INDEX "django_etebase_collectionmember_collectionType_id_9718cbf5"
    ON django_etebase_collectionmember ("collectionType_id");

CREATE INDEX django_etebase_collectionmember_collection_id_be871c07
    ON django_etebase_collectionmember (collection_id);

CREATE INDEX django_etebase_collectionmember_user_id_8c7fb6b2
    ON django_etebase_collectionmember (user_id);
