-- What links were used for, so that an account that is asked for twice, because no answer came, is made once and counts once.
--   account  a hash of the link's secret and the name
--   state    held: somebody makes it; shared: several do, or did; made: it is there
CREATE TABLE apus_signup_use (
    link    TEXT NOT NULL,
    account BLOB NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('held', 'shared', 'made')),
    PRIMARY KEY (link, account)
) STRICT, WITHOUT ROWID;
