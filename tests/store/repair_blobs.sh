#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cstorage check --repair --from: a damaged layer is unpacked again from the blob that it was made of, wherever that is, and is
# then byte for byte what it was. Blobs that do not fit do no harm.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3 setfattr getfattr zstd)
if [ -n "$lacking" ]; then
	skip "repair from blobs" "$lacking" 100
	finish
fi
SKOPEO=${SKOPEO-$(command -v skopeo || true)} PODMAN=${PODMAN-$(command -v podman || true)} UMOCI=${UMOCI-$(command -v umoci || true)}
cst() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
go_checks=
[ -z "$GO" ] || [ "$(printf '%s\n' 1.64 "$(go_version)" | sort -V | head -n 1)" != 1.64 ] || go_checks=1
echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$WORK/policy.json"
skopeo_() { timeout -k 5 120 "$SKOPEO" --policy "$WORK/policy.json" "$@" >"$WORK/skopeo" 2>&1 || { cat "$WORK/skopeo"; false; }; }

# ---- an image of three layers, in the forms in which it travels ----

image=$WORK/image
mkdir -p "$image"
python3 - "$image" <<'P'
import gzip, hashlib, io, json, os, subprocess, sys, tarfile
out = sys.argv[1]
sha = lambda data: hashlib.sha256(data).hexdigest()
def archive(entries):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, kind, more in entries:
            info = tarfile.TarInfo(path)
            info.mtime, info.uid, info.gid, info.mode = 1500000000, 3, 4, 0o644
            body = None
            if kind == "dir": info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif kind == "link": info.type, info.linkname = tarfile.SYMTYPE, more.pop("to")
            elif kind == "hard": info.type, info.linkname = tarfile.LNKTYPE, more.pop("to")
            elif kind == "char": info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
            else: body = more.pop("data", path).encode(); info.size = len(body)
            for key, value in more.items(): setattr(info, key, value)
            tar.addfile(info, io.BytesIO(body) if body is not None else None)
    return data.getvalue()
f, d = "file", "dir"
base = archive([("etc/", d, {}), ("etc/hello", f, {}), ("etc/suid", f, {"mode": 0o4755}), ("etc/link", "link", {"to": "hello"}), ("etc/hard", "hard", {"to": "etc/hello"}),
    ("dev/", d, {}), ("dev/null", "char", {}), ("tmp/", d, {"mode": 0o1777, "uid": 5}), ("usr/", d, {}), ("usr/sh", f, {"pax_headers": {"SCHILY.xattr.user.a": "b"}}),
    ("bin", "link", {"to": "usr"}), ("old/", d, {}), ("old/a", f, {}), ("old/b/", d, {}), ("old/b/c", f, {}), ("large", f, {"data": "large and " * 30000})])
upper = archive([("etc/", d, {}), ("etc/.wh.suid", f, {"data": ""}), ("old/", d, {}), ("old/.wh..wh..opq", f, {"data": ""}), ("old/d", f, {}), ("upper", f, {})])
top = archive([("top/", d, {"mode": 0o700}), ("top/file", f, {}), ("implied/deep/file", f, {})])
layers = [base, upper, top]
config = json.dumps({"created": "2020-01-01T00:00:00Z", "architecture": "amd64", "os": "linux", "config": {},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(x) for x in layers]}, "history": [{"created_by": str(i)} for i in range(3)]}).encode()
def layout(name, suffix, compress):
    place = f"{out}/{name}"
    os.makedirs(place + "/blobs/sha256")
    def blob(kind, data):
        open(f"{place}/blobs/sha256/{sha(data)}", "wb").write(data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + sha(data), "size": len(data)}
    descriptors = [blob("layer.v1.tar" + suffix, compress(x)) for x in layers]
    open(place + ".blobs", "w").write("\n".join(x["digest"][7:] for x in descriptors))
    manifest = blob("manifest.v1+json", json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", config), "layers": descriptors}).encode())
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(place + "/index.json", "w"))
    json.dump({"imageLayoutVersion": "1.0.0"}, open(place + "/oci-layout", "w"))
