#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Random trees and a real one, plain, as several members of gzip and as several frames of zstd: one task, all tasks and the Go
# command make the same files and the same recipe of them. SEEDS: other random trees.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command python3 getfattr taskset zstd)
[ -n "$lacking" ] || lacking=$(lacks_root)
if [ -n "$lacking" ]; then
	skip "random trees by one task, by all and by Go" "$lacking" 60
	finish
fi
mkdir "$WORK/in" "$WORK/out"
seeds=${SEEDS:-1 2 3 4}
single() { taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')" timeout -k 5 120 "$OURS" -g "$G" -R "$R" -s "$DRIVER" "$@"; }

trees=()
for seed in $seeds; do
	python3 "$TOP/tests/interop/trees.py" random "$seed" "$WORK/in/seed$seed" || fail "trees.py random $seed"
	trees+=("seed$seed")
done
tar -C / --sort=name -cf "$WORK/in/real" usr/include/linux etc 2>/dev/null
trees+=(real)
for tree in "${trees[@]}"; do
	python3 "$TOP/tests/interop/trees.py" pieces "$WORK/in/$tree" || fail "trees.py pieces $tree"
done

DRIVER=$(drivers | head -n 1)
for tree in "${trees[@]}"; do
	for end in "" .gz .zst; do
		for who in single ours go; do
			new_store "$who" "$DRIVER"
			to=$WORK/out/$tree$end-$who
			id=$(echo "$tree" | sha256sum | cut -d' ' -f1)
			if ! said=$($who import-layer -i "$id" -f "$WORK/in/$tree$end" 2>&1); then
				echo "$said" >"$to.tree"
				continue
			fi
			listing "$(layer_root "$id")" >"$to.tree"
			recipe "$id" >"$to.recipe"
		done
		from=$WORK/out/$tree$end
		for what in tree recipe; do
			if [ -s "$from-single.$what" ]; then
				same "$tree$end: $what, one task and all" "$from-single.$what" "$from-ours.$what"
				same "$tree$end: $what, ours and Go's" "$from-ours.$what" "$from-go.$what"
			else
				fail "$tree$end: $what, ours" "$(head -n 3 "$from-single.tree")"
			fi
		done
	done
done
finish
