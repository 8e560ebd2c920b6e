-- Where the log ends. One row, which every append updates.
CREATE TABLE apus_log (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL CHECK (position >= 0),
    epoch    INTEGER NOT NULL CHECK (epoch >= 1)
) STRICT;

INSERT INTO apus_log (id, position, epoch) VALUES (1, 0, 1);
