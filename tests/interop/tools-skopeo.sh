#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# skopeo reads an image that ours made, and ours what skopeo brings in: from OCI layouts and a Docker archive, in every
# compression.
. "$(dirname "$0")/tools-lib.sh"
[ -n "$SKOPEO" ] || { skip "skopeo" "no skopeo" 103; finish; }
begin "skopeo" 103

tool_store made
our_image localhost/ours:1 || finish
read -r _ manifest <"$WORK/image/mixed.image"
says "skopeo inspects our image" "sha256:$manifest" skopeo_ inspect --format '{{.Digest}}' "${at}localhost/ours:1"
if case_ "skopeo copies it to an OCI layout" skopeo_ copy "${at}localhost/ours:1" "oci:$WORK/oci:x"; then
	same_layers "the layers in the OCI layout are ours" "$WORK"/oci/blobs/sha256/*
	case_ "skopeo copies that in beside it" skopeo_ copy "oci:$WORK/oci:x" "${at}localhost/skopeo:1"
	case_ "ours finds what skopeo stored" ours image localhost/skopeo:1
fi
if to_docker "skopeo copies it to a Docker archive" \
	skopeo_ copy "${at}localhost/ours:1" "docker-archive:$WORK/docker.tar:localhost/ours:1"; then
	mkdir "$WORK/docker"
	tar -C "$WORK/docker" -xf "$WORK/docker.tar"
	same_layers "the layers in the Docker archive are ours" "$WORK"/docker/*.tar
fi
case_ "skopeo removes it, by any of its names" skopeo_ delete "${at}localhost/ours:1"
ours_deletes "after skopeo"

for name in gzip zstd mixed docker; do
	case $name in
	docker) source=docker-archive:$WORK/image/docker.tar want=none ;;
	*) source=oci:$WORK/image/$name:x want=$name ;;
	esac
	tool_store from
	case_ "$name: skopeo copies it in" skopeo_ copy "$source" "${at}localhost/from:1" || continue
	[ $want = mixed ] || says "$name: so the layers are compressed" "$want $want $want" compressions
	has "$name: ours lists it" localhost/from:1 ours images
	holds_image "$name" "$(member image localhost/from:1 layer)"
	both_see "$name" $(ids layers)
	ours_deletes "$name"
done
finish
