#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a command costs in a store of many objects, counted without a clock: the locks that it takes do not grow with the store.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_command strace)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "what a command costs in a large store" "$lacking" 5
	finish
fi
DRIVER=vfs
cst() { timeout -k 5 60 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" "$@"; }

# N images of three layers each, and a container of each image.
fill() { # N
	new_store "of-$1" $DRIVER
	cst create-layer >/dev/null # the directories
	python3 - "$G/$DRIVER" "$1" <<'P'
import json, sys
layers, images, containers = [], [], []
created = "2026-01-02T03:04:05Z"
for i in range(int(sys.argv[2])):
    chain = ["%063d%d" % (i, place) for place in range(4)]
    for place in range(3):
        layers.append({"id": chain[place], **({"parent": chain[place - 1]} if place else {}), "created": created,
                       "diff-digest": "sha256:" + chain[place], "diff-size": 10 ** place})
    layers.append({"id": chain[3], "parent": chain[2], "created": created})
    images.append({"id": chain[0], "layer": chain[2], "created": created})
    containers.append({"id": chain[0], "names": ["c%d" % i], "image": chain[0], "layer": chain[3], "created": created})
for kind, records in ("layers", layers), ("images", images), ("containers", containers):
    with open(f"{sys.argv[1]}-{kind}/{kind}.json", "w") as f:
        json.dump(records, f, separators=(",", ":"))
P
}
locks() { # WORD...: how many locks the command takes
	strace -f -qq -o "$WORK/trace" -e trace=fcntl "$BUILD/cstorage" -g "$G" -R "$R" -s $DRIVER "$@" >"$WORK/out" 2>&1
	grep -cE 'F_OFD_SETLKW?, \{l_type=F_(RD|WR)LCK' "$WORK/trace"
}
no_more_locks() { # LINES-FOR-EACH WORD...
	local few many each=$1
	shift
	fill 5
	cst "$@" >/dev/null
	few=$(locks "$@")
	fill 60
	cst "$@" >/dev/null
	many=$(locks "$@")
	case_ "$*: $few locks in a store of 5, $many in one of 60" [ "$many" -le "$few" ]
	case_ "$*: 60 have $each lines each" [ "$(wc -l <"$WORK/out")" = $((60 * each)) ]
}
no_more_locks 1 images
case_ "all sizes of images are right" [ "$(cut -f3 "$WORK/out" | sort -u)" = 111 ]
no_more_locks 1 containers --format '{id} {image} {mounted}'
finish
