-- The newest backup that was taken: when, and up to which position. One row, made by the first.
CREATE TABLE apus_last_backup (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    made_at  INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;
