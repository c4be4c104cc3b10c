#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk without a free block, or without a free inode, that somebody else filled: what is deleted goes, what is read can be read, and
# the same again once the room that was won is filled up, too.
. "$(dirname "$0")/../interop/lib.sh"
cases=(delete delete-layer delete-image delete-container unmount wipe reboot reboot-elsewhere)
[ $# = 0 ] || cases=("$@")
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command tar)
if [ -n "$lacking" ]; then
	skip "a full disk" "$lacking" 64
	finish
fi

# ---- a disk, and filling it ----

disk=$WORK/disk
mount_disk() { # FILE-SYSTEM
	mkdir -p "$disk"
	case $1 in
	tmpfs) mount -t tmpfs -o size=4m,nr_inodes=700 none "$disk" ;;
	ext4) rm -f "$WORK/image" && truncate -s 12M "$WORK/image" && mkfs.ext4 -q -m 0 -N 700 "$WORK/image" && mount -o loop "$WORK/image" "$disk" ;;
	esac
}
lacks_disk() { # FILE-SYSTEM
	[ "$1" = tmpfs ] || [ -z "$(lacks_command mkfs.ext4)" ] || { lacks_command mkfs.ext4; return; }
	if mount_disk "$1" >"$WORK/said" 2>&1; then umount "$disk"; else echo "no $1 here: $(tail -n 1 "$WORK/said")"; fi
}
free() { # LACK: how many there are
	case $1 in
	blocks) stat -f -c %a "$disk" ;;
	inodes) stat -f -c %d "$disk" ;;
	esac
}
# ext4 gives blocks back with the next commit of its journal only, and then there may be some left.
fill() { # LACK
	local n=0
	case $1 in
	blocks)
		for n in 1 2 3; do
			dd if=/dev/zero bs=64k 2>/dev/null >>"$disk/filler"
			dd if=/dev/zero bs=1k 2>/dev/null >>"$disk/filler"
			sync -f "$disk"
		done
		;;
	inodes)
		mkdir -p "$disk/fillers"
		while { : >"$disk/fillers/$RANDOM.$n"; } 2>/dev/null; do n=$((n + 1)); done
		;;
	esac
	[ "$(free "$1")" = 0 ] || echo "$(free "$1") $1 are still free"
}

# ---- a store with two of everything ----

cstorage() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; } # ours by its other name
long() { printf "$1%.0s" {1..32}; } # a0 -> a0a0a0...
base=$(long 90) shared=$(long 91)
mkdir -p "$WORK/in/dir"
head -c 20000 /dev/urandom >"$WORK/in/dir/file"
tar cf "$WORK/in.tar" -C "$WORK/in" .
echo '{"a":1}' >"$WORK/item"
import() { ours import-layer -i "$(long "$1")" -f "$WORK/in.tar" ${2:+"$(long "$2")"}; }
fill_store() { # the layers a1 and a2, the images b1 and b2 with two layers each, the mounted containers c1 and c2
	local n
	import 90 && ours create-image -i "$shared" -n shared "$base" || return
	for n in 1 2; do
		import a$n 90 && ours set-layer-data -f "$WORK/item" "$(long a$n)" key && import d$n && import e$n d$n &&
			ours create-image -i "$(long b$n)" "$(long e$n)" && ours set-image-data -f "$WORK/item" "$(long b$n)" manifest &&
			ours create-container -i "$(long c$n)" shared && ours get-container-dir "$(long c$n)" && ours mount "$(long c$n)" || return
	done
}
layer_of() { ours container -j "$1" | grep -o '"layer":"[0-9a-f]*"' | cut -d'"' -f4; }
operand() { # VERB NUMBER
	case $1 in
	delete-layer) long "a$2" ;;
	delete | delete-image) long "b$2" ;;
	delete-container | unmount) long "c$2" ;;
	esac
}
goes() { # VERB NUMBER: the items that are deleted
	case $1 in
	delete | delete-layer) operand "$@" ;;
	delete-image) echo "$(operand "$@") $(long "d$2") $(long "e$2")" ;;
	delete-container) echo "$(operand "$@") $(layer_of "$(operand "$@")")" ;;
	esac
}
list() { # every item's ID
	local kind
	for kind in layers images containers; do cstorage $kind -q --no-trunc || echo "$kind: exit status $?"; done 2>&1 | sort
}
read_all() { # of what is never deleted
	local kind words
	for kind in layers images containers; do ours $kind -j || echo "$kind: exit status $?"; done
	for words in "diff -u $base" "changes $base" "diffsize $base" "image -j shared" "list-image-data shared" "exists $base" "get-names $base"; do
		ours $words || echo "$words: exit status $?"
		cstorage $words || echo "cstorage $words: exit status $?"
	done
	cstorage inspect "$base" || echo "cstorage inspect: exit status $?"
	for words in "tree -j" "df" "df shared"; do cstorage $words >/dev/null || echo "cstorage $words: exit status $?"; done
}

