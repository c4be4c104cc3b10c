#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every verb with its options and operands, right and wrong, by both commands on the same store: they print the same, exit
# the same and leave the same (verbs.py). By itself a part of the table on vfs, and of that part on overlay what the driver
# has a say in; with ROUNDS=n also n lines made at random on each (SEED=n: those of an earlier run); with VERBS=all the whole table
# on every driver, which takes an hour each.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3 bash)
[ -n "$lacking" ] || lacking=$(lacks_go)
if [ -z "$lacking" ]; then
	# Older ones have other verbs, options and messages: tests/cli/README.md.
	new_store version vfs
	version=$(go version 2>&1 | sed -n 's/^Version: //p')
	[ "$(printf '%s\n' 1.64 "${version:-0}" | sort -V | head -n 1)" = 1.64 ] ||
		lacking="no containers-storage of 1.64 or later, this is ${version:-an older one}"
fi
if [ -n "$lacking" ]; then
	skip "both commands, every verb" "$lacking"
	finish
fi
verbs() { "$TOP/tests/interop/verbs.py" "$@" "$folder/verbs" "$OURS" "$GO"; }
lacking=$(lacks_command btrfs mkfs.btrfs)
[ -n "$lacking" ] || btrfs_at "$WORK/btrfs" || lacking="no btrfs on a loop device here"
[ -z "$lacking" ] || skip "verbs on btrfs" "$lacking"
for driver in $(drivers) $([ -n "$lacking" ] || echo btrfs); do
	folder=$WORK
	[ "$driver" != btrfs ] || folder=$WORK/btrfs
	counted "verbs on $driver" verbs -d "$driver" ${VERBS:+-a}
	[ -z "${ROUNDS-}" ] || counted "$ROUNDS lines at random on $driver" verbs -d "$driver" -r "$ROUNDS" ${SEED:+-s "$SEED"}
done
finish
