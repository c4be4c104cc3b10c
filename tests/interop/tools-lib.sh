# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the suites of the tools above the store share: skopeo, buildah and podman beside ours. PODMAN, BUILDAH, SKOPEO and GO
# name the commands to try; without, those of this machine. tests/interop/peer makes those of another Debian.

# podman leaves a monitor behind for each container, and whatever runs in it: all of it ends with the process namespace.
if [ -z "${IN_PROCESS_NAMESPACE-}" ] && unshare --pid --fork --mount-proc true 2>/dev/null; then
	IN_PROCESS_NAMESPACE=1 exec unshare --pid --fork --kill-child --mount-proc --propagation private "$0" "$@"
fi
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
tool_driver=${DRIVERS:-overlay} # that of the stores of the tools
PODMAN=${PODMAN-$(command -v podman || true)}
BUILDAH=${BUILDAH-$(command -v buildah || true)}
SKOPEO=${SKOPEO-$(command -v skopeo || true)}

# begin WHAT HOW-MANY: skips so many if this machine cannot run the tools at all; else there is an image in $WORK/image.
begin() {
	local lacking
	lacking=$(lacks_overlay)
	[ -n "$lacking" ] || lacking=$(lacks_command python3 zstd getfattr busybox)
	[ -n "$lacking" ] || ! ldd "$(command -v busybox)" >/dev/null 2>&1 || lacking="no busybox without shared libraries"
	if [ -n "$lacking" ]; then
		skip "$1" "$lacking" "$2"
		finish
	fi
	go_version= # 1.43 does not say
	if [ -n "$GO" ]; then
		new_store version vfs
		go_version=$(go version 2>&1 | sed -n 's/.*Version: //p')
	fi
	mkdir -p "$WORK/image" "$WORK/xdg"
	python3 "$TOP/tests/interop/image.py" "$WORK/image" || { fail "image.py"; finish; }
	echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$WORK/policy.json"
	printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nlock_type = "file"\n[network]\nnetwork_config_dir = "%s"\n' \
		"$WORK/net" >"$WORK/containers.conf"
	export CONTAINERS_CONF=$WORK/containers.conf XDG_RUNTIME_DIR=$WORK/xdg
	# The runtimes look for a cgroup file system where systemd would have mounted one.
	mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null
}
tool_store() { # NAME: podman wants a run root of 50 characters at most
	new_store "$1" "$tool_driver"
	# shellcheck disable=SC2034 # for skopeo
	at="containers-storage:[$tool_driver@$G+$R]"
	printf '[storage]\ndriver = "%s"\ngraphroot = "%s"\nrunroot = "%s"\n' "$tool_driver" "$G" "$R" >"$WORK/storage.conf"
}

skopeo_() { timeout -k 5 120 "$SKOPEO" --policy "$WORK/policy.json" "$@"; }
buildah_() { timeout -k 5 120 "$BUILDAH" --root "$G" --runroot "$R" --storage-driver "$tool_driver" "$@"; }
podman_() {
	timeout -k 5 120 "$PODMAN" --root "$G" --runroot "$R" --storage-driver "$tool_driver" --tmpdir "$R/podman" --cgroup-manager cgroupfs "$@"
}
podman_run() {
	podman_ run --pull never --cgroups=disabled --network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$@"
}

says() { # NAME WANT COMMAND...: what it prints
	local name=$1 want=$2 said
	shift 2
	said=$("$@" 2>"$WORK/err")
	[ "$said" = "$want" ] && pass "$name" || fail "$name" "$said $(tail -n 5 "$WORK/err")"
}
has() { # NAME WANT COMMAND...: one of the lines it prints, or a part of it
	local name=$1 want=$2 said
	shift 2
	said=$("$@" 2>"$WORK/err") && [[ $said = *"$want"* ]] && pass "$name" || fail "$name" "${said:0:500} $(tail -n 5 "$WORK/err")"
}

