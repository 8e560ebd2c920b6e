-- The keys that are unique in the whole log, and who holds them (0: the operator).
CREATE TABLE apus_claim (
    key      TEXT    NOT NULL PRIMARY KEY,
    holder   BIGINT NOT NULL,
    position BIGINT NOT NULL
);
