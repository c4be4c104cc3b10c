#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An additional store on a medium of somebody else, who put FIFOs, devices and symlinks where its files should be, or holds its
# locks: every command ends within seconds, with a message that names the file, and never waits with locks of ours held.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3)
if [ -n "$lacking" ]; then
	skip "hostile media" "$lacking" 60
	finish
fi
L=$(printf '%064d' 1) I=$(printf '%064d' 2)

with_media() { timeout -k 2 20 "$BUILD/cstorage" -g "$G" -R "$R" -s "$DRIVER" --storage-opt "$DRIVER.imagestore=$WORK/media" "$@"; }
fresh() { # the medium as it should be, and a store of ours
	remove_tree "$WORK/media"
	remove_tree "$WORK/main"
	cp -a "$WORK/good" "$WORK/media"
	mkdir -p "$WORK/main"
	G=$WORK/main/root R=$WORK/main/run
	with_media create-layer -i ours >/dev/null
}
make_good() {
	G=$WORK/good R=$WORK/good-run
	mkdir -p "$WORK/in"
	echo one >"$WORK/in/one"
	tar -C "$WORK/in" -cf "$WORK/base.tar" .
	ours import-layer -i "$L" -n base -f "$WORK/base.tar" >/dev/null && ours create-image -i "$I" -n im "$L" >/dev/null &&
		ours set-image-data -f "$WORK/in/one" "$I" item
	unmount_below "$G"
}
# What can be put in the place of a file; FILE is gone before.
become() { # WHAT FILE
	rm -rf "$2"
	case $1 in
	fifo) mkfifo "$2" ;;
	device) mknod "$2" c 1 5 ;; # it never ends
	symlink) ln -s "$WORK/elsewhere" "$2" ;;
	directory) mkdir "$2" ;;
	esac
}
ends() { # NAME COMMAND...: whatever the answer, within seconds; a failure says which file
	local name=$1 code
	shift
	with_media "$@" >"$WORK/out" 2>"$WORK/said"
	code=$?
	if [ $code -ge 124 ] || { [ $code != 0 ] && ! grep -q . "$WORK/said"; }; then
		fail "$name: ${*}" "exit status $code: $(head -c 300 "$WORK/said")"
		return
	fi
	! [ -s "$WORK/elsewhere.read" ] || { fail "$name: ${*}" "a symlink was followed"; return; }
	ended=$((ended + 1))
}
tries() { # NAME: all commands that look at additional stores, and what must still work on our own
	ended=0
	ends "$1" layers -q
	ends "$1" images -q
	ends "$1" inspect base
	ends "$1" changes base
	ends "$1" diff -u base
	ends "$1" get-image-data im item
	ends "$1" df
	ends "$1" copy base:/one ours:/copied
	ends "$1" create-image -i "$(printf '%064d' 9)" -n new ours
	ends "$1" create-container -n box im
	ends "$1" wipe
	[ $ended = 11 ] && pass "$1"
}
echo secret >"$WORK/elsewhere"

for DRIVER in $have_drivers; do
	remove_tree "$WORK/good"
	if ! said=$(make_good 2>&1); then
		fail "$DRIVER: a store" "$said"
		continue
	fi
	for what in fifo device symlink directory; do
		for file in layers/layers.json layers/layers.lock images/images.json images/images.lock "layers/$L.tar-split.gz" "images/$I/=aXRlbQ==" \
			images/$I/item; do
			[ -e "$WORK/good/$DRIVER-$file" ] || continue
			fresh
			become $what "$WORK/media/$DRIVER-$file"
			tries "$DRIVER: a $what for $file"
		done
		[ "$DRIVER" = overlay ] || continue
		for file in link lower; do
			fresh
			become $what "$WORK/media/overlay/$L/$file"
			tries "$DRIVER: a $what for $file"
		done
	done

	# Somebody holds its locks for writing: what is ours goes on, and nobody who wants our locks waits for theirs.
	fresh
	python3 - "$WORK/media/$DRIVER-layers/layers.lock" "$WORK/media/$DRIVER-images/images.lock" "$WORK/held" <<-'X' &
		import fcntl, struct, sys, time
		files = [open(name, "r+b") for name in sys.argv[1:3]]
		for f in files:
		    fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
		open(sys.argv[3], "w").close()
		time.sleep(120)
	X
	holder=$!
	while [ ! -e "$WORK/held" ]; do sleep 0.05; done
	with_media create-image -n new ours >"$WORK/out" 2>&1 &
	waits=$!
	sleep 0.5
	before=$(date +%s%N)
	case_ "$DRIVER: while another process waits for the medium, our own store is free" ours set-metadata -m words ours
	took=$((($(date +%s%N) - before) / 1000000))
	[ $took -lt 2000 ] && pass "$DRIVER: at once" || fail "$DRIVER: at once" "$took ms"
	wait $waits
	ended=0
	ends "$DRIVER: held locks" layers -q
	[ $ended = 1 ] && grep -q "$WORK/media" "$WORK/said" && pass "$DRIVER: held locks: the message names the lock" ||
		fail "$DRIVER: held locks: the message names the lock" "$(cat "$WORK/said")"
	kill $holder
	wait $holder 2>/dev/null
	rm -f "$WORK/held"
done
finish
