#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `cstorage import` of an OCI image layout makes the records that skopeo makes of it; podman, skopeo and the Go command work
# with the image. A layout that is damaged or means harm is refused, and leaves nothing.
. "$(dirname "$0")/tools-lib.sh"
[ -n "$SKOPEO" ] || { skip "import" "no skopeo" 60; finish; }
begin "import" 60

import() { timeout -k 5 60 "$BUILD/cstorage" -g "$G" -R "$R" -s overlay import "$@"; }
records() { # FILE: what both know of layers and images, without the moments at which they were made
	python3 - "$G" <<-'X' >"$1"
		import json, sys
		for name in "layers", "images":
		    for record in sorted(json.load(open(f"{sys.argv[1]}/overlay-{name}/{name}.json")), key=lambda r: r["id"]):
		        for key in "created", "names-history", "flags":
		            record.pop(key, None)
		        # Older versions keep that there are no signatures, as an empty item and in the metadata.
		        for key in "big-data-names", "big-data-sizes", "big-data-digests":
		            known = record.get(key, [])
		            none = [k for k in known if k.startswith("signature-")]
		            for k in none:
		                known.remove(k) if isinstance(known, list) else known.pop(k)
		        if record.get("metadata", "").startswith('{"signatures-sizes"'):
		            record["metadata"] = "{}"
		        print(json.dumps(record, indent=1, sort_keys=True))
	X
}

for name in gzip zstd mixed; do
	tool_store theirs
	case_ "$name: skopeo imports it" skopeo_ copy "oci:$WORK/image/$name:x" "${at}demo/app:1" || continue
	records "$WORK/theirs.records"
	case_ "$name: skopeo copies its own out" skopeo_ copy "${at}demo/app:1" "oci:$WORK/theirs-$name:x"
	tool_store ours
	case_ "$name: ours imports it" import "oci:$WORK/image/$name:x" demo/app:1 || continue
	records "$WORK/ours.records"
	same "$name: the records are the same" "$WORK/theirs.records" "$WORK/ours.records"
	case_ "$name: again" import "oci:$WORK/image/$name" demo/app:1 localhost/second
	says "$name: the second time, it has another name" "docker.io/demo/app:1
localhost/second:latest" python3 -c 'import json, sys; print(*sorted(json.load(open(sys.argv[1]))[0]["names"]), sep="\n")' \
		"$G/overlay-images/images.json"
	holds_image "$name" "$(member image docker.io/demo/app:1 layer)"
	case_ "$name: skopeo copies it out" skopeo_ copy "${at}demo/app:1" "oci:$WORK/back-$name:x"
	same "$name: just as its own" "$WORK/theirs-$name/index.json" "$WORK/back-$name/index.json"
	if [ -n "$PODMAN" ]; then
		has "$name: podman lists it" "docker.io/demo/app" podman_ images
		says "$name: podman runs it" hello podman_run --rm demo/app:1 /bin/busybox echo hello
	else
		skip "$name: podman" "no podman" 2
	fi
	ours_deletes "$name"
done

# Several platforms: the index is kept with the image, as skopeo keeps it.
python3 - "$WORK/image/gzip" "$WORK/many" <<-'X'
	import hashlib, json, os, shutil, sys
	source, to = sys.argv[1:]
	shutil.copytree(source, to)
	index = json.load(open(to + "/index.json"))
	mine = dict(index["manifests"][0], platform={"architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux"})
	mine.pop("annotations", None)
	other = dict(mine, digest="sha256:" + "0" * 64, platform={"architecture": "s390x", "os": "linux"})
	text = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [other, mine]}).encode()
	digest = hashlib.sha256(text).hexdigest()
	open(f"{to}/blobs/sha256/{digest}", "wb").write(text)
	entry = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + digest, "size": len(text),
	         "annotations": {"org.opencontainers.image.ref.name": "x"}}
	json.dump({"schemaVersion": 2, "manifests": [entry]}, open(to + "/index.json", "w"))
X
tool_store theirs
case_ "platforms: skopeo imports it" skopeo_ copy "oci:$WORK/many:x" "${at}many:1"
records "$WORK/theirs.records"
tool_store ours
case_ "platforms: ours imports it" import "oci:$WORK/many:x" many:1
records "$WORK/ours.records"
same "platforms: the records are the same" "$WORK/theirs.records" "$WORK/ours.records"
ours_deletes "platforms"

# ---- what must be refused, with nothing left ----

