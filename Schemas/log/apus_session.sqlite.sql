-- What is known of a login session beyond its token, for as long as the history speaks of it.
CREATE TABLE apus_session (
    session    TEXT    NOT NULL PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    device     TEXT,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX apus_session_user ON apus_session (user_id);
