-- The streams: the last position that touched each, and the key that its payloads are sealed with. Without the key they
-- are unreadable for good; the log itself stays as it is.
CREATE TABLE apus_stream (
    name TEXT    NOT NULL PRIMARY KEY,
    head BIGINT NOT NULL,
    key  BYTEA
);