layout("oci", "+gzip", lambda x: gzip.compress(x, 1, mtime=0))
layout("zstd", "+zstd", lambda x: subprocess.run(["zstd", "-q"], input=x, stdout=subprocess.PIPE, check=True).stdout)
# As `docker save` did before it wrote OCI layouts: directories of IDs that are no digests, one layer a link to another's.
with tarfile.open(out + "/old-docker.tar", "w") as tar:
    def member(name, data):
        info = tarfile.TarInfo(name); info.size = len(data); tar.addfile(info, io.BytesIO(data)); return name
    names = [member(str(i) * 64 + "/layer.tar", x) for i, x in enumerate(layers)]
    member("manifest.json", json.dumps([{"Config": member(sha(config) + ".json", config), "RepoTags": ["localhost/x:1"], "Layers": names}]).encode())
P
gzip -k "$image/old-docker.tar"
mkdir "$image/files" # of any name, one of them plain
n=0
for blob in $(cat "$image/oci.blobs"); do cp "$image/oci/blobs/sha256/$blob" "$image/files/layer-$((n += 1)).tgz"; done
gzip -d -S .tgz "$image/files/layer-1.tgz"

# ---- a whole store, and copies of it ----

whole_store() {
	new_store "whole-$DRIVER" "$DRIVER"
	cst import "oci:$image/oci" im && cst create-container -n box docker.io/library/im:latest && cst mount box >"$WORK/box" && echo written >"$(cat "$WORK/box")/own" && cst unmount box || return
	read -r base upper top box_layer < <(cst layers -j | python3 -c 'import json, sys; print(*[x["id"] for x in json.load(sys.stdin)])')
	G=$WORK/at/root R=$WORK/at/run
}
fresh() { # a copy; $own, $its: where the files of the base and of the top layer are
	unmount_below "$WORK/whole-$DRIVER"
	remove_tree "$WORK/at"
	"$TOP/tests/copy-store" "$WORK/whole-$DRIVER" "$WORK/at"
	own=$(layer_root "$base") its=$(layer_root "$top") mid=$(layer_root "$upper") splits=$G/$DRIVER-layers
}
# All that layers are: files, records, what the tar-splits say.
state() {
	local layer
	for layer in "$base" "$upper" "$top" "$box_layer"; do
		echo "== $layer"
		listing "$(layer_root "$layer")"
		[ ! -f "$splits/$layer.tar-split.gz" ] || zcat "$splits/$layer.tar-split.gz" | sha256sum
	done
	cat "$splits/layers.json" "$G/$DRIVER-images/images.json"
}
repair() { # OPTION...: prints what was done with each object
	cst check --repair --json "$@" 2>"$WORK/err" | tail -n 1 | tee "$WORK/done" | python3 -c 'import json, sys
print(*["%s:%s" % x[:2] for x in sorted({(x["action"], x["kind"], x["id"]) for x in json.load(sys.stdin)})])' 2>&1
}
silent() { # NAME
	local said
	said=$(cst check --json 2>&1)
	[ "$said" = "[]" ] || { fail "$1" "still found: $(cut -c1-600 <<<"$said")"; return 1; }
	[ -z "$go_checks" ] || said=$(go check 2>&1) || { fail "$1" "containers-storage: $said"; return 1; }
}
put_back() { # NAME DONE OPTION...: what the damaged store says was done, and what it then is
	local name="$DRIVER: $1" done=$2 said
	shift 2
	said=$(repair "$@")
	[ "$said" = "$done" ] || { fail "$name" "done: $said $(cat "$WORK/err")"; return; }
	state >"$WORK/after"
	cmp -s "$WORK/before" "$WORK/after" || { fail "$name" "$(diff -a "$WORK/before" "$WORK/after" | head -n 10 | cut -c1-300)"; return; }
	silent "$name" && pass "$name"
}
mended() { # NAME DAMAGE [HOW-MANY]: of so many layers
	fresh
	eval "$2"
	[ "$(cst check --json)" != "[]" ] || { fail "$DRIVER: $1" "it is not found"; return; }
	put_back "$1" "$(for ((i = 0; i < ${3:-1}; i++)); do echo mended:layer; done | paste -sd ' ')" --from "$image/oci"
}
damage_all() {
	echo jello >"$own/large"
	rm "$mid/upper"
	chmod 644 "$its/top"
}
everything="mended:layer mended:layer mended:layer"
from() { # NAME PLACE...: all layers are damaged, and put back from there
	fresh
	damage_all
	put_back "$1" "$everything" "${@:2}"
}

