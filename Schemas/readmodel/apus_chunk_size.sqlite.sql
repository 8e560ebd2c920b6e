-- How long the content of each chunk is, wherever it lies.
CREATE TABLE apus_chunk_size (
    id    INTEGER NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;
