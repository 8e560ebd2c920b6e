-- The one reference to a table that is made later: collections and items refer to each other.
ALTER TABLE django_etebase_collection
    ADD CONSTRAINT django_etebase_colle_main_item_id_a340d778_fk_django_et
    FOREIGN KEY (main_item_id) REFERENCES django_etebase_collectionitem (id) DEFERRABLE INITIALLY DEFERRED;
