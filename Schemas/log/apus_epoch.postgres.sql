-- The log's epochs. A new one begins when history forks: a stoken of a position that the fork has lost is then told from
-- one that is only ahead.
CREATE TABLE apus_epoch (
    epoch          BIGINT NOT NULL PRIMARY KEY,
    first_position BIGINT NOT NULL
);

INSERT INTO apus_epoch (epoch, first_position) VALUES (1, 1);
