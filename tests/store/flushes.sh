#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How often each operation waits for the disk is what docs/design.md ("Durability") says, so that nobody adds a flush unseen.
. "$(dirname "$0")/lib.sh"
create=$BUILD/tests/store/create
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command strace "$create")
case $have_drivers in *overlay*) ;; *) lacking=${lacking:-overlay} ;; esac
rows=$(grep -c '^| `.*` .*| [0-9]* | [0-9]* | [0-9]* |$' "$TOP/docs/design.md")
if [ -n "$lacking" ]; then
	skip "flushes of each operation" "$lacking" "$rows"
	finish
fi

mkdir -p "$WORK/in/one" "$WORK/in/many"
echo data >"$WORK/in/one/file"
for i in $(seq 300); do echo "$i" >"$WORK/in/many/$i"; done
for name in one many; do tar -cf "$WORK/in/$name.tar" -C "$WORK/in" "$name"; done
echo item >"$WORK/in/item"

count() { # CALL...: how many of these calls the last command made
	local IFS='|'
	grep -cE "^[0-9 ]*($*)\(" "$WORK/trace"
}
# The operations in the order of the table; each prints its name, flushes and barriers.
operation() { # NAME WORDS...
	flushes_of "$1" "$OURS" -g "$G" -R "$R" -s overlay "${options[@]}" "${@:2}"
}
flushes_of() { # NAME COMMAND...
	strace -f -qq -o "$WORK/trace" -e trace=fsync,fdatasync,syncfs "${@:2}" >/dev/null 2>"$WORK/errors" ||
		echo "$1 fails: $(cat "$WORK/errors")"
	echo "$1: $(count fsync fdatasync) $(count syncfs)"
}
at_once() { # VERB KIND ID OF: the same with two names and three data items, which a program can give in one call
	flushes_of "$1 with 3 data items" "$create" "$G" "$R" overlay "${@:2}" "${options[@]:1}"
}
counts() { # OPTION...
	options=("$@")
	operation first create-layer -i first >/dev/null
	operation create-layer create-layer -i below first
	operation "import-layer of one file" import-layer -i one -f "$WORK/in/one.tar" below
	operation "import-layer of 300 files" import-layer -i many -f "$WORK/in/many.tar" one
	operation first create-image -i first many >/dev/null
	operation create-image create-image -i image -n name many
	at_once "create-image" image two many
	operation set-image-data set-image-data -f "$WORK/in/item" image manifest
	operation first create-container -i first image >/dev/null
	operation first set-container-data -f "$WORK/in/item" first key >/dev/null
	operation create-container create-container -i container -n container image
	at_once "create-container" container both image
	operation set-container-data set-container-data -f "$WORK/in/item" container key
	operation add-names add-names -n other container
	operation set-metadata set-metadata -m words container
	operation mount mount container
	operation unmount unmount container
	operation delete-container delete-container container
	operation first delete-container first >/dev/null
	operation first delete-container both >/dev/null
	operation first delete-image two >/dev/null
	operation first delete-image first >/dev/null
	operation "delete-image with 4 layers" delete-image image
	local i parent=
	for i in $(seq 20); do
		operation first create-layer -i "high$i" ${parent:+"$parent"} >/dev/null
		parent=high$i
	done
	operation first create-image -i high high20 >/dev/null
	operation "delete-image with 20 layers" delete-image high
	operation layers layers
}
DRIVER=overlay
new_store durable overlay
counts >"$WORK/durable.counts"
new_store careless overlay
counts --storage-opt overlay.sync=none >"$WORK/careless.counts"

while IFS='|' read -r _ name flushes barriers careless _; do
	name=${name//\`/} name=${name# } name=${name% }
	case_ "$name waits for the disk ${flushes// /} times and for all of it ${barriers// /}" \
		grep -qx "$name: ${flushes// /} ${barriers// /}" "$WORK/durable.counts"
	case_ "$name with sync=none waits ${careless// /} times" grep -qx "$name: ${careless// /} 0" "$WORK/careless.counts"
done < <(grep '^| `.*` .*| [0-9]* | [0-9]* | [0-9]* |$' "$TOP/docs/design.md")
finish
