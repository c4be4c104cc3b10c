#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tools above the store: skopeo, buildah and podman read, run, build and delete in a store that ours made, and ours in
# what they made of it.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_overlay)
[ -n "$lacking" ] || lacking=$(lacks_command cc python3)
if [ -n "$lacking" ]; then
	skip "skopeo, buildah and podman" "$lacking" 25
	finish
fi
# A program that needs nothing of the image it is in.
cat >"$WORK/hello.c" <<-'X'
	#include <stdio.h>
	#include <string.h>
	int main(int argc, char **argv)
	{
		if (argc == 4 && strcmp(argv[1], "write") == 0) {
			FILE *f = fopen(argv[2], "w");
			return !f || fputs(argv[3], f) < 0 || fclose(f) != 0;
		}
		if (argc == 3 && strcmp(argv[1], "read") == 0) {
			FILE *f = fopen(argv[2], "r");
			for (int c; f && (c = getc(f)) != EOF;)
				putchar(c);
			return !f;
		}
		return puts("hello from an image") < 0;
	}
X
mkdir -p "$WORK/image/bin" "$WORK/image/etc" "$WORK/image/proc" "$WORK/image/sys" "$WORK/image/dev" "$WORK/image/tmp" "$WORK/image/run"
if ! cc -O2 -static -o "$WORK/image/bin/hello" "$WORK/hello.c" 2>/dev/null; then
	skip "skopeo, buildah and podman" "no static libc" 25
	finish
fi
echo 'root:x:0:0::/:/bin/hello' >"$WORK/image/etc/passwd"
echo 'root:x:0:' >"$WORK/image/etc/group"
tar --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -C "$WORK/image" -cf "$WORK/layer.tar" .
new_store t overlay # podman wants a run root of 50 characters at most
echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$WORK/policy.json"
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$G" "$R" >"$WORK/storage.conf"
printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n[network]\nnetwork_config_dir = "%s"\n' "$WORK/net" >"$WORK/containers.conf"
export CONTAINERS_CONF=$WORK/containers.conf XDG_RUNTIME_DIR=$WORK/xdg
mkdir -p "$XDG_RUNTIME_DIR"
# The runtimes look for a cgroup file system where systemd would have mounted one.
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null

at="containers-storage:[overlay@$G+$R]"
skopeo_() { skopeo --insecure-policy "$@"; }
buildah_() { buildah --root "$G" --runroot "$R" --storage-driver overlay "$@"; }
podman_() {
	podman --root "$G" --runroot "$R" --storage-driver overlay --tmpdir "$WORK/podman" --cgroup-manager cgroupfs "$@"
}
podman_run() {
	podman_ run --rm --cgroups=disabled --network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$@"
}
says() { # NAME WANT COMMAND...: what it prints
	local name=$1 want=$2 said
	shift 2
	said=$("$@" 2>"$WORK/err")
	[ "$said" = "$want" ] && pass "$name" || fail "$name" "$said $(tail -n 5 "$WORK/err")"
}

# An image by our command alone, as a registry would have delivered it: layer, config, manifest.
sum=$(sha256sum <"$WORK/layer.tar" | cut -d' ' -f1)
python3 - "$WORK" "$sum" <<-'X'
	import hashlib, json, os, sys
	work, sum = sys.argv[1:]
	config = json.dumps({"architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux",
	    "config": {"Cmd": ["/bin/hello"]}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sum]},
	    "history": [{"created_by": "cstorage"}]}).encode()
	digest = hashlib.sha256(config).hexdigest()
	manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
	    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + digest, "size": len(config)},
	    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + sum,
	        "size": os.path.getsize(work + "/layer.tar")}]}).encode()
	open(work + "/config", "wb").write(config)
	open(work + "/manifest", "wb").write(manifest)
	open(work + "/digests", "w").write("%s %s\n" % (digest, hashlib.sha256(manifest).hexdigest()))
X
read -r config manifest <"$WORK/digests"
case_ "ours: a layer" ours import-layer -i "$sum" -f "$WORK/layer.tar"
case_ "ours: an image" ours create-image -i "$config" -n localhost/ours:1 -d "sha256:$manifest" "$sum"
case_ "ours: its config" ours set-image-data -f "$WORK/config" "$config" "sha256:$config"
case_ "ours: its manifest" ours set-image-data -f "$WORK/manifest" "$config" "manifest-sha256:$manifest"
case_ "ours: its manifest, again as newest" ours set-image-data -f "$WORK/manifest" "$config" manifest

