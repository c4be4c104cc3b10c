#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One store of each driver: what either command writes the other goes on with, reads and deletes, and podman runs a container that
# ours made. No process of a mount program is left when all is unmounted.
#
# KINDS="vfs btrfs": only these
. "$(dirname "$0")/tools-lib.sh"
lacking=$(lacks_go)
if [ -n "$lacking" ]; then
	skip "a store of each driver" "$lacking" 221
	finish
fi
begin "a store of each driver" 221
ours() { timeout -k 5 120 "$OURS" -g "$G" -R "$R" -s "$DRIVER" "${options[@]}" "$@"; }
house() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "${options[@]}" "$@"; }
go() { timeout -k 5 120 "$GO" -g "$G" -R "$R" -s "$DRIVER" "${options[@]}" "$@"; }
podman_() {
	timeout -k 5 120 "$PODMAN" --root "$G" --runroot "$R" --storage-driver "$DRIVER" "${options[@]}" --tmpdir "$R/podman" --cgroup-manager cgroupfs "$@"
}

mkdir -p "$WORK/t1/dir/sub" "$WORK/t2/dir" "$WORK/t3/dir/sub"
(
	cd "$WORK/t1" || exit
	for name in file gone dir/one run; do echo one >$name; done
	chmod 700 dir/sub && chmod 4755 run
	ln file hard && ln -s dir/one soft && mkfifo fifo && mknod null c 1 3
	setfattr -n user.note -v one file && setfattr -n user.note -v one dir
)
echo two >"$WORK/t2/file"; : >"$WORK/t2/.wh.gone"; : >"$WORK/t2/dir/.wh..wh..opq"; echo two >"$WORK/t2/dir/two"
echo three >"$WORK/t3/dir/sub/three"
for n in 1 2 3; do
	chown -hR 7:8 "$WORK/t$n"
	chmod u+s "$WORK/t$n/run" 2>/dev/null
	find "$WORK/t$n" -exec touch -h -d '2001-02-03 04:05:06' {} +
	tar --sort=name --xattrs --xattrs-include='user.*' -C "$WORK/t$n" -cf "$WORK/t$n.tar" .
done