damages() {
	mended "other bytes of the same number" 'sed -i "s/large/LARGE/" "$own/large"; touch -d @1500000000 "$own/large"'
	mended "a file that is gone" 'rm "$own/usr/sh"'
	mended "a file too many" 'touch "$own/etc/more"'
	mended "a mode" 'chmod 600 "$own/etc/hello"'
	mended "a set-id bit" 'chmod 755 "$own/etc/suid"'
	mended "the mode of a directory" 'chmod 700 "$own/tmp"'
	mended "an owner" 'chown 9 "$own/etc/hello"'
	mended "an attribute that is gone" 'setfattr -x user.a "$own/usr/sh"'
	mended "an attribute with another value" 'setfattr -n user.a -v c "$own/usr/sh"'
	mended "the target of a symlink" 'ln -sfn hard "$own/etc/link"; chown -h 3:4 "$own/etc/link"; touch -hd @1500000000 "$own/etc/link" "$own/etc"'
	mended "a file in the place of a directory" 'rm -r "$own/old"; touch "$own/old"'
	mended "a symlink in the place of a directory" 'rm -r "$own/usr"; ln -s /etc "$own/usr"'
	mended "another device" 'rm "$own/dev/null"; mknod -m 644 "$own/dev/null" c 1 5; chown 3:4 "$own/dev/null"'
	mended "an empty file" ': >"$own/large"'
	mended "half a file" 'truncate -s 5000 "$own/large"'
	mended "a time" 'touch -d @1600000000 "$own/etc/hello"'
	mended "all files are gone" 'rm -r "$own"'
	mended "a layer in the middle: all files are gone" 'rm -r "$mid"'
	if [ "$DRIVER" = overlay ]; then
		for name in own mid its; do
			mended "the directory of a layer is gone (\$$name)" 'rm -r "${!name%/diff}"'
		done
		mended "the directories of all layers are gone" 'rm -r "${own%/diff}" "${mid%/diff}" "${its%/diff}" "$G"/overlay/l/*' 4
	fi
	mended "a layer on top: a file that is gone" 'rm "$its/top/file"'
	mended "a tar-split that is gone" 'rm "$splits/$base.tar-split.gz"'
	mended "all tar-splits are gone" 'rm "$splits"/*.tar-split.gz' 3
	mended "files and tar-split are gone" 'rm -r "$mid" "$splits/$upper.tar-split.gz"'
	mended "half a tar-split" 'truncate -s 100 "$splits/$base.tar-split.gz"'
	mended "an empty tar-split" ': >"$splits/$base.tar-split.gz"'
	mended "a bit of a tar-split" 'python3 -c "import sys; f = open(sys.argv[1], \"r+b\"); f.seek(200); b = f.read(1); f.seek(200); f.write(bytes([b[0] ^ 4]))" "$splits/$base.tar-split.gz"'
	mended "a symlink in the place of a tar-split" 'ln -sf /etc/hostname "$splits/$base.tar-split.gz"'
	mended "a size that is recorded wrongly" 'sed -i "s/\"diff-size\":[0-9]*/\"diff-size\":5/" "$splits/layers.json"'
	mended "each layer" damage_all 3
}

