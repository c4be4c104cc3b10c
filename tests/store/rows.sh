#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/format/store.md, "Test vectors and checks", row by row: what ours and containers-storage do with the same steps.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3 strace tar)
if [ -n "$lacking" ]; then
	skip "the rows of docs/format/store.md" "$lacking" 33
	finish
fi
both="vfs overlay"
events=$TOP/tests/store/events

# ---- records as bytes ----

set_each() { # KEY...: the data items of image A, and the file of each
	local key
	quiet create-image -i "$A" ""
	echo data >f
	for key; do say set-image-data -f f "$A" "$key"; done
	cs list-image-data "$A" | sort
	ls "$G/$DRIVER-images/$A" | sort
}
row_01() {
	set_each manifest config.json abcD abc- A é xé Abc sha256:abc manifest-sha256:00 .tmp-x
}
row 01 "$both" "keys of data items, and their files"
expect ours go <<'X'
.tmp-x
A
Abc
abc-
abcD
config.json
manifest
manifest-sha256:00
sha256:abc
xé
é
=LnRtcC14
=QWJj
=bWFuaWZlc3Qtc2hhMjU2OjAw
=c2hhMjU2OmFiYw==
A
abc-
abcD
config.json
manifest
xé
é
X

row_01b() { set_each a a/ 'a??' 'a??b' / . .. ; }
row 01b "$both" "keys that make no good file name"
expect ours <<'X'
image big data item "a/": its file name "a/" is not possible
rc 1
image big data item "a??": its file name "=YT8/" is not possible
rc 1
image big data item "a??b": its file name "=YT8/Yg==" is not possible
rc 1
image big data item "/": its file name "/" is not possible
rc 1
image big data item ".": its file name "." is not possible
rc 1
image big data item "..": its file name ".." is not possible
rc 1
a
a
X

row_02() {
	write_records images "[{\"ID\":\"$A\",\"Names\":[\"n1\"],\"zzz\":{\"a\":1},\"CREATED\":\"2020-01-02T03:04:05+02:00\",\"layer\":\"L\"}]"
	say set-metadata -m x "$A"
	cat "$(records images)"
}
row 02 "$both" "members in other letter case, and unknown ones"
expect ours <<'X'
[{"id":"A","names":["n1"],"layer":"L","metadata":"x","created":"2020-01-02T03:04:05+02:00","zzz":{"a":1}}]
X
expect go <<'X'
[{"id":"A","names":["n1"],"layer":"L","metadata":"x","created":"2020-01-02T03:04:05+02:00"}]
X

row_03() {
	write_records images '[{"id":"'"$A"'","created":"2020-01-02T03:04:05Z","flags":{"z":1,"b":1.50,"c":1e30,"d":12345678901234567890,"g":1e-9,"h":100000000000000000000,"i":1000000000000000000000,"j":-0.0}}]'
	say set-metadata -m x "$A"
	cat "$(records images)"
}
row 03 "$both" "numbers in flags"
expect ours go <<'X'
[{"id":"A","metadata":"x","created":NOW,"flags":{"b":1.5,"c":1e+30,"d":12345678901234567000,"g":1e-09,"h":100000000000000000000,"i":1e+21,"j":-0,"z":1}}]
X

row_04() {
	write_records images '[{"id":"'"$A"'","names":["\u2028\u2029","\u007f\b\f\t\u0001","\ud83d\ude00","\ud800","a/b\/c","x'$'\xff\xfe''y"],"created":"2020-01-02T03:04:05Z"}]'
	say set-metadata -m x "$A"
	LC_ALL=C cat -v "$(records images)"
}
row 04 "$both" "strings are escaped as Go escapes them"
expect ours go <<'X'
[{"id":"A","names":["\u2028\u2029","^?\u0008\u000c\t\u0001","M-pM-^_M-^XM-^@","M-oM-?M-=","a/b/c","x\ufffd\ufffdy"],"metadata":"x","created":NOW}]
X

