#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One archive, imported by both commands: the same files, the same record, the same bytes back, and each gives back what the
# other took in.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command python3 getfattr)
[ -n "$lacking" ] || lacking=$(lacks_root)
if [ -n "$lacking" ]; then
	skip "the same layer by both commands" "$lacking" 100
	finish
fi
mkdir "$WORK/in" "$WORK/out"
python3 "$TOP/tests/interop/fixture.py" "$WORK/in" || { fail "fixture.py"; finish; }
out=$WORK/out
archives=(base.tar change.tar base.tar.gz base.tar.bz2 base.tar.xz gnu.tar empty.tar nothing.tar)
if [ -z "$(lacks_command zstd)" ]; then
	zstd -q "$WORK/in/base.tar" -o "$WORK/in/base.tar.zst"
	archives+=(base.tar.zst)
else
	skip "a zstd layer" "no zstd" 10
fi
sha() { sha256sum | cut -d' ' -f1; }
id_of() { echo "$1" | sha; }

# The record, but the time. Version 1.43 writes some members that later ones leave out, in the other order: compared is what
# each holds, not the order.
record() { # ID
	python3 - "$G/$DRIVER-layers/layers.json" "$1" <<-'X'
		import json, sys
		for x in json.load(open(sys.argv[1])):
		    if x["id"] == sys.argv[2]:
		        x.pop("created")
		        print(json.dumps(x, sort_keys=True, indent=1))
	X
}

for driver in $(drivers); do
	for who in ours go; do
		new_store "$driver-$who" "$driver"
		parent=
		for archive in "${archives[@]}"; do
			id=$(id_of "$archive")
			# Only the change has a parent.
			parent=
			[ "$archive" != change.tar ] || parent=$(id_of base.tar)
			if ! said=$($who import-layer -i "$id" -n "$archive" -f "$WORK/in/$archive" ${parent:+"$parent"} 2>&1); then
				fail "$driver: $who imports $archive" "$said"
				continue
			fi
			pass "$driver: $who imports $archive"
			to=$out/$driver-$who-$archive
			listing "$(layer_root "$id")" >"$to.tree"
			record "$id" >"$to.record"
			recipe "$id" >"$to.recipe" 2>&1
			$who changes "$id" 2>&1 | sort >"$to.changes"
			$who layer "$id" >"$to.layer" 2>&1
			$who diffsize "$id" >"$to.diffsize" 2>&1
		done
	done
	for archive in "${archives[@]}"; do
		for what in tree record recipe changes layer diffsize; do
			sed -i "s,$WORK/$driver-[a-z]*/,,g" "$out/$driver-"{ours,go}"-$archive.$what"
			if [ $what = changes ] && grep -q 'not a directory' "$out/$driver-go-$archive.changes"; then
				# The Go commands stumble over a file that became a directory.
				case_ "$driver: $archive: a file that became a directory" grep -qx 'Add "/turns/into-dir/f"' "$out/$driver-ours-$archive.changes"
				continue
			fi
			same "$driver: $archive: the same $what" "$out/$driver-ours-$archive.$what" "$out/$driver-go-$archive.$what"
		done
		id=$(id_of "$archive")
		case $archive in
		*.gz) want=$(gzip -dc "$WORK/in/$archive" | sha) ;;
		*.bz2) want=$(bzip2 -dc "$WORK/in/$archive" | sha) ;;
		*.xz) want=$(xz -dc "$WORK/in/$archive" | sha) ;;
		*.zst) want=$(zstd -qdc "$WORK/in/$archive" | sha) ;;
		*) want=$(sha <"$WORK/in/$archive") ;;
		esac
		for store in ours go; do
			G=$WORK/$driver-$store/root R=$WORK/$driver-$store/run DRIVER=$driver
			for who in ours go; do
				got=$($who diff -u "$id" | sha)
				[ "$got" = "$want" ] && pass "diff" || fail "$driver: $who gives back $archive, which $store took in" "$got, not $want"
			done
		done
	done
	# What is on top of it without an archive: both tell the same changes, and each other's archive of them is understood.
	for who in ours go; do
		new_store "$driver-free-$who" "$driver"
		$who import-layer -i "$(id_of base.tar)" -f "$WORK/in/base.tar" >/dev/null
		$who create-layer -i "$(id_of free)" "$(id_of base.tar)" >/dev/null
		at=$($who mount "$(id_of free)") || fail "$driver: $who mounts a layer" "$at"
		rm -r "$at/gone" "$at/bin/tool" "$at/hidden"
		mkdir "$at/hidden"
		echo new >"$at/hidden/new"
		echo more >>"$at/etc/passwd"
		chmod 755 "$at/private"
		ln -s new "$at/link"
		touch -h -d @1700000000 "$at/hidden/new" "$at/hidden" "$at/etc/passwd" "$at/link" "$at/bin"
		$who unmount "$(id_of free)" >/dev/null
		for reader in ours go; do
			$reader changes "$(id_of free)" | sort >"$out/$driver-$who-$reader.changes"
			$reader diff -u "$(id_of free)" >"$out/$driver-$who-$reader.tar"
			tar --numeric-owner --full-time -tvf "$out/$driver-$who-$reader.tar" |
				sed -E -e 's,/$,,' -e '/\.wh\./s/[0-9-]{10} [0-9:]{8}/now/' | sort -k6 >"$out/$driver-$who-$reader.list"
		done
		same "$driver: changes of what was written in a mount by $who" "$out/$driver-$who-ours.changes" "$out/$driver-$who-go.changes"
		same "$driver: archive of it" "$out/$driver-$who-ours.list" "$out/$driver-$who-go.list"
		for reader in ours go; do
			if said=$($reader import-layer -i "$(id_of "again-$reader")" -f "$out/$driver-$who-$reader.tar" "$(id_of base.tar)" 2>&1); then
				$reader changes "$(id_of "again-$reader")" | sort >"$out/$driver-$who-$reader.again"
				same "$driver: the archive by $reader makes the same changes" "$out/$driver-$who-$reader.changes" \
					"$out/$driver-$who-$reader.again"
			else
				fail "$driver: $reader reads its own archive" "$said"
			fi
		done
	done
	same "$driver: the same changes, whoever mounted" "$out/$driver-ours-go.changes" "$out/$driver-go-go.changes"
	for store in ours go; do
		G=$WORK/$driver-$store/root R=$WORK/$driver-$store/run DRIVER=$driver
		said=$(audit)
		[ -z "$said" ] && pass "$driver: nothing is left over" || fail "$driver: nothing is left over in the store of $store" "$said"
	done
done
finish