refused() { # NAME SOURCE MESSAGE-PART: and the store is as it was
	local said code
	said=$(import "$2" bad:1 2>&1)
	code=$?
	[ $code = 1 ] && [[ $said = *"$3"* ]] && pass "$1: refused" || fail "$1: refused" "exit $code, $said"
	said=$(ids layers; ids images)
	[ -z "${said//[[:space:]]/}" ] && pass "$1: nothing is left" || fail "$1: nothing is left" "$said"
}
damaged() { # NAME PYTHON: a copy of the layout in $WORK/NAME, changed; `d` is its folder, blob(i) the file of layer i
	rm -rf "${WORK:?}/$1"
	cp -r "$WORK/image/gzip" "$WORK/$1"
	python3 - "$WORK/$1" "$2" <<-'X'
		import hashlib, json, os, sys
		d = sys.argv[1]
		def path(digest): return f"{d}/blobs/sha256/{digest.split(':')[1]}"
		index = json.load(open(d + "/index.json"))
		manifest = json.load(open(path(index["manifests"][0]["digest"])))
		config = json.load(open(path(manifest["config"]["digest"])))
		def blob(i): return path(manifest["layers"][i]["digest"])
		def put(document):
		    text = json.dumps(document).encode()
		    digest = "sha256:" + hashlib.sha256(text).hexdigest()
		    open(path(digest), "wb").write(text)
		    return {"digest": digest, "size": len(text)}
		def put_manifest():
		    index["manifests"][0].update(put(manifest))
		    json.dump(index, open(d + "/index.json", "w"))
		def put_config():
		    manifest["config"].update(put(config))
		    put_manifest()
		exec(sys.argv[2])
	X
}
tool_store bad
damaged flip 'b = bytearray(open(blob(2), "rb").read()); b[4] ^= 1; open(blob(2), "wb").write(b)'
# The time in the header of gzip: nothing but the digest can tell.
refused "a last layer with another byte" "oci:$WORK/flip" "is damaged: its content has the digest"
damaged short 'b = open(blob(0), "rb").read(); open(blob(0), "wb").write(b + b"x")'
refused "a layer of another size" "oci:$WORK/short" "are expected"
damaged swapped 'config["rootfs"]["diff_ids"][1] = "sha256:" + "1" * 64; put_config()'
refused "another DiffID" "oci:$WORK/swapped" "but sha256:1111"
damaged fewer 'config["rootfs"]["diff_ids"].pop(); put_config()'
refused "fewer DiffIDs than layers" "oci:$WORK/fewer" "lists 3 layers, its configuration 2"
damaged fifo 'os.unlink(blob(1)); os.mkfifo(blob(1))'
refused "a FIFO for a blob" "oci:$WORK/fifo" "is not a regular file"
damaged outside 'b = blob(1); os.unlink(b); os.symlink("/etc/passwd", b)'
refused "a symlink out of the layout" "oci:$WORK/outside" "blobs/sha256"
damaged gone 'os.unlink(blob(1))'
refused "a blob that is missing" "oci:$WORK/gone" "no such file or directory"
damaged path 'manifest["layers"][0]["digest"] = "sha256:../../../../etc/passwd"; put_manifest()'
refused "a digest that is a path" "oci:$WORK/path" "invalid checksum digest"
damaged encrypted 'manifest["layers"][0]["mediaType"] += "+encrypted"; put_manifest()'
refused "an encrypted layer" "oci:$WORK/encrypted" "cannot be unpacked"
damaged garbage 'open(d + "/index.json", "w").write("[[[")'
refused "an index that is no JSON" "oci:$WORK/garbage" "index.json"
damaged two 'index["manifests"].append(dict(index["manifests"][0], annotations={"org.opencontainers.image.ref.name": "y"})); put_manifest()'
refused "two images and no name" "oci:$WORK/two" 'has 2 images, say which one'
refused "an image that is not there" "oci:$WORK/image/gzip:nope" 'has no image called "nope"; it has "x"'
refused "no layout" "oci:$WORK" "is not an OCI image layout"
refused "an unknown transport" "docker://x" "is no source of an image"
case_ "a name that cannot be one" test "$(import "oci:$WORK/image/gzip" 'Bad Name' 2>&1 | grep -c 'cannot be the name of an image')" = 1

# ---- a tar of a file system ----

tool_store tar
first=$(sed -n 1p "$WORK/image/gzip.layers" | cut -d' ' -f4)
case_ "tar: ours imports it" import "tar:$first" base
case_ "tar: skopeo inspects it" skopeo_ inspect "${at}base"
case_ "tar: skopeo copies it out" skopeo_ copy "${at}base" "oci:$WORK/tar-out:x"
if [ -n "$PODMAN" ]; then
	has "tar: podman lists it" "docker.io/library/base" podman_ images
	says "tar: podman runs it" hello podman_run --rm base /bin/busybox echo hello
fi
ours_deletes "tar"
tool_store tar
refused "a tar that is none" "tar:/etc/passwd" ""
finish
