#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stores that can only be read: on a read-only bind mount, a squashfs and an erofs image, all without lock files, and live ones of
# another user. What is read is the same as from the store itself, and strace sees nobody even try to write.
. "$(dirname "$0")/../interop/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command strace setpriv tar)
if [ -n "$lacking" ]; then
	skip "stores that can only be read" "$lacking" 100
	finish
fi
# Anybody must be able to run the command and to reach the store.
mkdir -p "$WORK/bin"
cp "$BUILD/cstorage" "$WORK/bin"
find "$BUILD" -maxdepth 2 -name 'libcstorage.so*' ! -name '*.p' -exec cp -P {} "$WORK/bin" \;
export LD_LIBRARY_PATH=$WORK/bin
chmod a+x "$WORK" "$(dirname "$WORK")"
cstorage=$WORK/bin/cstorage
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

# Every system call by which something could be changed. A mount that fsmount() makes is attached nowhere: move_mount() would be
# needed for that.
writing=openat,openat2,open,creat,mkdir,mkdirat,mknod,mknodat,unlink,unlinkat,rmdir,rename,renameat,renameat2,link,linkat,symlink
writing+=,symlinkat,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utime,utimes,utimensat,futimesat,setxattr,lsetxattr,fsetxattr
writing+=,removexattr,lremovexattr,fremovexattr,truncate,ftruncate,fallocate,write,pwrite64,writev,pwritev,pwritev2,sendfile
writing+=,copy_file_range,splice,mount,umount2,move_mount,open_tree,mount_setattr,fcntl,flock,unshare,setns,ioctl
# Of these, in the log FILE: what is more than opening for reading, a shared lock, and words on stdout and stderr.
guilty() {
	grep -v -e ' +++ ' -e ' --- ' "$1" | grep -E '[a-z0-9_]+\(' |
		grep -vE 'open(at2?)?\(.*O_(RDONLY|PATH)' | grep -vE 'write(v|64)?\([12]<' |
		grep -vE 'fcntl\([^)]*(F_GETF[DL]|F_SETF[DL]|F_DUPFD|F_GETPIPE|F_RDLCK|F_UNLCK)' | grep -vE 'ioctl\([0-9]+<[^>]*>, (TCGETS|TIOCGWINSZ|FS_IOC_FIEMAP|BTRFS_IOC_GET_SUBVOL_INFO)' |
		grep -v 'resumed>'
	grep -E 'O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)|F_WRLCK' "$1" | grep -v 'F_SETFL\|F_GETFL\|/dev/tty\|<unfinished' || true
}
watched() { # COMMAND...: its output on stdout, guilty calls in $WORK/guilty
	strace --seccomp-bpf -f -y -o "$WORK/log" -e trace=$writing "$@"
	local code=$?
	guilty "$WORK/log" >>"$WORK/guilty"
	return $code
}

# ---- a store with something of everything ----

fill_store() {
	local in=$WORK/in
	rm -rf "$in"
	mkdir -p "$in/base/dir" "$in/change"
	echo one >"$in/base/dir/one"
	echo two >"$in/base/two"
	ln -s two "$in/base/link"
	head -c 300000 /dev/urandom >"$in/base/large"
	echo changed >"$in/change/two"
	: >"$in/change/.wh.large"
	tar cf "$in/base.tar" -C "$in/base" .
	tar cf "$in/change.tar" -C "$in/change" .
	ours import-layer -i base -n base-name -f "$in/base.tar" &&
		ours import-layer -i top -f "$in/change.tar" base &&
		ours create-image -i image -n image-name -m words top &&
		echo '{"a":1}' >"$in/data" && ours set-image-data -f "$in/data" image manifest && ours set-layer-data -f "$in/data" top item &&
		ours create-container -i box -n box-name image && ours set-container-data -f "$in/data" box item &&
		echo new >"$(ours mount box)/new" && ours unmount box && ours get-container-dir box
}
layer_of_box() { ours container -j box | grep -o '"layer":"[0-9a-f]*"' | cut -d'"' -f4; }
# Prints everything that can be read; "$@" goes in front of each verb. One strace is enough for all of them.
cat >"$WORK/read-all" <<-'X'
	box=$1 digest=$2
	shift 2
	for words in "layers -j" "images -j" "containers -j" "layers -t" "tree -j" "layer -j top" "image -j image-name" "container -j box-name" \
		"inspect base top image box" "metadata image" "get-names box" "exists base image box" "storage-layers" "list-image-data image" \
		"get-image-data image manifest" "get-image-data-size image manifest" "get-image-data-digest image manifest" \
		"list-layer-data top" "get-layer-data top item" "list-container-data box" "get-container-data box item" "get-container-dir box" \
		"diff -u base" "diff -u top" "diff -u $box" "diff -u top base" "changes top" "changes $box" "diffsize top" "diffsize $box" \
		"mounted box" "images-by-digest sha256:$digest" "layer-parent-owners base" version; do
		echo "== $words"
		"$@" $words 2>&1 || echo "exit status $?"
	done
X
# What the medium itself has a say in: it has to work.
cat >"$WORK/read-rest" <<-'X'
	shift 2
	for words in "df -j" df "status -j" tree "df box base image"; do
		"$@" $words >&2 || echo "$words: exit status $?"
	done
