-- The contents of chunks. They lie beside the log, written in the append's own transaction; the events name them.
-- One that lies in an S3 store is named here by its SHA-256, with how many bytes it has: the content is empty then. Fewer than none are
-- a mark of one that is being removed there.
CREATE TABLE apus_chunk (
    collection TEXT NOT NULL,
    uid        TEXT NOT NULL,
    content    BYTEA NOT NULL,
    digest     BYTEA,
    bytes      BIGINT,
    PRIMARY KEY (collection, uid)
);
