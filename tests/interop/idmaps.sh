#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where ids are not mapped at mount time, layers are re-owned: the same owners, modes, attributes and records as the
# Go command gives. (Its walk overlooks files in the root directory whose name has one letter: there is none here.)
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command setfattr setcap getfattr python3)
[ -n "$lacking" ] || lacking=$(lacks_go)
if [ -n "$lacking" ]; then
	skip "re-owned layers" "$lacking" 20
	finish
fi
src=$WORK/tree
mkdir -p "$src/dir/sub" "$src/setgid" "$src/far"
echo content >"$src/dir/file"
ln "$src/dir/file" "$src/hard"
echo suid >"$src/suid"
echo cap >"$src/capable"
ln -s dir/file "$src/link"
mkfifo "$src/fifo"
mknod "$src/device" c 1 3
chown 5:6 "$src/dir" "$src/dir/file"
chown -h 7:8 "$src/link"
chown 1000:1000 "$src/suid" "$src/capable"
chmod 6755 "$src/suid"
chmod 2775 "$src/setgid"
setfattr -n user.note -v yes "$src/dir/file" "$src/setgid"
setcap cap_net_raw+ep "$src/capable"
find "$src" -exec touch -h -d '2001-02-03 04:05:06' {} +
tar --sort=name --xattrs --xattrs-include='*' -C "$src" -cf "$WORK/layer.tar" .
chown 70000:70000 "$src/far"
tar --sort=name --xattrs --xattrs-include='*' -C "$src" -cf "$WORK/far.tar" .

# The kernel could do it for overlay; both commands are told not to use that. A Go command that is too old to listen is
# compared on vfs only, and ours on overlay with ours on vfs.
export _CONTAINERS_OVERLAY_DISABLE_IDMAP=yes

