#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cstorage check --repair: what can be mended is afterwards, byte for byte, what it was before it was damaged, and neither our
# check nor that of containers-storage finds anything; what cannot be mended is deleted, or left and told.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "repair" "$lacking" 40
	finish
fi
item() { printf '%064d' "$1"; }
base=$(item 1) upper=$(item 2) top=$(item 3) image=$(item 4) container=$(item 5)
cst() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
go_checks=
[ -z "$GO" ] || [ "$(printf '%s\n' 1.64 "$(go_version)" | sort -V | head -n 1)" != 1.64 ] || go_checks=1

# ---- a whole store ----

for name in base upper top; do
	mkdir -p "$WORK/tree/$name/etc"
	echo "$name" >"$WORK/tree/$name/etc/$name"
	touch -hd @1500000000 "$WORK/tree/$name/etc/$name" "$WORK/tree/$name/etc"
	tar -C "$WORK/tree/$name" -cf "$WORK/$name.tar" etc
done
echo '{"schemaVersion":2}' >"$WORK/manifest"
echo '{"config":{}}' >"$WORK/config"
digest_of() { echo "sha256:$(sha256sum "$1" | cut -d' ' -f1)"; }
build() {
	cst import-layer -i "$base" -f "$WORK/base.tar" && cst import-layer -i "$upper" -f "$WORK/upper.tar" "$base" &&
		cst import-layer -i "$top" -f "$WORK/top.tar" "$upper" && cst create-image -i "$image" -n im "$top" &&
		cst set-image-data -f "$WORK/manifest" im manifest && cst set-image-data -f "$WORK/config" im "$(digest_of "$WORK/config")" &&
		cst set-image-data -f "$WORK/base.tar" im other &&
		cst create-container -i "$container" -n box im && cst set-container-data -f "$WORK/config" box key && cst mount box && cst unmount box
}
# Copies of it are tried, in one place, since records have paths.
whole_store() {
	new_store "whole-$DRIVER" "$DRIVER"
	build && remove_tree "$WORK/at" && G=$WORK/at/root R=$WORK/at/run
}
fresh() { # a copy; $own, $layers: where the base layer's own files, and the records of layers are
	unmount_below "$WORK/whole-$DRIVER"
	remove_tree "$WORK/at"
	"$TOP/tests/copy-store" "$WORK/whole-$DRIVER" "$WORK/at"
	G=$WORK/at/root R=$WORK/at/run
	own=$(layer_root "$base") layers=$G/$DRIVER-layers images=$G/$DRIVER-images containers=$G/$DRIVER-containers home=$G/$DRIVER
}
# All that matters of a store: names, types, modes, owners, sizes, targets, content.
state() {
	(
		cd "$WORK/at" || exit
		find . ! -name '*.lock' ! -name '.reserve-*' ! -path './run/*' ! -path '*/tempdirs' ! -path '*/tmp' ! -name '*.damaged-*' \
			! -path './root/cstorage*' -printf '%y %m %U %G %p %l\n' | sort
		find . -type f ! -name '*.lock' ! -name '.reserve-*' ! -name '*.damaged-*' ! -path './root/cstorage*' ! -path "./run/$DRIVER/*" -print0 | sort -z | xargs -0r sha256sum
	)
}

# ---- what is said ----

