-- Points in the history of changes: the id gives the order, the uid is what clients see.
CREATE TABLE django_etebase_stoken (
    id  INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid varchar(43) NOT NULL UNIQUE
);
