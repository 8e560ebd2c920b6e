# shellcheck shell=bash
# An S3 store for tests that checks signatures. To be sourced after common.sh.

# start_store FOLDER: starts one as `store`; STORE is its address, STORE_KEYS the name of a key and the key.
start_store() {
    python_venv stores 'moto[server,s3,iam]>=5,<6' 'msgpack>=1,<2' 'PyNaCl>=1.5,<2'
    start store "$1/store.log" "$KEPT/stores/bin/python" -B Tests/Stores/serve.py "$1/store.env"
    wait_for store test -s "$1/store.env"
    # shellcheck source=/dev/null
    source "$1/store.env"
}