row_05() {
	write_records images "[{\"id\":\"$A\",\"names\":[\"one\",\"x\"],\"created\":\"2020-01-02T03:04:05Z\"},{\"id\":\"$B\",\"names\":[\"one\"],\"created\":\"2020-01-02T03:04:05Z\"}]"
	say images
	cat "$(records images)"
}
row 05 "$both" "of two images with one name the later keeps it"
expect ours go <<'X'
A
	name: x
B
	name: one
[{"id":"A","names":["x"],"created":NOW},{"id":"B","names":["one"],"created":NOW}]
X

row_06() {
	quiet create-image -i "$A" ""
	truncate -s -1 "$(records images)"
	cp "$(records images)" before
	say images | sed -E 's/at byte [0-9]+/at byte N/; s/(but found).*/\1/'
	cmp before "$(records images)"
}
row 06 "$both" "a file cut short is an error and stays as it is"
expect ours <<'X'
error initializing: loading "W/root/DRV-images/images.json": unexpected end of JSON input at byte N
rc 1
X
expect 1.64 <<'X'
error initializing: loading "W/root/DRV-images/images.json": []*storage.Image: decode slice: expect ], but found
rc 1
X
expect 1.43 <<'X'
A
X

# ---- incomplete layers ----

list_incomplete() { # VALUE: of the flag of layer A, whose child is B
	quiet create-layer -i "$A"
	quiet create-layer -i "$B" "$A"
	write_records layers "[{\"id\":\"$A\",\"created\":\"2020-01-02T03:04:05Z\",\"flags\":{\"incomplete\":$1}},{\"id\":\"$B\",\"parent\":\"$A\",\"created\":\"2020-01-02T03:04:05Z\"}]"
	echo x >"$G/$DRIVER-layers/$A.tar-split.gz"
	mkdir "$G/$DRIVER-layers/$A"
	echo x >"$G/$DRIVER-layers/$A/k"
	cp "$(records layers)" before
	layer_ids
	cmp -s before "$(records layers)" && echo untouched
	ls "$G/$DRIVER-layers" | grep "$A"
}
row_07() { list_incomplete true; }
row 07 "$both" "an incomplete layer that has a child"
expect ours <<'X'
A
B
untouched
A
A.tar-split.gz
X
expect go <<'X'
B
X

row_08() {
	local value
	for value in '"true"' 1 false; do
		echo "$value:"
		list_incomplete $value
		remove_tree "$G"
	done
}
row 08 "$both" "what is not the boolean true is not incomplete"
expect ours go <<'X'
"true":
A
B
untouched
A
A.tar-split.gz
1:
A
B
untouched
A
A.tar-split.gz
false:
A
B
untouched
A
A.tar-split.gz
X

row_09() {
	mkdir -p "$G/$DRIVER-layers"
	echo "[{\"id\":\"$A\",\"created\":\"2020-01-02T03:04:05Z\",\"flags\":{\"incomplete\":true}}]" >"$G/$DRIVER-layers/volatile-layers.json"
	say layers
	cat "$G/$DRIVER-layers/volatile-layers.json"
}
row 09 "$both" "an incomplete volatile layer is deleted"
expect ours 1.64 <<'X'
[]
X
expect 1.43 <<'X'
[{"id":"A","created":NOW,"flags":{"incomplete":true}}]
X

# ---- look-up and names ----

one=$(printf '1%.0s' {1..64}) two=$(printf '2%.0s' {1..64}) twelve=12$(printf '0%.0s' {1..62})
short_ids+='s/1{64}/ONE/g; s/2{64}/TWO/g; s/120{62}/TWELVE/g;'
make_four() {
	quiet create-layer -i "$one" -n l1 -n dup
	quiet create-layer -i "$two" -n l2 "$one"
	quiet create-layer -i short
	quiet create-layer -i "$twelve"
}
row_10() {
	make_four
	for id in 1111 1 12 sho ""; do say layer "$id" | grep -v -e Created -e Size; done
}
row 10 "$both" "an ID by its first digits"
expect ours go <<'X'
ID: ONE
Name: l1
Name: dup
rc 1
ID: TWELVE
ID: short
rc 1
X

