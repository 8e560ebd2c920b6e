-- What the server's secret is known by: a keyed hash that nothing else is derived with, never the secret. One row, made with the
-- database. A program that is given another secret refuses to work here.
CREATE TABLE apus_secret (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    mark BLOB    NOT NULL
) STRICT;
