-- How far the log is projected into this read model, written in the transaction of the rows. The last ids that were given
-- to rows of which one event can make several stand here too, so that ids follow from the log alone.
CREATE TABLE apus_projection (
    id               BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    position         BIGINT NOT NULL,
    last_chunk_id    BIGINT NOT NULL,
    last_relation_id BIGINT NOT NULL
);

INSERT INTO apus_projection (id, position, last_chunk_id, last_relation_id) VALUES (1, 0, 0, 0);
