#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Automatic user namespaces: podman and ours choose the same ids in the same store, and never the same ones for two containers.
# ROUNDS (6; `make test-peers`: 500) of both at the same time. The machine's /etc/subuid is not touched: files of the test are
# mounted over it.
. "$(dirname "$0")/tools-lib.sh"
lacking=
[ -n "$PODMAN" ] || lacking="no podman"
[ -n "${IN_PROCESS_NAMESPACE-}" ] || lacking="no namespaces of its own to mount files over those of the machine"
for file in /etc/subuid /etc/subgid /etc/passwd /etc/group; do
	[ -n "$lacking" ] || [ -e "$file" ] || lacking="no $file to mount a file over"
done
[ -z "$lacking" ] || { skip "automatic user namespaces" "$lacking" 28; finish; }
begin "automatic user namespaces" 28
rounds=${ROUNDS:-6}

# libsubid, which newer podmans ask, knows only users of /etc/passwd.
over() { # FILE LINE...
	local file=$1
	shift
	{ grep -v '^containers:' "$file"; printf '%s\n' "$@"; } >"$WORK/${file##*/}"
	mount --bind "$WORK/${file##*/}" "$file"
}
over /etc/passwd containers:x:4242:4242::/:/bin/false
over /etc/group containers:x:4242:
over /etc/subuid containers:1000000:100000 containers:3000000:100000
over /etc/subgid containers:2000000:200000
own() { timeout -k 5 120 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
podman_create() { podman_ create --pull never --network none "$@" /bin/sh; }

# What the containers of the store have: `ranges NAME...` prints the uid map, "|" and the gid map of each; `ranges` alone fails
# and tells if two containers share an id.
ranges() {
	python3 - "$G/$DRIVER-containers" "$@" <<-'X'
		import json, os, sys
		containers = []
		for file in "containers.json", "volatile-containers.json":
		    path = os.path.join(sys.argv[1], file)
		    containers += json.load(open(path)) if os.path.exists(path) else []
		text = lambda map: " ".join(sorted("%(container_id)d:%(host_id)d:%(size)d" % r for r in map)) # older podmans sort
		for name in sys.argv[2:]:
		    for c in containers:
		        if name in [c["id"]] + c.get("names", []):
		            print(text(c.get("uidmap", [])) + "|" + text(c.get("gidmap", [])))
		if len(sys.argv) > 2:
		    sys.exit()
		for kind in "uidmap", "gidmap":
		    taken = sorted((r["host_id"], r["host_id"] + r["size"], c["id"]) for c in containers for r in c.get(kind, []))
		    for one, next in zip(taken, taken[1:]):
		        if next[0] < one[1]:
		            sys.exit("%s: %s and %s" % (kind, one, next))
		print(len(containers))
	X
}

# An image of a tree with these files; `tree` is made anew.
tree=$WORK/tree
new_tree() {
	rm -rf "$tree"
	mkdir -p "$tree/etc" "$tree/bin"
	cp "$(command -v busybox)" "$tree/bin/sh"
}
image() { # NAME
	tar -C "$tree" --numeric-owner -cf "$WORK/tree.tar" . && podman_ import -q "$WORK/tree.tar" "localhost/$1:1" >/dev/null
}
# The store is empty but for the images: each makes the first container, and both have the same ids.
alike() { # NAME IMAGE [OPTION-OF-AUTO]
	local auto=--userns=auto${3:+:$3} theirs mine
	[ -z "$old" ] || [ $# = 3 ] || { skip "$1" "$old"; return; }
	podman_create --name theirs "$auto" "localhost/$2:1" >/dev/null 2>"$WORK/err" || { fail "$1: podman" "$(tail -n 1 "$WORK/err")"; return; }
	theirs=$(ranges theirs)
	podman_ rm theirs >/dev/null
	own create-container -i mine "$auto" "localhost/$2:1" >/dev/null 2>"$WORK/err" || { fail "$1: ours" "$(cat "$WORK/err")"; return; }
	mine=$(ranges mine)
	own delete-container mine
	[ -n "$mine" ] && [ "$theirs" = "$mine" ] && pass "$1" || fail "$1" "podman $theirs, ours $mine"
}
case $("$PODMAN" --version) in
*" 4."*) old="a podman that finds other sizes ($("$PODMAN" --version))" ;;
*) old= ;;
esac
tool_store sizes
new_tree && image none
printf 'root:x:0:0::/:/bin/sh\nu:x:5000:5000::/:\nnobody:x:65534:65534::/:\n' >"$tree/etc/passwd" && image passwd
printf 'root:x:0:\ng:x:7000:u\n#h:x:9000:\nnogroup:x:65534:\n' >"$tree/etc/group" && image group
new_tree && mkdir "$tree/usr" && ln -s ../usr/passwd "$tree/etc/passwd" && ln -s /usr/group "$tree/etc/group" &&
	echo u:x:3000:1:: >"$tree/usr/passwd" && echo g:x:4000: >"$tree/usr/group" && image links
