-- What was done on an admin's page, so that it is known beside the events that came of it. People stand here as numbers, which tell
-- nothing of who was erased.
--   act       a name of its own
--   done_at   microseconds since 1970, UTC
--   session   the short id of the page's session
--   admin_id  who had logged in; null for whoever came by a link of the command line
--   user_id   the account that it was done to, if it was one
--   thing     what else it was done to: a collection, a link
CREATE TABLE apus_admin_act (
    act      TEXT    NOT NULL PRIMARY KEY,
    done_at  BIGINT  NOT NULL,
    session  TEXT    NOT NULL,
    admin_id BIGINT,
    action   TEXT    NOT NULL,
    user_id  BIGINT,
    thing    TEXT
);

CREATE INDEX apus_admin_act_time ON apus_admin_act (done_at);