# ---- what is done on the full disk ----

delete() { # VERB LACK NUMBER
	local verb=$1 lack=$2 gone item want before
	gone=$(goes "$verb" "$3")
	want=$(list | grep -vxF "$(tr ' ' '\n' <<<"${gone:-none}")")
	[ "$verb" != wipe ] || want=
	[ "$verb" != delete-layer ] || read_all >"$WORK/read" 2>&1
	mkdir -p "$G/$DRIVER-layers/tmp/temp-dir-05" 2>/dev/null # of somebody who died
	fill "$lack"
	[ "$verb" != delete-layer ] || read_all 2>&1 | cmp - "$WORK/read"
	# What makes the records grow must not take what the deletion needs.
	[ "$verb" = wipe ] || ! ours set-metadata -m "$(head -c 20000 /dev/zero | tr '\0' x)" "$base" 2>/dev/null || echo "the records grew"
	before=$(free "$lack")
	exec 9<"$G/$DRIVER-layers/layers.json" # somebody is reading: what that file takes is not free when it is replaced
	ours "$verb" $(operand "$verb" "$3") >"$WORK/said" 2>&1 || { echo "$verb: exit status $?: $(cat "$WORK/said")"; return; }
	exec 9<&-
	sync -f "$disk"
	[ "$verb" = unmount ] || [ "$(free "$lack")" -gt "$before" ] || echo "no $lack were won"
	for item in $gone; do
		find "$G" "$R" -name "*$item*"
		grep -rlF "$item" "$G" "$R" --include='*.json'
	done
	[ "$verb" != unmount ] || ! grep -F "$(layer_of "$(operand unmount "$3")")" "$R"/*-layers/mountpoints.json
	diff <(printf %s "${want:+$want$'\n'}") <(list) | sed 's/^/listed: /'
	[ "$verb" = wipe ] || ours diff -u "$base" | cmp - "$WORK/in.tar"
	rm -rf "$disk"/filler* && list >/dev/null # whatever the disk was too full for is done now
	audit
}
# The machine is started anew, and the run directory is on the full disk ...
reboot() { # LACK
	read_all >"$WORK/read" 2>&1
	unmount_below "$disk"
	rm -r "$R"
	fill "$1"
	read_all 2>&1 | diff - "$WORK/read" | head -n 5
}
# ... or on a disk of its own, as usual.
reboot_elsewhere() { # LACK
	unmount_below "$disk"
	R=$WORK/run
	rm -rf "$R"
	fill "$1"
	delete delete-container "$1" 1
}
try() { # FILE-SYSTEM LACK DRIVER CASE
	local wrong
	mount_disk "$1" || return
	G=$disk/root R=$disk/run DRIVER=$3
	if ! fill_store >"$WORK/said" 2>&1; then
		wrong=$(cat "$WORK/said")
	else
		wrong=$(
			case $4 in
			reboot) reboot "$2" ;;
			reboot-elsewhere) reboot_elsewhere "$2" ;;
			wipe) delete wipe "$2" 1 ;;
			*) delete "$4" "$2" 1; delete "$4" "$2" 2 ;;
			esac 2>&1
		)
	fi
	unmount_below "$disk"
	umount "$disk"
	echo "$wrong"
	[ -z "$wrong" ]
}
for fs in tmpfs ext4; do
	lacking=$(lacks_disk $fs)
	if [ -n "$lacking" ]; then
		skip "a full $fs" "$lacking" 32
		continue
	fi
	for lack in blocks inodes; do
		for driver in $(drivers); do
			for case in "${cases[@]}"; do
				case_ "$fs, no $lack free, $driver: $case" try $fs $lack "$driver" "$case"
			done
		done
	done
done
finish