row_11() {
	make_four
	say create-layer -i "$one"
	say create-layer -n l2
	say create-layer nosuch
	say delete-layer "$one"
	say delete-layer l1
	layer_ids | wc -l
}
row 11 "$both" "IDs and names in use, layers with children"
expect ours 1.64 <<'X'
that ID is already in use
rc 1
that name is already in use
rc 1
layer not known
rc 1
ONE: used by layer TWO: layer has children
rc 1
l1: used by layer TWO: layer has children
rc 1
4
X
expect 1.43 <<'X'
that ID is already in use
rc 1
that name is already in use
rc 1
layer not known
rc 1
ONE: used by layer TWO: layer has children
rc 1
3
X

row_12() {
	say create-layer -i "$A" -n l1 -n l1 -n dup
	say layers
}
row 12 "$both" "a name given twice"
expect ours 1.43 <<'X'
A
	l1
	dup
A
	name: l1
	name: dup
X
expect 1.64 <<'X'
A
	l1
	l1
	dup
A
	name: dup
X

names_of() { sed -E 's/"(id|created)":("[^"]*"|NOW),?//g' "$(records images)"; echo; }
row_13() {
	quiet create-image -i "$A" -n ia ""
	quiet create-image -i "$B" -n ib ""
	say set-names -n ia -n x "$B" >/dev/null
	names_of
	say add-names -n x -n y "$A" >/dev/null
	names_of
}
row 13 "$both" "names move, and their history"
expect ours go <<'X'
[{},{"names":["ia","x"],"names-history":["x","ia"],}]
[{"names":["x","y"],"names-history":["y","x"],},{"names":["ia"],"names-history":["x","ia"],}]
X

row_14() {
	quiet create-image -i "$A" ""
	printf one >f
	say set-image-data -f f "$A" manifest
	printf two >f
	say set-image-data -f f "$A" manifest
	cat "$(records images)"
	echo
	for digest in 7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed 3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3; do
		say images-by-digest -q sha256:$digest
	done
}
row 14 "$both" "a new manifest is a second digest to search by"
expect ours go <<'X'
[{"id":"A","digest":"sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","big-data-names":["manifest"],"big-data-sizes":{"manifest":3},"big-data-digests":{"manifest":"sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"},"created":NOW}]
A
A
X

# ---- mounts ----

mount_counts() { sed -E 's/"(id|path)":"[^"]*",?//g' "$R/$DRIVER-layers/mountpoints.json"; echo; }
make_container() { # an image im on layer A, a container c1
	quiet create-layer -i "$A"
	quiet create-image -i "$B" -n im "$A"
	quiet create-container -i "$C" -n c1 im
}
row_15() {
	make_container
	say mount c1 >/dev/null
	say mount c1 >/dev/null
	mount_counts
	for i in 1 2 3; do
		say unmount c1 | sed "s/^[0-9a-f]*$/ID/"
		mount_counts
	done
}
row 15 overlay "a mount is counted"
expect ours go <<'X'
[{"count":2}]
[{"count":1}]
c1 mountpoint unmounted
[]
c1 mountpoint unmounted
[]
X

row_16() {
	quiet create-layer -i "$A" -n name
	say mount "$A" >/dev/null
	say unmount name
	mount_counts
	grep -c " $G/overlay/.*/merged " /proc/self/mounts
}
row 16 overlay "a layer unmounted by its name"
expect ours <<'X'
name mountpoint unmounted
[]
0
X
expect go <<'X'
name mountpoint unmounted
[]
1
X

# ---- locks and durability ----

row_17() {
	make_container
	strace --seccomp-bpf -f -y -o log -e trace=openat,fsync,fdatasync,sync_file_range,syncfs,rename,renameat,renameat2 "$CS" -g "$G" -R "$R" -s "$DRIVER" \
		create-container --volatile -n v im >/dev/null 2>&1
	grep -oE 'f(data)?sync\(.*volatile-[a-z]*\.json' log
	grep rename log | grep -oE '[/"](volatile-)?(layers|containers)\.json"' | tr -d '/"' | sort -u
	cs containers -j | grep -o '"v"'
}
row 17 "$both" "a volatile container is recorded apart and not synced"
expect ours 1.64 <<'X'
volatile-containers.json
volatile-layers.json
"v"
X

