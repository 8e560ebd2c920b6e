-- Groups of users, for Django's admin pages.
CREATE TABLE auth_group (
    id   INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    name varchar(150) NOT NULL UNIQUE
);
