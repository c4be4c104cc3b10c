#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# dedup beside the Go command's, on file systems that can share blocks and on one that cannot: the same words, numbers and exit
# codes on stores of the same content, whoever of the two comes first, and both at once.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_go)
[ -n "$lacking" ] || [[ $(go_version) > 1.56 ]] || lacking="this containers-storage has no dedup"
if [ -n "$lacking" ]; then
	skip "dedup by both" "$lacking" 40
	finish
fi
item() { printf '%064d' "$1"; }
archives() { # 3 of them, with much in common
	local n
	head -c 3000000 /dev/urandom >"$WORK/random"
	for n in 1 2 3; do
		mkdir -p "$WORK/in/$n/d"
		cp "$WORK/random" "$WORK/in/$n/d/large"
		head -c 6 "$WORK/random" >"$WORK/in/$n/tiny$n"
		head -c 5000 "$WORK/random" >"$WORK/in/$n/d/small"
		head -c 5000 /dev/urandom >"$WORK/in/$n/d/other"
		head -c 5000 "$WORK/random" >"$WORK/in/$n/again"
		truncate -s 70000 "$WORK/in/$n/hole"
		: >"$WORK/in/$n/empty"
		ln "$WORK/in/$n/again" "$WORK/in/$n/link"
		tar -C "$WORK/in/$n" -cf "$WORK/$n.tar" .
	done
}
fill() { # images 91 of layers 1 < 2, 92 of layer 3; a container, and a layer that no image has
	{
		ours import-layer -i "$(item 1)" -f "$WORK/1.tar" && ours import-layer -i "$(item 2)" -f "$WORK/2.tar" "$(item 1)" &&
			ours create-image -i "$(item 91)" "$(item 2)" && ours import-layer -i "$(item 3)" -f "$WORK/3.tar" &&
			ours create-image -i "$(item 92)" "$(item 3)" && ours create-container -i "$(item 81)" "$(item 91)" &&
			ours import-layer -i "$(item 4)" -f "$WORK/3.tar"
	} >/dev/null
}
on() { # NAME DRIVER
	G=$D/$1/root R=$D/$1/run DRIVER=$2
}
tell() { # WHO: all there is to say, by each method
	local method
	"$1" dedup
	echo "exit $?"
	"$1" dedup -j
	echo "exit $?"
	for method in size sha256 crc md5; do
		"$1" dedup --hash-method=$method
		echo "exit $?"
		"$1" dedup --hash-method $method -j
		echo "exit $?"
	done
}
archives
for kind in "xfs -f" "btrfs -f" "ext4 -F"; do
	# shellcheck disable=SC2086
	[ -z "$(lacks_command mkfs.${kind% *})" ] && disk $kind || {
		skip "dedup by both on ${kind% *}" "no ${kind% *} on a loop device here" 14
		continue
	}
	for driver in $(drivers); do
		where="${kind% *}, $driver"
		for name in first second; do
			mkdir -p "$D/$name-$driver"
			on $name-$driver "$driver"
			case_ "$where: a store" fill || continue 2
		done
		on first-"$driver" "$driver"
		tell ours >"$WORK/ours-said" 2>&1
		tell go >"$WORK/go-after" 2>&1
		same "$where: ours first, then theirs" "$WORK/go-after" "$WORK/ours-said"
		on second-"$driver" "$driver"
		tell go >"$WORK/go-said" 2>&1
		tell ours >"$WORK/ours-after" 2>&1
		same "$where: theirs first" "$WORK/go-said" "$WORK/ours-said"
		same "$where: then ours" "$WORK/go-said" "$WORK/ours-after"
		[ "${kind% *}" = ext4 ] || ! grep -q 'Deduplicated 0 ' "$WORK/ours-said" && pass "$where: there is something to share" ||
			fail "$where: there is something to share" "$(cat "$WORK/ours-said")"
		# At once, and with what they disturb.
		ours dedup >"$WORK/ours-said" 2>&1 &
		go dedup >"$WORK/go-said" 2>&1 &
		wait
		ours delete-image "$(item 92)" >/dev/null 2>&1
		same "$where: both at once" "$WORK/go-said" "$WORK/ours-said"
		[ -z "$(audit)" ] && pass "$where: the store is whole" || fail "$where: the store is whole" "$(audit)"
	done
done
umount -l "$D"
finish