row_18() {
	quiet create-image -i "$A" ""
	for words in "create-layer -i $B -n x" "set-names -n y $B" "create-image -i $C $B" "set-metadata -m x $A" "create-container -n c $C" \
		"mount c" "unmount c" "delete-container c" "delete-image $C"; do
		# shellcheck disable=SC2086
		strace --seccomp-bpf -f -y -o log -e trace=openat,openat2,pwrite64,rename,renameat,renameat2,fcntl,close "$CS" -g "$G" -R "$R" -s "$DRIVER" $words >/dev/null 2>&1
		"$events" log || { echo "$words: that was it"; cp log "$WORK/"; }
	done
	echo done
}
row 18 "$both" "a token comes before its records, and locks nest in order"
expect ours 1.64 <<'X'
done
X

hold() { # OFD|POSIX|FLOCK read|write FILE: until the file go-on is there; ready when the file held is
	python3 - "$@" <<-'P'
		import fcntl, os, struct, sys, time
		kind, mode, path = sys.argv[1:]
		f = open(path, "r+")
		if kind == "FLOCK":
		    fcntl.flock(f, fcntl.LOCK_EX)
		else:
		    lock = struct.pack("hhqqi4x", fcntl.F_RDLCK if mode == "read" else fcntl.F_WRLCK, 0, 0, 0, 0)
		    fcntl.fcntl(f, 38 if kind == "OFD" else fcntl.F_SETLKW, lock)
		open("held", "w")
		while not os.path.exists("go-on"):
		    time.sleep(0.01)
	P
}
wait_for() { # COMMAND...: until it succeeds
	local i
	for ((i = 0; i < 3000; i++)); do
		"$@" && return
		sleep 0.01
	done
	echo "never: $*"
}
blocked_on() { grep -q -- "-> .*:$(stat -c %i "$1") " /proc/locks; } # does anybody wait for this file?
ended() { [ -e ended ]; }
blocked_or_ended() { blocked_on "$1" || ended; }
row_19() {
	local how
	quiet create-image -i "$A" -n ia ""
	for how in "OFD write" "POSIX write" "OFD read" "POSIX read" "FLOCK write"; do
		rm -f held go-on ended
		# shellcheck disable=SC2086
		hold $how "$G/$DRIVER-images/images.lock" &
		wait_for test -e held
		{ cs images >out 2>&1; touch ended; } &
		wait_for blocked_or_ended "$G/$DRIVER-images/images.lock"
		ended && echo "$how: runs" || echo "$how: waits"
		touch go-on
		wait
		cat out
	done
}
row 19 "$both" "who waits for whose lock"
expect ours <<'X'
OFD write: waits
A
	name: ia
POSIX write: waits
A
	name: ia
OFD read: runs
A
	name: ia
POSIX read: runs
A
	name: ia
FLOCK write: runs
A
	name: ia
X
expect go <<'X'
OFD write: waits
A
	name: ia
POSIX write: waits
A
	name: ia
OFD read: waits
A
	name: ia
POSIX read: waits
A
	name: ia
FLOCK write: runs
A
	name: ia
X

# ---- stores beside the store ----

# A store S with layer A and the image im on it; then the store in use is another one.
make_image_store() {
	G=$PWD/S R=$PWD/s
	quiet create-layer -i "$A"
	quiet create-image -i "$B" -n im "$A"
	G=$PWD/root R=$PWD/run
}
with_s() { say --storage-opt "$DRIVER.imagestore=$PWD/S" "$@"; }
row_20() {
	local missing
	for missing in nothing images.lock layers.lock; do
		make_image_store
		rm -f "S/$DRIVER-images/$missing" "S/$DRIVER-layers/$missing"
		unmount_below "$PWD/S"
		mount --bind S S && mount -o remount,bind,ro S
		echo "$missing:"
		with_s images
		layer_ids --storage-opt "$DRIVER.imagestore=$PWD/S"
		umount S
		remove_tree "$PWD/S"
	done
}
row 20 "$both" "a read-only image store without its lock files"
expect ours <<'X'
nothing:
B
	name: im
A
images.lock:
B
	name: im
A
layers.lock:
B
	name: im
A
X
expect 1.64 <<'X'
nothing:
B
	name: im
