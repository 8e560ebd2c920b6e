-- The processes that serve this log. Each tells of itself again and again: one whose row has expired is gone, however it ended.
--   process     a name of its own, made at its start
--   roles       as in api,gateway,projector
--   address     where clients reach it; null where it has no port
--   started_at, seen_at, expires_at  microseconds since 1970, UTC
CREATE TABLE apus_process (
    process    TEXT    NOT NULL PRIMARY KEY,
    roles      TEXT    NOT NULL,
    address    TEXT,
    version    TEXT    NOT NULL,
    sockets    BIGINT  NOT NULL,
    started_at BIGINT  NOT NULL,
    seen_at    BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL
);
