#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Go command's `check` goes over a store that holds everything ours can write, and finds nothing. At its end it unmounts
# whatever is mounted: nothing here stays mounted. (It does find something in some archives, whoever took them in: where a
# folder has no entry of its own, or the entry of a hard link another mode than the file.)
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command python3 zstd busybox)
[ -n "$lacking" ] || lacking=$(lacks_root)
if [ -z "$lacking" ]; then
	new_store probe vfs
	go check >/dev/null 2>&1 || lacking="this containers-storage has no check"
fi
if [ -n "$lacking" ]; then
	skip "check of what ours wrote" "$lacking" 20
	finish
fi
mkdir "$WORK/image"
python3 "$TOP/tests/interop/image.py" "$WORK/image" || { fail "image.py"; finish; }
sha() { printf %s "$1" | sha256sum | cut -d' ' -f1; }
{
	read -r base _ _ base_file
	read -r second _ _ second_file
	read -r top _ _ top_file
} <"$WORK/image/mixed.layers"

images() { # every kind of archive, images with data and names
	ours import-layer -i "$base" -f "$base_file" &&
		ours import-layer -i "$second" -f "$second_file" "$base" &&
		ours import-layer -i "$top" -f "$top_file" "$second" &&
		ours create-image -i "$(sha image)" -n localhost/image:1 -m '{}' "$top" &&
		ours set-image-data -f "$WORK/storage.conf" localhost/image:1 manifest &&
		ours set-image-data -f "$WORK/storage.conf" localhost/image:1 'key that = encoded' &&
		ours set-metadata -m 'new metadata' localhost/image:1 &&
		ours add-names -n localhost/second:1 localhost/image:1 &&
		ours create-image -i "$(sha thief)" "$base" &&
		ours add-names -n localhost/second:1 "$(sha thief)" && # taken over: history
		ours set-names -n localhost/renamed:1 "$(sha thief)" &&
		ours create-layer -i "$(sha applied)" "$second" &&
		ours applydiff -f "$top_file" "$(sha applied)" &&
		ours create-image -i "$(sha "image applied")" -n localhost/applied:1 "$(sha applied)"
}
containers() {
	local point
	ours create-container -n data localhost/image:1 &&
		ours set-container-data -f "$WORK/storage.conf" data item &&
		ours create-container -n volatile --volatile localhost/renamed:1 &&
		ours set-container-data -f "$WORK/storage.conf" volatile item &&
		ours create-container -n changed localhost/image:1 &&
		point=$(ours mount changed) &&
		echo new >"$point/new" && rm -r "$point/srv/hidden" && mkdir -p "$point/srv/hidden/again" && rm "$point/etc/motd" &&
		ours unmount changed
}
mapped() {
	local map="--uidmap 0:100000:65536 --gidmap 0:200000:65536"
	# shellcheck disable=SC2086
	ours create-container -n mapped $map localhost/image:1 &&
		ours import-layer -i "$(sha mapped)" $map -f "$second_file" "$base" &&
		ours create-image -i "$(sha "image mapped")" -n localhost/mapped:1 "$(sha mapped)"
}

for driver in $(drivers); do
	new_store "$driver" "$driver"
	for step in images containers mapped; do
		case_ "$driver: $step" $step || continue
		said=$(go check -m 0s 2>&1) && [ -z "$said" ] && pass "$driver: $step: check" || fail "$driver: $step: check" "${said:-failed without a word}"
		said=$(go check -q -m 0s 2>&1) && [ -z "$said" ] && pass "$driver: $step: quick check" || fail "$driver: $step: quick check" "$said"
	done
	# It does see what is wrong.
	echo more >>"$(layer_root "$base")/etc/passwd"
	said=$(go check 2>&1) && fail "$driver: check sees a changed file" "$said" || pass "$driver: check sees a changed file"
	unmount_below "$G"
done
finish
