-- How much the collections that a user owns may hold together: who has a row has these limits, and not those that hold for all; null
-- is without a limit.
CREATE TABLE apus_quota (
    user_id     INTEGER NOT NULL PRIMARY KEY,
    bytes       INTEGER,
    items       INTEGER,
    collections INTEGER
) STRICT;
