-- Django's permissions: to add, change, delete and view the rows of each content type.
CREATE TABLE auth_permission (
    id              INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    content_type_id INTEGER      NOT NULL REFERENCES django_content_type (id) DEFERRABLE INITIALLY DEFERRED,
    codename        varchar(100) NOT NULL,
    name            varchar(255) NOT NULL
);

CREATE UNIQUE INDEX auth_permission_content_type_id_codename_01ab375a_uniq
    ON auth_permission (content_type_id, codename);

CREATE INDEX auth_permission_content_type_id_2f476e4b
    ON auth_permission (content_type_id);
