#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cstorage check cries no wolf: stores that are as they should be although they are mapped, split, transient, old, in use by both tools, or written
# to while somebody looks. What it says of damage is check.sh's affair.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "stores that nothing is wrong with" "$lacking" 20
	finish
fi
looks=${LOOKS:-12} # at a store that is written to, each way
cst() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" $with "$@"; }
theirs() { timeout -k 5 120 "$GO" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
with=
silent() { # NAME
	local said
	if said=$(cst check --json 2>&1) && [ "$said" = "[]" ]; then
		pass "$DRIVER: $1"
	else
		fail "$DRIVER: $1" "$(cut -c1-600 <<<"$said")"
	fi
}
spared() { # NAME
	local said
	said=$(cst gc --json 2>&1)
	[ "$said" = "[]" ] && pass "$DRIVER: gc spares $1" || fail "$DRIVER: gc spares $1" "$(cut -c1-600 <<<"$said")"
}
python3 - "$WORK" <<'P'
import io, sys, tarfile
def archive(name, entries):
    with tarfile.open(f"{sys.argv[1]}/{name}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for path, kind, more in entries:
            info = tarfile.TarInfo(path)
            info.mtime, info.uid, info.gid, info.mode, info.type = 1500000000, 3, 4, 0o755, kind
            info.size = 9 if kind == tarfile.REGTYPE and ".wh." not in path else 0
            for key, value in more.items(): setattr(info, key, value)
            tar.addfile(info, io.BytesIO(b"some text"[:info.size]))
cap = {"pax_headers": {"SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x20" + "\0" * 14, "SCHILY.xattr.user.a": "b"}}
archive("base", [("bin/", b"5", {}), ("bin/ping", b"0", cap), ("bin/suid", b"0", {"mode": 0o6755}), ("bin/same", b"1", {"linkname": "bin/ping", **cap}),
    ("link", b"2", {"linkname": "bin"}), ("pipe", b"6", {}), ("null", b"3", {"devmajor": 1, "devminor": 3}), ("old/", b"5", {}), ("old/file", b"0", {"uid": 65534})])
archive("upper", [("bin/", b"5", {"mode": 0o711}), ("bin/more", b"0", {}), ("old/.wh.file", b"0", {}), ("link/through", b"0", {})])
P
build() {
	cst import-layer -n base -f "$WORK/base.tar" && cst import-layer -n upper -f "$WORK/upper.tar" base && cst create-image -n im upper &&
		cst set-image-data -f "$WORK/base.tar" im manifest
}
for DRIVER in $(drivers); do
	# ---- mapped ----
	for disable in '' yes; do
		export _CONTAINERS_OVERLAY_DISABLE_IDMAP=$disable
		[ -n "$disable" ] && how="copied" || how="mapped when they are mounted"
		new_store "mapped-$DRIVER" "$DRIVER"
		build >/dev/null
		cst create-container -n one --uidmap 0:100000:65536 --gidmap 0:100000:65536 im >/dev/null
		cst create-container -n two --uidmap 0:100000:70000 --gidmap 0:200000:70000 im >/dev/null
		at=$(cst mount one) && echo new >"$at/new" && rm -r "$at/old"
		silent "owners that are $how"
		cst unmount one >/dev/null
		silent "the same, unmounted"
	done
	unset _CONTAINERS_OVERLAY_DISABLE_IDMAP
	# ---- split ----
	new_store "split-$DRIVER" "$DRIVER"
	with="--image-store $WORK/split-$DRIVER/images"
	cst create-layer -r -n base >/dev/null && cst applydiff -f "$WORK/base.tar" base >/dev/null
	cst create-image -n im base >/dev/null && cst set-image-data -f "$WORK/base.tar" im manifest
	cst create-container -n box im >/dev/null
	silent "a split store"
	at=$(cst mount box) && rm -r "$at/old"
	silent "the same, in use"
	cst unmount box >/dev/null
	with=
	# ---- transient ----
	new_store "transient-$DRIVER" "$DRIVER"
	build >/dev/null
	with=--transient-store
	cst create-container -n box im >/dev/null && cst set-container-data -f "$WORK/base.tar" box key
	at=$(cst mount box) && rm -r "$at/old"
	silent "a transient store"
	cst unmount box >/dev/null
	with=
	silent "the same, seen without the option"
	spared "what a transient store knows"
	cst create-container -n plain --volatile im >/dev/null
	with=--transient-store
	silent "a volatile container, seen as a transient store"
	spared "what only the other store knows"
	with=
	# ---- IDs of old versions ----
	new_store "ids-$DRIVER" "$DRIVER"
	cst import-layer -i 0123456789abcdef0123456789abcdef -f "$WORK/base.tar" >/dev/null
	cst import-layer -i fedcba9876543210fedcba9876543210 -f "$WORK/upper.tar" 0123456789abcdef0123456789abcdef >/dev/null
	cst create-image -i aaaabbbbccccddddaaaabbbbccccdddd -n im fedcba9876543210fedcba9876543210 >/dev/null
	cst create-container -i 00000000000000000000000000000001 -n box im >/dev/null
	silent "IDs of 32 digits"
	cst mount box >/dev/null
	silent "the same, mounted"
	cst unmount box >/dev/null
done

# ---- with the other tool ----

for DRIVER in $(drivers); do
	new_store "both-$DRIVER" "$DRIVER"
	[ -z "$(lacks_go)" ] || { skip "$DRIVER: with the other tool" "$(lacks_go)" 2; continue; }
	build >/dev/null
	theirs import-layer -n theirs -f "$WORK/base.tar" >/dev/null && theirs import-layer -n more -f "$WORK/upper.tar" theirs >/dev/null
	theirs create-image -n their-image more >/dev/null && theirs create-container -n their-box im >/dev/null
	cst create-container -n box their-image >/dev/null
	at=$(theirs mount their-box) && rm -r "$at/old"
	at=$(cst mount box) && rm -r "$at/old"
	silent "a store of both tools, in use by both"
	theirs unmount their-box >/dev/null && cst unmount box >/dev/null
	silent "the same, unmounted"
done

# ---- while somebody writes ----

write() { # COMMAND NAME, until it may go no further
	while [ ! -e "$WORK/enough" ]; do
		"$1" import-layer -n "$2-base" -f "$WORK/base.tar" >/dev/null
		"$1" create-layer -n "$2-grown" "$2-base" >/dev/null && "$1" applydiff -f "$WORK/upper.tar" "$2-grown" >/dev/null
		"$1" create-image -n "$2-im" "$2-grown" >/dev/null
		"$1" set-image-data -f "$WORK/base.tar" "$2-im" manifest
		"$1" create-container -n "$2-box" "$2-im" >/dev/null
		"$1" set-image-data -f "$WORK/upper.tar" "$2-im" manifest
		"$1" mount "$2-box" >/dev/null && "$1" unmount "$2-box" >/dev/null
		"$1" delete-container "$2-box" && "$1" delete-image "$2-im" >/dev/null
		echo round >>"$WORK/rounds-$2"
	done 2>"$WORK/errors-$2"
}
for DRIVER in $(drivers); do
	new_store "written-$DRIVER" "$DRIVER"
	build >/dev/null
	rm -f "$WORK/enough" "$WORK"/rounds-*
	write cst ours &
	[ -n "$(lacks_go)" ] || write theirs theirs &
	until [ -e "$WORK/rounds-ours" ]; do read -rt 0.1 <> <(:); done
	wrong=
	for ((i = 0; i < looks; i++)); do
		said=$(cst check --json "--$([ $((i % 3)) = 0 ] && echo quick || echo progress=none)" 2>&1)
		[ "$said" = "[]" ] || wrong+="$said"$'\n'
	done
	: >"$WORK/enough"
	wait
	[ -z "$wrong" ] && pass "$DRIVER: $looks looks while others write" || fail "$DRIVER: $looks looks while others write" "$(cut -c1-500 <<<"$wrong")"
	[ ! -s "$WORK/errors-ours" ] && pass "$DRIVER: the writers do not notice" || fail "$DRIVER: the writers do not notice" "$(head -n 3 "$WORK/errors-ours")"
	silent "nothing is left"
done
finish
