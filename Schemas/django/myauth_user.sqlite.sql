-- Users. The password is for Django's admin pages: clients log in with the keys in django_etebase_userinfo.
CREATE TABLE myauth_user (
    id           INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    password     varchar(128) NOT NULL,
    last_login   datetime     NULL,
    is_superuser bool         NOT NULL,
    username     varchar(150) NOT NULL UNIQUE,
    last_name    varchar(150) NOT NULL,
    email        varchar(254) NOT NULL,
    is_staff     bool         NOT NULL,
    is_active    bool         NOT NULL,
    date_joined  datetime     NOT NULL,
    first_name   varchar(150) NOT NULL
);