new_tree && touch "$tree/owned" && chown 2500:1200 "$tree/owned" && image owners
new_tree && printf 'u:x:6000:x::\n\n:::\nbad\nv:y:abc:17::\n  w:x:6500:6500::  \n' >"$tree/etc/passwd" && echo 'g:x:-7:' >"$tree/etc/group" && image lines
new_tree && echo g:x:70000: >"$tree/etc/group" && image large
new_tree && echo u:x:5000:5001:: >"$tree/etc/passwd" && image next
alike "an image without users" none
alike "the users of an image" passwd
alike "its groups" group
alike "files behind links" links
alike "owners of files" owners
alike "lines that are none" lines
alike "a size" passwd size=3
alike "a size that takes two ranges" none size=150000
alike "ids mapped by hand" none size=20,uidmapping=0:5000000:1
alike "several of them" none uidmapping=5:1000003:2,uidmapping=9:1000010:1,gidmapping=0:7:1
alike "all of them" none size=1,uidmapping=0:77:1,gidmapping=0:78:1

# Where we do better.
podman_create --name theirs --userns=auto localhost/next:1 >/dev/null 2>&1
[ -n "$old" ] || says "podman forgets an id that equals the size so far" "0:1000000:5001|0:2000000:5001" ranges theirs
podman_ rm theirs >/dev/null
own create-container -i mine --userns=auto localhost/next:1 >/dev/null
says "ours does not forget it" "0:1000000:5002|0:2000000:5002" ranges mine
own delete-container mine

# What cannot be had.
refuses() { # NAME TEXT-OF-PODMAN TEXT-OF-OURS IMAGE AUTO
	podman_create --name theirs "--userns=$5" "localhost/$4:1" >/dev/null 2>"$WORK/theirs" && fail "$1" "podman did it"
	own create-container -i mine "--userns=$5" "localhost/$4:1" >/dev/null 2>"$WORK/mine" && fail "$1" "ours did it"
	grep -q "$2" "$WORK/theirs" && grep -q "$3" "$WORK/mine" && pass "$1" || fail "$1" "$(cat "$WORK/theirs" "$WORK/mine")"
}
refuses "too many ids" "not enough unused IDs\|could not find enough available IDs" \
	'needs 300000 free UIDs, but of the 200000 of user "containers" in /etc/subuid only 200000 are free' none auto:size=300000
[ -n "$old" ] && skip "an image with too large an id" "$old" || refuses "an image with too large an id" "bigger than the maximum value" \
	"of 70001 IDs (its etc/group has the ID 70000); auto-userns-max-size allows 65536" large auto
refuses "ids given twice" "conflict" "conflict" none auto:size=9,uidmapping=0:5:2,uidmapping=1:9:1
says "nothing is left of them" 0 ranges

# Each goes on with what the other left free.
podman_create --name p1 --userns=auto localhost/none:1 >/dev/null 2>&1
own create-container -i o1 --userns=auto:size=100 localhost/none:1 >/dev/null
podman_create --name p2 --userns=auto localhost/none:1 >/dev/null 2>&1
says "one after the other" "0:1000000:1024|0:2000000:1024
0:1001024:100|0:2001024:100
0:1001124:1024|0:2001124:1024" ranges p1 o1 p2
podman_ rm p1 >/dev/null
own create-container -i o2 --userns=auto:size=1000 localhost/none:1 >/dev/null
podman_create --name p3 --userns=auto:size=50 localhost/none:1 >/dev/null 2>&1
says "what one gave back the other takes" "0:1000000:1000|0:2000000:1000
0:1001000:24 24:1002148:26|0:2001000:24 24:2002148:26" ranges o2 p3
at=$(own mount o2) && says "the files belong to the ids" "1000000:2000000" stat -c %u:%g "$at/bin/sh" && own unmount o2 >/dev/null
says "podman runs with its own ids beside ours" "0 1002174 1024" podman_run --rm --userns=auto localhost/none:1 /bin/sh -c \
	'read -r a b c </proc/self/uid_map; echo $a $b $c'
