-- The seals: each covers a stretch of the log and, through the seal before it, everything up to there. Rows are never changed.
--   position        the last event that is covered
--   first_position  the first: one behind the last of the seal before
--   events          a hash of each event, 32 bytes: which one was changed
--   hash            over the hash of the seal before, the two positions and `events`
--   signature       Ed25519 over `hash` and `position`, with a key that follows from the server's secret
CREATE TABLE apus_seal (
    position       BIGINT NOT NULL PRIMARY KEY,
    first_position BIGINT NOT NULL UNIQUE CHECK (first_position <= position),
    events         BYTEA  NOT NULL,
    hash           BYTEA  NOT NULL,
    signature      BYTEA  NOT NULL
);
