#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The man pages as a reader sees them. A page that was built has every word of its source, as often as there, and no mark-up.
. "$(dirname "$0")/../lib.sh"
lacking=$(lacks_command groff)
[ -e "$BUILD/docs/cstorage.1" ] || lacking="no lowdown when this was built"
pages=("$TOP"/docs/man/*.md)
if [ -n "$lacking" ]; then
	skip "man pages" "$lacking" ${#pages[@]}
	finish
fi

# Words include what identifiers, options and variables are made of. "*" is mark-up or C.
words() { tr -d '*' | grep -oE -- '[$A-Za-z0-9_-]+' | grep '[A-Za-z0-9]' | sort; }
# Without its first and last line, which are the title and the version. Lines are long enough to be never broken.
rendered() { groff -t -man -Tutf8 -P-c -P-b -P-o -P-u -rLL=2000n -rcR=1 "$BUILD/docs/$1" | sed '1d; $d'; }
shows_all() { # PAGE
	rendered "$1" >"$WORK/page"
	sed 1d "$TOP/docs/man/$1.md" | words >"$WORK/source-words"
	words <"$WORK/page" | diff "$WORK/source-words" - &&
		! grep -nE '(^| ):   |\\_|^ *[|] ' "$WORK/page"
}
for page in "${pages[@]}"; do
	page=$(basename "$page" .md)
	case_ "$page" shows_all "$page"
done
finish