codes() { # of what check finds now
	cst check --json "$@" 2>&1 | python3 -c 'import json, sys
print(*sorted({x["code"] + ":" + x["kind"] for x in json.load(sys.stdin)}))' 2>&1
}
repair() { # OPTION...: prints what was done
	cst check --repair --json "$@" 2>"$WORK/err" | tail -n 1 | tee "$WORK/said" | python3 -c 'import json, sys
print(*sorted({x["action"] + ":" + x["kind"] for x in json.load(sys.stdin)}))' 2>&1
}
silent() { # NAME
	local said
	said=$(cst check --json 2>&1)
	[ "$said" = "[]" ] || { fail "$1" "still found: $(cut -c1-600 <<<"$said")"; return 1; }
	[ -z "$go_checks" ] || said=$(go check 2>&1) || { fail "$1" "containers-storage: $said"; return 1; }
}
edit() { # FILE PYTHON: changes the list x, and writes it as the store does
	python3 -c 'import json, sys
x = json.load(open(sys.argv[1]))
exec(sys.argv[2])
open(sys.argv[1], "w").write(json.dumps(x, separators=(",", ":")))' "$@"
}
# DAMAGE is found (CODES), and mended so that everything is as before.
mended() { # NAME DAMAGE CODES
	local said
	fresh
	state >"$WORK/before"
	eval "$2"
	said=$(codes)
	[ "$said" = "$3" ] || { fail "$DRIVER: $1" "found: $said"; return; }
	said=$(repair)
	[ "${said#mended:}" != "$said" ] && [ "${said#* }" = "$said" ] || { fail "$DRIVER: $1" "done: $said $(cat "$WORK/err")"; return; }
	state >"$WORK/after"
	cmp -s "$WORK/before" "$WORK/after" || { fail "$DRIVER: $1" "$(diff "$WORK/before" "$WORK/after" | head -n 10 | cut -c1-300)"; return; }
	silent "$DRIVER: $1" && pass "$DRIVER: $1"
}
# DAMAGE is found, and this is done about it.
done_() { # NAME DAMAGE CODES DONE OPTION...
	local said
	fresh
	eval "$2"
	said=$(codes)
	[ "$said" = "$3" ] || { fail "$DRIVER: $1" "found: $said"; return; }
	said=$(repair "${@:5}")
	[ "$said" = "$4" ] && pass "$DRIVER: $1" || fail "$DRIVER: $1" "done: $said $(cat "$WORK/err")"
}

data_items() {
	mended "a size that is recorded wrongly" 'edit "$images/images.json" "x[0][\"big-data-sizes\"][\"other\"] = 7"' data-size:image
	mended "a container's" 'edit "$containers/containers.json" "x[0][\"big-data-sizes\"][\"key\"] = 7"' data-size:container
	mended "a digest that is recorded wrongly, of an item that is named by its own" 'edit "$images/images.json" "[x[0][\"big-data-digests\"].update({k: \"sha256:\" + 64 * \"0\"}) for k in x[0][\"big-data-digests\"] if \":\" in k]"' data-digest:image
	mended "a digest of a manifest, which the image is named by" 'edit "$images/images.json" "x[0][\"big-data-digests\"][\"manifest\"] = \"sha256:\" + 64 * \"0\""' data-digest:image
	mended "size and digest of it" 'edit "$images/images.json" "x[0][\"big-data-digests\"][\"manifest\"] = \"sha256:\" + 64 * \"0\"; x[0][\"big-data-sizes\"][\"manifest\"] = 0"' data-size:image
	done_ "a manifest with other bytes" 'tr 2 3 <"$WORK/manifest" >"$images/$image/manifest"' data-digest:image "failed:image left:container"
	done_ "another config, although it is recorded so" 'echo "{\"config\":[]}" >"$images/$image/=$(printf %s "$(digest_of "$WORK/config")" | base64 -w0)"; edit "$images/images.json" "[x[0][\"big-data-digests\"].update({k: \"$(digest_of "$images/$image/="*)\"}) for k in x[0][\"big-data-digests\"] if \":\" in k]"' data-digest:image "failed:image left:container"
	done_ "an item that is longer than it was" 'echo >>"$images/$image/other"' data-size:image "failed:image left:container"
}

