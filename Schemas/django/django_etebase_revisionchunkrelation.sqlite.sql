-- Which chunks a revision consists of, in the order of the id.
CREATE TABLE django_etebase_revisionchunkrelation (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    chunk_id    INTEGER NOT NULL REFERENCES django_etebase_collectionitemchunk (id) DEFERRABLE INITIALLY DEFERRED,
    revision_id INTEGER NOT NULL REFERENCES django_etebase_collectionitemrevision (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX django_etebase_revisionchunkrelation_chunk_id_add51d98
    ON django_etebase_revisionchunkrelation (chunk_id);

CREATE INDEX django_etebase_revisionchunkrelation_revision_id_9d2e72c4
    ON django_etebase_revisionchunkrelation (revision_id);
