#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# composefs images beside mkcomposefs and composefs-info (MKCOMPOSEFS, COMPOSEFS_INFO; Debian has them from sid on): the same bytes for
# the same dump, and the same dump of the same image; of random trees, of what is at a border of the format, and of real trees.
# ROUNDS=n: so many random trees.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_command "${MKCOMPOSEFS:=mkcomposefs}" "${COMPOSEFS_INFO:=composefs-info}" python3)
if [ -n "$lacking" ]; then
	skip "composefs images beside mkcomposefs" "$lacking" 5
	finish
fi
same() { # FOLDER: every dump in it gives equal images, and those equal dumps
	local dump bad=
	for dump in "$1"/*; do
		"$MKCOMPOSEFS" --from-file - - <"$dump" >"$WORK/theirs" 2>"$WORK/said" || { bad+="${dump##*/}: $(cat "$WORK/said"); "; continue; }
		"$BUILD/cstorage" create-composefs "$dump" >"$WORK/ours" 2>"$WORK/said" || bad+="${dump##*/}: $(cat "$WORK/said"); "
		cmp -s "$WORK/theirs" "$WORK/ours" || bad+="${dump##*/}: the image differs; "
		"$COMPOSEFS_INFO" dump "$WORK/ours" >"$WORK/theirs" 2>"$WORK/said" || bad+="${dump##*/}: $(cat "$WORK/said"); "
		"$BUILD/cstorage" dump-composefs "$WORK/ours" >"$WORK/text" 2>"$WORK/said" || bad+="${dump##*/}: $(cat "$WORK/said"); "
		cmp -s "$WORK/theirs" "$WORK/text" || bad+="${dump##*/}: its dump differs; "
	done
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}
mkdir -p "$WORK/dumps" "$WORK/trees"
python3 "$TOP/tests/interop/composefs.py" dumps "$WORK/dumps" "${ROUNDS:-80}"
case_ "$(find "$WORK/dumps" -type f | wc -l) dumps, random ones and borders" same "$WORK/dumps"
for tree in /usr/share/doc /etc /usr/lib/python3 "$TOP/src"; do
	mkdir -p "$WORK/trees/${tree//\//-}"
	python3 "$TOP/tests/interop/composefs.py" tree "$tree" >"$WORK/trees/${tree//\//-}/dump"
	case_ "the tree $tree" same "$WORK/trees/${tree//\//-}"
done
finish
