-- Begins a new epoch when the log is not where its epoch is written any more; otherwise changes nothing. True when one
-- was begun. In its own transaction.
--
-- The number is the time in seconds: two forks of one history, neither of which knows of the other, must not give the
-- same stokens to different events.
CREATE OR REPLACE FUNCTION apus_begin_epoch() RETURNS BOOLEAN
LANGUAGE plpgsql
AS $$
DECLARE
    here    TEXT;
    known   TEXT;
    base    BIGINT;
    present BIGINT;
    later   BIGINT;
BEGIN
    SELECT position, epoch INTO base, present FROM apus_log WHERE id = 1 FOR UPDATE;
    SELECT place INTO known FROM apus_epoch WHERE epoch = present;
    here := apus_place();
    IF known IS NULL THEN
        UPDATE apus_epoch SET place = here WHERE epoch = present;
        RETURN FALSE;
    ELSIF known = here THEN
        RETURN FALSE;
    END IF;
    later := GREATEST(present + 1, extract(epoch FROM clock_timestamp())::BIGINT);
    INSERT INTO apus_epoch (epoch, first_position, place) VALUES (later, base + 1, here);
    UPDATE apus_log SET epoch = later WHERE id = 1;
    RETURN TRUE;
END
$$;
