#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Layers that are composefs images, as a Go tool with use_composefs leaves them, in a store: the same layers as directories and
# as images, mixed, show the same, give the same archives, and can be built on.
. "$(dirname "$0")/../lib.sh"
lacking=$(lacks_overlay)
[ -n "$lacking" ] || lacking=$(lacks_command python3 setfattr)
[ -n "$lacking" ] || grep -qw erofs /proc/filesystems || modprobe erofs 2>/dev/null || lacking="no erofs in this kernel"
if [ -n "$lacking" ]; then
	skip "layers that are composefs images" "$lacking" 23
	finish
fi
G=$WORK/root R=$WORK/run
cs() { "$BUILD/cstorage" -g "$G" -R "$R" -s overlay "$@"; }
list() { python3 "$TOP/tests/interop/composefs.py" list "$1" | sort; }

mkdir -p "$WORK/base/d/deep" "$WORK/base/gone" "$WORK/base/opaque" "$WORK/base/ab" "$WORK/base/kept" "$WORK/mid/opaque" "$WORK/mid/d"
head -c 300000 /dev/urandom >"$WORK/base/d/large"
head -c 64 /dev/urandom >"$WORK/base/d/small"
head -c 65 /dev/urandom >"$WORK/base/ab/file"
: >"$WORK/base/empty"
ln "$WORK/base/d/large" "$WORK/base/linked"
ln -s ../d/large "$WORK/base/ab/symlink"
mkfifo "$WORK/base/fifo"
mknod "$WORK/base/null" c 1 3
touch "$WORK/base/gone/x" "$WORK/base/opaque/below" "$WORK/base/kept/deleted" "$WORK/base/kept/stays"
setfattr -n user.a -v value "$WORK/base/d/large"
setfattr -n user.b -v value "$WORK/base/d"
chown 1000:1001 "$WORK/base/d/deep" "$WORK/base/ab/file"
chmod 4711 "$WORK/base/empty"
touch "$WORK/mid/.wh.gone" "$WORK/mid/opaque/.wh..wh..opq" "$WORK/mid/opaque/above"
head -c 100000 /dev/urandom >"$WORK/mid/d/more"
echo "a file that is larger than what is kept in an image, by a few bytes" >"$WORK/mid/d/small"
mkdir "$WORK/mid/kept"
touch "$WORK/mid/kept/.wh.deleted"
mkdir -p "$WORK/top/d"
echo top >"$WORK/top/d/top"
for layer in base mid top; do tar --xattrs -C "$WORK/$layer" -cf "$WORK/$layer.tar" .; done

as_image() { # LAYER: its content becomes an image and objects
	local dir=$G/overlay/$1
	mkdir -m 700 "$dir/composefs-data" "$dir/objects"
	python3 "$TOP/tests/interop/composefs.py" tree "$dir/diff" "$dir/objects" >"$WORK/dump" &&
		cs create-composefs --layer -f "$dir/composefs-data/composefs.blob" "$WORK/dump" &&
		rm -rf "$dir/diff" && mv "$dir/objects" "$dir/diff"
}
mounted() { # CONTAINER: what it shows
	local path
	path=$(cs mount "$1") && list "$path" && cs unmount "$1" >/dev/null
}
told() { # TO: what containers show, with and without mapped IDs, and what the layers change
	mounted c >"$1.tree" && mounted mapped >"$1.mapped" &&
		for layer in base mid top; do
			cs diff -u $layer | sha256sum && cs changes $layer && cs diffsize $layer || return
		done >"$1.said" && cs changes top base >>"$1.said" && grep -v '"/opaque' "$1.said" >"$1.layers" # compared trees say it in other words
}
same() { # PART: it is told again as before
	diff "$WORK/before.$1" "$WORK/after.$1"
}
nothing_mounted() { # of ours, not even by loop devices
	! grep -E " - (erofs|overlay) " /proc/self/mountinfo | grep -F "$WORK/" && ! grep -sF "$WORK/" /sys/block/loop*/loop/backing_file
}
made() {
	cs import-layer -i base -f "$WORK/base.tar" && cs import-layer -i mid -f "$WORK/mid.tar" base &&
		cs import-layer -i top -f "$WORK/top.tar" mid && cs create-image -i image top && cs create-container -i c image &&
		cs create-container -i mapped --uidmap 0:100000:65536 --gidmap 0:100000:65536 image
}
case_ "layers and containers" made
case_ "what they show" told "$WORK/before"
case_ "base becomes an image" as_image base
case_ "mid becomes an image" as_image mid
case_ "what they show as images" told "$WORK/after"
for part in tree mapped layers; do case_ "$part as before" same $part; done
case_ "nothing stays mounted" nothing_mounted

