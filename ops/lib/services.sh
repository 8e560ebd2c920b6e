# shellcheck shell=bash
# A PostgreSQL and a Redis of our own, on free ports, for as long as the script that asked for them runs.
# To be sourced after common.sh; stop_all stops them.
# shellcheck disable=SC2034 # POSTGRES_URL and REDIS_URL are for the script that sources this

# start_postgres FOLDER [OPTION...]: a new, empty cluster below that folder; sets POSTGRES_URL.
# PostgreSQL refuses to run as root: root runs it as the user that its package made.
start_postgres() {
    need_packages postgresql-15
    local top=$1 folder="$1/postgres" bin=/usr/lib/postgresql/15/bin port as=()
    shift
    port=$(free_port)
    mkdir -p "$folder"
    if ((EUID == 0)); then
        chown postgres: "$folder"
        chmod o+x "$top"
        as=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
    fi
    (cd "$folder" && "${as[@]}" "$bin/initdb" -D "$folder/data" -U apus -A trust -E UTF8 --locale=C.UTF-8 --no-sync) >"$top/initdb.log" ||
        { cat "$top/initdb.log" >&2; return 1; }
    STOP_SIGNAL["postgres"]=INT      # at once; with TERM it waits for its clients
    start postgres "$top/postgres.log" "${as[@]}" "$bin/postgres" -D "$folder/data" -k "$folder" -p "$port" \
        -c listen_addresses=127.0.0.1 -c max_connections=200 "$@"
    wait_for postgres "$bin/psql" -h "$folder" -p "$port" -U apus -d postgres -c 'CREATE DATABASE apus' ||
        { tail -n 20 "$top/postgres.log" >&2; return 1; }
    POSTGRES_URL="postgres://apus@127.0.0.1:$port/apus"
}

# start_redis FOLDER: an empty one that keeps nothing; sets REDIS_URL.
start_redis() {
    need_packages redis-server
    local port
    port=$(free_port)
    start redis "$1/redis.log" redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$1"
    wait_for redis redis-cli -p "$port" ping || { tail -n 20 "$1/redis.log" >&2; return 1; }
    REDIS_URL="redis://127.0.0.1:$port"
}
