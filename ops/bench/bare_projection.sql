-- The bare limit of projecting: the rows of items, which lie in the schema `source`, go into the tables that they came from, a
-- thousand events at a time, with one statement for each table.
DO $$
DECLARE
    step BIGINT := (SELECT min(id) FROM source.django_etebase_collectionitem);
    last BIGINT := (SELECT max(id) FROM source.django_etebase_collectionitem);
BEGIN
    WHILE step <= last LOOP
        SET LOCAL synchronous_commit = off;
        INSERT INTO django_etebase_stoken SELECT * FROM source.django_etebase_stoken WHERE id BETWEEN step AND step + 999;
        INSERT INTO django_etebase_collectionitem
        SELECT * FROM source.django_etebase_collectionitem WHERE id BETWEEN step AND step + 999;
        INSERT INTO apus_item SELECT * FROM source.apus_item WHERE id BETWEEN step AND step + 999;
        INSERT INTO django_etebase_collectionitemrevision
        SELECT * FROM source.django_etebase_collectionitemrevision WHERE id BETWEEN step AND step + 999;
        INSERT INTO django_etebase_collectionitemchunk
        SELECT chunk.*
        FROM   source.django_etebase_revisionchunkrelation relation
        JOIN   source.django_etebase_collectionitemchunk chunk ON chunk.id = relation.chunk_id
        WHERE  relation.revision_id BETWEEN step AND step + 999;
        INSERT INTO django_etebase_revisionchunkrelation
        SELECT * FROM source.django_etebase_revisionchunkrelation WHERE revision_id BETWEEN step AND step + 999;
        UPDATE apus_collection SET revision_stoken = step;
        COMMIT;
        step := step + 1000;
    END LOOP;
END
$$;
