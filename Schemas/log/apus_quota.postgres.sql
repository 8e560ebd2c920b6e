-- How much the collections that a user owns may hold together: who has a row has these limits, and not those that hold for all; null
-- is without a limit.
CREATE TABLE apus_quota (
    user_id     BIGINT NOT NULL PRIMARY KEY,
    bytes       BIGINT,
    items       BIGINT,
    collections BIGINT
);
