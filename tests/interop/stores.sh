#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where two stores or two processes meet: images of an additional store, a split image store, names given twice, and ids
# that another process is choosing.
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

if [ -z "$GO" ]; then
	skip "stores" "no containers-storage" 8
	finish
fi

newer=yes # from 1.54 on
"$GO" check --help 2>&1 | grep -q unrecognized && newer=

# ---- an image that takes the ID of one in an additional store ----

new_store theirs vfs
theirs=$G
echo '{"schemaVersion":2}' >"$WORK/manifest"
echo config >"$WORK/config"
ours create-layer -i L1 >/dev/null
ours create-image -i I1 -n a -n b -m meta L1 >/dev/null
ours set-image-data -f "$WORK/manifest" I1 manifest
ours set-image-data -f "$WORK/config" I1 config

hide() { # WHO: what it remembers of an image that hides that one and takes a name away from another of its own
	new_store "hide-$1" vfs
	"$1" create-image -i other -n b >/dev/null
	"$1" --storage-opt "vfs.imagestore=$theirs" create-image -i I1 -n new -n a L1 >/dev/null
	"$1" --storage-opt "vfs.imagestore=$theirs" add-names -n more I1 >/dev/null
	sed 's/"created":"[^"]*"/"created"/g' "$G/vfs-images/images.json"
	(cd "$G/vfs-images/I1" && sha256sum ./*)
}
if [ -n "$newer" ]; then
	hide ours >"$WORK/hide-ours.txt"
	hide go >"$WORK/hide-go.txt"
	same "an image created over that of an additional store" "$WORK/hide-ours.txt" "$WORK/hide-go.txt"
else
	skip "an image created over that of an additional store" "containers-storage is older than 1.54"
fi

# ---- private directories of a split store ----

split() { "$1" --image-store "$WORK/split/images" "${@:2}"; }
new_store split vfs
if [ -n "$newer" ]; then
	split ours create-image -i I1 >/dev/null
	split ours get-image-dir I1 >"$WORK/dir-ours.txt"
	split go get-image-dir I1 >"$WORK/dir-go.txt"
	same "the private directory of an image in a split store" "$WORK/dir-ours.txt" "$WORK/dir-go.txt"
	touch "$(cat "$WORK/dir-ours.txt")/file" "$(split ours get-image-run-dir I1)/file"
	split ours delete-image I1 >/dev/null
	left=$(find "$WORK/split" -name I1)
	if [ -z "$left" ]; then pass "it goes with the image"; else fail "it goes with the image" "$left"; fi
else
	skip "private directories of a split store" "containers-storage knows no split stores" 2
fi

# ---- a name that the Go command was given twice, and since 1.62 writes twice ----

new_store twice vfs
tar -cf "$WORK/twice.tar" -C "$WORK" manifest
go import-layer -i L1 -n one -n one -f "$WORK/twice.tar" >/dev/null
ours layers -j >"$WORK/twice-ours.txt"
go layers -j >"$WORK/twice-go.txt"
same "a name that was given twice" "$WORK/twice-ours.txt" "$WORK/twice-go.txt"

# ---- a transient store after a reboot ----

new_store transient vfs
ours --transient-store create-layer -i L1 >/dev/null
ours --transient-store create-image -i I1 L1 >/dev/null
ours --transient-store create-container -i C1 I1 >/dev/null
R=$WORK/transient/run-after
said=$(ours --transient-store layers 2>&1; ours --transient-store containers 2>&1)
if [[ $said == L1* && $said != *C1* ]]; then
	pass "containers are gone after a reboot, layers are not"
else
	fail "containers are gone after a reboot, layers are not" "$said"
fi

# ---- ids that another process is choosing ----

new_store ids vfs
ours create-layer -i L1 >/dev/null
ours create-image -i I1 L1 >/dev/null
inode=$(stat -c %i "$G/userns.lock")
waits() { grep -Eq -- "-> .*:$inode " /proc/locks; }
choosing() { # holds the lock, as one that looks for free ids, until its input ends
	exec python3 -c 'import fcntl, sys; f = open(sys.argv[1], "r+"); fcntl.lockf(f, fcntl.LOCK_EX); print("held", flush=True); sys.stdin.read()' "$G/userns.lock"
}
coproc choosing
read -r _ <&"${COPROC[0]}"
case_ "a container without maps does not wait for it" ours create-container -i plain I1
ours create-container -i mapped --uidmap 0:100000:65536 --gidmap 0:100000:65536 I1 >/dev/null &
maker=$!
until waits || ! kill -0 "$maker" 2>/dev/null; do sleep 0.05; done
if waits && ! grep -q '"mapped"' "$G/vfs-containers/containers.json"; then
	pass "a container with maps waits for who chooses ids"
else
	fail "a container with maps waits for who chooses ids" "it was made meanwhile"
fi
eval "exec ${COPROC[1]}>&-"
if wait "$maker" && ours container mapped >/dev/null; then
	pass "and is made after it"
else
	fail "and is made after it"
fi
finish
