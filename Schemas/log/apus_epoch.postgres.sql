-- The log's epochs. A new one begins when history forks: a stoken of a position that the fork has lost is then told from
-- one that is only ahead.
--   place   where the epoch is written (`apus_place`); null where nobody has looked
CREATE TABLE apus_epoch (
    epoch          BIGINT NOT NULL PRIMARY KEY,
    first_position BIGINT NOT NULL,
    place          TEXT
);

INSERT INTO apus_epoch (epoch, first_position) VALUES (1, 1);
