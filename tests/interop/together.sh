#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Both commands at work at the same time on one store, ROUNDS of everything each (30; `make test-peers`: 500). Nobody sees an
# error that two Go commands would not also give each other, and what is on disk afterwards is whole.
. "$(dirname "$0")/lib.sh"
rounds=${ROUNDS:-30}
[ -z "${SLICE-}" ] || rounds=5
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
[ -n "$lacking" ] || lacking=$(lacks_root)
if [ -n "$lacking" ]; then
	skip "two commands at once" "$lacking" 30
	finish
fi
mkdir "$WORK/in"
python3 "$TOP/tests/interop/fixture.py" "$WORK/in"

# One line per error: what was asked, and the answer without what differs from run to run.
complain() { # WHAT ANSWER
	echo "$(date +%T.%N) ${who-reader} ${item-}: $1: $2" >>"$WORK/word-for-word"
	printf '%s: %s\n' "$1" "$2" | tr '\n' ' ' | sed -E 's/[0-9a-f]{64}/ID/g; s/[a-z]+-[0-9]+-[a-z]+/ITEM/g; s,/[^ ]*/(root|run)/[^ :"]*,PATH,g
		s/time="[^"]*"/time/g; s/[0-9]{3,}/N/g; s/ +$//; s/$/\n/'
}
try() { # what must succeed
	local said
	said=$("$@" 2>&1) || { complain "$2" "$said"; return 1; }
}
# One round after the other, as command $1 (ours or go) in the role $2; errors come out.
work() {
	local who=$1 role=$2 i item at said
	for ((i = 1; i <= rounds; i++)); do
		item=$role-$i
		try "$who" import-layer -i "$item-a" -n "$item-name" -f "$WORK/in/change.tar.gz" base
		try "$who" create-layer -i "$item-b" "$item-a"
		try "$who" create-image -i "$item-image" -n "$item-image" -m "metadata of $item" "$item-b"
		try "$who" set-image-data -f "$WORK/storage.conf" "$item-image" some/key
		try "$who" create-container -i "$item-container" -n "$item-container" "$item-image"
		try "$who" add-names -n "$item-more" "$item-container"
		# A layer that both want: one gets it.
		if said=$("$who" create-layer -i "race-$i-x" 2>&1); then
			echo "$i" >>"$WORK/won-$role"
		else
			case $said in *"that ID is already in use"*) ;; *) complain "create-layer, both" "$said" ;; esac
		fi
		# A container that both use.
		try "$who" mount shared
		if at=$("$who" mount "$item-container" 2>&1); then
			if ! { echo "$item" >"$at/written" && [ "$(cat "$at/etc/new")" = new ] && [ ! -e "$at/gone/a" ]; } 2>/dev/null; then
				complain "content" "$at"
			fi
		else
			complain mount "$at"
		fi
		said=$("$who" layers -j 2>&1) && case $said in *'"id":"base"'*"\"id\":\"$item-b\""*) true ;; *) false ;; esac ||
			complain "layers -j" "${said:0:300}"
		try "$who" unmount "$item-container"
		try "$who" unmount shared
		said=$("$who" get-names "$item-container" 2>&1 | sort | xargs) # 1.43 adds behind, later ones in front
		[ "$said" = "$item-container $item-more" ] || complain get-names "$said"
		[ $((i % 4)) = 0 ] && continue # some stay
		try "$who" delete-container "$item-container"
		if [ $((i % 2)) = 0 ]; then
			try "$who" delete-image "$item-image"
		else
			try "$who" set-names -n "$item-renamed" "$item-image"
			try "$who" delete "$item-image"
			try "$who" delete-layer "$item-b"
			try "$who" delete-layer "$item-a"
		fi
	done
}
# Readers must find a whole store at any moment.
watch() {
	local said list
	while [ ! -e "$WORK/stop" ]; do
		for list in layers images containers; do
			said=$("$1" "$list" -j 2>&1) || complain "$list -j, only reading" "$said"
			printf '%s' "$said" | python3 -c 'import json, sys; json.load(sys.stdin)' 2>/dev/null || complain "$list -j is no JSON" "$said"
		done
		sleep 0.2
	done
}
rm -f "$WORK/stop"
both() { # ONE OTHER: errors to errors-1, errors-2 and errors-watch
	rm -f "$WORK"/won-* "$WORK/stop"
	ours import-layer -i base -f "$WORK/in/base.tar" >/dev/null || return
	ours create-image -i shared-image base >/dev/null || return
	ours create-container -i shared -n shared shared-image >/dev/null || return
	watch "$1" >"$WORK/errors-watch" & watcher=$!
	work "$1" one >"$WORK/errors-1" 2>&1 & first=$!
	work "$2" two >"$WORK/errors-2" 2>&1 & second=$!
	wait "$first"
	wait "$second"
	touch "$WORK/stop"
	wait "$watcher"
	return 0
}
count() { grep -c . "$1"; }

