-- Up to where in the log it is counted what collections hold. Where this is not the checkpoint, somebody has projected who does not
-- count, and it is counted again from here.
CREATE TABLE apus_counted (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL
) STRICT;

INSERT INTO apus_counted (id, position) VALUES (1, 0);
