-- The contents of chunks. They lie beside the log, written in the append's own transaction; the events name them.
CREATE TABLE apus_chunk (
    collection TEXT NOT NULL,
    uid        TEXT NOT NULL,
    content    BYTEA NOT NULL,
    PRIMARY KEY (collection, uid)
);
