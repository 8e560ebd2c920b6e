-- The two halves of each collection's stoken: its newest revision, and its newest membership.
CREATE TABLE apus_collection (
    id              INTEGER NOT NULL PRIMARY KEY,
    revision_stoken INTEGER NOT NULL,
    member_stoken   INTEGER NOT NULL
) STRICT;
