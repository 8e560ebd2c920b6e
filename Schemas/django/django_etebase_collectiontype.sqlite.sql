-- Types of collections, each a user's own: the uid is the type's name as that user encrypted it.
CREATE TABLE django_etebase_collectiontype (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner_id INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    uid      BLOB    NOT NULL UNIQUE
);

CREATE INDEX django_etebase_collectiontype_owner_id_3e44c389
    ON django_etebase_collectiontype (owner_id);
