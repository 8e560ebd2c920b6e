-- The events that were rewritten since they were sealed, or before. Rows are never changed.
--   redaction  names what was rewritten together; the event that records it has a hash over all of it
--   hash       of the event as it is since
CREATE TABLE apus_redaction (
    redaction BYTEA   NOT NULL,
    position  BIGINT  NOT NULL,
    hash      BYTEA   NOT NULL,
    PRIMARY KEY (position, redaction)
);

CREATE INDEX apus_redaction_order ON apus_redaction (redaction, position);
