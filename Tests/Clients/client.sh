# shellcheck shell=bash
# The official client in a Python of its own. To be sourced after common.sh.

# client_venv: makes it, with what our own programs need beside the client.
#
# The client's last wheels are for CPython 3.10 and hold a native module that uses nothing which 3.11, Debian 12's, does
# differently; only its file name keeps 3.11 from finding it. So: the 3.10 wheel, and a name that every version finds.
client_venv() {
    local wheel="etebase==0.31.5" venv="$KEPT/client" packages
    python_venv client 'msgpack>=1,<2' 'PyNaCl>=1.5,<2'
    "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))' ||
        fail "the official client loads in CPython 3.10 and 3.11 only, and /usr/bin/python3 is neither"
    packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    [[ -f "$packages/etebase/etebase_python.so" ]] && return 0
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --upgrade --target "$packages" \
        --python-version 3.10 --only-binary :all: "$wheel" ||
        fail "the official client ($wheel) cannot be installed: its wheels are for x86_64 and from PyPI"
    mv "$packages/etebase"/etebase_python.cpython-310-*.so "$packages/etebase/etebase_python.so"
}
