# shellcheck shell=bash
# What the scripts of this repository share: installing what is missing, Python environments,
# starting things and stopping all of them again. To be sourced; it changes to the repository's top folder.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT" || exit 1
KEPT="$ROOT/.build-ops"              # what is made once and kept: Python environments (git ignores .build-*)
PATH="$PATH:/opt/swift/usr/bin"

# What Swift's own tools need on a bare Debian 12, found by trying there: shared libraries of SwiftPM,
# git for packages, a linker, and the C and C++ files that programs are linked with.
SWIFT_PACKAGES=(binutils ca-certificates git libc6-dev libcurl4 libgcc-12-dev libncurses6 libsqlite3-0
    libstdc++-12-dev libxml2 tzdata)
# The C libraries that Apus stands on.
APUS_PACKAGES=(libhiredis-dev libpq-dev libsodium-dev libsqlite3-dev pkg-config)

heading() { printf '\n== %s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

# Installs those of the named Debian packages that are missing; asks the network only then.
need_packages() {
    local package missing=() as_root=()
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    heading "Installing ${missing[*]}"
    ((EUID == 0)) || as_root=(sudo)
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq)
    "${apt[@]}" update
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

# Installs daemons that only tests run: Debian's services of those that are missing are not started.
need_daemons() {
    local policy=/usr/sbin/policy-rc.d made=
    if ((EUID == 0)) && [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        made=yes
    fi
    need_packages "$@" || { [[ ! $made ]] || rm -f "$policy"; return 1; }
    [[ ! $made ]] || rm -f "$policy"
}

need_swift() {
    need_packages "${SWIFT_PACKAGES[@]}" "${APUS_PACKAGES[@]}"
    command -v swift >/dev/null || fail "Swift is missing: no swift on PATH nor in /opt/swift/usr/bin"
}

# python_venv NAME REQUIREMENT...: makes .build-ops/NAME once (again when the requirements change) with Debian's Python.
python_venv() {
    local folder="$KEPT/$1"
    shift
    [[ -f "$folder/made-from" && $(<"$folder/made-from") == "$*" ]] && return 0
    need_packages ca-certificates python3 python3-venv
    heading "Making ${folder#"$ROOT/"} with $*"
    rm -rf "$folder"
    mkdir -p "$KEPT"
    /usr/bin/python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
    printf '%s\n' "$*" >"$folder/made-from"
}

free_port() {
    need_packages python3 >&2
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# --- processes ------------------------------------------------------------------------------------

declare -A PIDS=()                   # what was started and not stopped yet: its pid by its name
declare -A STOP_SIGNAL=()            # how to stop it, where that is not SIGTERM
STARTED=()                           # the names in the order in which they were started

# start NAME LOG COMMAND...: runs a command in the background.
start() {
    local name=$1 log=$2
    shift 2
    "$@" >"$log" 2>&1 </dev/null &
    PIDS[$name]=$!
    STARTED+=("$name")
}

# stop NAME: asks it to end, kills it after 20 seconds; the answer is its exit code.
stop() {
    local name=$1 pid=${PIDS[$1]:-} code=0 i
    [[ $pid ]] || return 0
    unset "PIDS[$name]"
    kill "-${STOP_SIGNAL[$name]:-TERM}" "$pid" 2>/dev/null || true
    for ((i = 0; i < 200; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 "$pid" 2>/dev/null; then
        printf '%s did not end within 20 seconds and is killed\n' "$name" >&2
        kill -KILL "$pid"
    fi
    wait "$pid" || code=$?
    return "$code"
}

stop_all() {
    local n
    for ((n = ${#STARTED[@]} - 1; n >= 0; n--)); do
        stop "${STARTED[n]}" || true
    done
    STARTED=()
}

# wait_for NAME COMMAND...: until the command succeeds; fails when NAME has ended or after 60 seconds.
wait_for() {
    local name=$1 i
    shift
    for ((i = 0; i < 600; i++)); do
        "$@" >/dev/null 2>&1 && return 0
        kill -0 "${PIDS[$name]}" 2>/dev/null || { printf '%s has ended\n' "$name" >&2; return 1; }
        sleep 0.1
    done
    printf '%s is not ready after 60 seconds\n' "$name" >&2
    return 1
}

# wait_for_http NAME URL: until NAME answers the address with a success.
wait_for_http() {
    wait_for "$1" /usr/bin/python3 -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)' "$2"
}
