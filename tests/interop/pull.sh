#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pull in parts from docker-registry, of what skopeo pushed: little is fetched over an older version, whoever pulled that, and what comes out
# is what the tar makes, entry by entry.
. "$(dirname "$0")/tools-lib.sh"
lacking=$(lacks_command docker-registry)
[ -n "$SKOPEO" ] || lacking="no skopeo"
if [ -n "$lacking" ]; then
	skip "pulls from a registry" "$lacking" 28
	finish
fi
begin "pulls from a registry" 28
helper() { python3 "$TOP/tests/interop/chunked.py" "$@"; }
cd "$WORK" || exit
helper tar one.tar
helper changed one.tar two.tar

start_registry
push() { # NAME
	helper dir "$1.dir" "$1.tar"
	skopeo_ copy --dest-tls-verify=false --dest-compress --dest-compress-format zstd:chunked "dir:$1.dir" "docker://127.0.0.1:$port/x:$1" &&
		skopeo_ inspect --raw --tls-verify=false "docker://127.0.0.1:$port/x:$1" >"$1.json"
}
# Sets blob, toc, size and diff.
layer_of() { # NAME
	read -r blob toc size < <(python3 -c 'import json, sys
layer = json.load(sys.stdin)["layers"][0]
print(layer["digest"], layer.get("annotations", {}).get("io.github.containers.zstd-chunked.manifest-checksum", "-"), layer["size"])' <"$1.json")
	diff=sha256:$(sha256sum <"$1.tar" | cut -d' ' -f1)
	[ "$toc" != - ]
}
if ! case_ "a registry" registry_answers || ! case_ "skopeo pushes version 1" push one; then
	finish
fi
if ! layer_of one; then
	skip "pulls from a registry" "skopeo of containers-storage 1.50 or later" 26
	kill "$registry_process"
	finish
fi
case_ "skopeo pushes version 2" push two

own() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s overlay "$@"; }
import() { # NAME OPTION...: prints how many bytes were fetched
	layer_of "$1"
	own --debug import-layer -i "$1" --toc-digest "$toc" --url "http://127.0.0.1:$port/v2/x/blobs/$blob" "${@:2}" >said 2>&1 || { cat said; return 1; }
	sed -n 's/.*msg="\([0-9]*\) of [0-9]* bytes of the blob were fetched.*bytes came from other layers"/\1/p' said
}
little() { # NAME OPTION...: a tenth at most
	local n
	n=$(import "$@") && [ "$n" -gt 0 ] && [ $((n * 10)) -lt "$size" ] || { echo "$n of $size bytes"; cat said; return 1; }
}
look() { # NAME ID: the tree
	listing "$(layer_root "$2")" >"$WORK/$1.tree"
}
new_store whole overlay
own import-layer -i two -f two.tar >/dev/null
look whole two

# Over what ours pulled, with the DiffID and without.
for known in yes no; do
	new_store "ours-$known" overlay
	layer_of two
	[ $known = no ] || expect=--expect-digest=$diff
	case_ "DiffID known: $known: version 1 is pulled" import one
	case_ "little of version 2 is fetched" little two ${expect:+"$expect"}
	look "ours-$known" two
	case_ "the tree is that of the tar" cmp whole.tree "ours-$known.tree"
	case_ "the tar comes out again" bash -c "'$BUILD/cstorage' -g '$G' -R '$R' -s overlay diff --uncompressed two | cmp - two.tar"
	case_ "nothing is wrong" own check
	own delete-layer one
	case_ "nor without version 1" own check
	expect=
done

# Where files can share their blocks, large ones that both versions have do.
shares() { # NAME...: so do these files of version 2, and no others
	local name got
	got=$(for name in noise1048576 noise4096 half letters new; do
		! filefrag -v "$(layer_root two)/d/$name" | grep -q shared || echo "$name"
	done)
	[ "$got" = "$(printf '%s\n' "$@")" ] || { echo "$got"; return 1; }
}
for kind in "xfs -m reflink=1" btrfs; do
	lacking=$(lacks_command "mkfs.${kind% -m*}" filefrag)
	[ -n "$lacking" ] || disk $kind || lacking="a loop device with ${kind% -m*}"
	if [ -n "$lacking" ]; then
		skip "files that share blocks" "$lacking" 4
		continue
	fi
	G=$D/root R=$D/run DRIVER=overlay
	case_ "${kind% -m*}: version 1 is pulled" import one
	own import-layer -i whole -f two.tar >/dev/null
	look "${kind% -m*}-whole" whole
	layer_of two
	case_ "little of version 2 is fetched" little two --expect-digest="$diff"
	look "${kind% -m*}" two
	case_ "the tree is that of the tar" cmp "${kind% -m*}-whole.tree" "${kind% -m*}.tree"
	sync
	case_ "large files that were there share their blocks" shares noise1048576 half
	umount -l "$D"
done

# Over what skopeo pulled in parts, and skopeo over ours.
tool_store theirs
printf '[storage.options]\npull_options = {enable_partial_images = "true"}\n' >>"$WORK/storage.conf"
case_ "skopeo pulls version 1" skopeo_ copy --src-tls-verify=false "docker://127.0.0.1:$port/x:one" containers-storage:localhost/x:1
case_ "little of version 2 is fetched over it" little two
look theirs two
case_ "the tree is that of the tar" cmp whole.tree theirs.tree
own delete-layer two
own delete-image localhost/x:1
import one >/dev/null
case_ "skopeo pulls version 2 over ours" skopeo_ copy --src-tls-verify=false "docker://127.0.0.1:$port/x:two" containers-storage:localhost/x:2
case_ "the store has one layer of each" test "$(own layers -q | wc -l)" = 2
kill "$registry_process"
finish
