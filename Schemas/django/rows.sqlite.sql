-- The rows that the original's migrations leave behind, with their ids: it finds them complete and migrates nothing.

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
