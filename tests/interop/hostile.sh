#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad input at the command: what a stranger may hand in, what a broken disk may leave. The command refuses, says so, does not
# crash, writes nothing outside of its place, and never overwrites what it did not understand.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_command python3)
[ -n "$lacking" ] || lacking=$(lacks_ids)
if [ -n "$lacking" ]; then
	skip "bad input" "$lacking" 100
	finish
fi
mkdir "$WORK/in"
python3 "$TOP/tests/interop/fixture.py" "$WORK/in"

# refused NAME COMMAND...: it fails, in its own words, not by a signal or a sanitizer
refused() {
	local name=$1 said status
	shift
	said=$("$@" 2>&1)
	status=$?
	if [ "$status" = 0 ]; then
		fail "$name" "accepted: ${said:0:200}"
	elif [ "$status" != 1 ] && [ "$status" != 125 ]; then
		fail "$name" "exit status $status: ${said:0:1000}"
	elif [ -z "$said" ]; then
		fail "$name" "refused without a word"
	else
		pass "$name"
	fi
}
clean() { # NAME: the store is whole
	local said
	said=$(audit 2>&1)
	[ -z "$said" ] && pass "$1: nothing is left over" || fail "$1: nothing is left over" "$(head -n 5 <<<"$said")"
}
# Everything below the scratch folder but the store itself: nothing may appear or change there.
outside() { (cd "$WORK" && find . -path "./${G#"$WORK"/}" -prune -o -path "./${R#"$WORK"/}" -prune -o -name ours-said -o -printf '%p %y %s %l\n' | sort); }
long=$(printf 'x%.0s' {1..300})

