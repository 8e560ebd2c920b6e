-- The two halves of each collection's stoken: its newest revision, and its newest membership.
CREATE TABLE apus_collection (
    id              BIGINT NOT NULL PRIMARY KEY,
    revision_stoken BIGINT NOT NULL,
    member_stoken   BIGINT NOT NULL
);
