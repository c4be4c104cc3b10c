#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stores that are not what they were taken for: what is said of them, and that they stay as they are.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
if [ -n "$lacking" ]; then
	skip "odd stores" "$lacking" 40
	finish
fi
both="vfs overlay"
any() { # the command without a driver named
	local code=0
	timeout -k 5 60 "$CS" -g "$G" -R "$R" "$@" 2>&1 || code=$?
	[ $code = 0 ] || echo "rc $code"
}
make_container() { # image B named im on layer A, container C named box
	quiet create-layer -i "$A"
	quiet create-image -i "$B" -n im "$A"
	quiet create-container -i "$C" -n box im
}
edit() { # KIND PYTHON: changes the list x of the records of that kind
	python3 - "$(records "$1")" "$2" <<-'P'
		import json, sys
		x = json.load(open(sys.argv[1]))
		exec(sys.argv[2])
		json.dump(x, open(sys.argv[1], "w"))
	P
}

# ---- roots ----

row_two() {
	quiet create-layer -i "$A"
	DRIVER=overlay quiet create-layer -i "$B"
	any layers -q | sed 's/graphdrivers: .*; /graphdrivers: ...; /' # Go's order is random
	say layers -q
}
row two vfs "content of two drivers, none chosen"
expect ours 1.64 <<'X'
error initializing: W/root contains several valid graphdrivers: ...; Please cleanup or explicitly choose storage driver (-s <DRIVER>)
rc 1
A
X

row_other() {
	DRIVER=overlay quiet create-layer -i "$A"
	say layers -q
	any layers -q | sed 's/graphdrivers: .*; /graphdrivers: ...; /'
	DRIVER=overlay say layers -q
}
row other vfs "-s vfs on a store of overlay"
expect ours 1.64 <<'X'
error initializing: W/root contains several valid graphdrivers: ...; Please cleanup or explicitly choose storage driver (-s <DRIVER>)
rc 1
A
X

row_same() {
	R=$G
	say create-layer -i "$A"
	say layers -q
}
row same "$both" "one directory as run root and graph root"
expect ours 1.64 <<'X'
A
A
X

row_image_same() { say layers --image-store "$G" -q; }
# containers-storage waits for itself here, for ever.
row image_same "$both" "the graph root as its own image store"
expect ours <<'X'
error initializing: imagestore W/root must either be not set or be different than graphroot
rc 1
X

row_own() {
	quiet create-layer -i "$A"
	say --storage-opt "$DRIVER.imagestore=$G" layers -q
}
row own "$both" "the graph root as its own additional image store"
expect ours <<'X'
A
X
expect 1.64 <<'X'
loading additional layer stores: lock "W/root/DRV-layers/layers.lock" is not a read-only lock
rc 1
X

removed() { # DRIVER: as the releases that knew it left it
	mkdir -p "$G/$1/$A" "$G/$1-layers" "$G/$1-images"
	echo '[]' | tee "$G/$1-layers/layers.json" >"$G/$1-images/images.json"
	cp -a "$G" before
	any layers -q
	echo "named:"
	say create-layer -i "$B"
	for kind in "" -layers -images; do diff -r "before/$1$kind" "$G/$1$kind" && echo untouched; done
}
row_devicemapper() { removed devicemapper; }
row devicemapper "$both" "a store of the removed driver devicemapper"
expect ours <<'X'
error initializing: W/root was created by the removed storage driver "devicemapper": driver not supported; export the images with a release that supports it, or choose a driver explicitly (-s <DRIVER>)
rc 1
named:
B
untouched
untouched
untouched
X
expect 1.64 <<'X'
named:
B
untouched
untouched
untouched
X

row_aufs() { removed aufs; }
row aufs "$both" "a store of the removed driver aufs"
expect ours <<'X'
error initializing: W/root was created by the removed storage driver "aufs": driver not supported; export the images with a release that supports it, or choose a driver explicitly (-s <DRIVER>)
rc 1
named:
B
untouched
untouched
untouched
X
expect 1.64 <<'X'
named:
B
untouched
untouched
untouched
X

# ---- records that point nowhere ----

row_no_layer() {
	make_container
	quiet delete-container box
	quiet create-layer -i "$D"
	edit images "x[0]['layer'] = 'gone'"
	cp "$(records images)" before
	say images -q
	say image im | grep -v Created
	say create-container im
	say mount -r im
	cmp before "$(records images)"
	say delete-image im
	say layers -q
}
row no_layer "$both" "an image whose layer is gone"
expect ours <<'X'
B
ID: B
Name: im
Top Layer: gone
Size unknown: locating layer with ID "gone": layer not known
layer not known
rc 1
layer not known while mounting im