for driver in $(drivers); do
	new_store "names-$driver" "$driver"
	ours import-layer -i base -n base -f "$WORK/in/base.tar" >/dev/null
	ours create-image -i image base >/dev/null
	ours create-container -i container image >/dev/null
	outside >"$WORK/ours-said"
	cp "$WORK/ours-said" "$WORK/before.ours-said" && outside >"$WORK/ours-said"
	for id in .. . ../escaped a/b /tmp/escaped ../../../escaped .hidden l tmp staging tempdirs x.lock x.json x.tar-split.gz "a b" \
		$'new\nline' "$long" backingFsBlockDev; do
		refused "$driver: layer ID ${id:0:30}" ours create-layer -i "$id"
		refused "$driver: imported layer ID ${id:0:30}" ours import-layer -i "$id" -f "$WORK/in/base.tar"
		refused "$driver: image ID ${id:0:30}" ours create-image -i "$id" base
		refused "$driver: container ID ${id:0:30}" ours create-container -i "$id" image
		refused "$driver: delete of ${id:0:30}" ours delete "$id"
		refused "$driver: layer ${id:0:30} below it" ours create-layer "$id"
	done
	# A name may be anything: it never becomes a path. A key of a data item becomes a file name, encoded or not at all.
	for name in ../name /etc/passwd "a b" 'q"uote' $'tab\there' "日本" "$long"; do
		case_ "$driver: name ${name:0:20}" ours add-names -n "$name" image
		case_ "$driver: found by name ${name:0:20}" ours image "$name"
	done
	for key in ../key /etc/passwd a/../../b 'k e y' "日本"; do
		if ours set-image-data -f "$WORK/storage.conf" image "$key" >/dev/null 2>&1; then
			case_ "$driver: item $key comes back" sh -c "'$OURS' -g '$G' -R '$R' -s '$driver' get-image-data image '$key' | cmp - '$WORK/storage.conf'"
		else
			refused "$driver: item $key" ours set-image-data -f "$WORK/storage.conf" image "$key"
		fi
	done
	for key in '' . .. userdata; do
		refused "$driver: item '$key' of a container" ours set-container-data -f "$WORK/storage.conf" container "$key"
	done
	same "$driver: nothing was written outside of the store" <(outside) "$WORK/ours-said"
	clean "$driver: hostile names"
	[ ! -e "$G/escaped" ] && [ ! -e "$G/../escaped" ] && [ ! -e /tmp/escaped ] && pass "$driver: nothing escaped" || fail "$driver: nothing escaped"

	# Archives that end before they should, at every kind of place, plain and compressed.
	new_store "archives-$driver" "$driver"
	ours import-layer -i base -f "$WORK/in/base.tar" >/dev/null
	for archive in base.tar base.tar.gz base.tar.bz2 base.tar.xz; do
		size=$(stat -c %s "$WORK/in/$archive")
		for cut in 1 100 511 600 $((size / 3)) $((size / 2)); do
			[ "$cut" -lt "$size" ] || continue
			head -c "$cut" "$WORK/in/$archive" >"$WORK/in/cut"
			refused "$driver: $archive cut at $cut" ours import-layer -i cut -f "$WORK/in/cut" base
			refused "$driver: $archive cut at $cut, through a pipe" sh -c "cat '$WORK/in/cut' | '$OURS' -g '$G' -R '$R' -s '$driver' import-layer"
		done
	done
	head -c 100000 /dev/zero | tr '\0' 'A' >"$WORK/in/letters"
	refused "$driver: no archive at all" ours import-layer -f "$WORK/in/letters"
	refused "$driver: a folder" ours import-layer -f "$WORK/in"
	refused "$driver: no such file" ours import-layer -f "$WORK/in/nothing-there"
	refused "$driver: a parent nobody knows" ours import-layer -f "$WORK/in/base.tar" nobody
	clean "$driver: bad archives"
	[ "$(ours layers -j | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))')" = 1 ] &&
		pass "$driver: only the good layer is there" || fail "$driver: only the good layer is there"

	# Records that are damaged: every command that would write refuses, and the file stays what it is.
	for kind in layers images containers; do
		for damage in '{' '[{"id":' '[{"id":"x"}' 'nonsense' '[1,2,3]' '{"id":"x"}' '[{"id":{}}]' cut zeros deep; do
			new_store "json-$driver" "$driver"
			ours import-layer -i base -n base -f "$WORK/in/change.tar" >/dev/null 2>&1
			ours create-image -i image -n image base >/dev/null
			ours create-container -i container -n container image >/dev/null
			file=$G/$driver-$kind/$kind.json
			case $damage in
			cut) truncate -s -5 "$file" ;;
			zeros) head -c 200 /dev/zero >"$file" ;;
			deep) python3 -c 'print("[" * 100000)' >"$file" ;;
			*) printf '%s' "$damage" >"$file" ;;
			esac
			sha256sum "$file" >"$WORK/sum"
			bad=
			for command in "create-layer -i new" "import-layer -i new2 -f $WORK/in/base.tar" "create-image -i new3" \
				"create-container -i new4 image" "add-names -n other image" "delete-container container" "delete-image image" \
				"wipe" "set-metadata -m x image" "mount container" "layers -j" "images -j" "containers -j"; do
				# shellcheck disable=SC2086
				said=$(ours $command 2>&1 | tr -d "\000"; exit "${PIPESTATUS[0]}")
				status=$?
				[ "$status" -le 1 ] || bad="$command: exit status $status ${said:0:500}"
				[ "$status" = 0 ] || [ -n "$said" ] || bad="$command: failed without a word"
				sha256sum --status -c "$WORK/sum" && continue
				# A list with a record that makes no sense may be written again, with that record as it was.
				case $damage in
				'[1,2,3]') grep -q '1,2,3' "$file" && continue ;;
				'[{"id":{}}]') grep -qF '{"id":{}}' "$file" && continue ;;
				esac
				bad="$command: $kind.json was overwritten"
				break
			done
			[ -z "$bad" ] && pass "$driver: $kind.json: $damage" || fail "$driver: $kind.json: $damage" "$bad"
			unmount_below "$WORK/json-$driver"
		done
	done

	# A record whose parent is gone: what does not need it goes on.
	new_store "orphan-$driver" "$driver"
	ours import-layer -i base -f "$WORK/in/base.tar" >/dev/null
	ours create-layer -i child base >/dev/null
	ours create-layer -i other >/dev/null
	python3 - "$G/$driver-layers/layers.json" <<-'X'
		import json, sys
		layers = [x for x in json.load(open(sys.argv[1])) if x["id"] != "base"]
		json.dump(layers, open(sys.argv[1], "w"), separators=(",", ":"))
	X
	case_ "$driver: layers without a parent are listed" ours layers
	ours layer base && fail "$driver: the missing one is found" || pass "$driver: the missing one is not found"
	case_ "$driver: its neighbour can be deleted" ours delete-layer other
	said=$(ours diff -u child 2>&1 >/dev/null)
	[ $? -le 1 ] && pass "$driver: diff against a missing parent" || fail "$driver: diff against a missing parent" "$said"

	# Several drivers in one root; a root that another driver owns.
	new_store "several-$driver" "$driver"
	ours create-layer -i base >/dev/null
	refused "$driver: an unknown driver" "$OURS" -g "$G" -R "$R" -s nosuch layers
	refused "$driver: an unknown option" "$OURS" -g "$G" -R "$R" -s "$driver" --storage-opt nosuch=1 layers
	if [ "$driver" = overlay ]; then
		case_ "the driver that is there is found" sh -c "'$OURS' -g '$G' -R '$R' layers | grep -q base"
		"$OURS" -g "$G" -R "$R" -s vfs create-layer -i second >/dev/null
		unmount_below "$WORK/several-$driver"
		said=$("$OURS" -g "$G" -R "$R" layers 2>&1)
		[[ $? = 1 && $said = *"contains several valid graphdrivers: overlay, vfs"* ]] && pass "two drivers: says so" ||
			fail "two drivers: says so" "$said"
		case_ "two drivers: each by its name" sh -c "'$OURS' -g '$G' -R '$R' -s vfs layers | grep -qx second &&
			'$OURS' -g '$G' -R '$R' -s overlay layers | grep -qx base"
	fi
	refused "$driver: a root that is a file" "$OURS" -g "$WORK/in/base.tar" -R "$R" -s "$driver" layers
	refused "$driver: a run root that is a file" "$OURS" -g "$G" -R "$WORK/in/base.tar" -s "$driver" layers

	# A disk that is full: the command fails, and once there is room it goes on.
	if [ -n "$(lacks_root)" ]; then
		skip "$driver: a full disk" "not root" 5
		continue
	fi
	mkdir -p "$WORK/small"
	if ! mount -t tmpfs -o size=3m,nr_inodes=2000 none "$WORK/small"; then
		skip "$driver: a full disk" "no tmpfs can be mounted" 5
		continue
	fi
	G=$WORK/small/root R=$WORK/full-run DRIVER=$driver
	if ours import-layer -i first -f "$WORK/in/change.tar" >"$WORK/said" 2>&1; then
		cp "$G/$driver-layers/layers.json" "$WORK/layers.json"
		refused "$driver: an import that does not fit" ours import-layer -i big -f "$WORK/in/base.tar"
		said=$(ours import-layer -i big -f "$WORK/in/base.tar" 2>&1)
		[[ $said = *"no space left on device"* ]] && pass "$driver: says that the disk is full" || fail "$driver: says that the disk is full" "$said"
		[ "$(ours layers | grep -cE '^[a-z]')" = 1 ] && pass "$driver: the first layer is still there" || fail "$driver: the first layer is still there" "$(ours layers 2>&1)"
		clean "$driver: a full disk"
		head -c 20m /dev/zero >"$WORK/small/filler" 2>/dev/null
		said=$(ours create-layer -i more 2>&1)
		status=$?
		rm "$WORK/small/filler"
		[ $status -le 1 ] && pass "$driver: not one byte free" || fail "$driver: not one byte free" "$said"
		ours delete-layer more >/dev/null 2>&1
		case_ "$driver: with room again it goes on" ours create-layer -i after
		clean "$driver: after a full disk"
	else
		skip "$driver: a full disk" "no $driver on tmpfs here: $(tail -n 1 "$WORK/said")" 6
	fi
	unmount_below "$WORK"
done
finish
