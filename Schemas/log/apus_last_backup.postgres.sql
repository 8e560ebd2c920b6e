-- The newest backup that was taken: when, and up to which position. One row, made by the first.
CREATE TABLE apus_last_backup (
    id       BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    made_at  BIGINT NOT NULL,
    position BIGINT NOT NULL
);
