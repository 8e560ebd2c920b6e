-- What the directory (LDAP) has said of users, so that a process that is started while it is away goes on with it.
--   question   a hash of what was asked: an answer to another question says nothing
--   is_listed  whether they were there; is_admin whether in the group of those who administer the server
--   said_at    microseconds since 1970, UTC
CREATE TABLE apus_listing (
    user_id   BIGINT NOT NULL PRIMARY KEY,
    question  BYTEA  NOT NULL,
    is_listed BIGINT NOT NULL CHECK (is_listed IN (0, 1)),
    is_admin  BIGINT NOT NULL CHECK (is_admin IN (0, 1)),
    said_at   BIGINT NOT NULL
);
