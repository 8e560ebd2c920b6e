-- Which permissions a user has besides those of the user's groups.
CREATE TABLE myauth_user_user_permissions (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id       INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    permission_id INTEGER NOT NULL REFERENCES auth_permission (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX myauth_user_user_permissions_user_id_permission_id_1ea85e2b_uniq
    ON myauth_user_user_permissions (user_id, permission_id);

CREATE INDEX myauth_user_user_permissions_permission_id_d74426c0
    ON myauth_user_user_permissions (permission_id);

CREATE INDEX myauth_user_user_permissions_user_id_a416b270
    ON myauth_user_user_permissions (user_id);