# The processes of the mount program that name the store in their command line; a zombie has none any more.
processes() { grep -lz "$G" /proc/[0-9]*/cmdline 2>/dev/null | while read -r at; do readlink "${at%/*}/exe"; done | grep fuse-overlayfs; }
none_left() { while [ -n "$(processes)" ]; do sleep 0.05; done; }
# What a store is, without its random names and times.
tree() {
	(
		cd "$G/$DRIVER" || exit
		# Each version has its own mode of the home; 1.43 has no lower-layers, and removes mount points.
		find . -mindepth 1 \( -path ./l -o -path ./staging -o -path ./tempdirs \) -prune -o -printf '%y %m %U %G %p %l\n' |
			grep -v '/work/work\|/lower-layers\|/merged' | sort -k5
		for file in .has-mount-program ./*/lower; do [ ! -e "$file" ] || echo "$file $(wc -c <"$file")"; done
	)
	# The Go command changes the time of the root of a tree after it has unpacked the archive; what follows are the kernel's numbers.
	for layer in A B C D; do listing "$(layer_root $layer)" | awk '$8 == "." { $1 = "-" } !/^trusted.overlay.(uuid|origin)=/ { print }'; done
}
# A chain of three layers and a container's layer: import with the first command, the second with the second one, ...
chain() { # COMMAND COMMAND COMMAND COMMAND
	"$1" import-layer -i A -f "$WORK/t1.tar" >/dev/null && "$2" import-layer -i B -f "$WORK/t2.tar" A >/dev/null &&
		"$3" import-layer -i C -f "$WORK/t3.tar" B >/dev/null && "$4" create-layer -i D C >/dev/null
}
change() { # COMMAND: where it mounts D
	local at
	at=$("$1" mount D) && echo new >"$at/new" && rm "$at/file" && rm -r "$at/dir/sub" && mkdir "$at/made" && echo x >"$at/made/x" &&
		chmod 600 "$at/dir/two" && ln "$at/hard" "$at/made/hard" && setfattr -n user.note -v two "$at/run" && mv "$at/soft" "$at/moved" &&
		"$1" unmount D >/dev/null
}
orders="go go go go,ours ours ours ours,go ours go ours,ours go ours go"
both_ways() { # ORDER: the two commands by turns
	local order=$1 command what
	# shellcheck disable=SC2086 # four words
	case_ "$kind: $order: layers" chain $order
	case_ "$kind: $order: changed where the one mounts it" change "${order##* }"
	case_ "$kind: $order: nothing is left of a mount program" none_left
	tree >"$WORK/tree-$order"
	same "$kind: $order: the store is as the Go command makes it" "$WORK/tree-go go go go" "$WORK/tree-$order"
	for command in ours go; do
		listing "$($command mount D)" | awk '$2 == "d" { $1 = $6 = $7 = "-" } { print }' >"$WORK/shown-$command"
		$command unmount D >/dev/null
		# With a program not the changes of B and C: the Go command looks by name for what B hides, and fuse-overlayfs finds it.
		for what in "changes D" "diffsize B" "diffsize D" "diff -u D" "diff -u C" "diff -u B" "diff -u A" "${others[@]}"; do
			# shellcheck disable=SC2086
			if [ "${what%% *}" = diff ]; then $command $what | timeless | sha256sum; else $command $what 2>&1 | sort; fi
		done >"$WORK/said-$command" 2>&1
	done
	same "$kind: $order: both show the same" "$WORK/shown-ours" "$WORK/shown-go"
	same "$kind: $order: both read the same" "$WORK/said-ours" "$WORK/said-go"
	case_ "$kind: $order: check" house check
	case_ "$kind: $order: nothing is left of a mount program after reading" none_left
	# By the one that did not make it.
	[ "${order%% *}" = go ] && command=ours || command=go
	case_ "$kind: $order: $command deletes all" $command delete D C B A
	says "$kind: $order: nothing is left" "" audit
}
# podman runs what ours unpacked, and what is written there is in the layer.
run_by_podman() {
	tool_store "${place}run"
	our_image localhost/ours:1
	says "$kind: podman runs a container of ours" "second layer" podman_run --name kept localhost/ours:1 /bin/busybox sh -c 'echo x >/written; cat /srv/second'
	[ "$kind" != fuse-overlayfs ] || says "$kind: its mount is that of the program" true cat "$G/overlay/.has-mount-program"
	says "$kind: ours reads what it wrote" x cat "$(ours mount kept)/written"
	case_ "$kind: ours unmounts it" ours unmount kept
	case_ "$kind: podman removes it" podman_ rm kept
	case_ "$kind: nothing is left of a mount program" none_left
}

lacks_kind() {
	case $1 in
	btrfs) lacks_command btrfs mkfs.btrfs ;;
	fuse-overlayfs) [ -w /dev/fuse ] && lacks_command fuse-overlayfs || echo "no fuse-overlayfs, or no /dev/fuse" ;;
	esac
}
for kind in ${KINDS:-overlay fuse-overlayfs vfs btrfs}; do
	lacking=$(lacks_kind $kind)
	[ -n "$lacking" ] || [ $kind != btrfs ] || btrfs_at "$WORK/btrfs" || lacking="no btrfs on a loop device here"
	if [ -n "$lacking" ]; then
		skip "$kind" "$lacking" 55
		continue
	fi
	tool_driver=$kind options=() others=("changes B" "changes C")
	[ $kind != fuse-overlayfs ] || tool_driver=overlay options=(--storage-opt "overlay.mount_program=$(command -v fuse-overlayfs)") others=()
	place=
	[ $kind != btrfs ] || place=btrfs/
	while read -r -d , order; do
		new_store "$place${order// /-}" $tool_driver
		both_ways "$order"
	done <<<"$orders,"
	[ -z "$PODMAN" ] && skip "$kind: podman" "no podman" 8 || run_by_podman
done
finish
