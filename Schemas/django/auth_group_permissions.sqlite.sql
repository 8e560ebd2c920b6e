-- Which permissions a group gives to its users.
CREATE TABLE auth_group_permissions (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    group_id      INTEGER NOT NULL REFERENCES auth_group (id) DEFERRABLE INITIALLY DEFERRED,
    permission_id INTEGER NOT NULL REFERENCES auth_permission (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX auth_group_permissions_group_id_permission_id_0cd325b0_uniq
    ON auth_group_permissions (group_id, permission_id);

CREATE INDEX auth_group_permissions_group_id_b120cbf9
    ON auth_group_permissions (group_id);

CREATE INDEX auth_group_permissions_permission_id_84c5c92e
    ON auth_group_permissions (permission_id);
