-- Where each item last changed: what lists of items are paged by, at the cost of the page alone.
CREATE TABLE apus_item (
    id            BIGINT NOT NULL PRIMARY KEY,
    collection_id BIGINT NOT NULL,
    stoken        BIGINT NOT NULL,
    is_main       BIGINT NOT NULL
);

CREATE UNIQUE INDEX apus_item_change ON apus_item (collection_id, stoken, is_main);