written() {
	local path
	path=$(cs mount c) && echo more >>"$path/d/large" && rm "$path/ab/file" && mkdir "$path/gone" && mv "$path/d/small" "$path/d/moved" &&
		[ "$(stat -c %s "$path/d/large")" = 300005 ] && [ -z "$(ls -A "$path/gone")" ] && cs unmount c >/dev/null &&
		path=$(cs mount c) && [ "$(stat -c %s "$path/d/large")" = 300005 ] && [ ! -e "$path/ab/file" ] && [ -s "$path/d/moved" ] &&
		cs unmount c >/dev/null
}
case_ "a container writes" written
refused() {
	local said
	said=$(cs mount mid 2>&1) && return 1
	[[ $said == *'the content of layer "mid" is an EROFS image (composefs), which is read through a mount, and cannot be written to'* ]] ||
		{ echo "$said"; return 1; }
}
case_ "no image is mounted to be written to" refused
built_on() { # the archive names neither ./d nor ./ab, whose attributes come from the layers below
	mkdir -p "$WORK/new/d/deep" "$WORK/new/ab"
	echo new >"$WORK/new/d/deep/new"
	tar -C "$WORK/new" -cf "$WORK/new.tar" ./d/deep/new
	cs import-layer -i new -f "$WORK/new.tar" mid && cs create-container -i of-new "$(cs create-image new)" >/dev/null &&
		mounted of-new >"$WORK/shown" && grep -q "^d/deep 0o40755 1000 1001 " "$WORK/shown" && grep -q "^d/deep/new " "$WORK/shown"
}
case_ "a layer is built on an image" built_on
read_only() {
	local path
	path=$(cs mount --ro image) && list "$path" >"$WORK/shown" && cs unmount image >/dev/null
	diff <(grep -v '^\. ' "$WORK/before.tree") <(grep -v '^\. ' "$WORK/shown")
}
case_ "an image is mounted to be read" read_only
sound() {
	local said
	said=$(cs check) || { echo "$said"; return 1; }
}
case_ "check finds nothing" sound
case_ "df measures" cs df
kept() { # an image and its objects cannot become a directory in one step, so no new content takes their place
	local said blob
	for said in "applydiff -f $WORK/mid.tar mid" "applydiff-using-staging-dir mid $WORK/mid"; do
		# shellcheck disable=SC2086
		said=$(cs $said 2>&1) && return 1
		[[ $said == *'layer "mid"'*'is an EROFS image (composefs)'* ]] || { echo "$said"; return 1; }
	done
	mounted c >/dev/null && same layers
}
case_ "its content is not replaced" kept
damaged() { # an image that somebody cut is refused by its name, and nothing is mounted
	local blob=$G/overlay/mid/composefs-data/composefs.blob said
	cp "$blob" "$WORK/blob" && truncate -s 1000 "$blob"
	said=$(cs mount mapped 2>&1) && return 1
	cp "$WORK/blob" "$blob"
	[[ $said == *"$blob: it is too short"* ]] || { echo "$said"; return 1; }
}
case_ "a damaged image is refused" damaged
case_ "nothing stays mounted at last" nothing_mounted
# With use_composefs a staged layer becomes an image.
whole_tree() { # LAYER: what it shows alone, but for the time of its root
	cs create-image -i "image-$1" "$1" >/dev/null && cs create-container -i "c-$1" "image-$1" >/dev/null &&
		mounted "c-$1" | sed -E 's/^(\. .* )[0-9]{10,} /\1/'
}
ours() {
	cs applydiff-using-staging-dir plain "$WORK/base" && cs --storage-opt overlay.use_composefs=true applydiff-using-staging-dir ours "$WORK/base" &&
		[ -e "$G/overlay/ours/composefs-data/composefs.blob" ] && [ ! -e "$G/overlay/plain/composefs-data" ]
}
like_a_directory() {
	diff <(whole_tree plain) <(whole_tree ours) && diff <(cs diff -u plain) <(cs diff -u ours) && cs check
}
objects() { # each content once, for nobody to read by the way; nothing else is left
	[ "$(cd "$G/overlay/ours" && echo *)" = "composefs-data diff empty link merged work" ] &&
		[ "$(find "$G/overlay/ours/diff" -type f | wc -l)" = 3 ] && [ -z "$(find "$G/overlay/ours/diff" -type f ! -perm 0)" ] &&
		[ "$(stat -c %a "$G/overlay/ours/diff")" = 555 ] && [ -z "$(ls -A "$G/overlay/staging")" ]
}
too_much() { # more attributes than an image can hold: it stays a directory
	mkdir -p "$WORK/xfs" && truncate -s 400M "$WORK/xfs.img" && mkfs.xfs -q "$WORK/xfs.img" && mount -o loop "$WORK/xfs.img" "$WORK/xfs" || return
	mkdir "$WORK/xfs/tree"
	echo content that is larger than what is kept in an image, whatever it is worth >"$WORK/xfs/tree/f"
	setfattr -n user.large -v "$(printf '%040000d' 0)" "$WORK/xfs/tree/f"
	"$BUILD/cstorage" -g "$WORK/xfs/root" -R "$WORK/xfs/run" -s overlay --storage-opt overlay.use_composefs=true applydiff-using-staging-dir big "$WORK/xfs/tree" &&
		[ "$(cd "$WORK/xfs/root/overlay/big" && echo *)" = "diff empty link merged work" ] && cmp "$WORK/xfs/root/overlay/big/diff/f" "$WORK/xfs/tree/f"
	local status=$?
	umount "$WORK/xfs/root/overlay" 2>/dev/null
	umount "$WORK/xfs"
	return $status
}
case_ "ours makes an image" ours
case_ "it shows and gives what a directory does" like_a_directory
case_ "its objects" objects
lacking=$(lacks_command mkfs.xfs)
[ -n "$lacking" ] && skip "what an image cannot hold" "$lacking" || case_ "what an image cannot hold" too_much

deleted() { cs wipe >/dev/null && [ -z "$(cs layers -q)" ]; }
case_ "they are deleted" deleted
finish
