#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Additional image stores on media that can only be read, without their lock files, and such that vanish.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command tar)
if [ -n "$lacking" ]; then
	skip "additional image stores" "$lacking" 40
	finish
fi
both="vfs overlay"

# A store in $PWD/made: layer A with two files, image B named im on it, without lock files.
make_foreign() {
	G=$PWD/made R=$PWD/made-run
	mkdir in
	echo one >in/one
	tar cf f --mtime=@1700000000 -C in .
	quiet import-layer -i "$A" -n base -f f
	quiet create-image -i "$B" -n im "$A"
	echo data >d
	quiet set-image-data -f d "$B" item
	unmount_below "$PWD/made"
	find made -name '*.lock' -delete
	G=$PWD/root R=$PWD/run
	mkdir -p S
}
attach() { # MEDIUM: the foreign store is at $PWD/S then
	case $1 in
	bind) mount --bind made S && mount -o remount,bind,ro S ;;
	squashfs) mksquashfs made image -no-progress -noappend >said 2>&1 && mount -o loop,ro -t squashfs image S ;;
	erofs) mkfs.erofs image made >said 2>&1 && mount -o loop,ro -t erofs image S ;;
	esac || echo "no $1"
}
with_s() { say --storage-opt "$DRIVER.imagestore=$PWD/S" "$@"; }
use_foreign() { # MEDIUM: everything an image of another store is good for
	make_foreign
	attach "$1"
	with_s images
	with_s layers -q
	with_s get-image-data im item
	with_s create-container -i "$C" -n box im
	point=$(with_s mount box)
	cat "$point/one"
	echo two >"$point/two"
	with_s unmount box
	with_s changes "$(with_s container box | sed -n 's/^Layer: //p')"
	with_s diff -u "$(with_s container box | sed -n 's/^Layer: //p')" >diff
	tar tf diff | grep -v '/$'
	with_s delete-image im
	with_s delete-layer "$A"
	with_s delete-container box
	with_s layers -q
	umount S
}
for medium in bind squashfs erofs; do
	eval "row_$medium() { use_foreign $medium; }"
	lacking=
	[ $medium != squashfs ] || lacking=$(lacks_command mksquashfs)
	[ $medium != erofs ] || lacking=$(lacks_command mkfs.erofs)
	if [ -n "$lacking" ]; then
		skip "an image store on $medium" "$lacking" 4
		continue
	fi
	row $medium "$both" "an image store on $medium without lock files"
	expect ours <<'X'
B
	name: im
	data: item
A
data
C
	box
one
box mountpoint unmounted
Add "/two"
two
im: identifier is not an image
rc 1
A: identifier is not a layer
rc 1
A
X
	# containers-storage finds no image there.
done

row_missing() { with_s layers; }
row missing vfs "an image store that is not there"
expect ours 1.64 <<'X'
X
row missing overlay "the same"
expect ours 1.64 <<'X'
error initializing: DRV: can't stat imageStore dir W/S: stat W/S: no such file or directory
rc 1
X

row_file() { echo x >S; with_s layers; }
row file vfs "an image store that is a file"
expect ours <<'X'
error initializing: open W/S/DRV-images: not a directory
rc 1
X
expect 1.64 <<'X'
error initializing: open W/S/DRV-images/images.lock: open W/S/DRV-images/images.lock: not a directory
rc 1
X
row file overlay "the same"
expect ours 1.64 <<'X'
error initializing: DRV: image path "W/S" must be a directory
rc 1
X

row_empty() {
	mkdir S
	quiet create-layer -i "$A"
	with_s layers -q
	with_s images -q
}
row empty "$both" "an image store with nothing in it"
expect ours 1.64 <<'X'
A
X

row_vanished() {
	make_foreign
	mv made/* S
	quiet create-layer -i "$D"
	with_s create-container -i "$C" -n box im
	rm -rf S/*
	echo "emptied:"
	with_s images -q
	with_s layers -q | sed 's/^[0-9a-f]*$/ID/'
	with_s mount box | sed -E 's/[0-9a-f]{64}/ID/g; s/ [0-9a-z:]*$//'
	with_s create-layer -n other | tail -n 1
	rm -rf S # containers-storage made itself lock files
	echo "gone:"
	with_s layers -q | sed 's/^[0-9a-f]*$/ID/'
	echo "left out:"
	say layers -q | wc -l
	say delete-container box
}
row vanished vfs "an image store that vanishes under a container"
expect ours 1.64 <<'X'
C
	box
emptied:
D
ID
W/root/DRV/dir/ID
	other
gone:
D
ID
ID
left out:
3
X
row vanished overlay "the same"
expect ours <<'X'
C
	box
emptied:
D
ID
can't stat (or find?) lower layer "W/root/DRV/A/diff": stat W/root/DRV/A/diff: no such file or directory while mounting

rc
	other
gone:
error initializing: DRV: can't stat imageStore dir W/S: stat W/S: no such file or directory
rc 1
left out:
3
X
finish
