-- Where history is written: the cluster, its timeline and the database. A backup that was restored, a standby that was
-- promoted and a dump that was loaded elsewhere are other places, and may lack what was written in the old one. The name
-- of the current file of the write-ahead log has the timeline at once; the control file has it only after a checkpoint.
-- In PL/pgSQL, which keeps the plan: every append asks.
CREATE OR REPLACE FUNCTION apus_place() RETURNS TEXT
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN (
        SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || oid
        FROM   pg_control_system(), pg_database
        WHERE  datname = current_database()
    );
END
$$;
