-- The models that Django knows, a row each.
CREATE TABLE django_content_type (
    id        INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    app_label varchar(100) NOT NULL,
    model     varchar(100) NOT NULL
);

CREATE UNIQUE INDEX django_content_type_app_label_model_76bd3d3b_uniq
    ON django_content_type (app_label, model);
