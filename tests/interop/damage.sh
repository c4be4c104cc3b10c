#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check, check -r and gc of both commands on the same damaged stores: the same findings, the same words, the same exit code, and
# after a repair the same that is left. Needs containers-storage 1.64 or later. One copy of a store is damaged for each.
. "$(dirname "$0")/lib.sh"
export LC_ALL=C.UTF-8
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_go)
[ -n "$lacking" ] || [ "$(printf '%s\n' 1.64 "$(go_version)" | sort -V | head -n 1)" = 1.64 ] || lacking="containers-storage 1.64 (here: $(go_version))"
if [ -n "$lacking" ]; then
	skip "damaged stores" "$lacking" 100
	finish
fi
item() { printf '%064d' "$1"; }
base=$(item 1) upper=$(item 2) image=$(item 3) container=$(item 4)
mkdir -p "$WORK/base/etc" "$WORK/base/dir/sub" "$WORK/upper/etc" "$WORK/upper/dir"
echo hello >"$WORK/base/etc/hello" && echo two >"$WORK/base/etc/two" && chmod 4755 "$WORK/base/etc/two"
ln -s hello "$WORK/base/etc/link" && ln "$WORK/base/etc/two" "$WORK/base/dir/hard" && mkfifo "$WORK/base/dir/fifo"
echo more >"$WORK/upper/etc/more" && : >"$WORK/upper/dir/.wh.sub"
find "$WORK/base" "$WORK/upper" -exec touch -hd @1500000000 {} +
tar -C "$WORK/base" -cf "$WORK/base.tar" . && tar -C "$WORK/upper" -cf "$WORK/upper.tar" etc/more dir/.wh.sub

