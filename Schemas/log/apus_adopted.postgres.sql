-- Up to where the original's ids had been given when the database was adopted last, for each of its tables. What an EteSync server
-- that was not stopped writes afterwards comes between the two.
--   last_id  the highest id of the table that there was
--   end_id   where the log ended: whatever Apus makes has a higher id
CREATE TABLE apus_adopted (
    name    TEXT    NOT NULL PRIMARY KEY,
    last_id BIGINT  NOT NULL,
    end_id  BIGINT  NOT NULL
);
