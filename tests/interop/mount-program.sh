#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One store whose mounts fuse-overlayfs makes: what either command writes the other goes on with, podman runs a container that ours
# made, and when all is unmounted no process of the program is left.
. "$(dirname "$0")/tools-lib.sh"
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command fuse-overlayfs)
[ -n "$lacking" ] || [ -w /dev/fuse ] || lacking="no /dev/fuse"
if [ -n "$lacking" ]; then
	skip "a mount program" "$lacking" 40
	finish
fi
begin "a mount program" 40
program=overlay.mount_program=$(command -v fuse-overlayfs)
ours() { timeout -k 5 120 "$OURS" -g "$G" -R "$R" -s overlay --storage-opt "$program" "$@"; }
house() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s overlay --storage-opt "$program" "$@"; }
go() { timeout -k 5 120 "$GO" -g "$G" -R "$R" -s overlay --storage-opt "$program" "$@"; }
podman_() {
	timeout -k 5 120 "$PODMAN" --root "$G" --runroot "$R" --storage-driver overlay --storage-opt "$program" --tmpdir "$R/podman" \
		--cgroup-manager cgroupfs "$@"
}
# Those that name the store in their command line; a zombie has none any more.
processes() { grep -lz "$G" /proc/[0-9]*/cmdline 2>/dev/null | while read -r at; do readlink "${at%/*}/exe"; done | grep fuse-overlayfs; }
none_left() { while [ -n "$(processes)" ]; do sleep 0.05; done; }

mkdir -p "$WORK/t1/dir/sub" "$WORK/t2/dir" "$WORK/t3/dir/sub"
echo one >"$WORK/t1/file"; echo one >"$WORK/t1/gone"; echo one >"$WORK/t1/dir/one"; chmod 700 "$WORK/t1/dir/sub"; ln "$WORK/t1/file" "$WORK/t1/hard"
setfattr -n user.note -v one "$WORK/t1/file"
echo two >"$WORK/t2/file"; : >"$WORK/t2/.wh.gone"; : >"$WORK/t2/dir/.wh..wh..opq"; echo two >"$WORK/t2/dir/two"
echo three >"$WORK/t3/dir/sub/three"
for n in 1 2 3; do
	chown -R 7:8 "$WORK/t$n"
	find "$WORK/t$n" -exec touch -h -d '2001-02-03 04:05:06' {} +
	tar --sort=name --xattrs --xattrs-include='user.*' -C "$WORK/t$n" -cf "$WORK/t$n.tar" .
done

# What a store is, without its random names and times.
tree() {
	(
		cd "$G/overlay" || exit
		# Each version has its own mode of the home, and 1.43 has no lower-layers.
		find . -mindepth 1 \( -path ./l -o -path ./staging -o -path ./tempdirs \) -prune -o -printf '%y %m %U %G %p %l\n' |
			grep -v '/work/work\|/lower-layers' | sort -k5
		for file in .has-mount-program ./*/lower; do [ ! -e "$file" ] || echo "$file $(wc -c <"$file")"; done
	)
}
# A chain of three layers and a container's layer: import with FIRST, the second with SECOND, ...
chain() { # COMMAND COMMAND COMMAND COMMAND
	"$1" import-layer -i A -f "$WORK/t1.tar" >/dev/null && "$2" import-layer -i B -f "$WORK/t2.tar" A >/dev/null &&
		"$3" import-layer -i C -f "$WORK/t3.tar" B >/dev/null && "$4" create-layer -i D C >/dev/null
}
change() { # COMMAND: through the mount
	local at
	at=$("$1" mount D) && echo new >"$at/new" && rm "$at/file" && rm -r "$at/dir/sub" && mkdir "$at/made" && echo x >"$at/made/x" && chmod 600 "$at/dir/two" && "$1" unmount D >/dev/null
}
for order in "go go go go" "ours ours ours ours" "go ours go ours" "ours go ours go"; do
	new_store "${order// /-}" overlay
	# shellcheck disable=SC2086 # four words
	case_ "$order: layers" chain $order
	tree >"$WORK/tree-$order"
	case_ "$order: changed through a mount of the one" change "${order##* }"
	case_ "$order: nothing is left of the program" none_left
	for command in ours go; do
		at=$($command mount D)
		listing "$at" | awk '$2 == "d" { $1 = $6 = $7 = "-" } { print }' >"$WORK/shown-$order-$command"
		$command unmount D >/dev/null
		# Not the changes of B and C: the Go command looks by name for what B hides, and fuse-overlayfs finds it.
		for what in "changes D" "diffsize B" "diffsize D" "diff -u D" "diff -u C" "diff -u B"; do
			# shellcheck disable=SC2086
			if [ "${what%% *}" = diff ]; then $command $what | timeless | sha256sum; else $command $what 2>&1 | sort; fi
		done >"$WORK/said-$order-$command" 2>&1
	done
	same "$order: both show the same" "$WORK/shown-$order-ours" "$WORK/shown-$order-go"
	same "$order: both read the same" "$WORK/said-$order-ours" "$WORK/said-$order-go"
	case_ "$order: check" house check
	case_ "$order: nothing is left of the program after reading" none_left
	case_ "$order: deleted" ours delete D C B A
	says "$order: nothing is left" "" audit
done

# podman runs what ours unpacked, and what is written there is in the layer.
tool_store run
if [ -z "$PODMAN" ]; then
	skip "podman runs a container of ours" "no podman" 4
else
	our_image localhost/ours:1
	says "podman runs a container of ours" "second layer" podman_run --name kept localhost/ours:1 /bin/busybox sh -c 'echo x >/written; cat /srv/second'
	says "its mount is that of the program" true cat "$G/overlay/.has-mount-program"
	at=$(ours mount kept)
	says "ours mounts it" x cat "$at/written"
	case_ "ours unmounts it" ours unmount kept
	case_ "nothing is left of the program" none_left
fi
same "ours writes what the Go command writes" "$WORK/tree-go go go go" "$WORK/tree-ours ours ours ours"
finish
