#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An archive means the same on every driver: what vfs makes of it in a full tree is what a mount of overlay shows. Each archive
# of the table goes onto the same base, as a layer of its own and into a layer that has content already, mounted or not; then
# the trees of the two drivers are compared, and `diff` gives the archive back.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_overlay)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "archives mean the same on all drivers" "$lacking" 140
	finish
fi
mkdir -p "$WORK/in"
python3 "$TOP/tests/store/meanings.py" write "$WORK/in" || { fail "the table of archives"; finish; }

outcome() { # DRIVER HOW ARCHIVE OUT: exit status and tree
	local status root
	status=0
	case $2 in
	import) ours import-layer -i L -f "$3" child >"$WORK/said" 2>&1 || status=$? ;;
	mapped) # by copying: a mount would map the ids
		_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes ours import-layer --uidmap 0:100000:65536 --gidmap 0:100000:65536 -i L -f "$3" child >"$WORK/said" 2>&1 || status=$?
		;;
	*)
		ours create-layer -i L child >/dev/null
		ours applydiff -f "$WORK/in/before.tar" L >/dev/null
		[ "$2" = apply ] || ours mount L >/dev/null
		ours applydiff -f "$3" L >"$WORK/said" 2>&1 || status=$?
		ours unmount L >/dev/null 2>&1
		;;
	esac
	echo "exit status $status"
	[ $status = 0 ] || return
	root=$(_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes ours mount L)
	python3 "$TOP/tests/store/meanings.py" tree "$root"
	ours unmount L >/dev/null
	ours diff -u L >"$WORK/back" 2>"$WORK/said" && cmp -s "$3" "$WORK/back" && echo "given back" || echo "not given back: $(cat "$WORK/said")"
}

for driver in vfs overlay; do
	new_store "$driver" "$driver"
	ours import-layer -i base -f "$WORK/in/base.tar" >/dev/null
	ours import-layer -i middle -f "$WORK/in/middle.tar" base >/dev/null
	ours import-layer -i child -f "$WORK/in/child.tar" middle >/dev/null
done
for archive in "$WORK"/in/case-*.tar; do
	name=$(basename "$archive" .tar)
	hows=import
	case $name in case-implied* | case-deleted* | case-earlier*) hows="import apply mounted mapped" ;; esac
	for how in ${HOW:-$hows}; do
		for driver in vfs overlay; do
			G=$WORK/$driver/root R=$WORK/$driver/run DRIVER=$driver
			outcome "$driver" "$how" "$archive" >"$WORK/tree-$driver"
			ours delete-layer L >/dev/null 2>&1
		done
		same "$name, $how" "$WORK/tree-vfs" "$WORK/tree-overlay"
	done
done

# Below is a layer in which a mount moved a directory: it says where the content is further down.
for driver in vfs overlay; do
	G=$WORK/$driver/root R=$WORK/$driver/run DRIVER=$driver
	options=()
	[ $driver = vfs ] || options=(--storage-opt overlay.mountopt=redirect_dir=on)
	ours create-layer -i moved base >/dev/null
	root=$(ours "${options[@]}" mount moved)
	mv "$root/b" "$root/c"
	mv "$root/tmp" "$root/a/tmp"
	mv "$root/a" "$root/aa"
	ours unmount moved >/dev/null
	[ $driver = vfs ] || redirect=$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "trusted.overlay.redirect"))' "$G/overlay/moved/diff/aa/tmp" 2>&1)
	ours create-layer -i between moved >/dev/null
	ours import-layer -i L -f "$WORK/in/moved.tar" between >/dev/null
	root=$(ours mount L)
	python3 "$TOP/tests/store/meanings.py" tree "$root" >"$WORK/tree-$driver"
	ours unmount L >/dev/null
done
case $redirect in
*tmp*) same "below a directory that a mount moved" "$WORK/tree-vfs" "$WORK/tree-overlay" ;;
*) skip "below a directory that a mount moved" "overlay with redirect_dir=on ($redirect)" ;;
esac
for driver in vfs overlay; do unmount_below "$WORK/$driver"; done
finish
