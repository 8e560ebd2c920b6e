-- Appends events: one call, in its own transaction. It locks the head row first, so appends stand in line here, and the lock
-- is gone with the commit: whoever sees a position sees every position below it.
--
-- What cannot be appended raises an error of class AP, which rolls back whatever came with the call:
--   AP001  streams have moved on; the message is a JSON array of their names
--   AP002  claims are taken; the message is a JSON array of [key, holder]
--   AP003  history has forked: `apus_begin_epoch` comes first, and what was decided is decided again
--
--   base               the head that the positions were planned after; where it has moved on, all of them shift
--   expected, heads    the streams that the decisions depend on, and the heads that they were made with
--   claims             of claim_events[i], counted from 1; repeatable where the holder may make the claim again
--   touched            the streams that event touch_events[i] touches, with a key for those that are new
--   previous           a position, or minus the number of an earlier event of this call
--
-- Where a stream's name or a claim's holder is null, it is that of the user whom the event creates.
CREATE OR REPLACE FUNCTION apus_append(
    expected_epoch BIGINT,
    expected TEXT[], heads BIGINT[],
    claims TEXT[], claim_events INTEGER[], holders BIGINT[], repeatable BOOLEAN[],
    touched TEXT[], touch_events INTEGER[], keys BYTEA[],
    streams TEXT[], previous BIGINT[], types TEXT[], versions BIGINT[], actors BIGINT[], sessions TEXT[], origins BYTEA[],
    times BIGINT[], payloads BYTEA[]
) RETURNS BIGINT
LANGUAGE plpgsql
AS $$
DECLARE
    base     BIGINT;
    present  BIGINT;
    conflict JSONB;
BEGIN
    SELECT position, epoch INTO base, present FROM apus_log WHERE id = 1 FOR UPDATE;
    IF (SELECT place FROM apus_epoch WHERE epoch = present) IS DISTINCT FROM apus_place() THEN
        RAISE EXCEPTION 'history has forked' USING ERRCODE = 'AP003';
    END IF;
    IF present <> expected_epoch THEN
        RAISE EXCEPTION '[]' USING ERRCODE = 'AP001';
    END IF;

    SELECT jsonb_agg(wanted.name)
    INTO   conflict
    FROM   unnest(expected, heads) AS wanted(name, head)
    LEFT   JOIN apus_stream stream ON stream.name = wanted.name
    WHERE  COALESCE(stream.head, 0) <> wanted.head;
    IF conflict IS NOT NULL THEN
        RAISE EXCEPTION '%', conflict USING ERRCODE = 'AP001';
    END IF;

    SELECT jsonb_agg(jsonb_build_array(taken.key, taken.holder))
    INTO   conflict
    FROM   unnest(claims, holders, repeatable) AS made(key, holder, repeatable)
    JOIN   apus_claim taken ON taken.key = made.key
    WHERE  NOT (made.repeatable AND taken.holder = made.holder);
    IF conflict IS NOT NULL THEN
        RAISE EXCEPTION '%', conflict USING ERRCODE = 'AP002';
    END IF;

    INSERT INTO apus_claim (key, holder, position)
    SELECT key, COALESCE(holder, base + event), base + event
    FROM   unnest(claims, claim_events, holders) AS made(key, event, holder)
    ON     CONFLICT (key) DO NOTHING;

    INSERT INTO apus_stream (name, head, key)
    SELECT   COALESCE(name, 'user/' || (base + event)), max(base + event), (array_agg(key))[1]
    FROM     unnest(touched, touch_events, keys) AS touch(name, event, key)
    GROUP BY 1
    ON       CONFLICT (name) DO UPDATE SET head = excluded.head;

    INSERT INTO apus_stream_event (stream, position)
    SELECT COALESCE(name, 'user/' || (base + event)), base + event
    FROM   unnest(touched, touch_events) AS touch(name, event);

    INSERT INTO apus_event
           (position, epoch, stream, previous, type, version, actor, session, origin, occurred_at, payload)
    SELECT base + number, present, COALESCE(stream, 'user/' || (base + number)),
           CASE WHEN earlier < 0 THEN base - earlier ELSE earlier END,
           type, version, actor, session, origin, occurred, payload
    FROM   unnest(streams, previous, types, versions, actors, sessions, origins, times, payloads)
           WITH ORDINALITY
           AS event(stream, earlier, type, version, actor, session, origin, occurred, payload, number);

    UPDATE apus_log SET position = base + cardinality(streams) WHERE id = 1;
    RETURN base;
END
$$;