# Our command alone makes an image of what a registry delivers (docs/format/config.md, 7.3): layers, record, items of data.
our_image() { # NAME
	local id parent digest file top config manifest here=$WORK/image/mixed
	while read -r id parent digest file; do
		# shellcheck disable=SC2086 # the first has no parent
		case_ "ours: a layer" ours import-layer -i "$id" -f "$file" ${parent#-} || return
		says "ours: it has the digest" "sha256:$digest" member layer "$id" diff-digest
		top=$id
	done <"$here.layers"
	read -r config manifest <"$here.image"
	case_ "ours: an image" ours create-image -i "$config" -n "$1" -m '{}' -d "sha256:$manifest" "$top" &&
		case_ "ours: its config" ours set-image-data -f "$here/blobs/sha256/$config" "$config" "sha256:$config" &&
		case_ "ours: its manifest by digest" ours set-image-data -f "$here/blobs/sha256/$manifest" "$config" "manifest-sha256:$manifest" &&
		case_ "ours: its manifest" ours set-image-data -f "$here/blobs/sha256/$manifest" "$config" manifest
}
# Are the layers that a tool wrote to the files there, once uncompressed, those of our image?
same_layers() { # NAME FILE...
	local name=$1 file
	shift
	for file; do
		case $(head -c 4 "$file" | od -An -tx1 | tr -d ' ') in
		1f8b*) gzip -dc "$file" ;;
		28b52ffd) zstd -qdc "$file" ;;
		*) cat "$file" ;;
		esac | sha256sum | cut -d' ' -f1
	done | sort >"$WORK/there"
	cut -d' ' -f3 "$WORK/image/mixed.layers" | sort >"$WORK/wanted"
	says "$name" "" comm -23 "$WORK/wanted" "$WORK/there"
}
# Older tools put no layer that is zstd in the store into a Docker archive.
to_docker() { # NAME COMMAND...
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		pass "$name"
	elif [[ $said = *"zstd compression is not supported for docker images"* ]]; then
		skip "$name" "this version takes no zstd layer there" 2
		false
	else
		fail "$name" "$(tail -n 3 <<<"$said")"
	fi
}
member() { # KIND NAME MEMBER: of the record of a layer, image or container, as ours tells it
	ours "$1" -j "$2" | python3 -c 'import json, sys; print(json.load(sys.stdin)[0].get(sys.argv[1], ""))' "$3"
}
ids() { # layers, images or containers
	ours "$1" -j | python3 -c 'import json, sys; print(*[x["id"] for x in json.load(sys.stdin) or []])'
}
compressions() { # of the layers
	ours layers -j | python3 -c 'import json, sys
print(*[{0: "none", 2: "gzip", 4: "zstd"}[x.get("compression", 0)] for x in json.load(sys.stdin)])'
}

