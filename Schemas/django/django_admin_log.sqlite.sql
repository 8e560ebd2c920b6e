-- What was changed on Django's admin pages, by whom and when.
CREATE TABLE django_admin_log (
    id              INTEGER           NOT NULL PRIMARY KEY AUTOINCREMENT,
    object_id       TEXT              NULL,
    object_repr     varchar(200)      NOT NULL,
    action_flag     smallint unsigned NOT NULL CHECK (action_flag >= 0),
    change_message  TEXT              NOT NULL,
    content_type_id INTEGER           NULL REFERENCES django_content_type (id) DEFERRABLE INITIALLY DEFERRED,
    user_id         INTEGER           NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    action_time     datetime          NOT NULL
);

CREATE INDEX django_admin_log_content_type_id_c4bce8eb
    ON django_admin_log (content_type_id);

CREATE INDEX django_admin_log_user_id_c564eba6
    ON django_admin_log (user_id);
