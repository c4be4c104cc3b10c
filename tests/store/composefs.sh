#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel mounts our composefs images: by itself it shows every entry of the tree that the image was made of, and overlay finds
# the content in a directory of objects.
. "$(dirname "$0")/../lib.sh"
lacking=$(lacks_overlay)
[ -n "$lacking" ] || lacking=$(lacks_command python3 setfattr)
[ -n "$lacking" ] || grep -qw erofs /proc/filesystems || modprobe erofs 2>/dev/null || lacking="no erofs in this kernel"
if [ -n "$lacking" ]; then
	skip "composefs images in the kernel" "$lacking" 10
	finish
fi
own=$TOP/tests/interop/composefs.py
special() { # FOLDER: one of everything
	mkdir -p "$1/d/deep/deeper" "$1/ab" "$1/many"
	head -c 100000 /dev/urandom >"$1/d/large"
	head -c 64 /dev/urandom >"$1/d/small"
	head -c 65 /dev/urandom >"$1/ab/not-small"
	: >"$1/empty"
	ln "$1/d/large" "$1/ab/linked"
	ln -s ../d/large "$1/ab/symlink"
	ln -s "$(printf '%03900d' 0)" "$1/long"
	mkfifo "$1/fifo"
	mknod "$1/null" c 1 3
	mknod "$1/disk" b 259 70000
	setfattr -n user.a -v shared "$1/d/large" "$1/empty"
	setfattr -n user.a -v own "$1/d"
	setfattr -n trusted.b -v "$(printf '%0999d' 0)" "$1/d/small"
	setcap cap_net_raw+ep "$1/ab/not-small" 2>/dev/null
	chown 70000:70001 "$1/d/deep"
	chown -h 5:6 "$1/ab/symlink"
	chmod 4711 "$1/empty"
	chmod 1777 "$1/d/deep/deeper"
	touch -d '1969-12-31 23:59:58.25 UTC' "$1/empty"
	touch -h -d '2001-02-03 04:05:06.789012345 UTC' "$1/long" "$1/d/deep"
	(cd "$1/many" && seq -f 'name-of-a-file-%g' 2000 | xargs touch)
}
image_of() { # TREE: $WORK/image, objects in $WORK/objects
	rm -rf "$WORK/objects"
	mkdir "$WORK/objects"
	python3 "$own" tree "$1" "$WORK/objects" >"$WORK/dump" && "$BUILD/cstorage" create-composefs -f "$WORK/image" "$WORK/dump"
}
shown() { # FOLDER, as overlay shows it
	python3 "$own" list "$1" | sort
}
# By itself erofs shows names and attributes; the content of what is in objects is missing, and overlay's attributes are there.
bare() {
	python3 "$own" list "$1" | sed -E "s/ [0-9a-f]{64}( |$)/\1/; s/ \('trusted\.overlay\.[^)]*\)//g" | grep -vE '^[0-9a-f]{2} 0o20644 ' | sort
}
erofs_shows_all() { # TREE
	mount -t erofs -o ro,loop "$WORK/image" "$WORK/m" || return
	bare "$WORK/m" >"$WORK/shown"
	umount "$WORK/m"
	diff <(bare "$1") "$WORK/shown"
}
overlay_shows_all() { # TREE
	mount -t erofs -o ro,loop "$WORK/image" "$WORK/m" || return
	mount -t overlay -o "ro,metacopy=on,redirect_dir=on,lowerdir=$WORK/m::$WORK/objects" none "$WORK/merged" || return
	shown "$WORK/merged" >"$WORK/shown"
	umount "$WORK/merged"
	umount "$WORK/m"
	diff <(shown "$1") "$WORK/shown"
}
mkdir -p "$WORK/m" "$WORK/merged" "$WORK/tree"
special "$WORK/tree"
for tree in "$WORK/tree" /usr/share/doc /etc; do
	name=${tree#"$WORK/"}
	case_ "an image of $name" image_of "$tree"
	case_ "erofs shows what is in $name" erofs_shows_all "$tree"
	case_ "overlay shows what is in $name, and its content" overlay_shows_all "$tree"
done

# Two layers: what the upper one deletes is gone, and names like those of objects' directories are not.
line() { printf '%s %d %s 1 0 0 0 0.0 - %s -%s\n' "$@"; } # PATH SIZE MODE CONTENT [ XATTR]
{
	line / 0 40755 - ''
	line /ab 0 40755 - ''
	line /ab/f 3 100644 abc ''
	line /gone 0 40755 - ''
	line /gone/x 0 100644 - ''
	line /opaque 0 40755 - ''
	line /opaque/below 0 100644 - ''
	line /both 0 40755 - ''
	line /both/deleted 0 100644 - ''
	line /both/kept 0 100644 - ''
} >"$WORK/lower"
{
	line / 0 40755 - ''
	line /gone 0 20000 - ''
	line /opaque 0 40755 - ' trusted.overlay.opaque=y'
	line /opaque/above 0 100644 - ''
	line /both 0 40755 - ''
	line /both/deleted 0 20000 - ''
} >"$WORK/upper"
stack() {
	mkdir -p "$WORK/m2"
	"$BUILD/cstorage" create-composefs --layer -f "$WORK/lower.image" "$WORK/lower" &&
		"$BUILD/cstorage" create-composefs --layer -f "$WORK/upper.image" "$WORK/upper" &&
		mount -t erofs -o ro,loop "$WORK/lower.image" "$WORK/m" && mount -t erofs -o ro,loop "$WORK/upper.image" "$WORK/m2" &&
		mount -t overlay -o "ro,metacopy=on,redirect_dir=on,lowerdir=$WORK/m2:$WORK/m::$WORK/objects" none "$WORK/merged" || return
	said=$(cd "$WORK/merged" && find . | sort | tr '\n' ' ')
	umount "$WORK/merged" "$WORK/m" "$WORK/m2"
	[ "$said" = ". ./ab ./ab/f ./both ./both/kept ./opaque ./opaque/above " ] || { echo "$said"; return 1; }
}
case_ "a stack of two images" stack
finish
