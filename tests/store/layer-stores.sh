#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Layers whose content is in an additional layer store, a plain directory: they show the same and give the same archive as
# layers with content of their own, and no command changes anything in that directory. With containers-storage (GO), the same
# store is looked at by that, too.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_overlay)
if [ -n "$lacking" ]; then
	skip "layers of additional layer stores" "$lacking" 29
	finish
fi
G=$WORK/root R=$WORK/run FAR=$WORK/far
cat >"$WORK/storage.conf" <<-X
	[storage]
	driver = "overlay"
	graphroot = "$G"
	runroot = "$R"
	[storage.options]
	additionallayerstores = ["$FAR"]
X
export CONTAINERS_STORAGE_CONF=$WORK/storage.conf
cs() { "$BUILD/cstorage" "$@"; }
mkdir -p "$FAR" "$WORK/base/d" "$WORK/base/gone" "$WORK/mid/d" "$WORK/top"
head -c 300000 /dev/urandom >"$WORK/base/d/large"
ln -s d/large "$WORK/base/link"
touch "$WORK/base/gone/x" "$WORK/mid/.wh.gone"
chown 1000:1001 "$WORK/base/d"
echo mid >"$WORK/mid/d/mid"
echo top >"$WORK/top/top"
for layer in base mid top; do tar -C "$WORK/$layer" -cf "$WORK/$layer.tar" .; done

go_far() { # LAYER: its content moves into the additional layer store, and all that is left is what the Go tools make of it
	local dir=$G/overlay/$1 digest far
	digest=sha256:$(sha256sum <"$WORK/$1.tar" | cut -d' ' -f1)
	far=$FAR/$digest
	mkdir "$far" && mv "$dir/diff" "$far/diff" && gzip -c "$WORK/$1.tar" >"$far/blob" && rm "$G/overlay-layers/$1.tar-split.gz" &&
		echo "{\"diff-digest\":\"$digest\",\"compression\":2}" >"$far/info" && ln -s "$far/diff" "$dir/diff" &&
		printf %s "$far" >"$dir/additionallayer"
}
far_content() { (cd "$FAR" && find . -mindepth 2 -printf '%p %m %U:%G %y %s %T@ %C@\n' | sort && find . -type f -exec sha256sum {} + | sort); }
far_same() { diff "$WORK/far.before" <(far_content); }
mounted() { # CONTAINER: what it shows
	local path
	path=$(cs mount "$1") && (cd "$path" && find . -mindepth 1 -printf '%p %m %U:%G %y %l\n' | sort && cat d/large d/mid top | sha256sum) &&
		cs unmount "$1" >/dev/null
}
told() {
	mounted c && mounted mapped &&
		for layer in base mid top; do cs diff -u $layer | sha256sum && cs changes $layer && cs diffsize $layer || return; done
}
made() {
	cs import-layer -i base -f "$WORK/base.tar" && cs import-layer -i mid -f "$WORK/mid.tar" base &&
		cs import-layer -i top -f "$WORK/top.tar" mid && cs create-image -i image top && cs create-container -i c image &&
		cs create-container -i mapped --uidmap 0:100000:65536 --gidmap 0:100000:65536 image
}
same() { diff "$WORK/before" "$WORK/after"; }
quietly() { local said; said=$("$@" 2>&1) || { echo "$said"; return 1; }; }
fails() { # TEXT COMMAND...: fails, and says the text
	local said want=$1
	shift
	said=$("$@" 2>&1) && { echo "$* succeeds"; return 1; }
	[[ $said == *"$want"* ]] || { echo "$said"; return 1; }
}
# By hand: what the directory shows, what it says of a layer, and a layer of it. This one goes by the reference of the image, too.
digest=sha256:$(sha256sum <"$WORK/base.tar" | cut -d' ' -f1)
offered() {
	local at=$FAR/$digest
	mkdir "$at" "$at/diff" && tar -C "$at/diff" -xf "$WORK/base.tar" && gzip -c "$WORK/base.tar" >"$at/blob" &&
		echo "{\"diff-digest\":\"$digest\",\"compressed-size\":7,\"compression\":2}" >"$at/info" && mkdir "$FAR/no-digest" "$FAR/cmVm" && mv "$at" "$FAR/cmVm/"
}
by_image() { CONTAINERS_STORAGE_CONF=$WORK/by-image.conf cs additional-layer "$@"; }
sed "s|\"$FAR\"|\"$FAR:ref\"|" "$WORK/storage.conf" >"$WORK/by-image.conf"
case_ "a program offers a layer" offered
case_ "it is listed" eval '[ "$(by_image list --image ref)" = "$digest" ] && [ "$(by_image list --json --image other)" = "[]" ]'
case_ "and by itself it is not" eval '[ -z "$(cs additional-layer list)" ]'
case_ "it is found" eval '[[ $(by_image find --image ref "$digest") == *"Directory: $FAR/cmVm/$digest"*"DiffID: $digest"*"Size: 7" ]]'
case_ "in JSON" eval 'by_image find --json --image ref "$digest" | python3 -c "import json, sys; assert json.load(sys.stdin)[\"diff-digest\"] == \"$digest\""'
case_ "another image has it not" fails 'unknown layer' by_image find --image other "$digest"
case_ "it becomes a layer" eval '[ "$(by_image put --image ref -i taken "$digest")" = taken ] && cs diff -u taken | cmp - "$WORK/base.tar"'
case_ "and goes" eval 'cs delete-layer taken >/dev/null && rm "$FAR" -r && mkdir "$FAR"'
case_ "layers and containers" quietly made
told >"$WORK/before" || fail "what they show" "$(cat "$WORK/before")"
case_ "two layers go" eval 'go_far base && go_far mid'
far_content >"$WORK/far.before"
told >"$WORK/after"
case_ "they show what they did" same
case_ "check finds nothing" quietly cs check
case_ "check reads all" quietly cs check --tree
case_ "df measures" quietly cs df
read_only() {
	local path
	path=$(cs mount mid) && [ -e "$path/d/large" ] && ! touch "$path/new" 2>/dev/null && cs unmount mid >/dev/null
}
case_ "the layer itself is mounted to be read" read_only
case_ "nothing is applied to it" fails 'is in an additional layer store' cs applydiff -f "$WORK/top.tar" mid
written() {
	local path
	path=$(cs mount c) && echo more >>"$path/d/large" && rm -r "$path/link" && echo new >"$path/d/mid" && cs unmount c >/dev/null &&
		path=$(cs mount c) && [ "$(stat -c %s "$path/d/large")" = 300005 ] && cs unmount c >/dev/null
}
case_ "a container writes" written
case_ "nothing of that is in the additional layer store" far_same
copied() { cs copy mid:d/mid "$WORK/copied" && cmp "$WORK/copied" "$WORK/mid/d/mid"; }
case_ "a file is copied out of it" copied

