-- Login tokens of users, and when they end (NULL: never).
CREATE TABLE token_auth_authtoken (
    id      INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    key     varchar(40) NOT NULL UNIQUE,
    created datetime    NOT NULL,
    expiry  datetime    NULL,
    user_id INTEGER     NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX token_auth_authtoken_user_id_16f578a3
    ON token_auth_authtoken (user_id);
