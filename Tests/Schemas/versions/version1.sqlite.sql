-- Version 1 of the schema, as its scripts made it: what upgrades are tested on.

CREATE TABLE apus_schema (version INTEGER NOT NULL) STRICT;

CREATE TABLE django_content_type (
    id        INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    app_label varchar(100) NOT NULL,
    model     varchar(100) NOT NULL
);

CREATE UNIQUE INDEX django_content_type_app_label_model_76bd3d3b_uniq
    ON django_content_type (app_label, model);

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

CREATE TABLE auth_group (
    id   INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    name varchar(150) NOT NULL UNIQUE
);

CREATE TABLE auth_group_permissions (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    group_id      INTEGER NOT NULL REFERENCES auth_group (id) DEFERRABLE INITIALLY DEFERRED,
    permission_id INTEGER NOT NULL REFERENCES auth_permission (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX auth_group_permissions_group_id_permission_id_0cd325b0_uniq
    ON auth_group_permissions (group_id, permission_id);

CREATE INDEX auth_group_permissions_group_id_b120cbf9
    ON auth_group_permissions (group_id);

CREATE INDEX auth_group_permissions_permission_id_84c5c92e
    ON auth_group_permissions (permission_id);

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

CREATE TABLE myauth_user_groups (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id  INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    group_id INTEGER NOT NULL REFERENCES auth_group (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX myauth_user_groups_user_id_group_id_7f076c1b_uniq
    ON myauth_user_groups (user_id, group_id);

CREATE INDEX myauth_user_groups_group_id_c25af76e
    ON myauth_user_groups (group_id);

CREATE INDEX myauth_user_groups_user_id_f144152c
    ON myauth_user_groups (user_id);

CREATE TABLE myauth_user_user_permissions (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id       INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    permission_id INTEGER NOT NULL REFERENCES auth_permission (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX myauth_user_user_permissions_user_id_permission_id_1ea85e2b_uniq
    ON myauth_user_user_permissions (user_id, permission_id);

CREATE INDEX myauth_user_user_permissions_permission_id_d74426c0
    ON myauth_user_user_permissions (permission_id);

CREATE INDEX myauth_user_user_permissions_user_id_a416b270
    ON myauth_user_user_permissions (user_id);

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

CREATE TABLE django_migrations (
    id      INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    app     varchar(255) NOT NULL,
    name    varchar(255) NOT NULL,
    applied datetime     NOT NULL
);

CREATE TABLE django_session (
    session_key  varchar(40) NOT NULL PRIMARY KEY,
    session_data TEXT        NOT NULL,
    expire_date  datetime    NOT NULL
);

CREATE INDEX django_session_expire_date_a5c62663
    ON django_session (expire_date);

CREATE TABLE token_auth_authtoken (
    id      INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    key     varchar(40) NOT NULL UNIQUE,
    created datetime    NOT NULL,
    expiry  datetime    NULL,
    user_id INTEGER     NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX token_auth_authtoken_user_id_16f578a3
    ON token_auth_authtoken (user_id);

CREATE TABLE django_etebase_userinfo (
    owner_id           INTEGER           NOT NULL PRIMARY KEY REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    version            smallint unsigned NOT NULL CHECK (version >= 0),
    salt               BLOB              NOT NULL,
    "loginPubkey"      BLOB              NOT NULL,
    "encryptedContent" BLOB              NOT NULL,
    pubkey             BLOB              NOT NULL
);

CREATE TABLE django_etebase_stoken (
    id  INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid varchar(43) NOT NULL UNIQUE
);

CREATE TABLE django_etebase_collectiontype (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner_id INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    uid      BLOB    NOT NULL UNIQUE
);

CREATE INDEX django_etebase_collectiontype_owner_id_3e44c389
    ON django_etebase_collectiontype (owner_id);

CREATE TABLE django_etebase_collection (
    id           INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner_id     INTEGER     NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    main_item_id INTEGER     NULL UNIQUE REFERENCES django_etebase_collectionitem (id) DEFERRABLE INITIALLY DEFERRED,
    uid          varchar(43) NOT NULL UNIQUE
);

CREATE INDEX django_etebase_collection_owner_id_a81312d5
    ON django_etebase_collection (owner_id);

CREATE TABLE django_etebase_collectionitem (
    id              INTEGER           NOT NULL PRIMARY KEY AUTOINCREMENT,
    version         smallint unsigned NOT NULL CHECK (version >= 0),
    "encryptionKey" BLOB              NULL,
    collection_id   INTEGER           NOT NULL REFERENCES django_etebase_collection (id) DEFERRABLE INITIALLY DEFERRED,
    uid             varchar(43)       NOT NULL
);

CREATE UNIQUE INDEX django_etebase_collectionitem_uid_collection_id_927d3c7a_uniq
    ON django_etebase_collectionitem (uid, collection_id);

CREATE INDEX django_etebase_collectionitem_collection_id_f9c52ec3
    ON django_etebase_collectionitem (collection_id);

CREATE INDEX django_etebase_collectionitem_uid_c4b8740e
    ON django_etebase_collectionitem (uid);

CREATE TABLE django_etebase_collectionitemrevision (
    id        INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid       varchar(43) NOT NULL UNIQUE,
    meta      BLOB        NOT NULL,
    current   bool        NULL,
    deleted   bool        NOT NULL,
    item_id   INTEGER     NOT NULL REFERENCES django_etebase_collectionitem (id) DEFERRABLE INITIALLY DEFERRED,
    stoken_id INTEGER     NOT NULL UNIQUE REFERENCES django_etebase_stoken (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX django_etebase_collectionitemrevision_item_id_current_a3e31f18_uniq
    ON django_etebase_collectionitemrevision (item_id, current);

CREATE INDEX django_etebase_collectionitemrevision_current_0ba9692f
    ON django_etebase_collectionitemrevision (current);

CREATE INDEX django_etebase_collectionitemrevision_item_id_b15ee35e
    ON django_etebase_collectionitemrevision (item_id);

CREATE TABLE django_etebase_collectionitemchunk (
    id            INTEGER      NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid           varchar(60)  NOT NULL,
    "chunkFile"   varchar(150) NOT NULL UNIQUE,
    collection_id INTEGER      NOT NULL REFERENCES django_etebase_collection (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX django_etebase_collectionitemchunk_collection_id_uid_19a063e5_uniq
    ON django_etebase_collectionitemchunk (collection_id, uid);

CREATE INDEX django_etebase_collectionitemchunk_collection_id_be14f733
    ON django_etebase_collectionitemchunk (collection_id);

CREATE INDEX django_etebase_collectionitemchunk_uid_93f61094
    ON django_etebase_collectionitemchunk (uid);

CREATE TABLE django_etebase_revisionchunkrelation (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    chunk_id    INTEGER NOT NULL REFERENCES django_etebase_collectionitemchunk (id) DEFERRABLE INITIALLY DEFERRED,
    revision_id INTEGER NOT NULL REFERENCES django_etebase_collectionitemrevision (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE INDEX django_etebase_revisionchunkrelation_chunk_id_add51d98
    ON django_etebase_revisionchunkrelation (chunk_id);

CREATE INDEX django_etebase_revisionchunkrelation_revision_id_9d2e72c4
    ON django_etebase_revisionchunkrelation (revision_id);

CREATE TABLE django_etebase_collectionmember (
    id                  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "encryptionKey"     BLOB    NOT NULL,
    collection_id       INTEGER NOT NULL REFERENCES django_etebase_collection (id) DEFERRABLE INITIALLY DEFERRED,
    user_id             INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    stoken_id           INTEGER NULL UNIQUE REFERENCES django_etebase_stoken (id) DEFERRABLE INITIALLY DEFERRED,
    "accessLevel"       INTEGER NOT NULL,
    "collectionType_id" INTEGER NULL REFERENCES django_etebase_collectiontype (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX django_etebase_collectionmember_user_id_collection_id_a70b8e47_uniq
    ON django_etebase_collectionmember (user_id, collection_id);

CREATE INDEX "django_etebase_collectionmember_collectionType_id_9718cbf5"
    ON django_etebase_collectionmember ("collectionType_id");

CREATE INDEX django_etebase_collectionmember_collection_id_be871c07
    ON django_etebase_collectionmember (collection_id);

CREATE INDEX django_etebase_collectionmember_user_id_8c7fb6b2
    ON django_etebase_collectionmember (user_id);

CREATE TABLE django_etebase_collectionmemberremoved (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES django_etebase_collection (id) DEFERRABLE INITIALLY DEFERRED,
    stoken_id     INTEGER NULL UNIQUE REFERENCES django_etebase_stoken (id) DEFERRABLE INITIALLY DEFERRED,
    user_id       INTEGER NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED
);

CREATE UNIQUE INDEX django_etebase_collectionmemberremoved_user_id_collection_id_c6319881_uniq
    ON django_etebase_collectionmemberremoved (user_id, collection_id);

CREATE INDEX django_etebase_collectionmemberremoved_collection_id_c52cd58c
    ON django_etebase_collectionmemberremoved (collection_id);

CREATE INDEX django_etebase_collectionmemberremoved_user_id_e14d30e0
    ON django_etebase_collectionmemberremoved (user_id);

CREATE TABLE django_etebase_collectioninvitation (
    id                    INTEGER           NOT NULL PRIMARY KEY AUTOINCREMENT,
    uid                   varchar(43)       NOT NULL,
    "signedEncryptionKey" BLOB              NOT NULL,
    "fromMember_id"       INTEGER           NOT NULL REFERENCES django_etebase_collectionmember (id) DEFERRABLE INITIALLY DEFERRED,
    user_id               INTEGER           NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    version               smallint unsigned NOT NULL CHECK (version >= 0),
    "accessLevel"         INTEGER           NOT NULL
);

CREATE UNIQUE INDEX "django_etebase_collectioninvitation_user_id_fromMember_id_94e00d3e_uniq"
    ON django_etebase_collectioninvitation (user_id, "fromMember_id");

CREATE INDEX "django_etebase_collectioninvitation_fromMember_id_d2f0d46e"
    ON django_etebase_collectioninvitation ("fromMember_id");

CREATE INDEX django_etebase_collectioninvitation_uid_acdbc6b3
    ON django_etebase_collectioninvitation (uid);

CREATE INDEX django_etebase_collectioninvitation_user_id_369e4cd5
    ON django_etebase_collectioninvitation (user_id);

WITH migration (id, app, name) AS (
    VALUES
        ( 1, 'contenttypes',   '0001_initial'),
        ( 2, 'contenttypes',   '0002_remove_content_type_name'),
        ( 3, 'auth',           '0001_initial'),
        ( 4, 'auth',           '0002_alter_permission_name_max_length'),
        ( 5, 'auth',           '0003_alter_user_email_max_length'),
        ( 6, 'auth',           '0004_alter_user_username_opts'),
        ( 7, 'auth',           '0005_alter_user_last_login_null'),
        ( 8, 'auth',           '0006_require_contenttypes_0002'),
        ( 9, 'auth',           '0007_alter_validators_add_error_messages'),
        (10, 'auth',           '0008_alter_user_username_max_length'),
        (11, 'auth',           '0009_alter_user_last_name_max_length'),
        (12, 'auth',           '0010_alter_group_name_max_length'),
        (13, 'auth',           '0011_update_proxy_permissions'),
        (14, 'myauth',         '0001_initial'),
        (15, 'admin',          '0001_initial'),
        (16, 'admin',          '0002_logentry_remove_auto_add'),
        (17, 'admin',          '0003_logentry_add_action_flag_choices'),
        (18, 'auth',           '0012_alter_user_first_name_max_length'),
        (19, 'django_etebase', '0001_initial'),
        (20, 'django_etebase', '0002_userinfo'),
        (21, 'django_etebase', '0003_collectioninvitation'),
        (22, 'django_etebase', '0004_collectioninvitation_version'),
        (23, 'django_etebase', '0005_auto_20200526_1021'),
        (24, 'django_etebase', '0006_auto_20200526_1040'),
        (25, 'django_etebase', '0007_auto_20200526_1336'),
        (26, 'django_etebase', '0008_auto_20200526_1535'),
        (27, 'django_etebase', '0009_auto_20200526_1535'),
        (28, 'django_etebase', '0010_auto_20200526_1539'),
        (29, 'django_etebase', '0011_collectionmember_stoken'),
        (30, 'django_etebase', '0012_auto_20200527_0743'),
        (31, 'django_etebase', '0013_collectionmemberremoved'),
        (32, 'django_etebase', '0014_auto_20200602_1558'),
        (33, 'django_etebase', '0015_collectionitemrevision_salt'),
        (34, 'django_etebase', '0016_auto_20200623_0820'),
        (35, 'django_etebase', '0017_auto_20200623_0958'),
        (36, 'django_etebase', '0018_auto_20200624_0748'),
        (37, 'django_etebase', '0019_auto_20200626_0748'),
        (38, 'django_etebase', '0020_remove_collectionitemrevision_salt'),
        (39, 'django_etebase', '0021_auto_20200626_0913'),
        (40, 'django_etebase', '0022_auto_20200804_1059'),
        (41, 'django_etebase', '0023_collectionitemchunk_collection'),
        (42, 'django_etebase', '0024_auto_20200804_1209'),
        (43, 'django_etebase', '0025_auto_20200804_1216'),
        (44, 'django_etebase', '0026_auto_20200907_0752'),
        (45, 'django_etebase', '0027_auto_20200907_0752'),
        (46, 'django_etebase', '0028_auto_20200907_0754'),
        (47, 'django_etebase', '0029_auto_20200907_0801'),
        (48, 'django_etebase', '0030_auto_20200922_0832'),
        (49, 'django_etebase', '0031_auto_20201013_1336'),
        (50, 'django_etebase', '0032_auto_20201013_1409'),
        (51, 'django_etebase', '0033_collection_uid'),
        (52, 'django_etebase', '0034_auto_20201214_1124'),
        (53, 'django_etebase', '0035_auto_20201214_1126'),
        (54, 'django_etebase', '0036_auto_20201214_1128'),
        (55, 'django_etebase', '0037_auto_20210127_1237'),
        (56, 'myauth',         '0002_auto_20200515_0801'),
        (57, 'myauth',         '0003_auto_20201119_0810'),
        (58, 'sessions',       '0001_initial'),
        (59, 'token_auth',     '0001_initial')
)
INSERT INTO django_migrations (id, app, name, applied)
SELECT id, app, name, '2026-01-01 00:00:00'
FROM   migration
ORDER  BY id;

INSERT INTO django_content_type (id, app_label, model)
VALUES
    ( 1, 'admin',          'logentry'),
    ( 2, 'auth',           'permission'),
    ( 3, 'auth',           'group'),
    ( 4, 'contenttypes',   'contenttype'),
    ( 5, 'sessions',       'session'),
    ( 6, 'myauth',         'user'),
    ( 7, 'django_etebase', 'collection'),
    ( 8, 'django_etebase', 'collectionitem'),
    ( 9, 'django_etebase', 'collectionitemchunk'),
    (10, 'django_etebase', 'collectionitemrevision'),
    (11, 'django_etebase', 'revisionchunkrelation'),
    (12, 'django_etebase', 'collectionmember'),
    (13, 'django_etebase', 'userinfo'),
    (14, 'django_etebase', 'collectioninvitation'),
    (15, 'django_etebase', 'stoken'),
    (16, 'django_etebase', 'collectionmemberremoved'),
    (17, 'django_etebase', 'collectiontype'),
    (18, 'token_auth',     'authtoken');

WITH subject (content_type_id, model, name) AS (
    VALUES
        ( 1, 'logentry',                'log entry'),
        ( 2, 'permission',              'permission'),
        ( 3, 'group',                   'group'),
        ( 4, 'contenttype',             'content type'),
        ( 5, 'session',                 'session'),
        ( 6, 'user',                    'user'),
        ( 7, 'collection',              'collection'),
        ( 8, 'collectionitem',          'collection item'),
        ( 9, 'collectionitemchunk',     'collection item chunk'),
        (10, 'collectionitemrevision',  'collection item revision'),
        (11, 'revisionchunkrelation',   'revision chunk relation'),
        (12, 'collectionmember',        'collection member'),
        (13, 'userinfo',                'user info'),
        (14, 'collectioninvitation',    'collection invitation'),
        (15, 'stoken',                  'stoken'),
        (16, 'collectionmemberremoved', 'collection member removed'),
        (17, 'collectiontype',          'collection type'),
        (18, 'authtoken',               'auth token')
), action (number, verb) AS (
    VALUES (1, 'add'), (2, 'change'), (3, 'delete'), (4, 'view')
)
INSERT INTO auth_permission (id, content_type_id, codename, name)
SELECT 4 * (content_type_id - 1) + number, content_type_id, verb || '_' || model, 'Can ' || verb || ' ' || name
FROM   subject CROSS JOIN action
ORDER  BY content_type_id, number;

CREATE TABLE apus_log (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL CHECK (position >= 0),
    epoch    INTEGER NOT NULL CHECK (epoch >= 1)
) STRICT;

INSERT INTO apus_log (id, position, epoch) VALUES (1, 0, 1);

CREATE TABLE apus_epoch (
    epoch          INTEGER NOT NULL PRIMARY KEY,
    first_position INTEGER NOT NULL
) STRICT;

INSERT INTO apus_epoch (epoch, first_position) VALUES (1, 1);

CREATE TABLE apus_stream (
    name TEXT    NOT NULL PRIMARY KEY,
    head INTEGER NOT NULL,
    key  BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE apus_event (
    position    INTEGER NOT NULL PRIMARY KEY,
    epoch       INTEGER NOT NULL,
    stream      TEXT    NOT NULL,
    previous    INTEGER NOT NULL CHECK (previous < position),
    type        TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    actor       INTEGER,
    session     TEXT,
    origin      BLOB,
    occurred_at INTEGER NOT NULL,
    payload     BLOB    NOT NULL
) STRICT;

CREATE TABLE apus_stream_event (
    stream   TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stream, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE apus_claim (
    key      TEXT    NOT NULL PRIMARY KEY,
    holder   INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE apus_chunk (
    collection TEXT NOT NULL,
    uid        TEXT NOT NULL,
    content    BLOB NOT NULL,
    PRIMARY KEY (collection, uid)
) STRICT;

CREATE TABLE apus_session (
    session    TEXT    NOT NULL PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    device     TEXT,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE apus_projection (
    id               INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    position         INTEGER NOT NULL,
    last_chunk_id    INTEGER NOT NULL,
    last_relation_id INTEGER NOT NULL
) STRICT;

INSERT INTO apus_projection (id, position, last_chunk_id, last_relation_id) VALUES (1, 0, 0, 0);

CREATE TABLE apus_collection (
    id              INTEGER NOT NULL PRIMARY KEY,
    revision_stoken INTEGER NOT NULL,
    member_stoken   INTEGER NOT NULL
) STRICT;

CREATE TABLE apus_item (
    id            INTEGER NOT NULL PRIMARY KEY,
    collection_id INTEGER NOT NULL,
    stoken        INTEGER NOT NULL,
    is_main       INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX apus_item_change ON apus_item (collection_id, stoken, is_main);

CREATE INDEX apus_user_email ON myauth_user (lower(email));

INSERT INTO apus_schema (version) VALUES (1);
