-- The bare limit of appending: 32 events of 1 KB after the one locked row that says where the log ends, in one statement and
-- one transaction.
WITH head AS (UPDATE bare_log SET position = position + 32 RETURNING position)
INSERT INTO bare_event
SELECT position - 32 + number, 1, 'collection/0123456789abcdef', position - 33 + number, 'ItemCreated', 1, 1, 'session', NULL, 0,
       decode(repeat('00', 1000), 'hex')
FROM   head, generate_series(1, 32) AS number;
