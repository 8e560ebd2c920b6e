-- The events that were rewritten since they were sealed, or before. Rows are never changed.
--   redaction  names what was rewritten together; the event that records it has a hash over all of it
--   hash       of the event as it is since
CREATE TABLE apus_redaction (
    redaction BLOB    NOT NULL,
    position  INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    PRIMARY KEY (position, redaction)
) STRICT, WITHOUT ROWID;

CREATE INDEX apus_redaction_order ON apus_redaction (redaction, position);
