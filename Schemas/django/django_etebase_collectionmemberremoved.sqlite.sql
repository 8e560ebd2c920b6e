-- Who lost access to a collection, and at which stoken: that is how their clients learn of it.
CREATE TABLE django_etebase_collectionmemberremoved (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES django_etebase_collection (id) DEFERRABLE INITIALLY DEFERRED,
    stoken_id     INTEGER NULL UNIQUE REFERENCES django_etebase_stoken (id) DEFERRABLE INITIALLY DEFERRED,
    user_id       INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX django_etebase_collectionmemberremoved_user_id_collection_id_c6319881_uniq
    ON django_etebase_collectionmemberremoved (user_id, collection_id);

CREATE INDEX django_etebase_collectionmemberremoved_collection_id_c52cd58c
    ON django_etebase_collectionmemberremoved (collection_id);

CREATE INDEX django_etebase_collectionmemberremoved_user_id_e14d30e0
    ON django_etebase_collectionmemberremoved (user_id);
