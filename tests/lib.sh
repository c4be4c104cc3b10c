# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What every suite written in shell shares; a suite is an executable tests/NAME/run, started by tests/run.
#
#   case_ NAME COMMAND...   passes if the command succeeds, else shows what it said
#   pass NAME               fail NAME [WHY]               skip NAME WHAT-THE-MACHINE-LACKS [HOW-MANY]
#   counted NAME COMMAND... the command is a suite itself: its cases are added to ours
#   into FILE COMMAND...    runs it with & beside others; `counted NAME from FILE` once they are over
#   finish                  prints `N passed, N failed, N skipped` and exits; nothing comes after it
#
# tests/run sets: TOP (the source), BUILD, OURS and GO (the two commands; GO is empty where the machine has none), WORK (a
# scratch folder of the suite's own), SLICE=1 (short). Started by hand, a suite gets sensible values here.
set -u
export LC_ALL=C
umask 022
TOP=${TOP:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
BUILD=${BUILD:-$TOP/build}
case $BUILD in /*) ;; *) BUILD=$TOP/$BUILD ;; esac
if [ -z "${WORK-}" ]; then
	WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/cst-XXXXXX")
	work_is_ours=1
fi
if [ -z "${OURS-}" ]; then
	mkdir -p "$WORK/.ours"
	ln -sf "$BUILD/cstorage" "$WORK/.ours/containers-storage"
	OURS=$WORK/.ours/containers-storage
fi
GO=${GO-$(command -v containers-storage || true)}
export TOP BUILD WORK OURS GO

passed=0 failed=0 skipped=0
pass() {
	passed=$((passed + 1))
	[ -z "${VERBOSE-}" ] || echo "ok   $1"
}
fail() {
	failed=$((failed + 1))
	echo "FAIL $1${2:+: $2}"
}
skip() {
	skipped=$((skipped + ${3:-1}))
	echo "SKIP $1: $2"
}
case_() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		pass "$name"
	else
		fail "$name" "$(printf '%s\n' "$said" | tail -n 20 | sed '2,$s/^/  | /')"
		return 1
	fi
}
counted() {
	local name=$1 said=$WORK/.counted status p f s
	shift
	"$@" >"$said" 2>&1
	status=$?
	if read -r p _ f _ s _ < <(tail -n 1 "$said" | grep -xE '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped'); then
		sed '$d' "$said"
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
		[ "$status" = 0 ] || [ "$f" != 0 ] || fail "$name" "exit status $status"
	else
		sed 's/^/  | /' "$said" | tail -n 40
		fail "$name" "died without a summary, exit status $status"
	fi
}
into() {
	"${@:2}" >"$1" 2>&1
	echo $? >"$1.status"
}
from() {
	cat "$1"
	return "$(cat "$1.status")"
}
# What is mounted below $1 goes, innermost first.
unmount_below() {
	while read -r _ at _; do
		case $at in "$1"/*) printf '%s\n' "$at" ;; esac
	done </proc/self/mounts | sort -r | while read -r at; do umount -l "$(printf '%b' "$at")" 2>/dev/null; done
}
# For rm a subvolume is another file system.
remove_subvolumes() {
	[ "$(stat -f -c %T "$1" 2>/dev/null)" != btrfs ] || find "$1" -depth -inum 256 -type d ! -path "$1" -exec btrfs -q subvolume delete {} + 2>/dev/null
}
# Layer roots may be read-only, and a user's store has files of the user's subordinate IDs.
remove_tree() {
	unmount_below "$1"
	remove_subvolumes "$1"
	rm -rf --one-file-system "$1" 2>/dev/null && return
	chmod -R u+rwX "$1" 2>/dev/null
	rm -rf --one-file-system "$1" 2>/dev/null || unshare --map-root-user --map-auto rm -rf --one-file-system "$1"
}
finish() {
	[ -z "${work_is_ours-}" ] || remove_tree "$WORK"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

# What can this machine do? Each prints what is lacking, or nothing.
lacks_root() { [ "$(id -u)" = 0 ] || echo "not root"; }
# A user's store lives in a user namespace, and that takes ranges of IDs.
lacks_ids() {
	[ -n "$(lacks_root)" ] || return
	grep -q "^$(id -un):" /etc/subuid 2>/dev/null && grep -q "^$(id -un):" /etc/subgid || echo "no subordinate ids for $(id -un)"
}
lacks_command() { # COMMAND...
	local c
	for c; do command -v "$c" >/dev/null || { echo "no $c"; return; }; done
}
lacks_go() { [ -n "$GO" ] || echo "no containers-storage (the Go one)"; }
# A fresh btrfs at the folder $1, on an image file of $2 (1G) beside it. False: this machine cannot.
btrfs_at() {
	mkdir -p "$1"
	truncate -s "${2:-1G}" "$1.image"
	mkfs.btrfs -q -f "$1.image" >/dev/null 2>&1 && mount -o loop "$1.image" "$1" 2>/dev/null
}
lacks_overlay() {
	[ -z "$(lacks_root)" ] || { lacks_root; return; }
	local t=$WORK/.overlay
	mkdir -p "$t/lower" "$t/upper" "$t/work" "$t/merged"
	if mount -t overlay -o "lowerdir=$t/lower,upperdir=$t/upper,workdir=$t/work" none "$t/merged" 2>/dev/null; then
		umount "$t/merged"
	else
		echo "no overlay mount here"
	fi
	rm -rf "$t"
}