own create-container -i o3 --userns=auto:size=150000 localhost/none:1 >/dev/null
at=$(own mount o3) && says "the files of ours belong to ids of two ranges" "1002174:2002174" stat -c %u:%g "$at/bin/sh" && own unmount o3 >/dev/null
podman_ rm p2 p3 >/dev/null
for id in o1 o2 o3; do own delete-container $id; done

# At the same time. Containers come and go, and at no moment do two have the same id.
start() { # NAME: prints the uid map that it has when it runs
	if [ -n "$old" ]; then # cannot mount with ids of two ranges
		podman_create --name "$1" --userns=auto localhost/none:1
	else
		podman_run --name "$1" --userns=auto localhost/none:1 /bin/sh -c 'while read -r a b c; do echo $a:$b:$c; done </proc/self/uid_map' |
			LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
	fi
}
together() {
	local n list at
	for ((n = 1; n <= rounds; n++)); do
		own create-container -i "o$n" --userns=auto localhost/passwd:1 >/dev/null 2>"$WORK/mine" & first=$!
		own create-container -i "q$n" --userns=auto:size=$((n % 7 * 500 + 1)) localhost/none:1 >/dev/null 2>"$WORK/mine2" & second=$!
		start "p$n" >"$WORK/said" 2>"$WORK/theirs" || { cat "$WORK/theirs"; return 1; }
		wait "$first" || { cat "$WORK/mine"; return 1; }
		wait "$second" || { cat "$WORK/mine2"; return 1; }
		ranges || return
		[ -n "$old" ] || [ "$(cat "$WORK/said")" = "$(ranges "p$n" | cut -d '|' -f 1)" ] || { echo "p$n ran as $(cat "$WORK/said")"; return 1; }
		[ "$n" -gt 3 ] || continue
		at=$((n - RANDOM % 3 - 1))
		{ own delete-container "o$at"; own delete-container "q$at"; } >/dev/null 2>&1 &
		podman_ rm "p$at" >/dev/null 2>&1
		wait $!
		# what still is there of earlier rounds
		[ $((n % 10)) != 0 ] || {
			list=$(podman_ ps -aq)
			# shellcheck disable=SC2086 # IDs
			podman_ rm -f $list >/dev/null 2>&1
			for at in $(own containers -q --no-trunc); do own delete-container "$at" >/dev/null 2>&1; done
		}
	done
}
if podman_run --rm localhost/none:1 /bin/sh -c : >/dev/null 2>&1; then
	case_ "$rounds rounds of both at the same time" together
else
	skip "$rounds rounds of both at the same time" "no container starts here"
fi

# Ours beside ours, also where ids are not mapped at mount time.
crowd() {
	local n pids=()
	for n in 1 2 3 4 5 6; do
		own create-container -i "c$n" --userns=auto:size=$((n * 100)) image >"$WORK/crowd$n" 2>&1 &
		pids+=($!)
	done
	for n in "${pids[@]}"; do wait "$n" || { cat "$WORK"/crowd*; return 1; }; done
	[ "$(ranges)" = 6 ]
}
for driver in $(drivers); do
	new_store crowd "$driver"
	own import-layer -i base -f "$WORK/tree.tar" >/dev/null
	own create-image -i image base >/dev/null
	case_ "$driver: six of ours at the same time" crowd
	at=$(own mount c1) && says "$driver: the files belong to the ids" "$(ranges c1 | sed 's/0:\([0-9]*\):[0-9]*|0:\([0-9]*\):.*/\1:\2/')" stat -c %u:%g "$at/bin/sh"
	unmount_below "$G"
done
finish
