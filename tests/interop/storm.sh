#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Mixed and parallel: four processes of ours and four of the Go command do everything at random to one store, with few IDs and
# names, so that they get in each other's way. Nobody may hear an error that the rules of the store do not explain (storm.py has
# them), and afterwards the store is whole, both commands see the same, and nothing is left when everything was deleted.
#
#   STORM=n   seconds on each driver (15; `make test-peers`: 600): half of it undisturbed, half of it with processes of ours killed
#             at any moment, by SIGKILL
#   DRIVERS   only these
#   SEED=n    what the dice begin with; it is printed. The order in which processes run is not ours to choose.
#
# Where Go's command complains, or its version is known to leave something, two Go commands are let loose instead: what they
# say to each other, too, is theirs. What ours says is never forgiven.
. "$(dirname "$0")/lib.sh"
seconds=${STORM:-15}
[ -z "${SLICE-}" ] || seconds=6
seed=${SEED:-$RANDOM}
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
[ -n "$lacking" ] || lacking=$(lacks_root)
if [ -n "$lacking" ]; then
	skip "everything at once, at random" "$lacking" 24
	finish
fi

storm() { # run|end FIRST SECOND OPTION...: in the store in use
	local what=$1 first=$2 second=$3
	shift 3
	python3 "$TOP/tests/interop/storm.py" "$what" "$G" "$R" "$DRIVER" "$SCRATCH" "$first" "$second" "$@"
}
use_store() { # NAME DRIVER
	new_store "$1" "$2"
	SCRATCH=$WORK/$1/scratch
}
anonymous() { sed -E 's/[0-9a-f]{64}/ID/g; s,/[^ ]*/(root|run)/[^ ]*,PATH,g'; }
# What two Go commands say to each other, and leave behind, in a storm as long.
control() { # KILL-OR-NOT
	local name=control-$DRIVER$1
	if [ ! -e "$WORK/$name" ]; then
		(
			use_store "control-store" "$DRIVER"
			storm run "$GO" "$GO" --seconds "$half" --seed "$seed" $1 $volatile 2>/dev/null | sort -u >"$WORK/$name"
			# What a killed Go command leaves is no excuse for ours.
			[ -n "$1" ] || audit | anonymous | sort -u >>"$WORK/$name"
			remove_tree "$WORK/control-store"
		)
	fi
	cat "$WORK/$name"
}
# Passes if all lines of the file are also Go's own, which "ours ..." cannot be.
judge() { # NAME FILE KILL-OR-NOT
	if [ -s "$2" ] && ! grep -q '^ours ' "$2" && ! anonymous <"$2" | grep -qvxFf <(control "$3"); then
		echo "note: $1: two Go commands do so, too: $(anonymous <"$2" | sort -u | head -n 5 | cut -c1-200 | tr '\n' ';')"
	elif [ -s "$2" ]; then
		fail "$1 (SEED=$seed)" "$(head -n 20 "$2" | cut -c1-400 | sed '2,$s/^/  | /')"
		head -n 10 "$SCRATCH/word-for-word" | cut -c1-600 | sed 's/^/  | /'
		return
	fi
	pass "$1"
}
# 1.43 knows no volatile records.
has_volatile() {
	use_store probe vfs
	go create-container --volatile '' >/dev/null 2>&1
	[ -e "$G/vfs-containers/volatile-containers.json" ]
}
volatile=
has_volatile && volatile=--volatile

half=$((seconds / 2))
echo "note: SEED=$seed, $half s undisturbed and $half s with kills on each driver"
for driver in ${DRIVERS:-$(drivers)}; do
	for kill in '' --kill; do
		name="$driver${kill:+, with kills}"
		use_store "storm-$driver$kill" "$driver"
		storm run "$OURS" "$GO" --seconds "$half" --seed "$seed" $kill $volatile >"$WORK/errors" 2>"$WORK/note"
		echo "note: $name: $(cat "$WORK/note")"
		judge "$name: everybody gets the answers that the rules explain" "$WORK/errors" "$kill"

		# One opener of ours settles what the killed ones left, but for mounts: those may be wanted.
		case_ "$name: the store opens" ours layers
		audit >"$WORK/findings"
		[ -z "$kill" ] || sed -i '/is mounted, and no mount is counted$/d; /^a mount of layer .* is counted, and there is none$/d' \
			"$WORK/findings"
		judge "$name: the store is whole" "$WORK/findings" "$kill"
		for list in layers images containers; do
			ours "$list" -j >"$WORK/a" 2>&1
			go "$list" -j >"$WORK/b" 2>&1
			case_ "$name: both list the same $list" same_list "$WORK/a" "$WORK/b"
		done
		if [ -z "$kill" ]; then
			said=$(cat "$R/$driver-layers/mountpoints.json")
			[[ $said = '[]' || $said = '' ]] && pass "$name: every mount was given back" ||
				fail "$name: every mount was given back (SEED=$seed)" "$said"
		fi

		storm end "$OURS" "$GO" >"$WORK/errors"
		judge "$name: everything is unmounted and deleted" "$WORK/errors" "$kill"
		for list in layers images containers; do
			said=$(ours "$list" -j 2>&1)$(go "$list" -j 2>&1)
			case $said in *'"id"'*) fail "$name: no $list are left (SEED=$seed)" "$said" ;; *) pass "$name: no $list are left" ;; esac
		done
		audit >"$WORK/findings"
		judge "$name: nothing is left" "$WORK/findings" "$kill"
		remove_tree "$WORK/storm-$driver$kill"
	done
done
finish