# Everything but the times of directories, which change upstream as it makes hard links anew, and the root, which up to
# 1.4x kept its owner.
owners() { # COMMAND LAYER
	local at
	at=$("$1" mount "$2") || return
	listing "$at" | awk '$2 == "d" { $1 = $6 = "-" } !/ - \.$/'
	"$1" unmount "$2" >/dev/null
}
records() {
	python3 - "$G" "$DRIVER" <<-'X'
		import json, os, sys
		root, driver, names = sys.argv[1], sys.argv[2], {}
		def load(kind):
		    return json.load(open("%s/%s-%s/%s.json" % (root, driver, kind, kind)))
		def short(id):
		    return names.setdefault(id, "layer-%d" % len(names)) if len(id) == 64 else id
		for kind in "images", "containers", "layers":
		    for record in load(kind):
		        record.pop("created", None)
		        for key in "id", "layer", "parent":
		            if key in record:
		                record[key] = short(record[key])
		        record["mapped-layers"] = [short(id) for id in record.get("mapped-layers", [])]
		        print(json.dumps(record, sort_keys=True))
		def recipe(id):
		    path = "%s/%s-layers/%s.tar-split.gz" % (root, driver, id)
		    return open(path, "rb").read() if os.path.exists(path) else None
		for id, name in names.items():
		    print(name, "recipe:", "none" if recipe(id) is None else recipe(id) == recipe("base"))
		with open(root + "/names", "w") as f:
		    f.writelines("%s %s\n" % (name, id) for id, name in names.items())
	X
}
low="--uidmap 0:100000:65536 --gidmap 0:200000:65536" high="--uidmap 0:300000:70001 --gidmap 0:400000:70001"
layers() {
	"$1" import-layer -i base -f "$WORK/layer.tar"
	"$1" create-layer -i low $low base
	"$1" create-layer -i high $high low
	"$1" create-layer -i host --hostuidmap --hostgidmap high
	"$1" create-layer -i group --hostuidmap low
	"$1" create-layer -i child low
	"$1" create-layer -i narrow --uidmap 0:9000:10 base
	"$1" create-layer -i single --uidmap 0:9000:1 base
	"$1" import-layer -i grown $high -f "$WORK/far.tar" low
	"$1" import-layer -i far -f "$WORK/far.tar"
	"$1" create-layer -i overflow $low far
	"$1" create-layer -i empty $low
}
containers() {
	"$1" import-layer -i base -n name -f "$WORK/layer.tar"
	"$1" create-layer -i top $low base
	"$1" create-image -i image base
	"$1" create-image -i mapped top
	"$1" create-container -i c1 $low image
	"$1" create-container -i c2 $low image
	"$1" create-container -i c3 $high image
	"$1" create-container -i c4 image
	"$1" create-container -i c5 --hostuidmap --hostgidmap image
	"$1" create-container -i c6 --uidmap 0:100000:65536 image
	"$1" create-container -i c7 mapped
	"$1" create-container -i c8 --hostuidmap --hostgidmap mapped
	"$1" create-container -i c9 $low mapped
}
listens() { # does the Go command re-own layers on this driver?
	new_store probe "$driver"
	[ -n "$(go create-layer -j $low | grep -o '"uidmap":')" ]
	local status=$?
	unmount_below "$G"
	return $status
}
for driver in vfs $(drivers | grep -vx vfs); do
	rm -f "$WORK"/go.*
	commands="go ours"
	if ! listens; then
		commands=ours
		for list in "$WORK"/ours.*; do mv "$list" "$WORK/go.${list##*/ours.}"; done
	fi
	rm -f "$WORK"/ours.*
	for who in $commands; do
		new_store "$who" "$driver"
		layers "$who" >"$WORK/$who.said" 2>&1
		for id in base low high host group child narrow single grown overflow empty; do
			owners "$who" "$id" >"$WORK/$who.$id" 2>&1
		done
		unmount_below "$G"
		new_store "$who-containers" "$driver"
		containers "$who" >>"$WORK/$who.said" 2>&1
		records >"$WORK/$who.records"
		while read -r name id; do owners "$who" "$id" >"$WORK/$who.$name"; done <"$G/names"
		unmount_below "$G"
	done
	same "$driver: what is said" "$WORK/go.said" "$WORK/ours.said"
	same "$driver: records" "$WORK/go.records" "$WORK/ours.records"
	for list in "$WORK"/go.*; do
		name=${list##*/go.}
		case $name in said | records) ;; *) same "$driver: files of $name" "$list" "$WORK/ours.$name" ;; esac
	done
	# The root belongs to the container's root.
	new_store ours "$driver"
	layers ours >/dev/null 2>&1
	found=$(for id in low high host empty; do stat -c %u:%g "$(layer_root $id)"; done | tr '\n' ' ')
	[ "$found" = "100000:200000 300000:400000 0:0 100000:200000 " ] && pass "$driver: owner of the root" ||
		fail "$driver: owner of the root" "$found"
	unmount_below "$G"
	# Each goes on in the other's store, with the copies that are there.
	[ "$commands" = "go ours" ] || continue
	for who in ours go; do
		[ $who = ours ] && other=go || other=ours
		new_store both "$driver"
		"$who" import-layer -i base -f "$WORK/layer.tar" >/dev/null && "$who" create-image -i image base >/dev/null &&
			"$who" create-container -i c1 $low image >/dev/null && "$other" create-container -i c2 $low image >/dev/null &&
			"$who" create-container -i c3 $low image >/dev/null
		n=$(ours image -j image | python3 -c 'import json,sys; print(len(json.load(sys.stdin)[0]["mapped-layers"]))')
		[ "$n" = 1 ] && pass "$driver: a copy made by $who serves both" || fail "$driver: a copy made by $who serves both" "$n copies"
		problems=$(audit)
		[ -z "$problems" ] && pass "$driver: the store is whole" || fail "$driver: the store is whole" "$problems"
		for id in c1 c2 c3; do "$other" delete-container $id >/dev/null || fail "$driver: $other cannot delete $id"; done
		"$other" delete-image image >/dev/null 2>&1
		[ -z "$(ours layers -q)" ] && pass "$driver: $other deletes all of it" || fail "$driver: $other deletes all of it" "$(ours layers)"
		unmount_below "$G"
	done
done
finish
