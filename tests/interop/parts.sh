#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An image whose layers ours pulls in parts, from others that are there: as directories, and as composefs images. It shows what the
# same image shows that was pulled as a whole, nobody's check finds anything, and podman runs a container from it.
. "$(dirname "$0")/tools-lib.sh"
begin "parts" 21
helper() { python3 "$TOP/tests/interop/composefs.py" "$@"; }
cd "$WORK" || exit
command -v "${MKCOMPOSEFS:=mkcomposefs}" >/dev/null && PATH=$(dirname "$(command -v "$MKCOMPOSEFS")"):$PATH

# Each layer as a zstd:chunked blob, and one like it whose files are in other places and have other neighbours.
mkdir -p blobs before
while read -r id _ _ file; do
	case $(head -c 4 "$file" | od -An -tx1 | tr -d ' ') in
	1f8b*) gzip -dc "$file" ;;
	28b52ffd) zstd -qdc "$file" ;;
	*) cat "$file" ;;
	esac >layer.tar
	"$BUILD/cstorage" chunked create -j -o "blobs/$id" layer.tar >"blobs/$id.json"
	mkdir -p tree && tar -C tree -xf layer.tar && tar -C tree --sort=name -cf before.tar . && rm -rf tree
	"$BUILD/cstorage" chunked create -j -o "before/$id" before.tar >"before/$id.json"
done <image/mixed.layers
top=$(tail -n 1 image/mixed.layers | cut -d' ' -f1)
toc() { python3 -c 'import json, sys; print(json.load(sys.stdin)["toc-digest"])' <"$1.json"; }

# configure NAME COMPOSEFS: a store for ours and for the tools
configure() {
	tool_store "$1"
	printf '[storage.options.overlay]\nuse_composefs = "%s"\n' "$2" >>"$WORK/storage.conf"
}
cs() { timeout -k 5 120 "$BUILD/cstorage" "$@"; }
record() { # NAME: the image of the layers that are there
	local config manifest here=$WORK/image/mixed
	read -r config manifest <"$here.image"
	cs create-image -i "$config" -n "$1" -m '{}' -d "sha256:$manifest" "$top" &&
		cs set-image-data -f "$here/blobs/sha256/$config" "$config" "sha256:$config" &&
		cs set-image-data -f "$here/blobs/sha256/$manifest" "$config" "manifest-sha256:$manifest" &&
		cs set-image-data -f "$here/blobs/sha256/$manifest" "$config" manifest && cs create-container -i seen "$config"
}
whole() {
	while read -r id parent _ file; do
		# shellcheck disable=SC2086 # the first has no parent
		cs import-layer -i "$id" -f "$file" ${parent#-} || return
	done <image/mixed.layers
	record localhost/whole:1
}
in_parts() {
	local said
	while read -r id parent _ file; do
		cs import-layer -i "before-$id" --toc-digest "$(toc "before/$id")" -f "before/$id" || return
		# shellcheck disable=SC2086
		said=$(cs --debug import-layer -i "$id" --toc-digest "$(toc "blobs/$id")" -f "blobs/$id" ${parent#-} 2>&1) || { echo "$said"; return 1; }
		grep -q '[1-9][0-9]* bytes came from other layers' <<<"$said" || { echo "$said"; return 1; }
	done <image/mixed.layers
	record localhost/parts:1
}
shown() { # all that a container shows below its root, which is as new as the container
	local path
	path=$(cs mount seen) && helper list "$path" | grep -v '^\. ' | sort && cs unmount seen >/dev/null
}
same() {
	local said
	said=$(diff whole.list <(shown)) || { head -n 20 <<<"$said"; false; }
}
format() { # of each layer: what its data item says
	local id said
	while read -r id _; do said+="$(cs get-layer-data "$id" zstd-chunked-layer-data) "; done <image/mixed.layers
	echo "${said% }"
}
theirs() { timeout 120 "$GO" "$@"; }
runs() {
	timeout -k 5 120 "$PODMAN" --tmpdir "$R/podman" --cgroup-manager cgroupfs run --rm --pull never --cgroups=disabled --network none \
		--ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$@"
}

configure whole false
case_ "the image as a whole" whole
shown >whole.list
for composefs in false true; do
	name="composefs $composefs"
	lacking=
	[ $composefs = false ] || grep -qw erofs /proc/filesystems || lacking="no erofs in this kernel"
	if [ -n "$lacking" ]; then
		skip "$name" "$lacking" 8
		continue
	fi
	configure "parts-$composefs" $composefs
	case_ "$name: the image in parts" in_parts
	want='{"format":0} {"format":0} {"format":0}'
	[ $composefs = false ] || want=${want//0/1}
	says "$name: what the layers say of their files" "$want" format
	case_ "$name: it shows what the whole image shows" same
	case_ "$name: ours finds nothing wrong" cs check
	lacking=
	[ -n "$GO" ] && [[ $go_version > 1.57 ]] || lacking="no containers-storage that has check"
	[ $composefs = false ] || command -v mkcomposefs >/dev/null || lacking=${lacking:-no mkcomposefs}
	[ -n "$lacking" ] && skip "$name: theirs finds nothing wrong" "$lacking" 2
	if [ -z "$lacking" ]; then
		case_ "$name: theirs finds nothing wrong" theirs check
		case_ "$name: theirs gives back a layer" bash -c "[ \"\$('$GO' diff -u '$top' | sha256sum)\" = \"\$('$BUILD/cstorage' diff -u '$top' | sha256sum)\" ]"
	fi
	[ -n "$PODMAN" ] || lacking="no podman"
	if [ -n "$lacking" ]; then
		skip "$name: podman" "$lacking" 2
	elif said=$(runs localhost/parts:1 2>&1) || [[ $said != *cgroup* && $said != *crun* && $said != *runc* ]]; then
		says "$name: podman runs it" "hello from an image" echo "$said"
		says "$name: podman runs a program of another layer" "second layer" runs localhost/parts:1 /bin/sh -c 'read x </srv/second || echo "$x"'
	else
		skip "$name: podman runs it" "no container starts here: ${said:0:150}" 2
	fi
done

# A damaged composefs image is made anew where it is.
mends() { # WHAT-IT-SAYS COMMAND...
	local said
	! said=$(cs check 2>&1) || { echo "check finds nothing"; return 1; }
	said=$("${@:2}" 2>&1)
	[[ $said = *"$1"* ]] && cs check >/dev/null && same || { echo "$said"; false; }
}
object() { # the largest of the top layer
	find "$G/overlay/$top/diff" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2
}
spoil() {
	local object size
	object=$(object) size=$(stat -c %s "$object")
	cp -a "$object" "$WORK/spoilt" && head -c "$size" /dev/zero >"$object"
}
if [ -e "$G/overlay/$top/composefs-data/composefs.blob" ]; then
	truncate -s 1500 "$G/overlay/$top/composefs-data/composefs.blob"
	case_ "a damaged image is made anew of its TOC" mends "made anew of its TOC" cs check --repair
	if [ -n "$lacking" ]; then
		skip "theirs finds nothing wrong in that" "$lacking"
	else
		case_ "theirs finds nothing wrong in that" theirs check
	fi
	spoil
	name=$(object)
	case_ "a damaged object is named" bash -c "! '$BUILD/cstorage' check | grep -F '${name#"$G/overlay/$top/diff/"}'; [ \"\${PIPESTATUS[1]}\" = 0 ]"
	case_ "it is put back from a blob" mends "unpacked again" cs check --repair --from "$WORK/image/mixed"
else
	skip "repair of composefs images" "no composefs image was made" 4
fi
finish
