#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cstorage prune: what nobody uses goes, by kind and age, and nothing else.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "prune" "$lacking" 30
	finish
fi
item() { printf '%064d' "$1"; }
cst() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
# Layers 1 < 2 < 3, image 11 on 3 with container 21 (layer 31), image 12 on 2, layer 4 on 1, layers 5 < 6, image 13 of 6.
build() {
	new_store prune "$DRIVER"
	mkdir -p "$WORK/in/d"
	head -c 3000 /dev/zero >"$WORK/in/d/f"
	tar -C "$WORK/in" -cf "$WORK/in.tar" d
	cst import-layer -i "$(item 1)" -f "$WORK/in.tar" && cst create-layer -i "$(item 2)" "$(item 1)" && cst create-layer -i "$(item 3)" "$(item 2)" &&
		cst create-layer -i "$(item 4)" "$(item 1)" && cst import-layer -i "$(item 5)" -f "$WORK/in.tar" && cst create-layer -i "$(item 6)" "$(item 5)" &&
		cst create-image -i "$(item 11)" -n used "$(item 3)" && cst create-image -i "$(item 12)" -n named "$(item 2)" && cst create-image -i "$(item 13)" "$(item 6)" &&
		cst create-container -i "$(item 21)" used && cst create-layer -i "$(item 7)" "$(item 4)"
}
left() { { cst layers -q; cst images -q; cst containers -q; } 2>&1 | sed 's/^0*//' | sort -n | grep -vE '.{20}' | tr '\n' ' '; }
prune() { cst prune --json "$@" 2>&1 | python3 -c 'import json, sys; print(*sorted(int(x["id"], 16) if len(x["id"].lstrip("0")) < 9 else 99 for x in json.load(sys.stdin)))' 2>&1; }
expect() { # NAME PRUNED LEFT OPTION...
	local name=$1 pruned=$2 stays=$3 got
	shift 3
	build >/dev/null 2>&1
	got=$(prune --dry-run "$@")
	[ "$got" = "$pruned" ] && pass "$DRIVER: $name: what would go" || fail "$DRIVER: $name: what would go" "$got"
	[ "$(left)" = "1 2 3 4 5 6 7 11 12 13 21 " ] && pass "$DRIVER: $name: a dry run deletes nothing" || fail "$DRIVER: $name: a dry run deletes nothing" "$(left)"
	got=$(prune "$@")
	[ "$got" = "$pruned" ] && pass "$DRIVER: $name: what goes" || fail "$DRIVER: $name: what goes" "$got"
	got=$(left)
	[ "$got" = "$stays" ] && pass "$DRIVER: $name: what stays" || fail "$DRIVER: $name: what stays" "$got"
	got=$(audit; cst check --json -m 1000h)
	[ "$got" = "[]" ] && pass "$DRIVER: $name: the store is whole" || fail "$DRIVER: $name: the store is whole" "$got"
}
hex() { for n; do printf '%d ' "0x$n"; done | sed 's/ $//'; }
for DRIVER in $(drivers); do
	expect "layers" "$(hex 4 7)" "1 2 3 5 6 11 12 13 21 " --older-than 0
	expect "nothing is old enough" "" "1 2 3 4 5 6 7 11 12 13 21 "
	expect "images" "$(hex 5 6 12 13)" "1 2 3 4 7 11 21 " --images --older-than 0
	expect "images and layers" "$(hex 4 5 6 7 12 13)" "1 2 3 11 21 " --images --layers --older-than 0
	expect "containers" "$(hex 21) 99" "1 2 3 4 5 6 7 11 12 13 " --containers --older-than 0
	expect "everything" "$(hex 1 2 3 4 5 6 7 11 12 13 21) 99" "" --containers --images --layers --older-than 0
	build >/dev/null 2>&1
	cst mount "$(item 7)" >/dev/null && cst mount "$(item 21)" >/dev/null
	got=$(prune --containers --images --layers --older-than 0)
	[ "$got" = "$(hex 5 6 12 13)" ] && pass "$DRIVER: what is mounted stays" || fail "$DRIVER: what is mounted stays" "$got"
	cst unmount "$(item 7)" "$(item 21)" >/dev/null
	[ "$(cst prune --layers --images --containers --older-than 0 --json | python3 -c 'import json, sys; print(sum(x["bytes"] for x in json.load(sys.stdin)) >= 3000)')" = True ] &&
		pass "$DRIVER: with its size" || fail "$DRIVER: with its size"
done
finish
