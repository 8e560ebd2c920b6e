-- Which of Django's migrations this database has been through.
CREATE TABLE django_migrations (
    id      INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    app     varchar(255) NOT NULL,
    name    varchar(255) NOT NULL,
    applied datetime     NOT NULL
);