# The forms that other tools give the image.
tool_forms() {
	if [ -z "$SKOPEO" ]; then
		skip "$DRIVER: what skopeo and podman write" "no skopeo" 7
		return
	fi
	from "a directory of skopeo" --from "$forms/dir"
	from "an archive of skopeo for docker" --from "$forms/docker.tar"
	from "an archive of skopeo with an OCI layout" --from "$forms/oci.tar"
	from "a store of vfs" --from "$forms/vfs/root"
	[ ! -d "$forms/overlay" ] || from "a store of overlay" --from "$forms/overlay/root"
	if [ -n "$PODMAN" ]; then
		from "an archive of podman" --from "$forms/podman.tar"
		from "an OCI archive of podman" --from "$forms/podman-oci.tar"
	else
		skip "$DRIVER: what podman writes" "no podman" 2
	fi
	[ -n "$UMOCI" ] && from "a layout of umoci" --from "$forms/umoci" || skip "$DRIVER: a layout of umoci" "no umoci"
}
make_tool_forms() {
	local podman driver
	forms=$WORK/forms
	mkdir -p "$forms"
	skopeo_ copy "oci:$image/oci:x" "dir:$forms/dir"
	skopeo_ copy "oci:$image/oci:x" "docker-archive:$forms/docker.tar:localhost/x:1"
	skopeo_ copy "oci:$image/oci:x" "oci-archive:$forms/oci.tar:x"
	for driver in $(drivers); do
		skopeo_ copy "oci:$image/oci:x" "containers-storage:[$driver@$forms/$driver/root+$forms/$driver/run]localhost/x:1"
	done
	[ -z "$UMOCI" ] || { cp -r "$image/oci" "$forms/umoci" && "$UMOCI" tag --image "$forms/umoci:x" y; }
	[ -n "$PODMAN" ] || return
	podman="$PODMAN --root $forms/vfs/root --runroot $forms/vfs/run --storage-driver vfs --tmpdir $forms/vfs/tmp --cgroup-manager cgroupfs"
	$podman save -q --format docker-archive -o "$forms/podman.tar" localhost/x:1
	$podman save -q --format oci-archive -o "$forms/podman-oci.tar" localhost/x:1
}

