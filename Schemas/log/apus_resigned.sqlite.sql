-- Signatures of redactions under the secret that the database has now, where the event that records one was signed with another.
--   redaction  as in apus_redaction
--   signature  Ed25519, of what the event's own is of
CREATE TABLE apus_resigned (
    redaction BLOB NOT NULL PRIMARY KEY,
    signature BLOB NOT NULL
) STRICT, WITHOUT ROWID;
