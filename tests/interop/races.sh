#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the others do to a layer while one of our commands is in the middle of something with it. The command reads its archive
# from a pipe: once it took the first megabytes it is in the middle, and there it stays until it gets the rest.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_go)
[ -n "$lacking" ] || lacking=$(lacks_command python3 mkfifo)
[ -n "$lacking" ] || lacking=$(lacks_root)
if [ -n "$lacking" ]; then
	skip "one command in the middle of another" "$lacking" 10
	finish
fi
mkdir "$WORK/in"
python3 "$TOP/tests/interop/fixture.py" "$WORK/in"
mkdir "$WORK/tree" && echo later >"$WORK/tree/applied-meanwhile" && tar -C "$WORK/tree" -cf "$WORK/in/small.tar" applied-meanwhile
half=3000000 # far more than a pipe holds

# Starts our COMMAND... with base.tar on its standard input, and returns when it has read about half of it.
halfway() {
	rm -f "$WORK/pipe"
	mkfifo "$WORK/pipe"
	ours "$@" <"$WORK/pipe" >"$WORK/said" 2>&1 & running=$!
	exec 7>"$WORK/pipe"
	head -c $half "$WORK/in/base.tar" >&7
}
# Gives it the rest. Its exit status.
go_on() {
	tail -c +$((half + 1)) "$WORK/in/base.tar" >&7
	exec 7>&-
	wait "$running"
}
layer_has() { # LAYER FILE...
	local layer=$1 file
	shift
	go diff -u "$layer" >"$WORK/diff.tar" || return
	go changes "$layer" >"$WORK/changes" || return
	for file; do
		[ -e "$(layer_root "$layer")/$file" ] || { echo "$file is not there"; return 1; }
	done
}

for driver in $(drivers); do
	new_store "races-$driver" "$driver"
	ours create-layer -i below >/dev/null
	ours create-layer -i work below >/dev/null
	halfway applydiff work
	case_ "$driver: their applydiff beside ours" go applydiff -f "$WORK/in/small.tar" work
	go_on && pass "$driver: ours succeeds" || fail "$driver: ours succeeds" "$(cat "$WORK/said")"
	case_ "$driver: what both applied is there" layer_has work applied-meanwhile big

	ours create-layer -i mounted below >/dev/null
	halfway applydiff mounted
	at=$(go mount mounted) && echo written >"$at/written-meanwhile" && go unmount mounted >/dev/null
	go_on
	case_ "$driver: what was written through a mount beside our applydiff is there" layer_has mounted written-meanwhile big

	ours create-layer -i gone below >/dev/null
	halfway applydiff gone
	go delete-layer gone
	go_on
	[ "$?:$(cat "$WORK/said")" = "1:layer not known" ] && pass "$driver: the layer is deleted beside our applydiff" ||
		fail "$driver: the layer is deleted beside our applydiff" "$(cat "$WORK/said")"

	# Another layer of the same ID is another parent: the child would refer to, or be a copy of, the one that is gone.
	ours create-layer -i parent below >/dev/null
	halfway import-layer -i child parent
	go delete-layer parent && go create-layer -i parent >/dev/null
	go_on
	[ "$?:$(cat "$WORK/said")" = '1:the parent layer "parent" was deleted meanwhile: layer not known' ] &&
		pass "$driver: the parent is replaced beside our import-layer" ||
		fail "$driver: the parent is replaced beside our import-layer" "$(cat "$WORK/said")"

	# 1.43's shutdown, with which every podman and buildah of its time ends, empties a staging place.
	halfway import-layer -i during-shutdown
	case_ "$driver: their shutdown beside our import-layer" go shutdown
	go_on && pass "$driver: ours succeeds all the same" || fail "$driver: ours succeeds all the same" "$(cat "$WORK/said")"
	case_ "$driver: the layer is whole" layer_has during-shutdown big

	# The other end of the pipe needs, or holds, the lock of the layers.
	go import-layer -i large -f "$WORK/in/base.tar" >/dev/null
	ours create-layer -i copy >/dev/null
	(go diff -u large | ours applydiff copy) >"$WORK/said" 2>&1 &&
		pass "$driver: their diff into our applydiff" || fail "$driver: their diff into our applydiff" "$(cat "$WORK/said")"
	rm -f "$WORK/out" && mkfifo "$WORK/out"
	go diff -u large >"$WORK/out" 2>"$WORK/said" & running=$!
	exec 8<"$WORK/out"
	head -c 1000 <&8 >"$WORK/first" # it has its lock now
	(cat "$WORK/first" - <&8 | ours applydiff copy) >"$WORK/said" 2>&1 &&
		pass "$driver: their diff, begun before our applydiff" || fail "$driver: their diff, begun before our applydiff" "$(cat "$WORK/said")"
	exec 8<&-
	wait "$running"
	(ours diff -u large | ours applydiff copy) >"$WORK/said" 2>&1 &&
		pass "$driver: our diff into our applydiff" || fail "$driver: our diff into our applydiff" "$(cat "$WORK/said")"

	# Deleted while it is read.
	mkfifo "$WORK/out" 2>/dev/null
	ours diff -u large >"$WORK/out" 2>"$WORK/said" & running=$!
	exec 8<"$WORK/out"
	head -c 1000 <&8 >/dev/null
	go delete-layer large
	cat <&8 >/dev/null
	exec 8<&-
	wait "$running"
	code=$?
	case $code:$(cat "$WORK/said") in
	0: | 1:'the layer "large" was deleted meanwhile: layer not known') pass "$driver: the layer is deleted beside our diff" ;;
	*) fail "$driver: the layer is deleted beside our diff" "$(cat "$WORK/said")" ;;
	esac
	# A staged layer that is kept has a directory in the place of its lock: theirs from 1.54 on, and ours, leave it until its state is gone.
	kept=$G/overlay/staging/07/staging.lock
	if [ "$driver" != overlay ]; then
		kept=$G/$driver/tempdirs/lock-07
		mkdir -p "$G/$driver/tempdirs/temp-dir-07"
	fi
	mkdir -p "$kept" && touch "$kept/holder" "$kept/state"
	if go gc >/dev/null 2>&1; then
		go check >/dev/null 2>&1
		go shutdown >/dev/null 2>&1
		ours layers >/dev/null
		[ -e "$kept/state" ] && pass "$driver: a kept staged layer stays" || fail "$driver: a kept staged layer stays"
	fi
	rm -f "$kept/state"
	ours layers >/dev/null
	[ -e "$kept" ] && fail "$driver: without its state it goes" || pass "$driver: without its state it goes"

	# A mount below the one of the home, made while that was away, holds a dead process's place.
	if [ "$driver" = overlay ]; then
		umount -l "$G/overlay" 2>/dev/null
		mkdir -p "$G/overlay/staging/01/m" && touch "$G/overlay/staging/01/staging.lock"
		mount -t tmpfs none "$G/overlay/staging/01/m" && mount --bind "$G/overlay" "$G/overlay"
		case_ "$driver: a leftover that cannot be removed keeps nobody out" ours layers
		umount "$G/overlay" && umount "$G/overlay/staging/01/m"
	fi

	said=$(ours layers >/dev/null; audit)
	[ -z "$said" ] && pass "$driver: nothing is left over" || fail "$driver: nothing is left over" "$said"
done
finish