# A count that no mount belongs to; what another process has mounted in a place of its own counts.
mounts() {
	local said
	fresh
	state >"$WORK/before"
	cst mount box >/dev/null
	[ -z "$(codes)" ] && pass "$DRIVER: a mount" || fail "$DRIVER: a mount" "$(codes)"
	umount -l "$home"/*/merged
	[ "$(codes)" = mount:layer ] && [ "$(repair)" = mended:layer ] && [ "$(cat "$R/$DRIVER-layers/mountpoints.json")" = "[]" ] && silent "$DRIVER: a mount that is gone" &&
		pass "$DRIVER: a mount that is gone" || fail "$DRIVER: a mount that is gone" "$(codes) $(cat "$R/$DRIVER-layers/mountpoints.json")"
	fresh
	mkfifo "$WORK/ready" "$WORK/end"
	unshare -m --propagation private bash -c '"$@" >/dev/null; echo >"$0/ready"; read <"$0/end"' "$WORK" "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" mount box &
	read -r <"$WORK/ready"
	said=$(codes)
	echo >"$WORK/end"
	wait $!
	rm "$WORK/ready" "$WORK/end"
	[ "$said" = "" ] && pass "$DRIVER: a mount of another process" || fail "$DRIVER: a mount of another process" "$said"
	[ "$(codes)" = mount:layer ] && pass "$DRIVER: which is over" || fail "$DRIVER: which is over" "$(codes)"
}

# A records file that is damaged: nothing of it is lost, what can be read is kept, and the content of the rest stays.
record_files() {
	local aside
	mended "what follows the last record" 'echo -n x >>"$images/images.json"' records:file
	mended "half a closing" 'truncate -s -1 "$layers/layers.json"' records:file
	mended "zeros" 'head -c 4096 /dev/zero >"$images/images.json"; printf "%s" "$(tail -c +1 "$WORK/whole-$DRIVER/root/$DRIVER-images/images.json")" >>"$images/images.json"' records:file
	mended "mount points" 'mkdir -p "$R/$DRIVER-layers"; echo "[{" >"$R/$DRIVER-layers/mountpoints.json"' records:file
	mended "two files at once" 'truncate -s -1 "$layers/layers.json" "$containers/containers.json"' records:file
	aside=$(echo "$containers"/containers.json.damaged-*)
	[ "$(head -c -1 "$WORK/whole-$DRIVER/root/$DRIVER-containers/containers.json")" = "$(cat "$aside")" ] && pass "$DRIVER: the old file is kept" || fail "$DRIVER: the old file is kept" "$aside"
}

# A directory cannot have been locked by anybody; through anything else another tool may hold the lock.
lock_files() {
	local lock
	for lock in root/userns.lock "root/$DRIVER-layers/layers.lock" "root/$DRIVER-images/images.lock" "root/$DRIVER-containers/containers.lock" \
		"run/$DRIVER-layers/mountpoints.lock"; do
		mended "a directory in the place of $lock" "rm -f \"\$WORK/at/$lock\"; mkdir \"\$WORK/at/$lock\"" lock-file:file
		done_ "a FIFO in the place of $lock" "rm -f \"\$WORK/at/$lock\"; mkfifo \"\$WORK/at/$lock\"" lock-file:file left:file
		done_ "a symlink in the place of $lock" "mv \"\$WORK/at/$lock\" \"\$WORK/at/lock\"; ln -s \"\$WORK/at/lock\" \"\$WORK/at/$lock\"" lock-file:file left:file
		[ -L "$WORK/at/$lock" ] && [ -f "$WORK/at/lock" ] && pass "$DRIVER: it stays" || fail "$DRIVER: it stays" "$(ls -l "$WORK/at")"
	done
	mended "a directory with a file in it" 'rm -f "$G/userns.lock"; mkdir "$G/userns.lock"; echo keep >"$G/userns.lock/a.damaged-1"' lock-file:file
	[ "$(cat "$G"/userns.lock.damaged-*/a.damaged-1)" = keep ] && pass "$DRIVER: it is kept" || fail "$DRIVER: it is kept" "$(ls -l "$G")"
	mended "a lock file and records" 'rm "$layers/layers.lock"; mkdir "$layers/layers.lock"; truncate -s -1 "$layers/layers.json"' lock-file:file
}

