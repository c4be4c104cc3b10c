#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# force_mask and ignore_chown_errors: layers that both commands make have the same files, with the same owners, modes and
# attributes on disk, show the same when they are mounted, and come out as the same archives.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_overlay)
[ -n "$lacking" ] || lacking=$(lacks_command python3 getfattr setcap fuse-overlayfs)
[ -n "$lacking" ] || lacking=$(lacks_go)
[ -n "$lacking" ] || [ "$(go_version)" = 1.64 ] || lacking="containers-storage 1.64 (here: $(go_version)), which takes a mask without a mount program"
if [ -n "$lacking" ]; then
	skip "masks" "$lacking" 20
	finish
fi
src=$WORK/src
mkdir -p "$src/dir/sub" "$src/sticky" "$src/named"
echo file >"$src/dir/file"; ln "$src/dir/file" "$src/dir/sub/hard"
ln -s file "$src/dir/link"
for mode in 0600 0755 2755 4711 1777; do echo $mode >"$src/mode-$mode"; chmod $mode "$src/mode-$mode"; done
chmod 1777 "$src/sticky"; chmod 2750 "$src/named"
mkfifo "$src/fifo"; mknod "$src/device" c 1 3; mknod "$src/block" b 7 9
setfattr -n user.note -v one "$src/dir/file"; echo cap >"$src/capable"; setcap cap_net_raw+ep "$src/capable"
chown 5:6 "$src/dir/file" "$src/sticky"; chown -h 7:8 "$src/dir/link"; chown 70000:80000 "$src/named"
chmod 4711 "$src/mode-4711"
upper=$WORK/upper
mkdir -p "$upper/dir" "$upper/named"; : >"$upper/.wh.fifo"; : >"$upper/dir/.wh..wh..opq"; echo new >"$upper/dir/new"; chmod 2750 "$upper/named"; echo x >"$upper/named/x"
for tree in "$src" "$upper"; do find "$tree" -exec touch -h -d '2001-02-03 04:05:06' {} +; done
tar --sort=name --xattrs --xattrs-include='*' -C "$src" -cf "$WORK/lower.tar" .
tar --sort=name --xattrs --xattrs-include='*' -C "$src" -cf "$WORK/rootless.tar" dir named sticky device # without an entry for the root
tar --sort=name -C "$upper" -cf "$WORK/upper.tar" .
program=mount_program=$(command -v fuse-overlayfs)

options=()
ours() { timeout -k 5 120 "$OURS" -g "$G" -R "$R" -s overlay "${options[@]}" "$@"; }
go() { timeout -k 5 120 "$GO" -g "$G" -R "$R" -s overlay "${options[@]}" "$@"; }
shown() { listing "$1" | awk '$2 == "d" { $1 = $6 = $7 = "-" } { print }' | grep -v '^# file\|overlay.origin\|overlay.impure\|overlay.uuid'; }
all() { # COMMAND
	local id
	for line in "import-layer -i A -f $WORK/lower.tar" "import-layer -i B -f $WORK/upper.tar A" "import-layer -i R -f $WORK/rootless.tar" \
		"create-layer -i E -r" "create-layer -i F -r A" "create-layer -i C B" \
		"import-layer -r -i M --uidmap 0:1000:100000 --gidmap 0:1000:100000 -f $WORK/lower.tar"; do
		# shellcheck disable=SC2086
		$1 $line 2>&1 || echo "rc $?"
	done
	for id in A B R E F C M; do
		[ -d "$G/overlay/$id" ] || continue
		echo "== $id"
		(cd "$G/overlay/$id" && stat -c '%n %a %u %g %F' ./* | sort && getfattr -h -d -m - diff)
		shown "$G/overlay/$id/diff"
		$1 diff -u "$id" | sha256sum
		$1 diffsize "$id"
	done
	[ -d "$G/overlay/C" ] && at=$($1 mount C) && shown "$at" && echo by-me >"$at/new" && chmod 640 "$at/new" && chown 9:9 "$at/new" &&
		$1 unmount C && getfattr -d -m - "$G/overlay/C/diff/new" && stat -c '%a %u %g' "$G/overlay/C/diff/new" && $1 diff -u C | tar tvf - | sed 's/20[0-9-]* [0-9:]*//'
}
while read -r words; do
	options=()
	for word in $words; do options+=(--storage-opt "overlay.$word"); done
	for who in go ours; do
		new_store mask overlay
		all $who >"$WORK/$who.said" 2>&1
	done
	same "$words" "$WORK/ours.said" "$WORK/go.said"
done <<X
force_mask=700
force_mask=shared
force_mask=private
force_mask=0
force_mask=755 ignore_chown_errors=true
ignore_chown_errors=true
$program
$program force_mask=700
$program force_mask=shared
$program ignore_chown_errors=true
X
finish
