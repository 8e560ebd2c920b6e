-- What lets people into the pages: links that are good once, and the sessions that come of them. Whoever is let in has the secret; here
-- is a hash of it.
--   name        the session's short id, as the history tells it
--   token_id    of an account's page: the login token with which it was asked for, and with which it ends
--   user_id     of an admin's page: who has logged in; null for whoever has a link that was made at the command line
--   created_at, expires_at  microseconds since 1970, UTC
CREATE TABLE apus_page_key (
    secret     BYTEA   NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('link', 'session')),
    area       TEXT    NOT NULL CHECK (area IN ('account', 'admin')),
    name       TEXT    NOT NULL,
    token_id   BIGINT,
    user_id    BIGINT,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL
);

CREATE INDEX apus_page_key_expiry ON apus_page_key (expires_at);

CREATE INDEX apus_page_key_token ON apus_page_key (token_id);
