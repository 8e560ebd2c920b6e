-- How long the content of each chunk is, wherever it lies.
CREATE TABLE apus_chunk_size (
    id    BIGINT NOT NULL PRIMARY KEY,
    bytes BIGINT NOT NULL
);
