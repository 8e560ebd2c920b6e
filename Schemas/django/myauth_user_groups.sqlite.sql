-- Which groups a user belongs to.
CREATE TABLE myauth_user_groups (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id  INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    group_id INTEGER NOT NULL REFERENCES auth_group (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX myauth_user_groups_user_id_group_id_7f076c1b_uniq
    ON myauth_user_groups (user_id, group_id);

CREATE INDEX myauth_user_groups_group_id_c25af76e
    ON myauth_user_groups (group_id);

CREATE INDEX myauth_user_groups_user_id_f144152c
    ON myauth_user_groups (user_id);
