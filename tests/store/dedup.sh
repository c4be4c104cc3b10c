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
	mount -o remount,strictatime "$D" # every reading would be seen
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
# With files_at_once so small that the layers are walked through several times.
in_passes() {
	${CC:-cc} -I"$TOP/include" "$TOP"/tests/crash/{operation,answers}.c -o "$WORK/operation" -L"$BUILD" -lcstorage -Wl,-rpath,"$BUILD" &&
		"$WORK/operation" -g "$G" -R "$R" -s "$DRIVER" dedup "$1"
}
# How often is the kernel asked to share, and how often while a lock is held?
asked() {
	rm -f "$WORK/trace"
	strace -f -y -qq -e signal=none -e trace=fcntl,close,ioctl -o "$WORK/trace" "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" dedup >/dev/null
	python3 - "$WORK/trace" <<-'P'
		import re, sys
		held, under_lock, n = set(), 0, 0
		for line in open(sys.argv[1], errors="replace"):
		    lock = re.search(r"fcntl\(\d+<([^>]*\.lock)>, F_OFD_SETLKW?, \{l_type=(F_\w+)", line)
		    closed = re.search(r"close\(\d+<([^>]*\.lock)>\)", line)
		    if lock:
		        (held.discard if lock.group(2) == "F_UNLCK" else held.add)(lock.group(1))
		    elif closed:
		        held.discard(closed.group(1))
		    elif "FIDEDUPERANGE" in line and "resumed" not in line:
		        n, under_lock = n + 1, under_lock + bool(held)
		print(n, under_lock)
	P
}
kernel_asked() { # WHAT DRIVER
	where="$1, $2"
	if [ -n "$(lacks_command strace)" ]; then
		skip "$where: what the kernel is asked" "no strace" 3
		return
	fi
	remove_tree "$D/$2"
	store "$2"
	fill >/dev/null 2>&1
	set -- $(asked)
	is "files are shared without a lock" "${2-}" 0
	is "the kernel is asked ($1)" "$(($1 > 5))" 1
	is "the second time it is only asked if it can" "$(asked)" "1 0"
}
# In a user namespace the files of all its owners can be shared.
as_user() { # COMMAND...: as root of a namespace with the ids from 100000 on
	python3 - "$@" <<-'P'
		import ctypes, os, sys
		ready, go = os.pipe(), os.pipe()
		child = os.fork()
		if child == 0:
		    if ctypes.CDLL(None).unshare(0x10000000):
		        os._exit(126)
		    os.write(ready[1], b"x")
		    os.read(go[0], 1)
		    os.setgid(0), os.setuid(0)
		    os.execvp(sys.argv[1], sys.argv[1:])
		os.read(ready[0], 1)
		for name in "uid_map", "gid_map":
		    with open("/proc/%d/%s" % (child, name), "w") as file:
		        file.write("0 100000 65536")
		os.write(go[1], b"x")
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
	P
}
in_namespace() { # WHAT
	where="$1, user namespace"
	if ! as_user true 2>/dev/null; then
		skip "$where" "no user namespace here" 4
		return
	fi
	chmod a+x "$WORK" "$(dirname "$WORK")"
	store vfs
	remove_tree "$D/vfs" && mkdir "$D/vfs" && chown 100000:100000 "$D/vfs"
	cst() { as_user timeout -k 5 300 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
	fill >"$WORK/said" 2>&1 || fail "$where: a store" "$(said)"
	sums >"$WORK/sums" && seen >"$WORK/seen"
	dedup && pass "$where: dedup" || fail "$where: dedup" "$(said)"
	is "it frees" "$(($(value freed) > 20000000))" 1
	seen | diff "$WORK/seen" - >"$WORK/said" && pass "$where: nothing is changed that can be seen" || fail "$where: nothing is changed that can be seen" "$(head -n 5 "$WORK/said")"
	cst() { timeout -k 5 300 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
}
# A file that fs-verity seals keeps its blocks, and is read as before.
sealed() { # WHAT DRIVER
	where="$1, $2"
	remove_tree "$D/$2"
	store "$2"
	fill >/dev/null 2>&1
	local file places
	file=$(layer_file 2 d/large2)
	python3 - "$file" 2>/dev/null <<-'P' || { skip "$where: a file with fs-verity" "no fs-verity here" 3; return; }
		import fcntl, os, struct, sys
		fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x40806685, struct.pack("IIIIQII", 1, 1, 4096, 0, 0, 0, 0) + bytes(96))
	P
	places=$(filefrag -v "$file" | grep -E '^ +[0-9]+:' | cut -d: -f3)
	dedup && pass "$where: with a file that fs-verity seals" || fail "$where: with a file that fs-verity seals" "$(said)"
	is "it keeps its blocks" "$(filefrag -v "$file" | grep -E '^ +[0-9]+:' | cut -d: -f3)" "$places"
	cmp -s "$file" "$WORK/random" && pass "$where: and can be read" || fail "$where: and can be read"
}
# Another command at work, and what may be in the way.
in_use() { # WHAT DRIVER
	local n own said before
	where="$1, $2"
	remove_tree "$D/$2"
	store "$2"
	fill >/dev/null 2>&1
	dedup --dry-run && before=$(value equal)
	# Hashes: lost, torn, of files that changed.
	is "a lost file of hashes is made again" "$(rm "$R/cstorage/hashes" && dedup --dry-run && value equal && test -s "$R/cstorage/hashes" && echo there)" "$before"$'\nthere'
	for n in 0 20 100; do
		truncate -s $n "$R/cstorage/hashes"
		is "a torn one ($n bytes) is not used" "$(dedup --dry-run && value equal)" "$before"
	done
	head -c 400 /dev/urandom >"$R/cstorage/hashes"
	is "nor one of rubbish" "$(dedup --dry-run && value equal)" "$before"
	rm "$R/cstorage/hashes" && mkdir "$R/cstorage/hashes"
	is "nor a directory" "$(dedup --dry-run && value equal)" "$before"
	rmdir "$R/cstorage/hashes"
	# A file that nobody may change keeps its blocks; the others share.
	chattr +a "$(layer_file 2 same)"
	chattr +i "$(layer_file 1 same)" && own=$(filefrag -v "$(layer_file 1 same)" | grep -E '^ +[0-9]+:' | cut -d: -f3)
	chmod 000 "$(layer_file 4 same)"
	dedup && pass "$where: with an immutable file" || fail "$where: with an immutable file" "$(said)"
	is "an immutable file keeps its blocks" "$(filefrag -v "$(layer_file 1 same)" | grep -E '^ +[0-9]+:' | cut -d: -f3)" "$own"
	is "nor does one share that can only grow" "$(shares "$(layer_file 2 same)" && [ "$2" != vfs ] && echo yes)" ""
	chattr -i "$(layer_file 1 same)"
	chattr -a "$(layer_file 2 same)"
	# What is written to one of them stays there.
	dedup
	sums | grep -v "$(item 4)" >"$WORK/sums"
	dd if=/dev/zero of="$(layer_file 4 d/large4)" bs=4096 count=2 seek=3 conv=notrunc status=none
	sums | grep -v "$(item 4)" | diff "$WORK/sums" - >"$WORK/said" && pass "$where: a change of one is seen in no other" || fail "$where: a change of one is seen in no other" "$(head -n 3 "$WORK/said")"
	dedup
	is "the changed one is hashed again, and nothing else" "$(value hashed)" 20000123
	# A new layer: what is known already is not read again.
	cst import-layer -i "$(item 6)" -f "$WORK/3.tar" >/dev/null && cst create-image -i "$(item 96)" "$(item 6)" >/dev/null 2>&1
	dedup
	# large3, and of the size of `same` three more: same, other, hole.
	is "of a new layer only its own files are hashed" "$(($(value hashed) <= 20000123 + 3 * 300000 + 5000 + 60))" 1
	is "and it shares" "$(shares "$(layer_file 6 d/large3)" && echo yes)" yes
	before=$(dedup && value files && value equal)
	for n in 1 7; do
		is "in passes of $n files the same is found" "$(in_passes $n 2>&1)" "${before/$'\n'/ }"
	done
	# Layers that go meanwhile.
	for n in 1 2 3; do
		dedup --hash-method=size & { cst delete-image "$(item 96)"; cst import-layer -i "$(item 6)" -f "$WORK/3.tar"; cst create-image -i "$(item 96)" "$(item 6)"; } >/dev/null 2>&1
		wait $! || fail "$where: a layer is deleted meanwhile" "$(said)"
	done
	is "after layers were deleted meanwhile the store is whole" "$(audit)" ""
	# Interrupted: what was shared stays so.
	rm -f "$R/cstorage/hashes"
	timeout -s TERM 0.05 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" dedup >/dev/null 2>&1
	is "after an interruption" "$(dedup && value files && value equal)" "$before"
	cst delete-image "$(item 94)" >/dev/null 2>&1
	is "what no image has any more is left alone" "$(dedup && [ "$(value files)" -lt "${before%%$'\n'*}" ] && echo yes)" yes
}
# An image store beside the graph root: its layers share. Somebody else's store on the same disk: nothing of it is touched.
theirs() { (cd "$(layer_root "$(item 7)")" && find . -type f -printf '%p %i %m %U %G %n %s %T@ %C@ %A@\n' && find . -type f -exec filefrag -v {} +) | sort; }
in_stores() { # WHAT DRIVER
	where="$1, $2, stores"
	remove_tree "$D/$2"
	store "$2"
	local main_g=$G additional
	G=$D/$2/theirs
	{ cst import-layer -i "$(item 7)" -f "$WORK/1.tar" && cst create-image -i "$(item 97)" "$(item 7)"; } >/dev/null 2>&1
	additional=$(theirs)
	G=$main_g
	mkdir -p "$D/$2/images"
	split() { timeout 100 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" --image-store "$D/$DRIVER/images" --storage-opt "$DRIVER.imagestore=$D/$DRIVER/theirs" "$@"; }
	{
		split import-layer -r -i "$(item 1)" -f "$WORK/1.tar" && split create-image -i "$(item 91)" "$(item 1)" &&
			split import-layer -r -i "$(item 2)" -f "$WORK/2.tar" && split create-image -i "$(item 92)" "$(item 2)" &&
			split import-layer -r -i "$(item 3)" -f "$WORK/3.tar" "$(item 7)" && split create-image -i "$(item 93)" "$(item 3)"
	} >"$WORK/said" 2>&1 || fail "$where: a store" "$(said)"
	split dedup --json >"$WORK/said" 2>"$WORK/complaint" && pass "$where: dedup" || fail "$where: dedup" "$(said)"
	is "layers of the image store share" "$(($(value freed) > 20000000))" 1
	G=$D/$2/theirs
	theirs | diff <(echo "$additional") - >"$WORK/said" && pass "$where: nothing is done to somebody else's store" || fail "$where: nothing is done to somebody else's store" "$(said)"
	G=$main_g
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
		in_use $kind "$driver"
		in_stores $kind "$driver"
		kernel_asked $kind "$driver"
	done
	in_namespace $kind
	sealed $kind vfs
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