rc 1
A
D
X
expect 1.64 <<'X'
B
ID: B
Name: im
Top Layer: gone
Size unknown: locating layer with ID "gone": layer not known
layer not known
rc 1
layer not known while mounting im

rc 1
im: layer not known
rc 1
A
D
X

row_no_image() {
	make_container
	write_records images '[]'
	say containers | sed -E 's/[0-9a-f]{64}/ID/g'
	say container box | grep -i image
	say mount box >/dev/null
	say unmount box
	say delete-container box
	say layers -q
}
row no_image "$both" "a container whose image is gone"
expect ours 1.64 <<'X'
C
	name: box
Image: B
box mountpoint unmounted
A
X

row_no_container_layer() {
	make_container
	quiet create-container -i "$D" -n other im
	edit containers "x[0]['layer'] = 'gone'"
	say mount box
	say container box | grep -v -e Created -e '^Image'
	say mount other >/dev/null
	say unmount other
	say delete box
	say delete-container box
	say containers | grep -c "$D"
}
row no_container_layer "$both" "a container whose layer is gone"
expect ours <<'X'
layer not known while mounting box

rc 1
ID: C
Name: box
Size unknown: locating layer with ID "gone": layer not known
Layer: gone
other mountpoint unmounted
box: identifier is not a container
rc 1
1
X
expect 1.64 <<'X'
layer not known while mounting box

rc 1
ID: C
Name: box
Size unknown: locating layer with ID "gone": layer not known
Layer: gone
other mountpoint unmounted
box: identifier is not a layer
rc 1
1
X

row_no_parent() {
	quiet create-layer -i "$A"
	quiet create-layer -i "$B" "$A"
	quiet create-layer -i "$D"
	edit layers "del x[0]"
	rm -rf "$(dirname "$(layer_root "$A")/x")"
	say layers -q
	say layer "$B" | grep -v Created
	say mount "$B" | sed 's/: [^:]*$//'
	say create-layer -i "$C" "$B" | sed -E 's/\.tmp.*//'
	say mount "$D" >/dev/null
	say delete-layer "$B"
	say layers -q
}
row no_parent vfs "a layer whose parent is gone"
expect ours 1.64 <<'X'
B
D
ID: B
Parent: A
W/root/DRV/dir/B
C
B: used by layer C: layer has children
rc 1
B
D
C
X
row no_parent overlay "the same"
expect ours 1.64 <<'X'
B
D
ID: B
Parent: A
can't stat (or find?) lower layer "W/root/DRV/A/diff": stat W/root/DRV/A/diff

rc 1
C
B: used by layer C: layer has children
rc 1
B
D
C
X

# Everything that needs one of the two ends with an error that names it. What is built on them is served. Their records stay.
row_circle() {
	quiet create-layer -i "$A"
	quiet create-layer -i "$B" "$A"
	quiet create-layer -i "$D" "$B"
	quiet create-image -i "$M" "$B"
	edit layers "x[0]['parent'] = x[1]['id']"
	for CS in "$CS" "$BUILD/cstorage"; do
		say layers -q
		say mount "$D" >/dev/null
		say unmount "$D" >/dev/null
		say layer "$A"
		say create-layer "$B"
		say create-image "$B"
		say delete-layer "$B"
		say delete-image "$M"
		quiet create-image -i "$M" "$D"
	done
	say images -q
	say inspect "$B"
	say delete-image "$M"
	say layers --debug -q 2>&1 | grep -o 'layers.json.*' | sort -u
	edit layers "print(*[(one['id'], one['parent']) for one in x])"
}
row circle "$both" "two layers that are each other's parent"
expect ours <<'X'
D
rc 1
layer not known
rc 1
layer not known
rc 1
B: identifier is not a layer
rc 1
D
cstorage: there is no layer "A"
Hint: 'cstorage layers' lists the layers.
rc 1
cstorage: there is no layer "B"
Hint: 'cstorage layers' lists the layers.
rc 1
cstorage: there is no layer "B"
Hint: 'cstorage layers' lists the layers.
rc 1
cstorage: there is no layer "B"
Hint: 'cstorage layers' lists the layers.
rc 1
M: D
cstorage: there is no layer, image or container "B"
Hint: 'cstorage tree' lists images, layers and containers.
[]
rc 1
cstorage: there is no image "M"
Hint: 'cstorage images' lists the images.
rc 1
layers.json: layer \"A\" cannot be used and is kept as it is: it is its own ancestor"
layers.json: layer \"B\" cannot be used and is kept as it is: it is its own ancestor"
('A', 'B') ('B', 'A')
X
finish
