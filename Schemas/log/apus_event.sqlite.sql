-- The events, one for each position. Rows are never changed, but where `apus_redaction` tells it.
--   previous     the head that the stream had before: the gap detector
--   actor        who did it; null for the operator
--   session      the short id of the login session in which it was done
--   origin       the client's address, sealed with the key of the actor's stream; null where it is not recorded
--   occurred_at  microseconds since 1970, UTC
--   payload      MessagePack, sealed with the key of the event's stream
CREATE TABLE apus_event (
    position    INTEGER NOT NULL PRIMARY KEY,
    epoch       INTEGER NOT NULL,
    stream      TEXT    NOT NULL,
    previous    INTEGER NOT NULL CHECK (previous < position),
    type        TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    actor       INTEGER,
    session     TEXT,
    origin      BLOB,
    occurred_at INTEGER NOT NULL,
    payload     BLOB    NOT NULL
) STRICT;
