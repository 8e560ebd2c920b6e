-- Where the log ends. One row, which every append updates.
CREATE TABLE apus_log (
    id       BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    position BIGINT NOT NULL CHECK (position >= 0),
    epoch    BIGINT NOT NULL CHECK (epoch >= 1)
);

INSERT INTO apus_log (id, position, epoch) VALUES (1, 0, 1);
