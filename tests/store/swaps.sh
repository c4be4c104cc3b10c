#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An unprivileged user inside of a mounted layer swaps names for files of his own while a diff is applied to the layer, or
# files are copied into it. Owner, mode and attributes must only ever reach what the command made: no file outside of the
# layer changes, and nothing of the user's becomes root's.
#
# RACE_SECONDS=600 runs each attack for ten minutes; OURS=/path/containers-storage attacks another build.
. "$(dirname "$0")/lib.sh"
swap=$BUILD/tests/store/swap
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3 "$swap")
if [ -n "$lacking" ]; then
	skip "swapped names" "$lacking" 6
	finish
fi
seconds=${RACE_SECONDS:-3}
user=1234
count=400

# A base with a directory of the user's, and archives whose entries land in it: FIFOs, hard links to a file in front of
# them, files; all root's, with set-id bits.
mkdir -p "$WORK/in" "$WORK/source"
python3 - "$WORK/in" "$count" "$user" <<'P'
import io, sys, tarfile
folder, count, user = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def entry(name, **what):
    t = tarfile.TarInfo(name)
    t.mode, t.mtime = 0o4777, 1000000000
    for key, value in what.items():
        setattr(t, key, value)
    return t
with tarfile.open(folder + "/base.tar", "w") as tar:
    tar.addfile(entry("home", type=tarfile.DIRTYPE, mode=0o755))
    tar.addfile(entry("home/user", type=tarfile.DIRTYPE, mode=0o755, uid=user, gid=user))
for kind in "fifo", "hard", "file":
    with tarfile.open(folder + "/" + kind + ".tar", "w") as tar:
        if kind == "hard":
            tar.addfile(entry("home/first", size=5), io.BytesIO(b"first"))
        for n in range(count):
            name = "home/user/n%d" % n
            if kind == "fifo":
                tar.addfile(entry(name, type=tarfile.FIFOTYPE))
            elif kind == "hard":
                tar.addfile(entry(name, type=tarfile.LNKTYPE, linkname="home/first"))
            else:
                tar.addfile(entry(name, size=5), io.BytesIO(b"ours\n"))
P
for ((n = 0; n < count; n++)); do
	echo ours >"$WORK/source/n$n"
	chmod 4755 "$WORK/source/n$n"
done

victim=$WORK/victim
damage() { # prints what the user got; the names are cleared for the next round
	local changed
	changed=$(stat -c '%a %u %Y' "$victim")
	[ "$changed" = "600 0 1000000000" ] || echo "a file outside of the layer became $changed"
	chmod 600 "$victim" && touch -d @1000000000 "$victim"
	find "$home" -type f -user root -exec grep -lx evil {} +
	find "$home" -mindepth 1 -delete
}
attack() { # NAME HOW BAIT COMMAND...: for that many seconds, with the user at work; passes if he got nothing
	local name=$1 how=$2 bait=$3 got='' end=$((SECONDS + seconds)) pid rounds=0 worked=0
	shift 3
	echo secret >"$victim" && chmod 600 "$victim" && touch -d @1000000000 "$victim"
	while [ $SECONDS -lt $end ] && [ -z "$got" ]; do
		"$swap" "$home" $user $count "$how" "$bait" & pid=$!
		"$@" >"$WORK/said" 2>&1 && worked=$((worked + 1))
		kill "$pid" && wait "$pid" 2>/dev/null
		got=$(damage)
		rounds=$((rounds + 1))
	done
	if [ -n "$got" ]; then
		fail "$name" "in round $rounds: ${got:0:300}"
	elif [ $worked = 0 ]; then
		fail "$name" "the command never succeeded: $(head -c 300 "$WORK/said")"
	else
		pass "$name"
	fi
}

for driver in $have_drivers; do
	new_store "swaps-$driver" "$driver"
	ours import-layer -i work -f "$WORK/in/base.tar" >/dev/null
	home=$(ours mount work)/home/user
	# On overlay the archive is unpacked behind the mount, which remembers the names that were not there.
	[ "$driver" = vfs ] && how=spin || how=list
	for kind in fifo hard; do
		attack "$driver: a $kind swapped for a symlink" $how "link:$victim" ours applydiff -f "$WORK/in/$kind.tar" work
	done
	attack "$driver: an applied file swapped for one of the user's" $how $'file:evil\n' ours applydiff -f "$WORK/in/file.tar" work
	attack "$driver: a copied file swapped for one of the user's" spin $'file:evil\n' ours copy "$WORK/source/" work:/home/user
	ours unmount work >/dev/null
done
finish
