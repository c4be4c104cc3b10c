# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Two commands, one store: what the interop suites share.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# The store in use: G, R and DRIVER, set by new_store.
ours() { timeout -k 5 120 "$OURS" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
go() { timeout -k 5 120 "$GO" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
new_store() { # NAME DRIVER
	G=$WORK/$1/root R=$WORK/$1/run DRIVER=$2
	remove_tree "${WORK:?}/$1"
	mkdir -p "$WORK/$1"
}
export HOME=$WORK
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$WORK/conf/root" "$WORK/conf/run" >"$WORK/storage.conf"
export CONTAINERS_STORAGE_CONF=$WORK/storage.conf

disk() { # FILE-SYSTEM MKFS-OPTION...: a fresh one of 700 MB, mounted at $D
	local kind=$1
	shift
	D=$WORK/disk
	mkdir -p "$D"
	umount -l "$D" 2>/dev/null
	rm -f "$WORK/disk.img"
	truncate -s 700M "$WORK/disk.img"
	"mkfs.$kind" -q "$@" "$WORK/disk.img" >/dev/null 2>&1 && mount -o loop "$WORK/disk.img" "$D" 2>/dev/null
}

drivers() { # those this machine can run below $WORK; or $DRIVERS
	[ -z "${DRIVERS-}" ] || { echo "$DRIVERS"; return; }
	[ -n "$(lacks_overlay)" ] || echo overlay
	[ "$(stat -f -c %T "$WORK")" != btrfs ] || echo btrfs
	echo vfs
}
# The Go command's version, as 1.64; 1.43 does not tell its own.
go_version() {
	local version
	version=$("$GO" -g "$WORK/version/root" -R "$WORK/version/run" -s vfs version 2>&1 | sed -n 's/.*Version: \([0-9]*\.[0-9]*\).*/\1/p')
	echo "${version:-1.43}"
}
# Ours writes the gzip that 1.64 writes; 1.43 and 1.57 are built with an older compressor, which has longer headers of blocks.
lacks_equal_compressor() {
	[ "$(printf '%s\n' 1.64 "$(go_version)" | sort -V | head -n 1)" = 1.64 ] ||
		echo "containers-storage 1.64, whose compressor ours equals (here: $(go_version))"
}
# Where the driver keeps what the layer $1 holds.
layer_root() {
	case $DRIVER in
	vfs) echo "$G/vfs/dir/$1" ;;
	btrfs) echo "$G/btrfs/subvolumes/$1" ;;
	*) echo "$G/$DRIVER/$1/diff" ;;
	esac
}
# What is in the tar-split of layer $1; how the bytes between files are cut into entries is nobody's business, and 1.43 may end with an empty one.
recipe() { # ID
	gzip -dc "$G/$DRIVER-layers/$1.tar-split.gz" | python3 -c '
import base64, hashlib, json, sys
between = b""
for line in sys.stdin:
    if not line.strip():
        continue
    entry = json.loads(line)
    entry.pop("position")
    if entry["type"] == 2:
        between += base64.b64decode(entry["payload"])
        continue
    print(len(between), hashlib.sha256(between).hexdigest())
    print(json.dumps(entry))
    between = b""
print(len(between), hashlib.sha256(between).hexdigest())'
}
# All there is to know of the files below $1; a time since the test began is "now", and so is one the command invented.
began=$(date +%s)
listing() {
	(
		cd "$1" || exit
		find . -printf '%T@ %y %m %U %G %n %s %p %l\n' | sort -k8 | awk -v began="$began" '
			$1 >= began { $1 = "now" }
			$2 == "d" { $7 = "-" }
			{ print }'
		find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex 2>/dev/null | sed '/^security.selinux/d'
		find . -type f -print0 | sort -z | xargs -0r sha256sum
		find . \( -type b -o -type c \) -print0 | sort -z | xargs -0r stat -c '%n %t:%T'
	)
}
same() { # NAME FILE FILE
	if cmp -s "$2" "$3"; then
		pass "$1"
	else
		fail "$1" "$(diff -a "$2" "$3" | head -n 10 | cut -c1-300 | sed '2,$s/^/  | /')"
	fi
}

# Is the store on disk one that nobody ever crashed in? Prints what is not.
audit() { python3 "$TOP/tests/interop/audit.py" "$G" "$R" "$DRIVER"; }
# Each version has its own order and choice of members in the JSON of a list; what both files tell of an item must be the same.
same_list() { # FILE FILE
	python3 - "$@" <<-'X'
		import json, sys
		for f in sys.argv[1:]:
		    if open(f).read(1) not in "[n":
		        sys.exit(open(f).read())
		a, b = (json.load(open(f)) or [] for f in sys.argv[1:])
		assert [x["id"] for x in a] == [x["id"] for x in b], "other items or another order"
		for x, y in zip(a, b):
		    for k in set(x) & set(y):
		        assert x[k] == y[k], (x["id"], k, x[k], y[k])
	X
}
