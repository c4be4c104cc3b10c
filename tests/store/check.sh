#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cstorage check: silent about every store that is as it should be, however odd, and right about what is damaged. How the same
# verb of containers-storage compares is ../interop/damage.sh's affair.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3 setfattr)
if [ -n "$lacking" ]; then
	skip "check" "$lacking" 40
	finish
fi
item() { printf '%064d' "$1"; }
cst() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
silent() { # NAME OPTION...
	local said
	if said=$(cst check --json "${@:2}" 2>&1) && [ "$said" = "[]" ]; then
		pass "$1"
	else
		fail "$1" "$(cut -c1-600 <<<"$said")"
	fi
}
found() { # NAME CODE... : these codes, and no others, in any number
	local said
	said=$(cst check --json -m 0 2>&1 | python3 -c '
import json, sys
print(*sorted({x["code"] + ":" + x["kind"] for x in json.load(sys.stdin)}))' 2>&1)
	[ "$said" = "${*:2}" ] && pass "$1" || fail "$1" "found: $said"
}

# ---- archives ----

archives=$WORK/archives
mkdir -p "$archives"
python3 - "$archives" <<'P'
import io, sys, tarfile
def archive(name, entries):
    with tarfile.open(f"{sys.argv[1]}/{name}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for path, kind, more in entries:
            info = tarfile.TarInfo(path)
            info.mtime, info.uid, info.gid, info.mode = 1500000000, 3, 4, 0o644
            body = None
            if kind == "dir": info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif kind == "link": info.type, info.linkname = tarfile.SYMTYPE, more.pop("to")
            elif kind == "hard": info.type, info.linkname = tarfile.LNKTYPE, more.pop("to")
            elif kind == "fifo": info.type = tarfile.FIFOTYPE
            elif kind == "char": info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 1, 3
            elif kind == "zero": info.type = tarfile.CHRTYPE # device 0:0, which overlay takes for a whiteout
            else: body = more.pop("data", path).encode(); info.size = len(body)
            for key, value in more.items(): setattr(info, key, value)
            tar.addfile(info, io.BytesIO(body) if body is not None else None)
f, d = "file", "dir"
cap = "\x01\0\0\x02\0\x20" + "\0" * 14 # cap_net_raw=ep
archive("base", [("./", d, {}), ("etc/", d, {}), ("etc/hello", f, {}), ("etc/suid", f, {"mode": 0o4755}), ("etc/link", "link", {"to": "hello"}),
    ("etc/hard", "hard", {"to": "etc/hello"}), ("dev/", d, {}), ("dev/null", "char", {}), ("dev/pipe", "fifo", {}), ("tmp/", d, {"mode": 0o1777, "uid": 5}),
    ("usr/", d, {}), ("usr/bin/", d, {}), ("usr/bin/sh", f, {"pax_headers": {"SCHILY.xattr.user.a": "b"}}), ("bin", "link", {"to": "usr/bin"}),
    ("old/", d, {}), ("old/a", f, {}), ("old/b/", d, {}), ("old/b/c", f, {}), ("swap", f, {}), ("turn/", d, {}), ("turn/x", f, {}),
    ("ping", f, {"pax_headers": {"SCHILY.xattr.security.capability": cap}}), ("ping2", "hard", {"to": "ping", "pax_headers": {"SCHILY.xattr.security.capability": cap}}),
    ("marked/", d, {"pax_headers": {"SCHILY.xattr.user.dir": "1", "SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.user.overlay.x": "y", "SCHILY.xattr.trusted.more": "t"}}),
    ("bracket", "link", {"to": "a(b)c"}), ("n" * 150, f, {}), ("umlaut-\u00e4", f, {}), ("empty", f, {"data": ""}), ("past", f, {"mtime": -5}), ("far", f, {"mtime": 9000000000}), ("fine", f, {"mtime": 1500000000.25})])
archive("upper", [("tmp/new", f, {}), ("etc/.wh.suid", f, {"data": ""}), ("old/.wh..wh..opq", f, {"data": ""}), ("old/d", f, {}), ("swap/", d, {}), ("swap/in", f, {}),
    ("turn", f, {}), ("bin/tool", f, {}), ("marked/in", f, {}), ("implied/deep/file", f, {})])
archive("odd", [("/abs", f, {}), ("./dot/./file", f, {}), ("twice", f, {"data": "one"}), ("dir/", d, {"mode": 0o700}), ("dir/", d, {"mode": 0o711}), ("dir/in", f, {}),
    ("l1", "link", {"to": "dir"}), ("l1/through", f, {}), ("l2", "link", {"to": "/dir"}), ("l2/rooted", f, {}), ("l3", "link", {"to": "../../dir"}), ("l3/up", f, {}), (".wh..wh.plnk", f, {"data": ""}),
    ("one", f, {"pax_headers": {"SCHILY.xattr.user.a": "1"}}), ("two", "hard", {"to": "one", "mode": 0o600, "uid": 7, "mtime": 1500000009, "pax_headers": {"SCHILY.xattr.user.b": "2"}}),
    ("three", "hard", {"to": "one", "mode": 0o640}), ("soft", "hard", {"to": "l1", "uid": 9}), ("none", f, {"pax_headers": {"SCHILY.xattr.user.a": ""}}),
    ("seen/late", f, {}), ("seen/", d, {"pax_headers": {"SCHILY.xattr.user.a": "1"}}), ("seen/", d, {})])
archive("deeper", [("dir/", d, {"mode": 0o750}), ("dir/.wh.in", f, {"data": ""}), ("l1", f, {}), ("late/", d, {"mtime": 5}), ("late/x", f, {}), ("late/", d, {"mtime": 7})])
archive("outside", [("../out", f, {}), ("../../far/in", f, {}), ("dir/../../up", f, {}), ("hard", "hard", {"to": "../out"}), ("zero", "zero", {})])
archive("hides-nothing", [(".wh.gone", f, {"data": ""}), ("here/", d, {}), ("here/.wh.gone", f, {"data": ""}), ("kept", f, {})])
P
build() { # the store that the cases begin with
	cst import-layer -i "$(item 1)" -f "$archives/base.tar" && cst import-layer -i "$(item 2)" -f "$archives/upper.tar" "$(item 1)" &&
		cst create-image -i "$(item 3)" -n im "$(item 2)" && cst set-image-data -f "$archives/odd.tar" im manifest &&
		cst create-container -i "$(item 4)" -n box im && cst set-container-data -f "$archives/odd.tar" box key
}

for DRIVER in $(drivers); do
	new_store "clean-$DRIVER" "$DRIVER"
	case_ "$DRIVER: layers, an image, a container" build >/dev/null
	silent "$DRIVER: nothing is wrong with it"
	silent "$DRIVER: nor by a quick look" --quick
	silent "$DRIVER: nor by the files alone" --tree
	before=$(cd "$WORK/clean-$DRIVER" && find . -printf '%p %i %m %U %s %T@\n' | sort)
	cst check >/dev/null
	[ "$before" = "$(cd "$WORK/clean-$DRIVER" && find . -printf '%p %i %m %U %s %T@\n' | sort)" ] && pass "$DRIVER: looking changes nothing" || fail "$DRIVER: looking changes nothing"
	at=$(cst mount box)
	echo new >"$at/etc/new" && rm -rf "$at/old" && chmod 600 "$at/etc/hello" && echo x >>"$at/usr/bin/sh"
	silent "$DRIVER: a container that changed its files, mounted"
	[ "$(cat "$at/etc/new")" = new ] && pass "$DRIVER: it stays mounted" || fail "$DRIVER: it stays mounted"
	cst unmount box >/dev/null
	silent "$DRIVER: and unmounted"
	cst create-container -n mapped --uidmap 0:100000:65536 --gidmap 0:100000:65536 im >/dev/null
	silent "$DRIVER: a container with mapped ids"
	cst import-layer -f "$archives/odd.tar" -n odd >/dev/null && cst import-layer -f "$archives/deeper.tar" odd >/dev/null
	cst import-layer -f "$archives/hides-nothing.tar" -n alone >/dev/null && cst import-layer -f "$archives/hides-nothing.tar" odd >/dev/null
	cst import-layer -f "$archives/outside.tar" -n outside >/dev/null
	silent "$DRIVER: odd archives"
	cst check --repair >/dev/null && cst exists -q alone outside && pass "$DRIVER: and a repair keeps them" || fail "$DRIVER: and a repair keeps them"
	gzip -k "$archives/odd.tar" 2>/dev/null
	cst import-layer -f "$archives/odd.tar.gz" -n packed >/dev/null
	cst create-layer -n grown >/dev/null && cst applydiff -f "$archives/base.tar" grown >/dev/null
	silent "$DRIVER: an archive applied to a layer that was there"
	main=$G
	G=$WORK/clean-$DRIVER/other
	timeout 60 "$BUILD/cstorage" -g "$G" -R "$R/o" -s "$DRIVER" --storage-opt "$DRIVER.imagestore=$main" create-container -n far im >/dev/null
	cst() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
	R=$R/o
	cst_with() { cst --storage-opt "$DRIVER.imagestore=$main" "$@"; }
	said=$(cst_with check --json 2>&1)
	[ "$said" = "[]" ] && pass "$DRIVER: an additional store" || fail "$DRIVER: an additional store" "$said"
	remove_tree "$WORK/clean-$DRIVER"
	if [ -n "$GO" ]; then
		new_store "go-$DRIVER" "$DRIVER"
		go import-layer -f "$archives/base.tar" -n base >/dev/null && go import-layer -f "$archives/upper.tar" base >/dev/null && go create-image -n im base >/dev/null
		silent "$DRIVER: a store of containers-storage"
	else
		skip "$DRIVER: a store of containers-storage" "$(lacks_go)"
	fi
done

# ---- garbage ----

for DRIVER in $(drivers); do
	new_store garbage "$DRIVER"
	build >/dev/null
	mkdir -p "$(layer_root "$(item 9)")" "$G/$DRIVER-images/$(item 9)/userdata" "$G/$DRIVER-containers/$(item 9)" "$G/$DRIVER-layers/$(item 8)" "$G/$DRIVER-layers/other"
	head -c 5000 /dev/zero >"$(layer_root "$(item 9)")/file"
	: >"$G/$DRIVER-layers/$(item 9).tar-split.gz"
	garbage="container:$(item 9):0 image:$(item 9):0 layer:$(item 8):0 layer:$(item 9):5000"
	told() { python3 -c 'import json, sys; print(*sorted("%s:%s:%d" % (x["kind"], x["id"], x["bytes"]) for x in json.load(sys.stdin)))'; }
	[ "$(cst gc --json --dry-run | told)" = "$garbage" ] && pass "$DRIVER: garbage is told" || fail "$DRIVER: garbage is told" "$(cst gc --json --dry-run)"
	[ -d "$(layer_root "$(item 9)")" ] && pass "$DRIVER: and stays" || fail "$DRIVER: and stays"
	[ "$(cst gc --json | told)" = "$garbage" ] && pass "$DRIVER: garbage goes" || fail "$DRIVER: garbage goes"
	left=$(cd "$G" && find . -name "$(item 9)*" -o -name "$(item 8)*")
	[ -z "$left" ] && [ -d "$G/$DRIVER-layers/other" ] && pass "$DRIVER: all of it" || fail "$DRIVER: all of it" "$left"
	[ "$(cst gc --json)" = "[]" ] && silent "$DRIVER: nothing else goes" || fail "$DRIVER: nothing else goes"
done

# ---- damage ----

break_() { # WHAT, in the store at hand; $own is where the base layer's files are
	new_store broken "$DRIVER"
	build >/dev/null
	own=$(layer_root "$(item 1)")
	eval "$1"
}
for DRIVER in $(drivers); do
	break_ 'echo jello >"$own/etc/hello"; touch -d @1500000000 "$own/etc/hello"'
	found "$DRIVER: a file with other content, of the same size and time" content-unreadable:layer tree-changed:layer
	break_ 'chmod 600 "$own/etc/hello"'
	found "$DRIVER: a mode" tree-changed:layer
	break_ 'chown 9 "$own/etc/hello"'
	found "$DRIVER: an owner" tree-changed:layer
	break_ 'chmod 755 "$own/etc/suid"'
	found "$DRIVER: a set-id bit" tree-changed:layer
	break_ 'ln -sfn hard "$own/etc/link"; chown -h 3:4 "$own/etc/link"; touch -hd @1500000000 "$own/etc/link" "$own/etc"'
	found "$DRIVER: a symlink's target" tree-changed:layer
	break_ 'rm "$own/dev/null"; mknod -m 644 "$own/dev/null" c 1 5; chown 3:4 "$own/dev/null"; touch -d @1500000000 "$own/dev"; touch -d @1500000000 "$own/dev/null"'
	found "$DRIVER: another device" tree-changed:layer
	break_ 'setfattr -x user.a "$own/usr/bin/sh"'
	found "$DRIVER: an extended attribute that is gone" tree-changed:layer
	break_ 'setfattr -n user.dir -v 2 "$own/marked"'
	found "$DRIVER: another extended attribute" tree-changed:layer
	break_ 'setfattr -n user.b -v 2 "$own/etc/hello"'
	found "$DRIVER: an extended attribute too many" tree-changed:layer
	break_ 'setfattr -n security.capability -v 0x0100000200200400000000000000000000000000 "$own/ping"'
	found "$DRIVER: other capabilities" tree-changed:layer
	break_ 'setfattr -x security.capability "$own/ping2"'
	found "$DRIVER: no capabilities" tree-changed:layer
	break_ 'setfattr -n security.capability -v 0x010000030020000000000000000000000000000005000000 "$own/ping"; setfattr -n user.overlay.y -v z "$own/etc"; setfattr -n trusted.z -v z "$own/etc"'
	found "$DRIVER: the same of a user namespace, and what is not compared"
	break_ 'touch "$own/etc/more"; touch -d @1500000000 "$own/etc"'
	found "$DRIVER: a file too many" tree-changed:layer
	break_ 'rm -r "$own/usr"'
	found "$DRIVER: a directory that is gone" content-unreadable:layer tree-changed:layer
	break_ 'truncate -s 40 "$G/$DRIVER-layers/$(item 1).tar-split.gz"'
	found "$DRIVER: half a tar-split" content-unreadable:layer tree-unreadable:layer
	break_ 'echo >>"$G/$DRIVER-images/$(item 3)/manifest"'
	found "$DRIVER: a manifest that grew" data-size:image
	break_ 'rm "$G/$DRIVER-images/$(item 3)/manifest"'
	found "$DRIVER: a manifest that is gone" data-missing:image
	break_ 'rm "$G/$DRIVER-containers/$(item 4)/key"'
	found "$DRIVER: a container's data that is gone" data-missing:container
	break_ 'rm "$G/$DRIVER-images/images.json"'
	found "$DRIVER: no image any more" image-missing:container
	break_ 'sed -i "s/\"diff-size\":[0-9]*/\"diff-size\":5/" "$G/$DRIVER-layers/layers.json"'
	found "$DRIVER: a size" content-size:layer
	break_ 'cst create-layer -i "$(item 7)" >/dev/null'
	found "$DRIVER: a layer that nobody uses" unreferenced:layer
	silent "$DRIVER: unless it is young"
	break_ 'mkdir -p "$(layer_root "$(item 9)")"'
	found "$DRIVER: a directory that no record knows" no-record:layer
	said=$(cst check --repair 2>&1)
	[ ! -e "$(layer_root "$(item 9)")" ] && silent "$DRIVER: a repair removes it" || fail "$DRIVER: a repair removes it" "$said"
	break_ 'python3 - "$G/$DRIVER-layers/layers.json" "$(item 1)" <<-"P"
		import json, sys
		records = [x for x in json.load(open(sys.argv[1])) if x["id"] != sys.argv[2]]
		json.dump(records, open(sys.argv[1], "w"))
	P'
	found "$DRIVER: a parent without record" layer-missing:image no-record:layer parent-missing:layer
	break_ 'python3 - "$G/$DRIVER-layers/layers.json" "$(item 1)" "$(item 2)" <<-"P"
		import json, sys
		records = [x for x in json.load(open(sys.argv[1])) if x["id"] in sys.argv[2:]]
		json.dump(records, open(sys.argv[1], "w"))
	P
	rm -f "$G/$DRIVER-layers/volatile-layers.json"'
	found "$DRIVER: a container's layer without record" layer-missing:container
	before=$(ls "$(dirname "$(layer_root "$(item 1)")")/.." "$(dirname "$(layer_root "$(item 1)")")")
	cst check --repair >/dev/null 2>&1
	[ "$before" = "$(ls "$(dirname "$(layer_root "$(item 1)")")/.." "$(dirname "$(layer_root "$(item 1)")")")" ] && pass "$DRIVER: a repair keeps what the container wrote" ||
		fail "$DRIVER: a repair keeps what the container wrote"
	break_ 'chmod 600 "$own/etc/hello"'
	cst check --repair --force >/dev/null 2>&1
	[ "$(cst layers -q; cst images -q; cst containers -q)" = "" ] && silent "$DRIVER: a forced repair deletes what is damaged, and who uses it" ||
		fail "$DRIVER: a forced repair deletes what is damaged, and who uses it" "$(cst layers -q; cst images -q; cst containers -q)"
	break_ 'rm -r "$own"'
	said=$(cst check 2>&1)
	[ $? = 1 ] && pass "$DRIVER: a layer's files are gone altogether" || fail "$DRIVER: a layer's files are gone altogether" "$said"
done
finish
