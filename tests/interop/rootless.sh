#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An ordinary user with subordinate ids: vfs, overlay by the kernel (userxattr) and overlay by fuse-overlayfs. What either command
# writes in the user's namespace the other goes on with, both mount and read the same, and no process of the program is left.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../user-lib.sh"
lacking=$(lacks_user_ids)
[ -n "$lacking" ] || lacking=$(lacks_command getfattr)
[ -n "$lacking" ] || lacking=$(lacks_go)
if [ -n "$lacking" ]; then
	skip "a user with subordinate ids" "$lacking" 60
	finish
fi
enter_user_suite
make_user 65536 || exit
cp "$GO" "$WORK/bin/go"
fuse=$(command -v fuse-overlayfs)
[ -w /dev/fuse ] || fuse=

# Everything of one store happens in one namespace, which "cstorage unshare" makes.
inside() { user_inside bash -c "$preamble$1" inside "${@:2}"; }
preamble='
ours() { "'$WORK'/bin/ours" -g "'$WORK'/home/s" -R "'$WORK'/run/s" $options "$@"; }
go() { "'$WORK'/bin/go" -g "'$WORK'/home/s" -R "'$WORK'/run/s" $options "$@"; }
home='$WORK'/home/s
'
if ! user_inside true 2>/dev/null; then
	skip "a user with subordinate ids" "no user namespace for a user" 60
	finish
fi

mkdir -p "$WORK/t1/dir/sub" "$WORK/t2/dir" "$WORK/t3/dir"
echo one >"$WORK/t1/file"; echo one >"$WORK/t1/gone"; echo one >"$WORK/t1/dir/one"; echo x >"$WORK/t1/suid"; mkfifo "$WORK/t1/fifo"
mknod "$WORK/t1/device" c 1 3
ln "$WORK/t1/file" "$WORK/t1/hard"; ln -s file "$WORK/t1/link"
chown -R 7:8 "$WORK/t1"; chown 1000:65535 "$WORK/t1/dir/one"; chmod 4755 "$WORK/t1/suid"; chmod 700 "$WORK/t1/dir/sub"
: >"$WORK/t2/.wh.gone"; : >"$WORK/t2/dir/.wh..wh..opq"; echo two >"$WORK/t2/dir/two"
echo three >"$WORK/t3/dir/three"
for n in 1 2 3; do
	find "$WORK/t$n" -exec touch -h -d '2001-02-03 04:05:06' {} +
	tar --sort=name -C "$WORK/t$n" -cf "$WORK/t$n.tar" . && chmod a+r "$WORK/t$n.tar"
done

# One store: layers by the commands in turn, a container's layer that is changed through a mount, and what each of them sees.
one_store='
export options=$1; shift
"$1" import-layer -i A -f '$WORK'/t1.tar && "$2" import-layer -i B -f '$WORK'/t2.tar A && "$3" import-layer -i C -f '$WORK'/t3.tar B && "$4" create-layer -i D C || exit
at=$("$4" mount D) || exit
grep " $home" /proc/self/mountinfo | cut -d" " -f5- | sed "s/ - / /; s/lowerdir+=/lowerdir=/g" | sed -E ":a; s/(lowerdir=[^,]*),lowerdir=/\1:/; ta; s,$home/overlay/l/[A-Z2-7]{26},LOWER,g; s,$home/overlay/[ABC]/diff,LOWER,g" | sort
echo new >"$at/new" && rm "$at/file" && mkdir "$at/made" && chown 5:6 "$at/new" || exit
"$4" unmount D
for who in ours go; do
	echo "== $who"
	at=$($who mount D) || exit
	(cd "$at" && find . -mindepth 1 -printf "%y %m %U %G %s %p %l\n" | sort -k6)
	$who unmount D
	# Not the changes of B: fuse-overlayfs finds by name what B hides, and the Go command asks for it.
	$who diffsize B; $who diffsize D
	$who diff -u B | sha256sum
	$who diff -u D | tar -tvf - --numeric-owner | sed "s/20[0-9-]* [0-9:]* //"
	$who changes D | sort
done
echo "== disk"
cd "$home" && find . -mindepth 1 \( -path "*/l" -o -name staging -o -name tempdirs -o -name work -o -name "*-layers" -o -name lower-layers -o -name cstorage -o -name ".reserve-*" \) -prune -o \
	-printf "%y %m %U %G %p %l\n" | grep -v "^d [0-7]* 0 0 ./\(overlay\|vfs\) \| ./[^ ]*\(-locks\|-images\|-containers\|libpod\)" | sort -k5
getfattr -R -h -d -m - . 2>/dev/null | grep -v "uuid\|origin\|impure\|^$" || true
'
new() { inside 'rm -rf "$home" "'$WORK'/run/s"; mkdir -p "$home"'; }
none_left() { while grep -qsz "$WORK/home/s" /proc/[0-9]*/cmdline; do sleep 0.05; done; }
try() { # NAME OPTIONS
	local order before=
	for order in "go go go go" "ours ours ours ours" "go ours go ours" "ours go ours go"; do
		new
		# shellcheck disable=SC2086 # four words
		inside "$one_store" "$2" $order >"$WORK/said" 2>"$WORK/err" || { fail "$1: $order" "$(cat "$WORK/said" "$WORK/err" | tail -n 8)"; continue; }
		case_ "$1: $order: nothing is left of a program" none_left
		sed '1,/^== ours/d; /^== go/,$d' "$WORK/said" >"$WORK/ours.saw"
		sed '1,/^== go/d; /^== disk/,$d' "$WORK/said" >"$WORK/go.saw"
		same "$1: $order: both see the same" "$WORK/ours.saw" "$WORK/go.saw"
		sed '/^== ours/,$d' "$WORK/said" >"$WORK/mounts-${before:-first}"
		sed '1,/^== disk/d' "$WORK/said" >"$WORK/disk-${before:-first}"
		[ -z "$before" ] || same "$1: $order: the mount table" "$WORK/mounts-$before" "$WORK/mounts-first"
		[ -z "$before" ] || same "$1: $order: what is on disk" "$WORK/disk-$before" "$WORK/disk-first"
		before=next
	done
	case_ "$1: check" inside 'options=$1; "'$WORK'/bin/cstorage" -g "$home" -R "'$WORK'/run/s" $options check' "$2"
	new
}
same() { # NAME FILE FILE
	cmp -s "$2" "$3" && pass "$1" || fail "$1" "$(diff -a "$2" "$3" | head -n 10 | cut -c1-300 | sed '2,$s/^/  | /')"
}
try "vfs" "-s vfs"
try "overlay" "-s overlay"
try "overlay, nodev" "-s overlay --storage-opt overlay.mountopt=nodev"
if [ -n "$fuse" ]; then
	try "fuse-overlayfs" "-s overlay --storage-opt overlay.mount_program=$fuse"
else
	skip "fuse-overlayfs" "no fuse-overlayfs or no /dev/fuse" 14
fi
finish
