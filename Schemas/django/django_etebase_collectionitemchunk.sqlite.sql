-- Pieces of encrypted content, shared by the revisions of a collection; "chunkFile" says where the bytes lie.
CREATE TABLE django_etebase_collectionitemchunk (
    id            INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid           varchar(60)  NOT NULL,
    "chunkFile"   varchar(150) NOT NULL UNIQUE,
    collection_id INTEGER      NOT NULL REFERENCES django_etebase_collection (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX django_etebase_collectionitemchunk_collection_id_uid_19a063e5_uniq
    ON django_etebase_collectionitemchunk (collection_id, uid);

CREATE INDEX django_etebase_collectionitemchunk_collection_id_be14f733
    ON django_etebase_collectionitemchunk (collection_id);

CREATE INDEX django_etebase_collectionitemchunk_uid_93f61094
    ON django_etebase_collectionitemchunk (uid);
