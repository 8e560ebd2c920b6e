-- Links with which people make accounts of their own. The link has the secret; here is a hash of it.
--   link        names it to the operator
--   username    the name that the account gets; null where whoever opens the link chooses one
--   uses        how many accounts it may make
--   used        how many it has made, or is making
--   created_at, expires_at  microseconds since 1970, UTC; expires_at is null for never
CREATE TABLE apus_signup_link (
    link       TEXT    NOT NULL PRIMARY KEY,
    secret     BLOB    NOT NULL UNIQUE,
    username   TEXT,
    uses       INTEGER NOT NULL,
    used       INTEGER NOT NULL CHECK (used BETWEEN 0 AND uses),
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
