#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A store large enough for an index (docs/format/index.md). Ours and the Go command change it by turns, at random, while the index
# is deleted, cut, damaged and swapped for older ones at any moment, and processes of ours are killed. Nobody may get an answer
# that is not in the record files.
#
#   STORM=n   seconds (15; `make test-peers`: 600)
#   SEED=n    what the dice begin with; it is printed
. "$(dirname "$0")/lib.sh"
seconds=${STORM:-15}
[ -z "${SLICE-}" ] || seconds=8
seed=${SEED:-$RANDOM}
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
[ -n "$lacking" ] || lacking=$(lacks_root)
if [ -n "$lacking" ]; then
	skip "a store with an index" "$lacking" 6
	finish
fi
driver=$(drivers | head -n 1)
new_store index "$driver"
ours create-layer -i seed >/dev/null
python3 "$TOP/tests/interop/index.py" fill "$G" "$driver"

case_ "the first look makes an index" ours exists seed
[ -n "$(find "$R/cstorage" -name 'layers-*.index' -perm 600)" ] && pass "it is there, for its owner only" ||
	fail "it is there, for its owner only" "$(ls -lR "$R/cstorage" 2>&1)"
# What a save splices is what the Go command prints: it rewrites the file, and finds nothing to do in another way.
ours set-metadata -m spliced seed
cp "$G/$driver-layers/layers.json" "$WORK/spliced"
go add-names -n passing seed >/dev/null && go set-names seed >/dev/null
case_ "ours splices the bytes that the Go command prints" cmp "$WORK/spliced" "$G/$driver-layers/layers.json"

echo "note: SEED=$seed, $seconds s"
python3 "$TOP/tests/interop/index.py" storm "$G" "$driver" "$R" "$OURS" "$GO" "$seconds" "$seed" >"$WORK/errors" 2>"$WORK/note"
echo "note: $(cat "$WORK/note")"
[ -s "$WORK/errors" ] && fail "every answer is that of the record files (SEED=$seed)" "$(head -n 20 "$WORK/errors" | cut -c1-400)" ||
	pass "every answer is that of the record files"
for list in layers images; do
	ours "$list" -j >"$WORK/a" 2>&1
	go "$list" -j >"$WORK/b" 2>&1
	case_ "both list the same $list" same_list "$WORK/a" "$WORK/b"
done
remove_tree "$WORK/index"
finish
