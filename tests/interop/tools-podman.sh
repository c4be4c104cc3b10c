#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# podman lists, runs, commits, saves and removes an image that ours made; ours looks into its containers, stopped and running,
# and takes over what it commits.
. "$(dirname "$0")/tools-lib.sh"
[ -n "$PODMAN" ] || { skip "podman" "no podman" 100; finish; }
begin "podman" 100

tool_store made
our_image localhost/ours:1 || finish
read -r config _ <"$WORK/image/mixed.image"
has "podman lists our image" localhost/ours podman_ images
has "podman lists it with its digest" "sha256:" podman_ images --digests --no-trunc
has "podman knows it by its ID" "$config" podman_ images --no-trunc --filter label=made-by=cstorage --format '{{.Id}}'
says "podman inspects it" cstorage podman_ inspect --format '{{index .Labels "made-by"}}' localhost/ours:1
case_ "podman inspects all of it" podman_ image inspect localhost/ours:1
has "podman tells its history" "cstorage 3" podman_ history --no-trunc localhost/ours:1
case_ "podman shows its tree" podman_ image tree localhost/ours:1
if point=$(podman_ image mount localhost/ours:1); then
	says "podman mounts the image" "second layer" cat "$point/srv/second"
	case_ "podman unmounts it" podman_ image unmount localhost/ours:1
else
	fail "podman mounts the image" "$point"
fi
case_ "podman saves it as an OCI layout" podman_ save --format oci-dir -o "$WORK/saved" localhost/ours:1
same_layers "the layers in the OCI layout are ours" "$WORK"/saved/blobs/sha256/*
if to_docker "podman saves it as a Docker archive" podman_ save --format docker-archive -o "$WORK/saved.tar" localhost/ours:1; then
	mkdir "$WORK/docker"
	tar -C "$WORK/docker" -xf "$WORK/saved.tar"
	same_layers "the layers in the Docker archive are ours" "$WORK"/docker/*.tar
fi
case_ "podman adds up what the store takes" podman_ system df -v

check() { # NAME: podman's own verdict on the store
	if podman_ system check --help >/dev/null 2>&1; then
		says "$1: podman system check finds nothing" "" podman_ system check
	else
		skip "$1: podman system check" "this podman has none"
	fi
}
check "our image"

if ! podman_run --rm localhost/ours:1 >"$WORK/said" 2>"$WORK/err"; then
	# Some machines let no container start: then podman cannot start one from a store of its own either.
	tool_store control
	podman_ load -i "$WORK/image/docker.tar" >/dev/null 2>&1
	if podman_run --rm localhost/docker:1 >/dev/null 2>&1; then
		fail "podman runs our image" "$(tail -n 5 "$WORK/err")"
	else
		skip "podman runs our image" "no container starts here: $(tail -n 1 "$WORK/err" | cut -c1-150)" 76
	fi
	finish
fi
says "podman runs our image" "hello from an image" cat "$WORK/said"
says "podman runs a program with a library" "second layer" podman_run --rm localhost/ours:1 /bin/sh -c 'read x </srv/second || echo "$x"'

# A container that has ended.
case_ "podman runs and changes" podman_run --name kept localhost/ours:1 /bin/busybox sh -c 'echo by-podman >>/written; rm -f /srv/second
	echo more >>/etc/motd'
has "podman lists the container" kept podman_ ps -a
has "podman tells what it changed" "A /written" podman_ diff kept
case_ "ours sees podman's container" ours container kept
layer=$(member container kept layer)
has "ours tells what it changed" 'Add "/written"' ours changes "$layer"
both_see_container "stopped container" "$layer"
point=$(ours mount kept)
says "ours mounts it" by-podman cat "$point/written"
case_ "podman starts it again" podman_ start -a kept
says "both wrote to the same file" "by-podman by-podman" xargs -a "$point/written"
case_ "ours unmounts it" ours unmount kept
check "stopped container"

# One that runs.
case_ "podman runs a sleeper" podman_run -d --name runs localhost/ours:1 /bin/busybox sh -c 'echo by-sleeper >/written; rm /srv/second
	trap exit TERM; while :; do sleep 1; done'
for ((i = 0; i < 600; i++)); do podman_ exec runs /bin/busybox test -e /srv/second || break; done
layer=$(member container runs layer)
both_see_container "running container" "$layer"
point=$(ours mount runs)
says "ours mounts the running one" by-sleeper cat "$point/written"
echo by-ours >"$point/from-ours"
says "what ours writes is seen inside" by-ours podman_ exec runs /bin/busybox cat /from-ours
case_ "ours unmounts the running one" ours unmount runs
says "which does not mind" by-sleeper podman_ exec runs /bin/busybox cat /written
check "running container"
case_ "podman stops it" podman_ stop -t 10 runs
case_ "ours mounts it once it has stopped" ours mount runs
case_ "ours lets it go again" ours unmount runs
case_ "podman starts it once more" podman_ start runs
says "and it has its files" by-ours podman_ exec runs /bin/busybox cat /from-ours
case_ "podman commits the running one" podman_ commit --pause=false runs localhost/runs:1
case_ "podman removes the running one" podman_ rm -f -t 0 runs

# What it commits.
case_ "podman commits" podman_ commit kept localhost/committed:1
for name in localhost/runs:1 localhost/committed:1; do
	has "ours lists $name" "$name" ours images
	both_see "$name" "$(member image "$name" layer)"
done
point=$(ours mount "$(member image localhost/committed:1 layer)")
says "ours mounts it" "by-podman by-podman" xargs -a "$point/written"
[ -e "$point/srv/second" ] && fail "what podman deleted is there" || pass "what podman deleted is gone"
case_ "ours unmounts it" ours unmount "$(member image localhost/committed:1 layer)"
check "committed images"
case_ "podman removes its container" podman_ rm kept
case_ "podman runs what it committed" podman_run --rm localhost/committed:1 /bin/busybox cat /written
case_ "ours deletes an image of podman's" ours delete-image localhost/runs:1
case_ "podman removes the image it committed" podman_ rmi localhost/committed:1
case_ "podman removes our image" podman_ rmi localhost/ours:1
ours_deletes "after podman"

# What ours reads of an image that podman loaded.
tool_store loaded
case_ "podman loads a Docker archive" podman_ load -i "$WORK/image/docker.tar"
holds_image "loaded image" "$(member image localhost/docker:1 layer)"
# shellcheck disable=SC2046
both_see "loaded image" $(ids layers)
ours_deletes "loaded image"
says "podman finds nothing left" "" podman_ images --quiet
finish
