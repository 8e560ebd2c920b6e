-- What names contents in an S3 store.
ALTER TABLE apus_chunk ADD COLUMN digest BYTEA;
ALTER TABLE apus_chunk ADD COLUMN bytes BIGINT;
