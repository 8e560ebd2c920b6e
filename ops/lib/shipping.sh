# shellcheck shell=bash
# What a release, a package and an image share: how the program is linked, and the files that come with it.
# To be sourced after common.sh.
# shellcheck disable=SC2034 # some of the variables are for the scripts that source this

SHIPPING_PACKAGES=(binutils dpkg-dev libhiredis-dev libpq-dev libsodium-dev libsqlite3-dev python3 xz-utils)
# C libraries that go into the program: elsewhere than on Debian 12 they have other names (hiredis) or are older than what was
# tested (SQLite). libpq stays the distribution's, as all that stands behind it: TLS, Kerberos, LDAP.
INSIDE=(hiredis sodium sqlite3)
# The oldest C libraries that the program must run on: those of Ubuntu 22.04.
OLDEST_GLIBC=2.35 OLDEST_GLIBCXX=3.4.30

# link_inside FOLDER: makes a folder in which the linker finds those libraries as archives only, and where pkg-config's answer
# for libpq names no folder that it would look into before.
link_inside() {
    local name archive
    mkdir -p "$1"
    for name in "${INSIDE[@]}"; do
        archive=$(debian_library "lib$name.a")
        ln -sfn "$archive" "$1/lib$name.a"
    done
    sed 's/^Libs: *-L[^ ]* */Libs: /' "$(dirname "$archive")/pkgconfig/libpq.pc" >"$1/libpq.pc"
}

# Where Debian has a library of the machine's kind.
debian_library() {
    local found
    found="/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/$1"
    [[ -f $found ]] || fail "$found is missing"
    printf '%s\n' "$found"
}

# program_version PROGRAM: as 0.1.0
program_version() {
    local version
    version=$("$1" --version)
    printf '%s\n' "${version%% *}"
}

# The time that is written into everything: that of the commit, so that the same checkout gives the same bytes.
source_date() {
    printf '%s\n' "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || printf 0)}"
}

# Packs what comes with a fixed name, order, owner and time: pack ARCHIVE.tar.xz FOLDER NAME
pack() {
    tar --create --format=gnu --sort=name --mtime="@$(source_date)" --owner=0 --group=0 --numeric-owner \
        --directory "$2" "$3" | xz ${PACK_QUICKLY:+-0} --threads=1 >"$1"
}

# stage PROGRAM ROOT: the files of an installed Apus below ROOT.
stage() {
    local program=$1 root=$2 doc="$2/usr/share/doc/apus"
    install -D -m 755 "$program" "$root/usr/bin/apus"
    strip --strip-all --remove-section=.comment "$root/usr/bin/apus"
    install -D -m 755 ops/debian/apusctl "$root/usr/sbin/apusctl"
    install -D -m 644 -t "$root/lib/systemd/system" ops/units/*.service
    mkdir -p "$root/etc/apus"
    cat ops/debian/apus.env ops/apus.env >"$root/etc/apus/apus.env"
    local shell target
    for shell in bash:bash-completion/completions/apus zsh:zsh/vendor-completions/_apus fish:fish/vendor_completions.d/apus.fish; do
        target="$root/usr/share/${shell#*:}"
        mkdir -p "$(dirname "$target")"
        "$program" --generate-completion-script "${shell%%:*}" | sed '1{/^#!/d}' >"$target"
        chmod 644 "$target"
    done
    mkdir -p "$root/usr/share/man/man1" "$root/usr/share/man/man8"
    /usr/bin/python3 -B ops/lib/manual.py "$program" "$(source_date)" | gzip -9n >"$root/usr/share/man/man1/apus.1.gz"
    gzip -9nc ops/debian/apusctl.8 >"$root/usr/share/man/man8/apusctl.8.gz"
    install -D -m 644 -t "$doc" README.md
    install -D -m 644 -t "$doc/ops/docs" ops/docs/*.md
    install -D -m 644 -t "$doc/ops/bench" ops/bench/README.md
    local examples
    for examples in proxies compose kubernetes; do
        mkdir -p "$doc/examples"
        cp -r --no-preserve=all "ops/$examples" "$doc/examples/"
    done
    find "$root/usr/share" "$root/lib" -type f -exec chmod 644 {} +
    find "$root" -type d -exec chmod 755 {} +
    chmod 600 "$root/etc/apus/apus.env"      # where passwords may be
}

# What the linker is told beyond what Swift tells it: nobody loads anything from the program, so it exports nothing, and what is then
# of no use is left out (3.6 MB of names and code).
linker_options() { printf -- '-Xlinker\n%s\n' -s --icf=safe "--version-script=${ROOT:?}/ops/lib/exports.map"; }

# link_program LIST FOLDER: FOLDER/apus from the objects that `swift build` lists, linked as a release is. So what takes ten minutes to
# compile for speed is tried in a minute with what was compiled without; that is larger and slower, and the same otherwise.
# What tells whoever unwinds a stack about our frames is left out, which is a tenth of the program: Swift throws nothing that unwinds.
link_program() {
    local name foundation=() options
    link_inside "$2/inside"
    rm -rf "$2/objects"
    mkdir "$2/objects"
    # Names are no longer than those of their files, of which many are the same.
    sed "s/^'\\(.*\\)'\$/\\1/" "$1" | awk -v folder="$2/objects" '{ printf "%s\n%s/%04d.o\n", $0, folder, NR }' |
        xargs -d '\n' -n 2 -P "$(nproc)" objcopy --remove-section=.eh_frame --remove-section=.rela.eh_frame
    printf '%s\n' "$2"/objects/*.o >"$2/objects/list"
    for name in Foundation CoreFoundation FoundationInternationalization FoundationEssentials _FoundationICU _FoundationCShims \
        _FoundationCollections; do
        foundation+=("-l$name")
    done
    mapfile -t options < <(linker_options)
    swiftc -static-stdlib -emit-executable -module-name apus -o "$2/apus" "-L$2/inside" -Xlinker --defsym -Xlinker main=Apus_main \
        -Xlinker --gc-sections "${options[@]}" "@$2/objects/list" -lpq -lstdc++ \
        -Xlinker --start-group "${foundation[@]}" -Xlinker --end-group
    rm -rf "$2/objects"
}
