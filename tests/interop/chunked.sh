#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# zstd:chunked: ours reads what skopeo writes, and takes it in parts; of the same layer ours writes the same TOC, entry by entry and chunk by chunk, and
# the same tar-split; skopeo takes ours, and pulls it in parts from a registry. eStargz: ours reads it.
. "$(dirname "$0")/tools-lib.sh"
lacking=$([ -n "$SKOPEO" ] || echo "no skopeo")
if [ -n "$lacking" ]; then
	skip "chunked" "$lacking" 60
	finish
fi
begin "chunked" 60
chunked() { timeout -k 5 120 "$BUILD/cstorage" chunked "$@"; }
helper() { python3 "$TOP/tests/interop/chunked.py" "$@"; }

refuses() { # MESSAGE COMMAND...
	local said
	! said=$("${@:2}" 2>&1) && [[ $said = *"$1"* ]] || { echo "$said"; false; }
}

cd "$WORK" || exit
helper tar all.tar old
helper tar peculiar.tar
tar -C / --sort=name --exclude='*.pyc' -cf system.tar etc usr/bin/perl usr/lib/os-release usr/share/perl5 2>/dev/null
for layer in image/mixed/blobs/sha256/*; do # plain, gzip and zstd, as ours takes them
	case $(head -c 4 "$layer" | od -An -tx1 | tr -d ' ') in
	7b* | 28b52ffd | 1f8b*) ;;
	*) cp "$layer" plain.tar ;;
	esac
done

# What skopeo makes of a layer: $blob, and its annotations.
theirs() { # NAME
	helper dir "$1.dir" "$1.tar"
	skopeo_ copy --dest-compress --dest-compress-format zstd:chunked "dir:$1.dir" "oci:$1.oci:x" >"$WORK/err" 2>&1 || return
	read -r blob digest position split _ < <(helper blobs "$1.oci")
}
names="all system plain"
theirs all || { skip "zstd:chunked" "skopeo that writes zstd:chunked: $(tail -n 1 "$WORK/err")" 60; names=; }
if [ -n "$names" ] && [ "$digest" = - ]; then
	new=
	skip "annotations, tar-split and empty attributes of zstd:chunked" "skopeo of containers-storage 1.50 or later" 38
else
	new=yes names="$names peculiar"
fi
for name in $names; do
	case_ "$name: skopeo writes it" theirs "$name" || { cat "$WORK/err"; continue; }
	read -r blob digest position split _ < <(helper blobs "$name.oci")
	case_ "$name: ours reads skopeo's" chunked inspect "$blob"
	case_ "$name: every digest in skopeo's is right" chunked verify ${new:+--toc-digest="$digest"} "$blob"
	if [ -n "$new" ]; then
		says "$name: the footer says what the annotations say" "$digest $position $split" python3 -c \
			'import json, sys; told = json.load(sys.stdin); print(told["toc-digest"], told["manifest-position"], told["tarsplit-position"])' \
			< <(chunked verify --json "$blob")
		case_ "$name: another digest is refused" refuses "should have sha256:0000" chunked verify --toc-digest="sha256:$(printf %064d 0)" "$blob"
	fi
	chunked create --json -o "$name.ours" "$name.tar" >"$name.json" || fail "$name: ours writes it"
	case_ "$name: every digest in ours is right" chunked verify "$name.ours"
	case_ "$name: the same entries, chunks and tar-split" helper same "$blob" "$name.ours"
	says "$name: any decoder gives the tar" "" bash -c "zstd -dcq '$name.ours' | cmp - '$name.tar'"
	gzip -1 <"$name.tar" | chunked create - >"$name.again"
	case_ "$name: from gzip, to a pipe: the same blob" cmp "$name.ours" "$name.again"
done

# From a layer of the store.
new_store layer vfs
ours import-layer -i L1 -f plain.tar >/dev/null
case_ "a layer becomes a blob" timeout 60 "$BUILD/cstorage" -g "$G" -R "$R" -s vfs chunked create -o layer.ours L1
[ ! -e plain.ours ] || case_ "a layer becomes the blob that its tar becomes" cmp layer.ours plain.ours

# In parts: a layer of skopeo's blob, and once more, from the first one.
own() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s overlay "$@"; }
reused() { # ID: how many bytes
	own --debug import-layer -i "$1" --toc-digest="$digest" -f "$blob" 2>&1 | sed -n 's/.*fetched, \([0-9]*\) bytes came from other layers"*$/\1/p'
}
for name in ${new:+$names}; do
	read -r blob digest _ < <(helper blobs "$name.oci")
	new_store "parts-$name" overlay
	says "$name: all that is in it is fetched" 0 reused L1
	case_ "$name: nothing in it is fetched again" test "$(reused L2)" -gt 0
	says "$name: it gives the tar" "" bash -c "'$BUILD/cstorage' -g '$G' -R '$R' -s overlay diff L2 | cmp - '$name.tar'"
	case_ "$name: nothing is wrong in the store" own check
	# Their check does not know directories that a tar does not name.
	[ "$name" != plain ] || [ -z "$GO" ] || case_ "$name: theirs finds nothing wrong, either" timeout 120 "$GO" -g "$G" -R "$R" -s overlay check
done

# Theirs take ours.
if [ -n "$names" ]; then
	helper oci ours.oci all.ours:all.json system.ours:system.json
	case_ "skopeo copies our layers" skopeo_ copy oci:ours.oci:x "dir:$WORK/copied"
	tool_store pulled
	case_ "skopeo stores our layers" skopeo_ copy oci:ours.oci:x "${at}localhost/ours:1"
fi
estargz() { # NAME
	local digest
	digest=$(helper estargz "$1.estargz" "$1.tar") || return
	chunked verify --toc-digest="$digest" "$1.estargz"
}
as_a_whole() { # NAME
	local digest said
	digest=$(helper estargz "$1.estargz" "$1.tar") || return
	said=$(insecure --debug import-layer -i "$1" --toc-digest="$digest" -f "$1.estargz" 2>&1) || { echo "$said"; return 1; }
	[[ $said == *"all of it, because: it is eStargz, which has no tar-split"* ]] || { echo "$said"; return 1; }
	insecure diff --uncompressed "$1" | cmp - <(gzip -dc "$1.estargz") && insecure check
}
insecure() { CONTAINERS_STORAGE_CONF=$WORK/storage.conf timeout -k 5 120 "$BUILD/cstorage" "$@"; }
tool_store estargz
printf '[storage.options]\npull_options = {enable_partial_images = "true", insecure_allow_unpredictable_image_contents = "true"}\n' >>storage.conf
for name in all peculiar plain; do
	case_ "$name: eStargz" estargz "$name"
	case_ "$name: it is fetched as a whole, whatever is allowed" as_a_whole "$name"
done

# stargz-snapshotter's own eStargz.
start_containerd() {
	cat >containerd.toml <<-T
		version = 2
		root = "$WORK/containerd/root"
		state = "$WORK/containerd/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		address = "$WORK/containerd.sock"
	T
	containerd -c containerd.toml >containerd.log 2>&1 &
	containerd_process=$!
	for _ in $(seq 100); do
		[ ! -S "$WORK/containerd.sock" ] || return 0
		sleep 0.1
	done
	false
}
remote() { timeout -k 5 60 ctr-remote -a "$WORK/containerd.sock" image "$@"; }
convert() { # CHUNK-SIZE
	rm -rf made && mkdir made && remote convert --estargz --oci --estargz-chunk-size "$1" demo/x:1 "demo/$1:1" &&
		remote export made.tar "demo/$1:1" && tar -C made -xf made.tar
}
lacking=$(lacks_command containerd ctr-remote)
if [ -n "$lacking" ]; then
	skip "eStargz of stargz-snapshotter" "$lacking" 5
else
	helper dir stargz.dir all.tar
	start_containerd || fail "containerd starts" "$(tail -n 3 containerd.log)"
	case_ "skopeo makes an archive of the layer" skopeo_ copy "dir:stargz.dir" oci-archive:stargz.tar:demo/x:1
	case_ "containerd takes it" remote import stargz.tar
	for size in 0 100000; do
		case_ "chunks of $size: it becomes eStargz" convert "$size" || continue
		read -r blob _ _ _ digest < <(helper blobs made)
		case_ "chunks of $size: every digest is right" chunked verify --toc-digest="$digest" "$blob"
	done
	kill "$containerd_process"
fi

# ---- a pull in parts ----

lacking=$(lacks_command docker-registry)
[ -n "$names$lacking" ] || lacking="skopeo that writes zstd:chunked"
[ -n "$new$lacking" ] || lacking="skopeo of containers-storage 1.50 or later"
if [ -n "$lacking" ]; then
	skip "a pull in parts" "$lacking" 4
	finish
fi
start_registry
if case_ "a registry" registry_answers; then
	case_ "our image goes there" skopeo_ copy --preserve-digests --dest-tls-verify=false oci:ours.oci:x "docker://127.0.0.1:$port/ours:1"
	in_parts() { # NAME [MORE-OPTIONS]: a store for that. Where they are given on the command line, the tools forget these options
		tool_store "$1"
		printf '[storage.options]\npull_options = {enable_partial_images = "true"%s}\n' "${2-}" >>"$WORK/storage.conf"
		at=containers-storage:
	}
	podman_pull() { timeout -k 5 120 "$PODMAN" --tmpdir "$R/podman" --cgroup-manager cgroupfs pull "$@"; }
	in_parts parts
	want=$(for name in all system; do python3 -c 'import json, sys; t = json.load(sys.stdin); print(t["toc-digest"], t["diff-digest"])' \
		<"$name.json"; done | sort)
	digests() {
		ours layers -j | python3 -c 'import json, sys
print(*sorted(x.get("toc-digest", "no TOC") + " " + x.get("diff-digest", "") for x in json.load(sys.stdin)), sep="\n")'
	}
	case_ "skopeo pulls it in parts" skopeo_ copy --src-tls-verify=false "docker://127.0.0.1:$port/ours:1" "${at}localhost/parts:1"
	says "the layers have our TOC digests and DiffIDs" "$want" digests
	if [ -n "$PODMAN" ]; then
		in_parts podman
		case_ "podman pulls it in parts" podman_pull --tls-verify=false "127.0.0.1:$port/ours:1"
		says "podman: the layers have our TOC digests and DiffIDs" "$want" digests
	else
		skip "podman pulls it in parts" "no podman" 2
	fi

	# A plain layer is converted; its TOC is that of a blob which is the tar itself. The names of both are in UTC.
	case_ "a gzip layer goes there" skopeo_ copy --dest-tls-verify=false dir:all.dir "docker://127.0.0.1:$port/gzip:1"
	converted() { "$BUILD/cstorage" get-layer-data "$("$BUILD/cstorage" layers -q)" "$1"; }
	in_parts converted-there ', convert_images = "true"'
	case_ "skopeo converts it" env TZ=UTC timeout -k 5 120 "$SKOPEO" --policy "$WORK/policy.json" copy --src-tls-verify=false \
		"docker://127.0.0.1:$port/gzip:1" "${at}localhost/gzip:1"
	for item in zstd-chunked-manifest zstd-chunked-layer-data; do converted $item >"$item.theirs"; done
	in_parts converted-here ', convert_images = "true"'
	case_ "ours converts it" timeout -k 5 120 "$BUILD/cstorage" import-layer -f all.tar
	for item in zstd-chunked-manifest zstd-chunked-layer-data; do
		converted $item >"$item.ours"
		same "converted: $item" "$item.theirs" "$item.ours"
	done
	kill "$registry_process"
fi
finish