A
images.lock:
A
layers.lock:
B
	name: im
loading additional layer stores: open W/S/DRV-layers/layers.lock: open W/S/DRV-layers/layers.lock: read-only file system
rc 1
X

# ---- crashes, and many at once ----

row_21() {
	local words n
	mkdir in && echo content >in/file && tar cf f -C in .
	make_container
	for words in "import-layer -i $D -f f" "create-container -n c2 im" "delete-container c2"; do
		for ((n = 1; n < 40; n++)); do
			# shellcheck disable=SC2086
			(strace -f -o log -e trace=rename,renameat,renameat2 -e inject=rename,renameat,renameat2:signal=KILL:when=$n "$CS" \
				-g "$G" -R "$R" -s "$DRIVER" $words; exit $?) >/dev/null 2>&1
			[ $? = 137 ] || break
			quiet layers || echo "${words%% *}, $n: layers fails"
			audit
			[ "$(cs layers -q | grep -vc "$D")" = $((1 + $(cs containers -j | grep -o '"layer"' | wc -l))) ] || echo "${words%% *}, $n: a layer without owner"
			[ "${words%% *}" != create-container ] || quiet delete-container c2
			[ "${words%% *}" != delete-container ] || quiet create-container -n c2 im
			[ "${words%% *}" != import-layer ] || quiet delete-layer "$D"
		done
		[ $n -gt 1 ] && [ $n -lt 40 ] || echo "${words%% *}: killed $n times"
	done
}
row 21 "$both" "killed before its n-th rename"
expect ours <<'X'
X

row_22() {
	local i who said me
	quiet create-layer
	quiet create-image ""
	python3 - "$(records layers)" "$(records images)" <<-'P' &
		import json, os, sys, time
		while not os.path.exists("stop"):
		    for path in sys.argv[1:]:
		        json.load(open(path))
		    time.sleep(0.002)
	P
	for who in "$OURS" "$CS"; do
		for i in 1 2 3 4 5 6; do
			CS=$who me=$BASHPID-$i
			said=$(cs create-layer -n "layer-$me" 2>&1 && cs create-image -n "image-$me" "layer-$me" 2>&1 &&
				cs delete-image "image-$me" 2>&1 && cs create-container -n "box-$me" "" 2>&1 &&
				cs delete-container "box-$me" 2>&1) || echo "round $i: ${said##*$'\n'}"
		done &
	done
	wait -n
	wait -n
	touch stop
	wait
	CS=$OURS
	layer_ids | sort >a
	[ -z "$GO" ] || CS=$GO
	layer_ids | sort | cmp a
	wc -l <a
	audit
}
row 22 "$both" "two processes make and delete"
expect ours go <<'X'
1
X

# ---- texts ----

row_23() {
	local words
	for words in "layer nope" "image nope" "container nope" "delete-layer nope" "delete-image nope" "delete-container nope" "delete nope" \
		"mount nope" "mount -r nope" "unmount nope" "mounted nope" "changes nope" "diffsize nope" "diff nope" "applydiff -f /dev/null nope" \
		"create-layer nope" "import-layer -f /dev/null nope" "create-image nope" "create-container nope" "metadata nope" \
		"set-metadata -m x nope" "get-names nope" "add-names -n x nope" "set-names -n x nope" "exists nope" \
		"list-image-data nope" "get-image-data nope k" "get-image-data-size nope k" "get-image-data-digest nope k" "set-image-data -f /dev/null nope k" \
		"list-layer-data nope" "get-layer-data nope k" "set-layer-data -f /dev/null nope k" \
		"list-container-data nope" "get-container-data nope k" "get-container-data-size nope k" "get-container-data-digest nope k" \
		"set-container-data -f /dev/null nope k" "get-container-dir nope" "get-container-run-dir nope" \
		"layer-parent-owners nope" "container-parent-owners nope"; do
		echo "$words:"
		# shellcheck disable=SC2086
		say $words
	done
}
row 23 "$both" "what is said of an ID that is not there"
expect ours 1.64 <<'X'
layer nope:
rc 1
image nope:
rc 1
container nope:
rc 1
delete-layer nope:
nope: identifier is not a layer
rc 1
delete-image nope:
nope: identifier is not an image
rc 1
delete-container nope:
nope: identifier is not a container
rc 1
delete nope:
nope: layer not known
rc 1
mount nope:
layer not known while mounting nope

