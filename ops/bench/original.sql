-- Rows of the original server for `events` revisions in one collection: four for each item, each with a stoken, a chunk and its
-- use. Uids are spread as random ones are. For SQLite `bytea` is to be read as `BLOB`.
INSERT INTO myauth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
VALUES (1, '!', FALSE, 'user', '', '', 'user@example.com', FALSE, TRUE, '2020-01-01 00:00:00');

INSERT INTO django_etebase_userinfo (owner_id, version, salt, "loginPubkey", "encryptedContent", pubkey)
VALUES (1, 1, CAST('salt' AS bytea), CAST('login' AS bytea), CAST('content' AS bytea), CAST('pubkey' AS bytea));

INSERT INTO django_etebase_collectiontype (id, owner_id, uid) VALUES (1, 1, CAST('type' AS bytea));

INSERT INTO django_etebase_stoken (id, uid)
WITH RECURSIVE number (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM number WHERE id < {events} + 1)
SELECT id, 'stoken' || CAST(100000000 + CAST(id AS BIGINT) * 48271 % 99999989 AS TEXT) || '000000000000' FROM number;

INSERT INTO django_etebase_collection (id, owner_id, main_item_id, uid) VALUES (1, 1, NULL, 'collection0000000000000');

INSERT INTO django_etebase_collectionitem (id, version, "encryptionKey", collection_id, uid)
SELECT id, 1, NULL, 1, 'item' || CAST(100000000 + CAST(id AS BIGINT) * 69621 % 99999989 AS TEXT) || '00000000000000'
FROM   django_etebase_stoken WHERE id <= {events} / 4;

UPDATE django_etebase_collectionitem SET uid = 'collection0000000000000' WHERE id = 1;

UPDATE django_etebase_collection SET main_item_id = 1;

INSERT INTO django_etebase_collectionitemrevision (id, uid, meta, current, deleted, item_id, stoken_id)
SELECT id, 'revision' || CAST(100000000 + CAST(id AS BIGINT) * 40692 % 99999989 AS TEXT) || '0000000000',
       CAST('a hundred and twenty bytes of what a client encrypts, a hundred and twenty bytes of what a client encrypts: 0123456789abcdef' AS bytea),
       CASE WHEN id > {events} - {events} / 4 THEN TRUE END, FALSE, (id - 1) % ({events} / 4) + 1, id
FROM   django_etebase_stoken WHERE id <= {events};

INSERT INTO django_etebase_collectionitemchunk (id, uid, "chunkFile", collection_id)
SELECT id, 'chunk' || CAST(100000000 + CAST(id AS BIGINT) * 39373 % 99999989 AS TEXT) || '0000000000000',
       'user_1/collection0000000000000/ch/un/' || CAST(id AS TEXT), 1
FROM   django_etebase_stoken WHERE id <= {events};

INSERT INTO django_etebase_revisionchunkrelation (id, chunk_id, revision_id)
SELECT id, id, id FROM django_etebase_stoken WHERE id <= {events};

INSERT INTO django_etebase_collectionmember (id, "encryptionKey", collection_id, user_id, stoken_id, "accessLevel", "collectionType_id")
VALUES (1, CAST('key' AS bytea), 1, 1, {events} + 1, 1, 1);