for driver in $(drivers); do
	new_store "both-$driver" "$driver"
	if ! both ours go; then
		fail "$driver: a store to work on" "$(ours layers 2>&1 | tail -n 3)"
		continue
	fi
	# Go's commands among themselves are not free of errors either: what two of them also say is theirs.
	cat "$WORK/errors-1" "$WORK/errors-2" "$WORK/errors-watch" | sort | uniq -c | sort -rn >"$WORK/errors"
	if [ -s "$WORK/errors" ]; then
		mv "$WORK/word-for-word" "$WORK/first-words"
		(
			new_store "control-$driver" "$driver"
			both go go
			cat "$WORK/errors-1" "$WORK/errors-2" "$WORK/errors-watch" | sort -u >"$WORK/control"
		)
		sed 's/^ *[0-9]* //' "$WORK/errors" | grep -vxFf "$WORK/control" >"$WORK/only-here"
		if [ -s "$WORK/only-here" ]; then
			fail "$driver: $rounds rounds each" "$(head -n 10 "$WORK/errors" | cut -c1-400 | sed '2,$s/^/  | /')"
			head -n 5 "$WORK/first-words" | cut -c1-600 | sed 's/^/  | /'
		else
			pass "$driver: $rounds rounds each"
			echo "note: $driver: two Go commands say to each other, too: $(head -n 5 "$WORK/errors" | cut -c1-200)"
		fi
	else
		pass "$driver: $rounds rounds each"
	fi
	won=$(cat "$WORK"/won-* 2>/dev/null | sort -n | uniq | wc -l)
	twice=$(cat "$WORK"/won-* 2>/dev/null | sort -n | uniq -d | wc -l)
	if [ ! -s "$WORK/errors" ]; then
		[ "$won" = "$rounds" ] && [ "$twice" = 0 ] && pass "$driver: a layer that both make is made once" ||
			fail "$driver: a layer that both make is made once" "$won of $rounds were made, $twice twice"
	fi
	for list in layers images containers; do
		ours "$list" -j >"$WORK/a" 2>&1
		go "$list" -j >"$WORK/b" 2>&1
		case_ "$driver: some $list are there" grep -q '"id"' "$WORK/a"
		case_ "$driver: both list the same $list" same_list "$WORK/a" "$WORK/b"
	done
	for i in 1 2; do
		[ $i = 1 ] && role=one || role=two
		want=$((rounds / 4))
		have=$(ours containers -j | python3 -c "import json, sys; print(sum(x['id'].startswith('$role-') for x in json.load(sys.stdin) or []))")
		[ "$have" = "$want" ] && pass "$driver: what stays is there ($role)" || fail "$driver: what stays is there ($role)" "$have, not $want"
	done
	said=$(audit)
	[ -z "$said" ] && pass "$driver: nothing is left over" || fail "$driver: nothing is left over" "$(head -n 10 <<<"$said")"
	said=$(ours mounted shared 2>&1)
	case $said in '' | *"not mounted"* | *0*) pass "$driver: every mount was given back" ;; *) fail "$driver: every mount was given back" "$said" ;; esac
	# Both can take it down to nothing.
	case_ "$driver: wipe" go wipe
	said=$(ours layers -j 2>&1)
	[[ $said = null || $said = '[]' ]] && pass "$driver: ours sees it empty" || fail "$driver: ours sees it empty" "$said"
	said=$(audit)
	[ -z "$said" ] && pass "$driver: nothing is left after a wipe" || fail "$driver: nothing is left after a wipe" "$(head -n 10 <<<"$said")"
done
finish