rc 1
mount -r nope:
locating image with ID "nope": image not known while mounting nope

rc 1
unmount nope:
layer not known while unmounting nope
rc 1
mounted nope:
layer not known checking if nope is mounted
rc 1
changes nope:
layer not known
rc 1
diffsize nope:
layer not known
rc 1
diff nope:
layer not known
rc 1
applydiff -f /dev/null nope:
layer not known
rc 1
create-layer nope:
layer not known
rc 1
import-layer -f /dev/null nope:
layer not known
rc 1
create-image nope:
layer not known
rc 1
create-container nope:
locating image with ID "nope": image not known
rc 1
metadata nope:
nope: 
rc 1
set-metadata -m x nope:
identifier is not a layer, image, or container
rc 1
get-names nope:
layer not known
rc 1
add-names -n x nope:
layer not known
rc 1
set-names -n x nope:
layer not known
rc 1
exists nope:
nope: false
rc 1
list-image-data nope:
locating image with ID "nope": image not known
rc 1
get-image-data nope k:
locating image with ID "nope": image not known
rc 1
get-image-data-size nope k:
locating image with ID "nope": image not known
rc 1
get-image-data-digest nope k:
locating image with ID "nope": image not known
rc 1
set-image-data -f /dev/null nope k:
locating image with ID "nope": image not known
rc 1
list-layer-data nope:
layer not known
rc 1
get-layer-data nope k:
layer not known
rc 1
set-layer-data -f /dev/null nope k:
layer not known
rc 1
list-container-data nope:
container not known
rc 1
get-container-data nope k:
container not known
rc 1
get-container-data-size nope k:
container not known
rc 1
get-container-data-digest nope k:
container not known
rc 1
set-container-data -f /dev/null nope k:
container not known
rc 1
get-container-dir nope:
container not known
rc 1
get-container-run-dir nope:
container not known
rc 1
layer-parent-owners nope:
rc 1
container-parent-owners nope:
rc 1
X

row_24() {
	make_container
	say create-container -n c1 im
	say create-container -i "$C" im
	say delete-image im
	say delete-image zz
	say delete-container zz
}
row 24 "$both" "containers in the way"
expect ours go <<'X'
the container name "c1" is already in use by C. You have to remove that container to be able to reuse that name: that name is already in use
rc 1
that ID is already in use
rc 1
im: image used by C: image is in use by a container
rc 1
zz: identifier is not an image
rc 1
zz: identifier is not a container
rc 1
X

row_25() {
	make_container
	quiet mount c1
	say shutdown
	stat -c %s "$G/storage.lock"
	quiet unmount c1
	"$CS" -g "$G" -R "$R" -s "$DRIVER" shutdown &
	wait $!
	echo "rc $?"
	stat -c %s "$G/storage.lock"
	[ "$(od -A n -t u4 -j 16 -N 4 "$G/storage.lock" | tr -d ' ')" = $! ] && echo "its pid"
}
row 25 overlay "shutdown, and the token of the graph lock"
expect ours go <<'X'
shutdown: a layer is mounted: layer is in use by a container
rc 1
0
rc 0
64
its pid
X

# ---- a slow import ----

listed() { [ -e listed ]; }
over() { [ -e over ]; }
listed_or_blocked() { listed || blocked_on "$1"; }
over_or_blocked() { over || blocked_on "$1"; }
slow_import() {
	mkdir in && head -c 600000 /dev/urandom >in/file && tar cf f -C in .
	mkfifo p
	quiet layers
	{ say import-layer -n x <p >first; } &
	exec 9>p
	head -c 500000 f >&9 # more than a pipe holds: it is at work
	{ say layers >list; touch listed; } 9>&- &
	wait_for listed_or_blocked "$G/$DRIVER-layers/layers.lock"
	listed && echo "layers runs" || echo "layers waits"
	{ say import-layer -n x -f f >second; touch over; } 9>&- &
	wait_for over_or_blocked "$G/$DRIVER-layers/layers.lock"
	over && echo "the second import runs" || echo "the second import waits"
	tail -c +500001 f >&9
	exec 9>&-
	wait
	head -v first second | sed -E 's/^[0-9a-f]{64}$/ID/'
	cs layers -j | grep -o '"names":[^]]*'
	audit
}
row_26() { slow_import; }
row 26 overlay "a slow import is in nobody's way"
expect ours 1.64 <<'X'
layers runs
the second import runs
==> first <==
that name is already in use
rc 1

