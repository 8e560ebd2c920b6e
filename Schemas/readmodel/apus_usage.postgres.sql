-- What each collection holds, deleted items and earlier revisions among it.
--   items  but the main one
--   bytes  of the revisions and of the contents of chunks
CREATE TABLE apus_usage (
    id    BIGINT NOT NULL PRIMARY KEY,
    items BIGINT NOT NULL,
    bytes BIGINT NOT NULL
);
