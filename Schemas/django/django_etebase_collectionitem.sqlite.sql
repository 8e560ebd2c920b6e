-- Items of collections; what an item holds is in its revisions.
CREATE TABLE django_etebase_collectionitem (
    id              INTEGER           NOT NULL PRIMARY KEY AUTOINCREMENT,
    version         smallint unsigned NOT NULL CHECK (version >= 0),
    "encryptionKey" BLOB              NULL,
    collection_id   INTEGER           NOT NULL REFERENCES django_etebase_collection (id) DEFERRABLE INITIALLY DEFERRED,
    uid             varchar(43)       NOT NULL
);

CREATE UNIQUE INDEX django_etebase_collectionitem_uid_collection_id_927d3c7a_uniq
    ON django_etebase_collectionitem (uid, collection_id);

CREATE INDEX django_etebase_collectionitem_collection_id_f9c52ec3
    ON django_etebase_collectionitem (collection_id);

CREATE INDEX django_etebase_collectionitem_uid_c4b8740e
    ON django_etebase_collectionitem (uid);