==> second <==
ID
	x
"names":["x"
X

row_27() { slow_import; }
row 27 vfs "the same with vfs"
expect ours <<'X'
layers runs
the second import runs
==> first <==
that name is already in use
rc 1

==> second <==
ID
	x
"names":["x"
X
expect 1.64 <<'X'
layers waits
the second import waits
==> first <==
ID
	x

==> second <==
that name is already in use
rc 1
"names":["x"
X

# ---- images that share layers, and layers of other stores ----

row_28() {
	local name
	quiet create-layer -i "$A"
	quiet create-layer -i "$B" "$A"
	quiet create-layer -i "$D" "$A"
	quiet create-image -i i1 "$B"
	quiet create-image -i i2 "$D"
	quiet create-image -i i3 "$A"
	quiet create-container -n c --uidmap 0:100000:65536 --gidmap 0:100000:65536 i1
	quiet delete-container c
	for name in i1 i3 i2; do say delete-image -j $name | sed -E 's/[0-9a-f]{64}/M/'; done
}
row 28 vfs "deleting images that share layers, one with a mapped copy"
expect ours 1.64 <<'X'
{"i1":{"deleted-layers":["M","B"]}}
{"i3":{}}
{"i2":{"deleted-layers":["D","A"]}}
X

row_29() {
	make_image_store
	with_s create-image -i "$C" -n j "$A"
	with_s delete-image -t j
	with_s delete-image j
	with_s images -q
}
row 29 "$both" "an image on a layer of another store"
expect ours <<'X'
C
	j
B
X
expect 1.64 <<'X'
C
	j
j: A
j: layer not known
rc 1
B
X

row_30() {
	make_image_store
	with_s mount -r im
	grep " $PWD/run/" /proc/self/mounts | grep -o ' ro[, ]'
}
row 30 overlay "an image of another store is mounted"
expect ours <<'X'
W/run/DRV/A/merged
 ro,
X
expect 1.64 <<'X'
layer not known while mounting im

rc 1
X

row_31() {
	mkdir in && echo content >in/file && tar cf f -C in .
	say import-layer --image-store "$PWD/I" -i "$W" -f f
	say import-layer --image-store "$PWD/I" -r -i "$A" -f f
	say layers --image-store "$PWD/I" -q
	for kind in root I; do grep -o '"id":"[^"]*"' "$kind/$DRIVER-layers/layers.json"; done
}
row 31 "$both" "layers of a store whose images are kept apart"
expect ours <<'X'
W
A
W
A
"id":"W"
"id":"A"
X
row 31 vfs "the same"
expect 1.64 <<'X'
W
A
W
A
"id":"W"
"id":"A"
X
row 31 overlay "the same"
expect 1.64 <<'X'
rename W/I/DRV/tempdirs/temp-dir-N/0-addition W/root/DRV/W/diff: invalid cross-device link
rc 1
A
A
"id":"A"
X

row_32() {
	make_container
	say create-container -i "$C" im
	say create-container -n c1 im
	layer_ids | wc -l
}
row 32 "$both" "a container that cannot be made leaves no layer"
expect ours 1.64 <<'X'
that ID is already in use
rc 1
the container name "c1" is already in use by C. You have to remove that container to be able to reuse that name: that name is already in use
rc 1
2
X

row_33() {
	make_container
	umount -l "$(cs mount c1)"
	say mounted c1
	say mount c1 | grep -c merged
	mount_counts
}
row 33 overlay "a container unmounted by hand"
expect ours <<'X'
c1 mounted
1
[{"count":1}]
X
expect 1.64 <<'X'
c1 mounted
1
[{"count":2}]
X
finish
