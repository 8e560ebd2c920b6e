-- Where each item last changed: what lists of items are paged by, at the cost of the page alone.
CREATE TABLE apus_item (
    id            INTEGER NOT NULL PRIMARY KEY,
    collection_id INTEGER NOT NULL,
    stoken        INTEGER NOT NULL,
    is_main       INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX apus_item_change ON apus_item (collection_id, stoken, is_main);
