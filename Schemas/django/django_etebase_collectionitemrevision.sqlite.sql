-- Revisions of items. The current one has TRUE in current, all older ones NULL, so that (item_id, current) is unique.
CREATE TABLE django_etebase_collectionitemrevision (
    id        INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid       varchar(43) NOT NULL UNIQUE,
    meta      BLOB        NOT NULL,
    current   bool        NULL,
    deleted   bool        NOT NULL,
    item_id   INTEGER     NOT NULL REFERENCES django_etebase_collectionitem (id) DEFERRABLE INITIALLY DEFERRED,
    stoken_id INTEGER     NOT NULL UNIQUE REFERENCES django_etebase_stoken (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX django_etebase_collectionitemrevision_item_id_current_a3e31f18_uniq
    ON django_etebase_collectionitemrevision (item_id, current);

CREATE INDEX django_etebase_collectionitemrevision_current_0ba9692f
    ON django_etebase_collectionitemrevision (current);

CREATE INDEX django_etebase_collectionitemrevision_item_id_b15ee35e
    ON django_etebase_collectionitemrevision (item_id);
