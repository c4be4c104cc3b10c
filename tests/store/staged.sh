#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Staged layers that a program kept are listed and removed by the command; nothing else sees them.
. "$(dirname "$0")/lib.sh"
keep=$BUILD/tests/store/keep
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3 "$keep")
if [ -n "$lacking" ]; then
	skip "staged layers that were kept" "$lacking" 24
	finish
fi
mkdir -p "$WORK/in" && echo data >"$WORK/in/file" && tar -cf "$WORK/in.tar" -C "$WORK/in" file

cst() { timeout -k 5 60 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
is() { # TEXT WORDS...: what the command prints
	local want=$1 got
	shift
	got=$(cst "$@" 2>&1) || true
	[ "$got" = "$want" ] || { echo "$got"; return 1; }
}
for DRIVER in $have_drivers; do
	new_store "staged-$DRIVER" "$DRIVER"
	cst create-layer -i base >/dev/null
	case_ "$DRIVER: none are kept" is "" staged
	case_ "$DRIVER: none, as JSON" is "[]" staged --json
	first=$("$keep" "$G" "$R" "$DRIVER" "$WORK/in.tar") && second=$("$keep" "$G" "$R" "$DRIVER" "$WORK/in.tar")
	listed=$(cst staged | sort)
	case_ "$DRIVER: two are listed" test "$listed" = "$(printf '%s\n' "$first" "$second" | sort)"
	case_ "$DRIVER: no layer is made of them" is base layers -q
	case_ "$DRIVER: gc leaves them" is "[]" gc --json
	case_ "$DRIVER: one goes" is \
		"$(printf '[{"id":"%s"}]\n' "$first")" discard-staged --json "$first"
	case_ "$DRIVER: one is left" is "$second" staged
	case_ "$DRIVER: nothing is wrong" is "[]" check --json
	said=$(cst discard-staged "$first" "$second" 2>&1) && fail "$DRIVER: an unknown ID is an error" || pass "$DRIVER: an unknown ID is an error"
	[[ $said == *"$first"*"$second"* ]] && pass "$DRIVER: it is named, and the other goes" || fail "$DRIVER: it is named, and the other goes" "$said"
	case_ "$DRIVER: none are left" is "" staged
	left=$(find "$WORK/staged-$DRIVER" -name file)
	case_ "$DRIVER: nor files of them" test -z "$left"
done
finish