# A damaged layer, and blobs that do not serve: the layer is as it was, and the message names blob and reason.
refused() { # NAME REASON PLACE...
	local name="$DRIVER: $1" reason=$2
	shift 2
	fresh
	rm "$own/usr/sh"
	state >"$WORK/damaged"
	repair "$@" >"$WORK/out"
	grep -qE "$reason" "$WORK/done" "$WORK/err" || { fail "$name" "$(cat "$WORK/done" "$WORK/err" | cut -c1-800)"; return; }
	state >"$WORK/after"
	cmp -s "$WORK/damaged" "$WORK/after" || { fail "$name" "$(diff -a "$WORK/damaged" "$WORK/after" | head -n 10 | cut -c1-300)"; return; }
	fresh
	rm "$own/usr/sh"
	put_back "$1, and a place with the right one" mended:layer "$@" --from "$image/oci"
}
hostile() {
	local bad=$WORK/bad blob
	blob=$(head -n 1 "$image/oci.blobs")
	new_bad() { rm -rf "$bad" && mkdir -p "$bad/blobs/sha256" && at=$bad/blobs/sha256/$blob; }
	new_bad
	echo "not it" >"$at"
	refused "a blob with another content than its name says" "$at: it is damaged" --from "$bad"
	new_bad
	head -c 500 "$image/oci/blobs/sha256/$blob" >"$at"
	refused "half a blob" "$at: it is damaged" --from "$bad"
	new_bad
	ln -s "$image/oci/blobs/sha256/$blob" "$at"
	refused "a symlink in the place of a blob" "$at: it is a symlink" --from "$bad"
	new_bad
	mkfifo "$at"
	refused "a pipe in the place of a blob" "$at: it is no regular file" --from "$bad"
	new_bad
	ln -s "$image/oci/blobs/sha256" "$bad/blobs/sha256/x" && rm -r "$bad/blobs" && ln -s "$image/oci/blobs" "$bad/blobs"
	refused "a symlink in the place of the blobs" "there is no blob" --from "$bad"
	new_bad
	head -c 300000 "$image/old-docker.tar" >"$bad/cut.tar"
	refused "an archive that is cut" "cut.tar: .*" --from "$bad/cut.tar"
	new_bad
	head -c 300000 /dev/urandom >"$bad/noise"
	refused "no archive" "noise: .*" --from "$bad/noise"
	new_bad
	head -c 500000000 /dev/zero | zstd -q >"$bad/zeros.zst"
	refused "a blob that inflates to more than any layer" "there is no blob" --from "$bad"
	new_bad
	python3 - "$bad/evil.tar" "$blob" <<-'P'
		import io, json, sys, tarfile
		with tarfile.open(sys.argv[1], "w") as tar:
		    for name in ("../../../../etc/passwd", "/etc/shadow", "manifest.json"):
		        data = json.dumps([{"Config": "../../../etc/passwd", "Layers": ["../../../../etc/hostname", "/proc/self/mem"]}]).encode()
		        info = tarfile.TarInfo(name); info.size = len(data); tar.addfile(info, io.BytesIO(data))
		    for kind, to in ((tarfile.SYMTYPE, "/etc/hostname"), (tarfile.LNKTYPE, "../../etc/hostname")):
		        info = tarfile.TarInfo(sys.argv[2]); info.type, info.linkname = kind, to; tar.addfile(info)
	P
	refused "an archive and a manifest that name files outside" "there is no blob" --from "$bad/evil.tar"
	rm -rf "$bad"
	fresh
	rm "$own/usr/sh"
	cp -a "$WORK/at" "$bad" # a store with the same damage
	refused "another store with the same damage" "$bad/root/$base: .*" --from "$bad/root"
	fresh
	rm "$own/usr/sh"
	state >"$WORK/damaged"
	said=$(cst check --repair --from "$image/oci" --from "$WORK/nowhere" 2>&1)
	[[ $said = *"open $WORK/nowhere: no such file or directory"* ]] && state | cmp -s - "$WORK/damaged" &&
		pass "$DRIVER: a place that is not there: nothing is done" || fail "$DRIVER: a place that is not there: nothing is done" "$said"
}

# Somebody works in a container on top of the damaged layer.
in_use() {
	local at said
	fresh
	at=$(cst mount box)
	touch "$own/etc/more"
	said=$(repair --from "$image/oci")
	said=${said/left:container left:image /}
	# On vfs and btrfs the container's files are its own.
	[ "$said" = "$([ "$DRIVER" != overlay ] && echo mended:layer || echo left:layer)" ] && pass "$DRIVER: a layer in use" || fail "$DRIVER: a layer in use" "$said $(cat "$WORK/done" "$WORK/err")"
	[ -e "$at/etc/hello" ] && [ -e "$at/own" ] && pass "$DRIVER: who uses it sees its files" || fail "$DRIVER: who uses it sees its files"
	cst unmount box >/dev/null
	[ "$DRIVER" != overlay ] || [ "$(repair --from "$image/oci")" = mended:layer ] && silent "$DRIVER: it is mended when nobody uses it any more" &&
		pass "$DRIVER: it is mended when nobody uses it any more" || fail "$DRIVER: it is mended when nobody uses it any more" "$(cat "$WORK/done" "$WORK/err")"
	fresh
	at=$(cst mount box)
	rm "$splits/$base.tar-split.gz"
	said=$(repair --from "$image/oci")
	[ "$said" = mended:layer ] && [ -e "$at/etc/hello" ] && silent "$DRIVER: a tar-split of a layer in use" && pass "$DRIVER: a tar-split of a layer in use" ||
		fail "$DRIVER: a tar-split of a layer in use" "$said $(cat "$WORK/done" "$WORK/err")"
	cst unmount box >/dev/null
}

