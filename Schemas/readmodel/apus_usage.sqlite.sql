-- What each collection holds, deleted items and earlier revisions among it.
--   items  but the main one
--   bytes  of the revisions and of the contents of chunks
CREATE TABLE apus_usage (
    id    INTEGER NOT NULL PRIMARY KEY,
    items INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
