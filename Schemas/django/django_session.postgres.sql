-- Sessions of Django's admin pages.
CREATE TABLE django_session (
    session_key  varchar(40) NOT NULL,
    session_data text        NOT NULL,
    expire_date  timestamptz NOT NULL,

    CONSTRAINT django_session_pkey PRIMARY KEY (session_key)
);

CREATE INDEX django_session_expire_date_a5c62663
    ON django_session (expire_date);

CREATE INDEX django_session_session_key_c0390e0f_like
    ON django_session (session_key varchar_pattern_ops);
