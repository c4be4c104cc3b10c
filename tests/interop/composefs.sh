#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# composefs images beside mkcomposefs and composefs-info (MKCOMPOSEFS, COMPOSEFS_INFO; Debian has them from sid on): the same bytes for
# the same dump, and the same dump of the same image; of random trees, of what is at a border of the format, and of real trees.
# ROUNDS=n: so many random trees. And layers that the Go command makes as images: both show the same.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_command "${MKCOMPOSEFS:=mkcomposefs}" "${COMPOSEFS_INFO:=composefs-info}" python3)
if [ -n "$lacking" ]; then
	skip "composefs images beside mkcomposefs" "$lacking" 15
	finish
fi
same() { # FOLDER: every dump in it gives equal images, and those equal dumps
	local dump bad=
	for dump in "$1"/*; do
		"$MKCOMPOSEFS" --from-file - - <"$dump" >"$WORK/theirs" 2>"$WORK/said" || { bad+="${dump##*/}: $(cat "$WORK/said"); "; continue; }
		"$BUILD/cstorage" create-composefs "$dump" >"$WORK/ours" 2>"$WORK/said" || bad+="${dump##*/}: $(cat "$WORK/said"); "
		cmp -s "$WORK/theirs" "$WORK/ours" || bad+="${dump##*/}: the image differs; "
		"$COMPOSEFS_INFO" dump "$WORK/ours" >"$WORK/theirs" 2>"$WORK/said" || bad+="${dump##*/}: $(cat "$WORK/said"); "
		"$BUILD/cstorage" dump-composefs "$WORK/ours" >"$WORK/text" 2>"$WORK/said" || bad+="${dump##*/}: $(cat "$WORK/said"); "
		cmp -s "$WORK/theirs" "$WORK/text" || bad+="${dump##*/}: its dump differs; "
	done
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}
mkdir -p "$WORK/dumps" "$WORK/trees"
python3 "$TOP/tests/interop/composefs.py" dumps "$WORK/dumps" "${ROUNDS:-80}"
case_ "$(find "$WORK/dumps" -type f | wc -l) dumps, random ones and borders" same "$WORK/dumps"
for tree in /usr/share/doc /etc /usr/lib/python3 "$TOP/src"; do
	mkdir -p "$WORK/trees/${tree//\//-}"
	python3 "$TOP/tests/interop/composefs.py" tree "$tree" >"$WORK/trees/${tree//\//-}/dump"
	case_ "the tree $tree" same "$WORK/trees/${tree//\//-}"
done

# Layers that the Go command makes as images.
lacking=$(lacks_overlay)
[ -n "$lacking" ] || lacking=$(lacks_go)
[ -n "$lacking" ] || [[ $(go_version) > 1.57 ]] || lacking="this containers-storage makes no composefs layers of directories"
[ -n "$lacking" ] || grep -qw erofs /proc/filesystems || lacking="no erofs in this kernel"
if [ -n "$lacking" ]; then
	skip "composefs layers of the Go command" "$lacking" 10
	finish
fi
mkdir -p "$WORK/one/d" "$WORK/two/d" "$WORK/two/ab"
head -c 100000 /dev/urandom >"$WORK/one/d/large"
echo small >"$WORK/one/small"
ln -s d/large "$WORK/one/symlink"
ln "$WORK/one/d/large" "$WORK/one/linked"
mkfifo "$WORK/one/fifo"
echo top >"$WORK/two/d/top"
echo x >"$WORK/two/ab/f"
cat >"$WORK/composefs.conf" <<-X
	[storage]
	driver = "overlay"
	graphroot = "$WORK/images/root"
	runroot = "$WORK/images/run"
	[storage.options]
	pull_options = {enable_partial_images = "true"}
	[storage.options.overlay]
	use_composefs = "true"
X
export CONTAINERS_STORAGE_CONF=$WORK/composefs.conf
PATH=$(dirname "$(command -v "$MKCOMPOSEFS")"):$PATH
layers() {
	"$GO" create-layer --id one && "$GO" applydiff-using-staging-dir one "$WORK/one" && "$GO" create-layer --id two one &&
		"$GO" applydiff-using-staging-dir two "$WORK/two" && "$GO" create-image --id image two && "$GO" create-container --id c image &&
		[ -e "$WORK/images/root/overlay/one/composefs-data/composefs.blob" ]
}
shown() { # WHO: what the container shows
	local path
	path=$("$1" mount c) && python3 "$TOP/tests/interop/composefs.py" list "$path" | sort && "$1" unmount c >/dev/null
}
same_shown() { diff <(shown "$GO") <(shown "$BUILD/cstorage"); }
same_archive() { [ "$("$GO" diff -u "$1" | sha256sum)" = "$("$BUILD/cstorage" diff -u "$1" | sha256sum)" ]; }
same_blob() { # the blob is what ours makes of its dump
	local blob=$WORK/images/root/overlay/$1/composefs-data/composefs.blob
	"$BUILD/cstorage" dump-composefs "$blob" >"$WORK/text" && "$BUILD/cstorage" create-composefs "$WORK/text" | cmp - "$blob"
}
case_ "the Go command makes layers that are images" layers
case_ "a container on them shows the same" same_shown
case_ "the archive of the lower one" same_archive one
case_ "the archive of the upper one" same_archive two
case_ "the upper one's blob" same_blob two
case_ "check finds nothing" "$BUILD/cstorage" check
ours_for_go() {
	"$BUILD/cstorage" applydiff-using-staging-dir three "$WORK/one" && [ -e "$WORK/images/root/overlay/three/composefs-data/composefs.blob" ] &&
		"$GO" create-image --id image3 three && "$GO" create-container --id c3 image3
}
same_of_ours() {
	local path
	path=$("$GO" mount c3) && diff -r --no-dereference -x fifo "$WORK/one" "$path" && "$GO" unmount c3
}
case_ "ours makes a layer that is an image" ours_for_go
case_ "the Go command shows it" same_of_ours
case_ "its archive" same_archive three
case_ "the Go command's check finds nothing" "$GO" check
finish