lacking=$(lacks_command fuse-overlayfs)
by_program() { # a name with a colon is none that a mount program takes as a lower
	cp -a "$G" "$WORK/root2" && sed "s|$G|$WORK/root2|; s|$R|$WORK/run2|; s|additionall.*|&\nmount_program = \"$(command -v fuse-overlayfs)\"|" \
		"$WORK/storage.conf" >"$WORK/program.conf" || return
	local path
	path=$(CONTAINERS_STORAGE_CONF=$WORK/program.conf cs mount c) && grep -q " - fuse.fuse-overlayfs .*" /proc/self/mountinfo &&
		cmp "$path/d/large" <(cat "$WORK/base/d/large" && echo more) && CONTAINERS_STORAGE_CONF=$WORK/program.conf cs unmount c >/dev/null
}
if [ -z "$lacking" ]; then
	case_ "a mount program shows them" by_program
else
	skip "a mount program shows them" "$lacking"
fi

lacking=$(lacks_go)
go_lists() { diff <("$GO" layers -j | tr , '\n' | grep '"diff-digest"') <(cs layers -j | tr , '\n' | grep '"diff-digest"'); }
go_mounts() {
	local path
	path=$("$GO" mount mapped) && cmp "$path/d/large" "$WORK/base/d/large" && "$GO" unmount mapped >/dev/null
}
go_diffs() { [ "$("$GO" diff -u mid 2>/dev/null | sha256sum)" = "$(sha256sum <"$WORK/mid.tar")" ]; }
if [ -z "$lacking" ]; then
	case_ "the Go command lists them" go_lists
	case_ "the Go command mounts them" go_mounts
	case_ "the Go command gives the same archive" go_diffs
else
	skip "the Go command" "$lacking" 3
fi

blob_lost() { # check says so, and repair takes the layers away without a step into the additional layer store
	mv "$FAR" "$FAR.away" && mkdir "$FAR" && fails 'base' cs check
	local ok=$?
	cs check -r -f >/dev/null 2>&1
	rmdir "$FAR" && mv "$FAR.away" "$FAR" && [ $ok = 0 ]
}
deleted() {
	cs delete-container c && cs delete-container mapped && cs delete-image image && [ -z "$(cs layers -q)" ] && [ -z "$(ls "$G/overlay/l")" ]
}
case_ "they are deleted" quietly deleted
case_ "the additional layer store has all that it had" far_same
case_ "layers again" quietly made
rm -r "${FAR:?}"/*
case_ "they go again" eval 'go_far base && go_far mid'
far_content >"$WORK/far.before"
case_ "a store that is lost is found by check and repair" blob_lost
case_ "and the additional layer store has all that it had" far_same
finish