# Records that are gone. The layers' content tells of them; what it does not tell is kept.
field() { # KEY: of all layers, by ID
	python3 -c 'import json, sys
for x in sorted(json.load(open(sys.argv[1])), key=lambda x: x["id"]): print(x["id"], x.get(sys.argv[2]))' "$layers/layers.json" "$1"
}
layers_again() { # NAME DAMAGE: all layers have records afterwards, with the parents and digests that they had
	local key
	fresh
	for key in parent diff-digest diff-size uidset gidset; do field "$key"; done >"$WORK/before"
	eval "$2"
	cst check --repair >"$WORK/said" 2>&1
	for key in parent diff-digest diff-size uidset gidset; do field "$key"; done >"$WORK/after"
	same "$DRIVER: $1" "$WORK/before" "$WORK/after"
	silent "$DRIVER: $1: nothing is left to mend" && pass "$DRIVER: $1: nothing is left to mend"
}
directories() { find "$G" -path '*/staging' -prune -o -type d -print | grep -v tmp | sort; }
gc_keeps() { # NAME DAMAGE SAID: gc refuses, and everything is still there
	local before
	fresh
	eval "$2"
	before=$(directories)
	! cst gc >"$WORK/said" 2>&1 && [ "$before" = "$(directories)" ] && grep -q "$3" "$WORK/said" && pass "$DRIVER: $1" || fail "$DRIVER: $1" "$(cat "$WORK/said")"
}
gc_of_lost() {
	gc_keeps "gc keeps what an image needs" 'rm "$layers/layers.json"' "image $image needs layer .*check --repair"
	gc_keeps "gc keeps what a layer is built on" 'edit "$layers/layers.json" "x = [l for l in x if l[\"id\"] != \"$base\"]"' \
		"layer $upper needs layer $base, .*check --repair"
	gc_keeps "gc keeps images whose list is gone" 'rm "$images/images.json"' "images.json was lost"
	gc_keeps "gc keeps images whose list is empty" ': >"$images/images.json"' "images.json was lost"
	echo "[]" >"$images/images.json"
	[[ $(cst gc --json) = *"$image"* ]] && pass "$DRIVER: but not if a list says that there is none" || fail "$DRIVER: but not if a list says that there is none"
}
# A layer is all that tells of a container without data.
lost_containers() {
	local layer
	fresh
	layer=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[0]["layer"])' "$containers/containers.json")
	rm -r "$containers/containers.json" "$containers/$container"
	cst check --repair --force -m 0 >"$WORK/said" 2>&1
	cst create-container im >/dev/null
	cst check --repair --force -m 0 >>"$WORK/said" 2>&1
	cst exists -q "$layer" && pass "$DRIVER: a lost container keeps its layer" || fail "$DRIVER: a lost container keeps its layer" "$(cat "$WORK/said")"
}
lost_records() {
	local before
	layers_again "half of the layers' records" 'truncate -s $(($(stat -c %s "$layers/layers.json") / 2)) "$layers/layers.json"'
	layers_again "no layer record at all" 'echo "[]" >"$layers/layers.json"'
	layers_again "no file of layer records" 'rm "$layers/layers.json"'
	layers_again "a parent" 'edit "$layers/layers.json" "x = [l for l in x if l[\"id\"] != \"$upper\"]"'
	layers_again "layers that nothing but their directories tells of" 'echo "[]" >"$layers/layers.json"; echo "[]" >"$images/images.json"; echo "[]" >"$containers/containers.json"
		rm -r "$images/$image" "$containers/$container"'
	fresh
	echo '{' >"$images/images.json"
	before=$(find "$G" -path '*/staging' -prune -o -type d -print | grep -v tmp | sort)
	cst check --repair --force -m 0 >"$WORK/said" 2>&1
	cst check --repair --force -m 0 >"$WORK/said" 2>&1
	[ "$before" = "$(find "$G" -path '*/staging' -prune -o -type d -print | grep -v tmp | sort)" ] && pass "$DRIVER: a lost image keeps its layers" ||
		fail "$DRIVER: a lost image keeps its layers" "$(cat "$WORK/said")"
	cst gc >/dev/null 2>"$WORK/err" || cst prune --older-than 0s >/dev/null 2>>"$WORK/err"
	[ "$before" = "$(find "$G" -path '*/staging' -prune -o -type d -print | grep -v tmp | sort)" ] && [ "$(grep -c "damaged-" "$WORK/err")" = 2 ] &&
		pass "$DRIVER: gc and prune remove nothing then" || fail "$DRIVER: gc and prune remove nothing then" "$(cat "$WORK/err")"
	rm "$images"/*.damaged-*
	[ "$(cst gc --json)" != "[]" ] && pass "$DRIVER: until that file is gone" || fail "$DRIVER: until that file is gone"
}
lost_and_left() { # where the driver cannot tell
	local before
	fresh
	before=$(ls "${own%/*}")
	rm "$layers/layers.json"
	cst check --repair --force -m 0 >"$WORK/said" 2>&1
	cst check --repair --force -m 0 >"$WORK/said" 2>&1
	[ "$before" = "$(ls "${own%/*}")" ] && pass "$DRIVER: layers without records stay" || fail "$DRIVER: layers without records stay" "$(cat "$WORK/said")"
}

# Records that somebody wrote who means no good: nothing hangs, and nothing outside of the store, or of other objects, is touched.
bad_input() {
	fresh
	cp "$WORK/config" "$G/outside.tar-split.gz" && mkdir -p "$G/outside/diff" "$WORK/at/further" && touch "$G/outside/file"
	find "$G/outside"* "$WORK/at/further" >"$WORK/before"
	edit "$layers/layers.json" 'x += [{"id": i, "created": "2020-01-02T03:04:05Z", "diff-digest": "sha256:" + 64 * "0", "big-data-names": ["file", "../file"]} for i in ("../outside", "../../further", "/etc", "..", ".", "a/b", "l", "tmp", "x" * 300)]'
	edit "$images/images.json" 'x += [{"id": i, "layer": "../outside", "created": "2020-01-02T03:04:05Z", "big-data-names": ["file"]} for i in ("../outside", "../../further", "..")]'
	cst check --repair --force -m 0 >"$WORK/said" 2>&1
	find "$G/outside"* "$WORK/at/further" >"$WORK/after"
	same "$DRIVER: IDs that are paths" "$WORK/before" "$WORK/after"
	rm -r "$G/outside"* "$WORK/at/further"
	done_ "two layers with one ID" 'edit "$layers/layers.json" "x.append(dict(x[0], names=[\"other\"]))"' record:layer left:layer
	done_ "two images with one ID" 'edit "$images/images.json" "x.append(dict(x[0], names=[\"other\"]))"' record:image left:image
	done_ "a record without an ID" 'edit "$layers/layers.json" "x.append({\"created\": \"2020-01-02T03:04:05Z\"})"' record:layer left:layer
	done_ "a time that is none" 'edit "$layers/layers.json" "x[2][\"created\"] = \"yesterday\""' "layer-missing:image parent-missing:layer record:layer" "left:container left:image left:layer"
}
bad_numbers() {
	local number
	for number in '"compression": 99999999999999999999' '"diff-size": 1e3' '"uidset": [-1]' '"gidset": [4294967296]' '"uidmap": [{"container_id": 1e99, "host_id": 0, "size": 1}]'; do
		layers_again "a number out of range ($number)" 'python3 - "$layers/layers.json" "$number" <<-P
			import sys
			text = open(sys.argv[1]).read()
			open(sys.argv[1], "w").write(text.replace("\"created\"", sys.argv[2] + ",\"created\"", 1))
		P'
	done
}
circles() {
	mended "a layer that is its own parent" 'edit "$layers/layers.json" "x[0][\"parent\"] = x[0][\"id\"]"' "layer-missing:image parent-missing:layer record:layer"
	mended "a circle of three" 'edit "$layers/layers.json" "x[0][\"parent\"] = x[2][\"id\"]"' "layer-missing:image parent-missing:layer record:layer"
}

# Nothing brings back what the container wrote, but it can be used again.
container_directory() {
	local layer
	fresh
	layer=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[0]["layer"])' "$containers/containers.json")
	rm -r "$home/$layer"
	[ "$(codes)" = "directory:layer not-mountable:layer" ] && pass "$DRIVER: the directory of a container's layer is gone" ||
		fail "$DRIVER: the directory of a container's layer is gone" "$(codes)"
	[ "$(repair --force)" = "mended:layer" ] && grep -q "with all that was in it" "$WORK/said" && cst mount box >/dev/null && cst unmount box >/dev/null &&
		silent "$DRIVER: a repair makes it again" && pass "$DRIVER: a repair makes it again" || fail "$DRIVER: a repair makes it again" "$(cat "$WORK/said" "$WORK/err")"
}
# What overlay keeps of a layer besides its files. $home: that of the driver.
overlay_files() {
	mended "a link that is gone" 'rm "$home/l/$(cat $home/$base/link)"' link:layer
	mended "a link that leads to another layer" 'ln -sfn "../$top/diff" "$home/l/$(cat $home/$base/link)"' "link:layer lower:layer"
	mended "a link that leads nowhere" 'ln -sfn "../nowhere/diff" "$home/l/$(cat $home/$upper/link)"' "link:layer lower:layer"
	mended "a file in the place of a link" 'l=$(cat $home/$upper/link); rm "$home/l/$l"; : >"$home/l/$l"' link:layer
	mended "all links" 'rm "$home"/l/*' link:layer
	mended "a file \"link\" that is gone" 'rm "$home/$base/link"' link:layer
	mended "an empty file \"link\"" ': >"$home/$upper/link"' link:layer
	mended "a file \"link\" that is another layer's" 'cp "$home/$top/link" "$home/$base/link"' link:layer
	mended "a symlink in the place of \"link\"" 'ln -sfn /etc/passwd "$home/$base/link"' link:layer
	mended "link and \"link\" together, which the children remember" 'rm "$home/l/$(cat $home/$base/link)" "$home/$base/link"' "link:layer lower:layer"
	mended "a \"lower\" that is gone" 'rm "$home/$top/lower"' lower:layer
	mended "an empty \"lower\"" ': >"$home/$top/lower"' lower:layer
	mended "a \"lower\" of another layer" 'cp "$home/$upper/lower" "$home/$top/lower"' lower:layer
	mended "a \"lower\" of nonsense" 'echo l/NOSUCH >"$home/$top/lower"' lower:layer
	mended "an empty \"lower-layers\"" ': >"$home/$top/lower-layers"' lower:layer
	mended "a \"lower-layers\" that names itself" 'echo -n "$top" >"$home/$top/lower-layers"' lower:layer
	mended "\"lower\" and \"lower-layers\"" 'rm "$home/$top/lower" "$home/$top/lower-layers" "$home/$upper/lower" "$home/$upper/lower-layers"' lower:layer
	mended "\"work\" that is gone" 'rm -r "$home/$top/work"' directory:layer
	mended "\"empty\" that is gone" 'rmdir "$home/$base/empty"' directory:layer
	mended "files in the place of directories" 'for d in work merged; do rm -r "$home/$top/$d"; : >"$home/$top/$d"; done' directory:layer
	container_directory
	mended "all of it" 'rm -r "$home"/l/* "$home/$upper"/{link,lower,lower-layers,work}' "directory:layer link:layer lower:layer"
}

for DRIVER in $(drivers); do
	case_ "$DRIVER: a store" whole_store >/dev/null || continue
	fresh
	silent "$DRIVER: it is whole" && pass "$DRIVER: it is whole"
	data_items
	record_files
	lock_files
	bad_input
	[ "$DRIVER" != overlay ] || { mounts; overlay_files; lost_records; circles; bad_numbers; }
	[ "$DRIVER" = overlay ] || lost_and_left
	gc_of_lost
	lost_containers
done
finish
