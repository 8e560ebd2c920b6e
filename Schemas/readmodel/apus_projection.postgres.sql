-- How far the log is projected into this read model, written in the transaction of the rows. The last ids that were given
-- to rows of which one event can make several stand here too, so that ids follow from the log alone.
--   holder, fence, lease_until   which projector is active, how often that has changed, and until when it is so by the
--                                database's clock; a projector whose fence is not this one any more writes nothing
CREATE TABLE apus_projection (
    id               BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    position         BIGINT NOT NULL,
    last_chunk_id    BIGINT NOT NULL,
    last_relation_id BIGINT NOT NULL,
    holder           TEXT NOT NULL DEFAULT '',
    fence            BIGINT NOT NULL DEFAULT 0,
    lease_until      TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
);

INSERT INTO apus_projection (id, position, last_chunk_id, last_relation_id) VALUES (1, 0, 0, 0);