# No blob is there: a lost tar-split is made of the files, and the record says what they give.
packed() { # NAME DAMAGE
	local name="$DRIVER: $1" said digest
	fresh
	state >"$WORK/sound"
	eval "$2"
	said=$(repair)
	[ "$said" = mended:layer ] || { fail "$name" "done: $said $(cat "$WORK/err")"; return; }
	grep -q "no longer byte for byte" "$WORK/done" || { fail "$name: it is said" "$(cat "$WORK/done")"; return; }
	[ "$(listing "$own")" = "$(sed -n '2,/^== /p' "$WORK/sound" | grep -v '^== ' | sed '$d')" ] || { fail "$name: the files are as they were"; return; }
	digest=sha256:$(cst diff -u "$base" | sha256sum | cut -d' ' -f1)
	said=$(cst layers -j | python3 -c 'import json, sys; x = json.load(sys.stdin)[0]; print(x["diff-digest"], x.get("compressed-diff-digest"))')
	[ "$said" = "$digest None" ] || { fail "$name: the record says what it gives" "$said, not $digest"; return; }
	silent "$name" || return
	if [ -n "$SKOPEO" ]; then
		rm -rf "$WORK/pushed"
		said=$(skopeo_ copy "containers-storage:[$DRIVER@$G+$R]docker.io/library/im:latest" "dir:$WORK/pushed") && [ "sha256:$(cst diff -u "$base" | sha256sum | cut -d' ' -f1)" = "$digest" ] || { fail "$name: skopeo pushes it" "$said"; return; }
		case_ "$name: what is pushed has it" test -f "$WORK/pushed/${digest#sha256:}" >/dev/null || return
	fi
	pass "$name"
}
packing() {
	packed "no tar-split, and no blob" 'rm "$splits/$base.tar-split.gz"'
	packed "half a tar-split, and no blob" 'truncate -s 100 "$splits/$base.tar-split.gz"'
	packed "a tar-split that inflates to more than the layer, and no blob" 'python3 -c "
import base64, gzip, sys
with gzip.open(sys.argv[1], \"wb\") as f:
    for i in range(2000): f.write(b\"{\\\"type\\\":2,\\\"payload\\\":\\\"\" + base64.b64encode(bytes(30000)) + b\"\\\"}\\n\")
" "$splits/$base.tar-split.gz"'
	# Files that are not all there make no layer, however well they are packed.
	fresh
	rm "$splits/$base.tar-split.gz" "$own/large"
	state >"$WORK/damaged"
	repair >/dev/null
	grep -q "they are not all there" "$WORK/done" "$WORK/err" && state | cmp -s - "$WORK/damaged" && pass "$DRIVER: no tar-split, no blob, and a file is gone" ||
		fail "$DRIVER: no tar-split, no blob, and a file is gone" "$(cat "$WORK/done" "$WORK/err" | cut -c1-500)"
}

[ -z "$SKOPEO" ] || make_tool_forms
for DRIVER in $(drivers); do
	whole_store >"$WORK/out" 2>&1 || { fail "$DRIVER: a store" "$(cat "$WORK/out")"; continue; }
	fresh
	silent "$DRIVER: it is whole" && pass "$DRIVER: it is whole"
	state >"$WORK/before"
	damages
	from "blobs of another compression" --from "$image/zstd"
	from "files of any name" --from "$image/files"
	from "an archive of docker" --from "$image/old-docker.tar"
	from "an archive of docker that is compressed" --from "$image/old-docker.tar.gz"
	from "several places" --from "$WORK" --from "$image/zstd"
	tool_forms
	hostile
	packing
	in_use
done
finish