make_store() {
	go import-layer -f "$WORK/base.tar" -i "$base" && go import-layer -f "$WORK/upper.tar" -i "$upper" "$base" &&
		go create-image -n im -i "$image" "$upper" && go set-image-data -f "$WORK/base.tar" im manifest &&
		go set-image-data -f "$WORK/upper.tar" im config && go create-container -n box -i "$container" im &&
		go set-container-data -f "$WORK/upper.tar" box key && go create-layer -i "$(item 5)" && go shutdown
}
# In one directory for both, since messages have paths.
try() { # COMMAND DAMAGE VERB OPTION...
	G=$WORK/at/root R=$WORK/at/run own=$(layer_root "$base") top=$(layer_root "$upper") records=$G/$DRIVER-layers/layers.json
	remove_tree "$WORK/at"
	"$TOP/tests/copy-store" "$WORK/whole-$DRIVER" "$WORK/at"
	[ "$DRIVER" = overlay ] && dir=$G/overlay || dir=${own%/*}
	eval "$2"
	[ ! -d "$own/etc" ] || touch -hd @1500000000 "$own/etc" "$own"
	"$1" "${@:3}" >"$WORK/out" 2>"$WORK/err"
	echo "exit $?"
	grep -v 'level=warning msg="Failed to read' "$WORK/err" # of the newer one without /proc/self/... of its own distribution
	# The order of objects is random there; of an object's findings only that of differences is not told.
	awk '/^[^ ]/ { object = $0 } { print object "|" $0 }' "$WORK/out" | sort
	"$1" layers -q 2>/dev/null | sort && "$1" images -q 2>/dev/null | sort && "$1" containers -q 2>/dev/null | sort
	# With the content of a layer that no record knows our repair removes its tar-split and data, too.
	[ "$3" = gc ] || rm -f "$G/$DRIVER"-layers/*.tar-split.gz
	(cd "$G" && find . -maxdepth 3 -name "0000*" | sort)
}
compare() { # NAME DAMAGE VERB OPTION...
	try go "${@:2}" >"$WORK/theirs" 2>&1
	try ours "${@:2}" >"$WORK/ours" 2>&1
	same "$DRIVER: $1 (${*:3})" "$WORK/theirs" "$WORK/ours"
}
edit() { # FILE PYTHON: changes the list x
	python3 -c 'import json, sys
x = json.load(open(sys.argv[1]))
exec(sys.argv[2])
json.dump(x, open(sys.argv[1], "w"))' "$@"
}
damages() {
	cat <<-'X'
		nothing|true
		a file's content|echo jello >"$own/etc/hello"
		a longer file|echo longer >>"$own/etc/hello"
		a file's mode|chmod 600 "$own/etc/hello"
		a file's owner|chown 7:8 "$own/etc/hello"
		a directory's mode|chmod 700 "$own/etc"
		a file's time|touch -d @1600000000 "$own/etc/hello"
		a file too many|touch -d @1600000000 "$own/etc/extra"
		a directory too many|mkdir "$top/new" && touch -d @1600000000 "$top/new/x" "$top/new"
		a file that is gone|rm "$own/etc/hello"
		a file's type|rm "$own/etc/hello" && ln -s two "$own/etc/hello" && touch -hd @1600000000 "$own/etc/hello"
		a directory for a file|rm "$own/etc/link" && mkdir "$own/etc/link" && touch -d @1600000000 "$own/etc/link"
		a socket|python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$own/sock"
		a symlink's target|ln -sfn elsewhere "$own/etc/link" && touch -hd @1500000000 "$own/etc/link"
		a fifo that is gone|rm "$own/dir/fifo" && touch -d @1500000000 "$own/dir"
		the upper layer's file|echo less >"$top/etc/more"
		half a tar-split|truncate -s 60 "$G/$DRIVER-layers/$base.tar-split.gz"
		an empty tar-split|: >"$G/$DRIVER-layers/$base.tar-split.gz"
		no tar-split|rm "$G/$DRIVER-layers/$base.tar-split.gz"
		a tar-split of another layer|cp "$G/$DRIVER-layers/$upper.tar-split.gz" "$G/$DRIVER-layers/$base.tar-split.gz"
		no parent|edit "$records" "x = [l for l in x if l['id'] != '$base']"
		no upper layer|edit "$records" "x = [l for l in x if l['id'] != '$upper']"
		a short digest|edit "$records" "[l.update({'diff-digest': l['diff-digest'][:-1]}) for l in x if l.get('diff-digest')]"
		another digest|edit "$records" "[l.update({'diff-digest': 'sha256:' + '0' * 64}) for l in x if l.get('diff-digest')]"
		another size|edit "$records" "[l.update({'diff-size': 5}) for l in x if l.get('diff-digest')]"
		no size|edit "$records" "[l.pop('diff-size') for l in x if l.get('diff-digest')]"
		a layer's data that never was|edit "$records" "x[0]['big-data-names'] = ['k']"
		no time of creation|edit "$records" "[l.pop('created', 0) for l in x]"
		a longer manifest|echo >>"$G/$DRIVER-images/$image/manifest"
		a manifest of the same size|tr a b <"$WORK/base.tar" >"$G/$DRIVER-images/$image/manifest"
		no manifest|rm "$G/$DRIVER-images/$image/manifest"
		no data at all|rm -r "$G/$DRIVER-images/$image"
		a manifest without size|edit "$G/$DRIVER-images/images.json" "x[0]['big-data-sizes'].pop('manifest')"
		a container's data that is gone|rm "$G/$DRIVER-containers/$container/key"
		a container's data that grew|echo >>"$G/$DRIVER-containers/$container/key"
		no image|echo '[]' >"$G/$DRIVER-images/images.json"
		no container|echo '[]' >"$G/$DRIVER-containers/containers.json"
		an image of another layer|edit "$G/$DRIVER-images/images.json" "x[0]['layer'] = '$base'"
		an image of no layer that is known|edit "$G/$DRIVER-images/images.json" "x[0]['layer'] = '$(item 8)'"
		an image with mapped layers|edit "$G/$DRIVER-images/images.json" "x[0]['mapped-layers'] = ['$base', '$(item 8)']"
		a directory that no record knows|mkdir -p "$(layer_root "$(item 9)")"
		directories with other names|mkdir -p "$dir/other" "$dir/$(item 9)"
		data of an image that no record knows|mkdir -p "$G/$DRIVER-images/$(item 9)/userdata" "$G/$DRIVER-images/other"
		data of a container that no record knows|mkdir -p "$G/$DRIVER-containers/$(item 9)/userdata" "$G/$DRIVER-containers/other"
		a tar-split that no record knows|cp "$G/$DRIVER-layers/$base.tar-split.gz" "$G/$DRIVER-layers/$(item 9).tar-split.gz"
		data of a layer that no record knows|mkdir -p "$G/$DRIVER-layers/$(item 9)" "$G/$DRIVER-layers/other"
		no layer at all|echo '[]' >"$records"
	X
}
for DRIVER in $(drivers); do
	new_store "whole-$DRIVER" "$DRIVER"
	make_store >"$WORK/made" 2>&1 && pass "$DRIVER: a store" || fail "$DRIVER: a store" "$(cat "$WORK/made")"
	while IFS='|' read -r name damage; do
		compare "$name" "$damage" check
		compare "$name" "$damage" check -q -m 0
		compare "$name" "$damage" check -r
		compare "$name" "$damage" check -f -m 0
		# The layer of a container that lost its record: theirs goes, ours stays.
		[ "$name" = "no layer at all" ] || compare "$name" "$damage" gc
	done < <(damages)
	# Each file of a store, damaged in each way: EVERY=1 for all of them, else a slice.
	mkdir -p "$WORK/table-$DRIVER"
	[ "$DRIVER" = btrfs ] || mount -t tmpfs none "$WORK/table-$DRIVER" 2>/dev/null
	case_ "$DRIVER: every file, every damage" python3 "$TOP/tests/store/damage.py" "$OURS" "$WORK/table-$DRIVER" "$DRIVER" --compare --go "$GO" \
		--every "${EVERY:-40}" --seed "${SEED:-0}"
	umount -l "$WORK/table-$DRIVER" 2>/dev/null
done
finish
