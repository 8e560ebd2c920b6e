-- Sessions of Django's admin pages.
CREATE TABLE django_session (
    session_key  varchar(40) NOT NULL PRIMARY KEY,
    session_data TEXT        NOT NULL,
    expire_date  datetime    NOT NULL
);

CREATE INDEX django_session_expire_date_a5c62663
    ON django_session (expire_date);