if lacking=$(lacks_command skopeo) && [ -z "$lacking" ]; then
	says "skopeo inspects our image" "sha256:$manifest" skopeo_ inspect --format '{{.Digest}}' "${at}localhost/ours:1"
	case_ "skopeo copies our image out" skopeo_ copy "${at}localhost/ours:1" "oci:$WORK/oci:x"
	case_ "the layer it got is the one we took in" sh -c "for f in '$WORK'/oci/blobs/sha256/*; do
		gzip -dcf \$f 2>/dev/null | sha256sum; done | grep -q $sum"
	case_ "skopeo copies an image in beside it" skopeo_ copy "oci:$WORK/oci:x" "${at}localhost/skopeo:1"
	case_ "ours finds what skopeo stored" ours image localhost/skopeo:1
else
	skip "skopeo" "$lacking" 5
fi
if lacking=$(lacks_command buildah) && [ -z "$lacking" ]; then
	made=$(buildah_ from --signature-policy "$WORK/policy.json" --pull-never --ulimit nofile=1024:1024 \
		--ulimit nproc=1000:1000 localhost/ours:1 2>"$WORK/err")
	[ -n "$made" ] && pass "buildah begins from our image" || fail "buildah begins from our image" "$(tail -n 5 "$WORK/err")"
	says "buildah runs in it" "hello from an image" buildah_ run --isolation chroot "$made" /bin/hello
	case_ "buildah writes in it" buildah_ run --isolation chroot "$made" /bin/hello write /written by-buildah
	case_ "ours sees buildah's container" ours container "$made"
	says "ours tells what buildah changed" 'Add "/written"' sh -c "'$OURS' -g '$G' -R '$R' -s overlay changes \
		\$('$OURS' -g '$G' -R '$R' -s overlay container '$made' | sed -n 's/^Layer: //p') | grep written"
	case_ "buildah commits" buildah_ commit --signature-policy "$WORK/policy.json" "$made" localhost/buildah:1
	case_ "buildah removes its container" buildah_ rm "$made"
	case_ "ours finds what buildah committed" ours image localhost/buildah:1
	case_ "ours makes a container of it" ours create-container -n ours-of-buildah localhost/buildah:1
	if point=$(ours mount ours-of-buildah); then
		says "and finds in it what buildah wrote" by-buildah cat "$point/written"
		says "and runs it" by-buildah chroot "$point" /bin/hello read /written
		case_ "ours unmounts it" ours unmount ours-of-buildah
	else
		fail "ours mounts what buildah committed"
	fi
	case_ "ours deletes its container" ours delete-container ours-of-buildah
else
	skip "buildah" "$lacking" 12
fi
if lacking=$(lacks_command podman crun) && [ -z "$lacking" ]; then
	case_ "podman lists our image" sh -c "podman --root '$G' --runroot '$R' --storage-driver overlay --tmpdir '$WORK/podman' images |
		grep -q localhost/ours"
	if podman_run --pull never localhost/ours:1 >"$WORK/said" 2>"$WORK/err"; then
		[ "$(cat "$WORK/said")" = "hello from an image" ] && pass "podman runs our image" || fail "podman runs our image" "$(cat "$WORK/said")"
		case_ "podman runs and writes" podman_ run --name kept --cgroups=disabled --network none --ulimit nofile=1024:1024 \
			--ulimit nproc=1000:1000 localhost/ours:1 /bin/hello write /written by-podman
		case_ "ours sees podman's container" ours container kept
		point=$(ours mount kept)
		says "ours reads what podman's container wrote" by-podman cat "$point/written"
		case_ "ours unmounts it" ours unmount kept
		case_ "podman removes it" podman_ rm kept
		case_ "podman removes an image of ours" podman_ rmi localhost/ours:1
	else
		# Some machines let no container start: then podman cannot start one from a store of its own either.
		mkdir -p "$WORK/control"
		control=(--root "$WORK/control/root" --runroot "$WORK/control/run" --storage-driver overlay --tmpdir "$WORK/control/tmp"
			--cgroup-manager cgroupfs)
		podman "${control[@]}" import "$WORK/layer.tar" localhost/control:1 >/dev/null 2>&1
		if podman "${control[@]}" run --rm --cgroups=disabled --network none --ulimit nofile=1024:1024 \
			--ulimit nproc=1000:1000 localhost/control:1 /bin/hello >/dev/null 2>&1; then
			fail "podman runs our image" "$(tail -n 5 "$WORK/err")"
		else
			skip "podman runs our image" "no container starts here: $(tail -n 1 "$WORK/err" | cut -c1-150)" 7
		fi
	fi
else
	skip "podman" "$lacking" 8
fi
for image in $(ours images -j | python3 -c 'import json, sys; print(*[x["id"] for x in json.load(sys.stdin) or []])'); do
	case_ "ours deletes an image" ours delete-image "$image"
done
said=$(audit)
[ -z "$said" ] && pass "nothing is left over" || fail "nothing is left over" "$said"
said=$(ours layers -j)
[[ $said = null || $said = '[]' ]] && pass "no layer is left" || fail "no layer is left" "${said:0:300}"
finish