# An archive made from what a container changed: its whiteouts have the time it is made at, and in the Go command's the name of the
# first one, of which the kernel makes them hard links. 1.43 also keeps the type of a file in its mode, and adds names to the owners.
timeless() {
	python3 -c '
import sys
data = bytearray(sys.stdin.buffer.read())
at = 0
while at + 512 <= len(data):
    header = data[at:at + 512]
    if not sys.argv[1]:
        data[at + 100:at + 104] = bytes(4)
        data[at + 148:at + 156] = bytes(8)
        data[at + 265:at + 329] = bytes(64)
    if b"/.wh." in b"/" + header[:100].rstrip(b"\0"):
        data[at + 136:at + 156] = bytes(20)  # time and checksum
        data[at + 157:at + 257] = bytes(100)
    at += 512 + -(-int(header[124:135].strip(b"\0 ") or b"0", 8) // 512) * 512
sys.stdout.buffer.write(data)' "$go_version"
}
unzipped() { gzip -dc; }
blob=cat # the compressed layer is the same blob, where the Go command has the compressor that ours equals
[ -z "$(lacks_go)" ] && [ -n "$(lacks_equal_compressor)" ] && blob=unzipped
both_say() { # NAME FILTER COMMAND...: the same, to the byte, after the filter
	local name=$1 filter=$2
	shift 2
	if ours "$@" >"$WORK/ours.out" 2>"$WORK/err" && go "$@" >"$WORK/go.out" 2>"$WORK/err"; then
		$filter <"$WORK/ours.out" >"$WORK/ours.said"
		$filter <"$WORK/go.out" >"$WORK/go.said"
		same "$name" "$WORK/ours.said" "$WORK/go.said"
	else
		fail "$name" "$(tail -n 5 "$WORK/err")"
	fi
}
# Whatever the Go command tells of layers that came as archives, ours tells the same.
both_see() { # NAME LAYER...
	local name=$1 id number=0
	shift
	[ -z "$(lacks_go)" ] || { skip "$name: both see the same" "$(lacks_go)" $((4 * $#)); return; }
	for id; do
		number=$((number + 1))
		both_say "$name: layer $number of $#: diff" cat diff -u "$id"
		both_say "$name: layer $number of $#: diff, gzip" $blob diff -c "$id"
		both_say "$name: layer $number of $#: changes" sort changes "$id"
		both_say "$name: layer $number of $#: diffsize" cat diffsize "$id"
	done
}
# And of a container's layer, which is compared as it is.
both_see_container() { # NAME LAYER
	[ -z "$(lacks_go)" ] || { skip "$1: both see the same" "$(lacks_go)" 4; return; }
	unzipped_timeless() { unzipped | timeless; }
	both_say "$1: diff" timeless diff -u "$2"
	both_say "$1: diff, gzip" unzipped_timeless diff -c "$2"
	both_say "$1: changes" sort changes "$2"
	both_say "$1: diffsize" cat diffsize "$2"
}
# The layer's files are what the image has.
holds_image() { # NAME MOUNTED-LAYER
	local point
	point=$(ours mount "$2") || { fail "$1: ours mounts it" "$point"; return; }
	[ "$(cat "$point/etc/motd")" = changed ] && [ "$(cat "$point/srv/hidden/new")" = new ] && [ ! -e "$point/srv/gone" ] &&
		[ ! -e "$point/srv/hidden/below" ] && [ "$(cat "$point/srv/second")" = "second layer" ] &&
		pass "$1: the files are there" || fail "$1: the files are there" "$(ls -lR "$point/srv" "$point/etc/motd")"
	says "$1: a program runs in it" "hello" chroot "$point" /bin/busybox sh -c 'echo hello'
	case_ "$1: ours unmounts it" ours unmount "$2"
}
# Ours deletes all there is, and that is all there was.
ours_deletes() { # NAME
	local id said
	for id in $(ids containers); do case_ "$1: ours deletes a container" ours delete-container "$id"; done
	for id in $(ids images); do case_ "$1: ours deletes an image" ours delete-image "$id"; done
	said=$(audit)
	[ -z "$said" ] && pass "$1: nothing is left over" || fail "$1: nothing is left over" "$said"
	said=$(ids layers)
	[ -z "$said" ] && pass "$1: no layer is left" || fail "$1: no layer is left" "${said:0:300}"
	unmount_below "$G"
}
# A registry of this test alone, in the current folder, on $port; $registry_process is to be killed.
start_registry() {
	port=$((20000 + RANDOM % 20000))
	cat >registry.yml <<-Y
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $WORK/registry}, delete: {enabled: true}}
		http: {addr: "127.0.0.1:$port"}
	Y
	docker-registry serve registry.yml >registry.log 2>&1 &
	registry_process=$!
}
registry_answers() {
	for _ in $(seq 100); do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
		kill -0 "$registry_process" 2>/dev/null || return
		sleep 0.1
	done
	false
}