X
mount_medium() { # MEDIUM: the store in $WORK/frozen, over the graph root
	case $1 in
	bind) mount --bind "$WORK/frozen" "$G" && mount -o remount,bind,ro "$G" ;;
	squashfs) mksquashfs "$WORK/frozen" "$WORK/image" -no-progress -noappend && mount -o loop,ro -t squashfs "$WORK/image" "$G" ;;
	erofs) rm -f "$WORK/image" && mkfs.erofs "$WORK/image" "$WORK/frozen" && mount -o loop,ro -t erofs "$WORK/image" "$G" ;;
	esac >"$WORK/said" 2>&1
}
freeze() { # the store as it would be shipped: nothing that was only ever needed for writing
	unmount_below "$G"
	rm -rf "$WORK/frozen"
	cp -a "$G" "$WORK/frozen"
	find "$WORK/frozen" \( -name '*.lock' -o -name tempdirs -o -name staging -o -name cstorage \) -prune -exec rm -rf {} +
	chmod -R a+rX "$WORK/frozen"
}
reads_the_same() { # NAME COMMAND...
	local name=$1
	shift
	: >"$WORK/guilty"
	watched sh "$WORK/read-all" "$box" "$digest" "$@" >"$WORK/got"
	same "$name: the same is read" "$WORK/want" "$WORK/got"
	watched sh "$WORK/read-rest" "$box" "$digest" "$@" >"$WORK/got" 2>/dev/null
	[ ! -s "$WORK/got" ] && pass "$name: df, tree and status" || fail "$name: df, tree and status" "$(cat "$WORK/got")"
	[ ! -s "$WORK/guilty" ] && pass "$name: nothing is written" || fail "$name: nothing is written" "$(head -n 5 "$WORK/guilty" | cut -c1-200)"
	"$@" create-layer -i other >"$WORK/said" 2>&1
	code=$?
	[ $code = 1 ] && grep -q 'was opened to be read only' "$WORK/said" && grep -q '^Hint: ' "$WORK/said" &&
		pass "$name: what would write says so" || fail "$name: what would write says so" "$code $(cat "$WORK/said")"
}
for driver in $(drivers); do
	new_store "$driver" "$driver"
	if ! said=$(fill_store 2>&1); then
		fail "$driver: a store" "$said"
		continue
	fi
	box=$(layer_of_box)
	digest=$(sha256sum <"$WORK/in/data" | cut -d' ' -f1)
	chmod -R a+rX "$G"
	at=(-g "$G" -R "$WORK/no-such-run-root" -s "$driver")
	sh "$WORK/read-all" "$box" "$digest" "$cstorage" -g "$G" -R "$R" -s "$driver" >"$WORK/want"
	! grep 'exit status' "$WORK/want" >"$WORK/said" && pass "$driver: read as it is" || fail "$driver: read as it is" "$(cat "$WORK/said")"

	# Live: with lock files, and a run root that is not theirs.
	reads_the_same "$driver, --read-only-store, root" "$cstorage" -g "$G" -R "$R" -s "$driver" --read-only-store
	reads_the_same "$driver, another user's" "${nobody[@]}" "$cstorage" -g "$G" -R "$R" -s "$driver"
	# The judge sees a writer.
	: >"$WORK/guilty"
	watched "$cstorage" -g "$G" -R "$R" -s "$driver" set-metadata -m words image
	[ -s "$WORK/guilty" ] && pass "$driver: a writer is found out" || fail "$driver: a writer is found out"

	freeze
	for medium in bind squashfs erofs; do
		lacking=
		[ $medium != squashfs ] || lacking=$(lacks_command mksquashfs)
		[ $medium != erofs ] || lacking=$(lacks_command mkfs.erofs)
		if [ -z "$lacking" ] && ! mount_medium $medium; then
			lacking="no $medium mount here: $(tail -n 1 "$WORK/said")"
		fi
		if [ -n "$lacking" ]; then
			skip "$driver on $medium" "$lacking" 9
			continue
		fi
		reads_the_same "$driver on $medium, root" "$cstorage" "${at[@]}"
		reads_the_same "$driver on $medium, user" "${nobody[@]}" "$cstorage" "${at[@]}"
		# As containers-storage there is no such thing.
		ours layers >"$WORK/ours.said" 2>&1
		echo "rc $?" >>"$WORK/ours.said"
		if [ -n "$GO" ]; then
			go layers >"$WORK/go.said" 2>&1
			echo "rc $?" >>"$WORK/go.said"
			# 1.43 stumbles one step earlier, over a directory that later versions do not make.
			[ "$(go_version)" != 1.43 ] || sed -i 's/initializing: .*: read-only/initializing: read-only/' "$WORK"/{go,ours}.said
			same "$driver on $medium: containers-storage fails as ever" "$WORK/go.said" "$WORK/ours.said"
		else
			skip "$driver on $medium: containers-storage fails as ever" "$(lacks_go)"
		fi
		umount "$G" || fail "umount $G"
	done
done
ours --read-only-store layers >"$WORK/said" 2>&1
case_ "containers-storage has no --read-only-store" grep -q 'flag provided but not defined: --read-only-store' "$WORK/said"
case_ "a store to be read must be there" sh -c "! '$cstorage' -g '$WORK/none' -R '$R' --read-only-store layers 2>'$WORK/said' &&
	grep -q 'there is no store at $WORK/none' '$WORK/said' && [ ! -e '$WORK/none' ]"
finish
