#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cstorage dedup on file systems of its own: equal files share their blocks, the disk has as much more room as was told, and
# nothing else is changed, whoever may be looking. The next run reads nothing. A file system that cannot share is refused.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3 mkfs.ext4 filefrag chattr)
if [ -n "$lacking" ]; then
	skip "dedup" "$lacking" 60
	finish
fi
item() { printf '%064d' "$1"; }
cst() { timeout -k 5 300 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
value() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$WORK/said" "$1"; }
said() { cat "$WORK/said" "$WORK/complaint" 2>/dev/null; }
dedup() { cst dedup --json "$@" >"$WORK/said" 2>"$WORK/complaint"; }
is() { # NAME GOT WANTED
	[ "$2" = "$3" ] && pass "$where: $1" || fail "$where: $1" "$2, not $3"
}
store() { # DRIVER: on that disk
	DRIVER=$1 G=$D/$1/root R=$D/$1/run
	mkdir -p "$D/$1"
}
layer_file() { echo "$(layer_root "$(item "$1")")/$2"; }
free_bytes() {
	sync -f "$D"
	stat -f -c '%f %S' "$D" | { read -r blocks size; echo $((blocks * size)); }
}
# All that can be seen of the files of the layers, times of access and of change too.
seen() { (cd "$G/$DRIVER" && find . -type f -printf '%p %i %m %U %G %n %s %T@ %C@ %A@\n' | sort && find . -type f -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex 2>/dev/null); }
sums() { (cd "$G/$DRIVER" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }
shares() { # FILE: does it share all its blocks?
	[ "$(filefrag -v "$1" | grep -cE '^ +[0-9]+: .*shared')" -gt 0 ]
}
# Three layers of one image and a fourth of another; what is equal is in different places, with other times and owners.
make_files() {
	local n
	rm -rf "$WORK/in"
	for n in 1 2 3 4; do
		mkdir -p "$WORK/in/$n/d/deep"
		cp "$WORK/random" "$WORK/in/$n/d/large$n"          # more than the kernel is asked for at once
		head -c 300000 "$WORK/random" >"$WORK/in/$n/same"
		head -c 5000 "$WORK/random" >"$WORK/in/$n/d/deep/small"
		head -c 60 "$WORK/random" >"$WORK/in/$n/d/tiny"    # btrfs keeps it among its metadata
		head -c 300000 /dev/urandom >"$WORK/in/$n/other"   # of that size, too, and not equal
		truncate -s 300000 "$WORK/in/$n/hole"
		ln "$WORK/in/$n/same" "$WORK/in/$n/d/again"
		: >"$WORK/in/$n/empty"
		ln -s same "$WORK/in/$n/link"
		chown "$n:$n" "$WORK/in/$n/same"
		chmod 4755 "$WORK/in/$n/d/deep/small"
		setfattr -n user.number -v "$n" "$WORK/in/$n/same" 2>/dev/null
		find "$WORK/in/$n" -exec touch -h -d "2020-01-0$n 03:04:05.678" {} +
		tar -C "$WORK/in/$n" --xattrs --format=posix -cf "$WORK/$n.tar" .
	done
}
fill() {
	cst import-layer -i "$(item 1)" -f "$WORK/1.tar" && cst import-layer -i "$(item 2)" -f "$WORK/2.tar" "$(item 1)" &&
		cst import-layer -i "$(item 3)" -f "$WORK/3.tar" "$(item 2)" && cst create-image -i "$(item 93)" -n one "$(item 3)" &&
		cst import-layer -i "$(item 4)" -f "$WORK/4.tar" && cst create-image -i "$(item 94)" -n two "$(item 4)" &&
		cst import-layer -i "$(item 5)" -f "$WORK/4.tar" && cst create-container -i "$(item 81)" -n box one
}
head -c 20000123 /dev/urandom >"$WORK/random"
make_files

on_disk() { # WHAT DRIVER: a store is deduplicated
	local before after freed told own
	where="$1, $2"
	store "$2"
	if ! fill >"$WORK/said" 2>&1; then
		fail "$where: a store" "$(said)"
		return
	fi
	sums >"$WORK/sums" && seen >"$WORK/seen"
	own=$(filefrag -v "$(layer_file 5 same)" | tail -n +4)
	before=$(free_bytes)
	dedup --dry-run && pass "$where: a dry run" || fail "$where: a dry run" "$(said)"
	told=$(value freed)
	is "a dry run frees nothing" "$(($(free_bytes) - before < 100000))" 1
	dedup && pass "$where: dedup" || fail "$where: dedup" "$(said)"
	after=$(free_bytes) freed=$(value freed)
	is "the disk has as much more room as was told ($freed, $((after - before)))" "$((freed > 1000000 && after - before - freed < 400000 && freed - after + before < 400000))" 1
	# Of vfs the container has a copy of everything, which keeps blocks.
	[ "$2" = vfs ] || is "a dry run told the same" "$told" "$freed"
	is "a dry run told of no less ($told)" "$((told >= freed && told < 70000000))" 1
	seen | diff "$WORK/seen" - >"$WORK/said" && pass "$where: nothing is changed that can be seen" || fail "$where: nothing is changed that can be seen" "$(head -n 5 "$WORK/said")"
	sums | diff "$WORK/sums" - >"$WORK/said" && pass "$where: no byte is changed" || fail "$where: no byte is changed" "$(head -n 5 "$WORK/said")"
	shares "$(layer_file 1 d/large1)" && shares "$(layer_file 4 d/large4)" && pass "$where: a large file shares" || fail "$where: a large file shares"
	is "a layer that no image has is left alone" "$(filefrag -v "$(layer_file 5 same)" | tail -n +4)" "$own"
	before=$(dedup && value equal)
	is "the second time nothing is freed" "$(value freed)" 0
	is "the second time nothing is hashed" "$(value hashed)" 0
	for method in size sha256; do
		dedup --hash-method=$method
		is "$method finds the same" "$(value equal)" "$before"
	done
	"$OURS" -g "$G" -R "$R" -s "$DRIVER" dedup >"$WORK/said" 2>&1
	is "as containers-storage" "$(said)" "Deduplicated $before bytes"
	is "the store is whole" "$(audit; cst check --json -m 1000h)" "$(whole)"
}
whole() { # what check says of a store that has a layer which no image has: nothing, within that time
	echo '[]'
}

for kind in xfs btrfs; do
	lacking=$(lacks_command mkfs.$kind)
	[ -n "$lacking" ] || disk $kind -f || lacking="no $kind on a loop device here"
	if [ -n "$lacking" ]; then
		skip "dedup on $kind" "$lacking" 30
		continue
	fi
	for driver in $(drivers); do
		on_disk $kind "$driver"
	done
	umount -l "$D"
done

# ---- who cannot ----

cannot() { # WHAT NAME MKFS...
	local name=$1
	where=$1
	shift
	if ! disk "$@"; then
		skip "$where" "no such file system on a loop device here" 4
		return
	fi
	store vfs
	fill >/dev/null 2>&1
	for option in "" --dry-run; do
		# shellcheck disable=SC2086
		dedup $option && fail "$where: refused $option" "$(said)" || pass "$where: refused $option"
		case $(said) in
		*"the file system of $D/vfs/root/vfs/dir "*" cannot let files share blocks; btrfs can, and xfs "*) pass "$where: says so $option" ;;
		*) fail "$where: says so $option" "$(said)" ;;
		esac
	done
	is "containers-storage does not mind" "$("$OURS" -g "$G" -R "$R" -s vfs dedup 2>&1; echo $?)" $'Deduplicated 0 bytes\n0'
	umount -l "$D"
}
cannot ext4 ext4 -F
[ -n "$(lacks_command mkfs.xfs)" ] || cannot "xfs without reflinks" xfs -f -m reflink=0
finish
