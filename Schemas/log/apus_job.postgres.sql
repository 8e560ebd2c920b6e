-- Long work that was ordered on the admins' pages. Who does it says so again and again: what has expired is done by nobody any more.
-- People stand here as numbers, which tell nothing of who was erased.
--   job       a name of its own
--   process   who does it; made by the process at its start
--   user_id   the account that it is done to, if it is one
--   state     what came of it; of no matter while ended_at is null
--   ordered_at, expires_at, ended_at  microseconds since 1970, UTC
--   reached, whole  how far it is, of how much; 0 of 0 while nobody knows
--   is_unwanted     whether somebody wants it to stop
--   is_final        whether it cannot be stopped any more
--   found     what there is to say, a line for each thing
CREATE TABLE apus_job (
    job         TEXT    NOT NULL PRIMARY KEY,
    process     TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    user_id     BIGINT,
    state       TEXT    NOT NULL,
    ordered_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL,
    ended_at    BIGINT,
    reached     BIGINT  NOT NULL,
    whole       BIGINT  NOT NULL,
    is_unwanted BIGINT  NOT NULL CHECK (is_unwanted IN (0, 1)),
    is_final    BIGINT  NOT NULL CHECK (is_final IN (0, 1)),
    found       TEXT    NOT NULL
);

-- The same is done once at a time, in whatever process.
CREATE UNIQUE INDEX apus_job_once ON apus_job (kind, COALESCE(user_id, 0)) WHERE ended_at IS NULL;

CREATE INDEX apus_job_time ON apus_job (ordered_at);
