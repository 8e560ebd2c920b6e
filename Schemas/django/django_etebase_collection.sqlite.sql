-- Collections: the owner, and the item that stands for the collection itself and shares its uid.
CREATE TABLE django_etebase_collection (
    id           INTEGER     NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner_id     INTEGER     NOT NULL REFERENCES myauth_user (id) DEFERRABLE INITIALLY DEFERRED,
    main_item_id INTEGER     NULL UNIQUE REFERENCES django_etebase_collectionitem (id) DEFERRABLE INITIALLY DEFERRED,
    uid          varchar(43) NOT NULL UNIQUE
);

CREATE INDEX django_etebase_collection_owner_id_a81312d5
    ON django_etebase_collection (owner_id);
