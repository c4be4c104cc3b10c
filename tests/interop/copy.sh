#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `copy` by both commands leaves the same files, and ours never leaves the layer, whatever symlinks and ".." are in the way.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command setfattr setcap getfattr)
if [ -n "$lacking" ]; then
	skip "copy" "$lacking" 30
	finish
fi

# What is copied: every kind of file and attribute. Top-level names have two letters at least, like those of idmaps.sh.
src=$WORK/src
mkdir -p "$src/dir/sub" "$src/setgid" "$src/closed"
echo content >"$src/dir/file"
ln "$src/dir/file" "$src/hard"
ln "$src/dir/file" "$src/dir/sub/hard"
echo other >"$src/plain"
truncate -s 1M "$src/sparse"
ln -s dir/file "$src/link"
ln -s dir "$src/dirlink"
ln -s /nowhere "$src/dangling"
mkfifo "$src/fifo"
mknod "$src/device" c 1 3
printf '.wh.' >"$src/.wh.kept"
chown 5:6 "$src/dir" "$src/dir/file"
chown -h 7:8 "$src/link"
chmod 4755 "$src/plain"
chmod 2775 "$src/setgid"
chmod 0 "$src/closed"
setfattr -n user.note -v yes "$src/dir/file" "$src/setgid" "$src/plain"
setcap cap_net_raw+ep "$src/dir/file"
cp -a "$src/dir" "$WORK/dir" # without a name that looks like a whiteout: upstream does not map its owner
find "$src" "$WORK/dir" -exec touch -h -d '2001-02-03 04:05:06.789012345' {} +

both() { # NAME COMMAND...: the same by each command in a store of its own; what it says and leaves is compared
	local name=$1
	shift
	for who in go ours; do
		new_store "$who" "$driver"
		cs() { "$who" "$@"; }
		out=$WORK/$who/out
		mkdir "$out"
		(cd "$WORK" && "$@") >"$WORK/$who.said" 2>&1
		echo "exit status $?" >>"$WORK/$who.said"
		sed -i -E "s,$WORK/$who,W,g; s/processing tar file\((.*)\): exit status 1$/unpacking failed (error: exit status 1; output: \1)/" "$WORK/$who.said"
		for id in one two; do
			[ ! -d "$(layer_root "$id")" ] || listing "$(layer_root "$id")"
		done >"$WORK/$who.list"
		listing "$out" >>"$WORK/$who.list"
		sed -i '/^trusted.overlay.uuid=/d' "$WORK/$who.list"
		unmount_below "$G"
	done
	same "$driver: $name: files" "$WORK/go.list" "$WORK/ours.list"
	same "$driver: $name: messages" "$WORK/go.said" "$WORK/ours.said"
}

tree_in() { cs create-layer -i one && cs copy src one:/a/b && cs copy src one:/ && cs copy src/dir/ one:a; }
file_in() {
	cs create-layer -i one && cs copy src/plain one:/x/y/z && cs copy src/link one:/followed &&
		cs copy src/dirlink one:/links && cs copy src/dir/file one:slash/ && cs copy src/plain src/dir/file one:/x/y/z
}
tree_out() { cs create-layer -i one && cs copy src one:/a && cs copy one:/a "$out/new/tree" && cs copy one:/a/plain "$out/file"; }
between() { cs create-layer -i one && cs create-layer -i two && cs copy src one:/a && cs copy one:/a/dir one:/a/plain two:/b; }
between_ok() { cs create-layer -i one && cs create-layer -i two && cs copy src one:/a && cs copy one:/a two:/b/c; }
replaced() {
	cs create-layer -i one && cs copy src one:/ && mkdir -p "$out/t/dir/file/deep" "$out/t/plain" "$out/t/sub" &&
		echo new >"$out/t/setgid" && ln -s /etc "$out/t/closed" && touch -d @1000000000 "$out/t/dir" "$out/t/plain" &&
		touch -h -d @1000000000 "$out/t/closed" && touch -d @1000000000 "$out/t/dir/file/deep" "$out/t/dir/file" "$out/t/sub" &&
		cs copy "$out/t" one:/
}
owned() { cs create-layer -i one && cs copy --chown 11:12 src one:/a && cs copy --chown 13 src/plain one:/b; }
mapped() {
	cs create-layer -i one --uidmap 0:100000:65536 --gidmap 0:200000:65536 &&
		cs create-layer -i two --uidmap 0:300000:65536 --gidmap 0:300000:65536 &&
		cs copy dir one:/a && cs copy one:/a two:/b && cs copy one:/a "$out/t" && cs copy one:/a/file two:/f
}
refused() {
	cs create-layer -i one && cs copy src one:/
	cs copy src/plain one:/dir
	cs copy src/plain one:/
	cs copy src/dir one:/plain
	cs copy src/dir one:/plain/x
	cs copy src/plain one:/plain/x
	cs copy src/none one:/x
	cs copy one:/none one:/x
	cs copy none:/x one:/x
	cs copy src/dir one:/dangling
	cs mounted one
}
for driver in $(drivers); do
	if [ -n "$(lacks_go)" ]; then
		skip "$driver: copy by both commands" "$(lacks_go)" 20
		continue
	fi
	both "a tree into a layer" tree_in
	both "files into a layer" file_in
	both "out of a layer" tree_out
	both "a file where a directory is" between
	both "between layers" between_ok
	both "what is there is replaced" replaced
	both "--chown" owned
	[ "$driver" = vfs ] && both "layers with id maps" mapped # overlay maps when it mounts; on btrfs theirs leave the root to root
	both "what cannot be copied" refused
done

# Ways out of the layer. Each must stay inside, or fail; nothing outside may change or be read.
victim=$WORK/victim
outside() { (cd "$victim" && find . -printf '%p %y %m %U %l\n' | sort && cat secret); }
for driver in $(drivers); do
	rm -rf "$victim"
	mkdir -p "$victim/dir"
	echo secret >"$victim/secret"
	before=$(outside)
	new_store escape "$driver"
	mkdir -p "$WORK/escape/t/etc"
	ln -s "$victim" "$WORK/escape/t/absolute"
	ln -s "../../../../../../../../../../..$victim" "$WORK/escape/t/relative"
	ln -s "$victim/secret" "$WORK/escape/t/file"
	ln -s absolute "$WORK/escape/t/chain"
	ln -s /proc/self/root "$WORK/escape/t/magic"
	ln -s loop "$WORK/escape/t/loop"
	ours create-layer -i one >/dev/null && ours copy "$WORK/escape/t" one:/ || fail "$driver: setup"
	for path in absolute/evil relative/evil chain/evil /../../../../../../../../../..$victim/evil \
		absolute/../../evil file/evil magic$victim/evil loop/evil absolute/dir/evil file; do
		ours copy "$src/plain" "one:$path" >/dev/null 2>&1
		ours copy "$src/dir" "one:$path.tree" >/dev/null 2>&1
		[ "$(outside)" = "$before" ] && pass "$driver: into $path" || fail "$driver: into $path" "$(outside)"
		new=$WORK/escape/out
		rm -rf "$new"
		ours copy "one:${path%evil}secret" "$new" >/dev/null 2>&1
		grep -rqs secret "$new" && fail "$driver: out of ${path%evil}" "read the secret" || pass "$driver: out of ${path%evil}"
	done
	# A directory of the copy replaces the symlink that has its name.
	mkdir -p "$WORK/escape/u/absolute"
	echo evil >"$WORK/escape/u/absolute/evil"
	ours copy "$WORK/escape/u" one:/ >"$WORK/said" 2>&1
	G=$WORK/escape/root
	at=$(ours mount one)
	[ -f "$at/absolute/evil" ] && [ ! -L "$at/absolute" ] && pass "$driver: a directory replaces a symlink" ||
		fail "$driver: a directory replaces a symlink" "$(cat "$WORK/said"; ls -la "$at")"
	[ "$(outside)" = "$before" ] && pass "$driver: and nothing is outside" || fail "$driver: and nothing is outside" "$(outside)"
	# Into itself, onto itself, and over what holds the source.
	mkdir -p "$at/self/in"
	echo kept >"$at/self/in/file"
	echo file >"$at/self/in/in"
	ours unmount one >/dev/null
	case_ "$driver: onto itself" ours copy one:/self one:/self
	if timeout 20 "$OURS" -g "$G" -R "$R" -s "$driver" copy one:/self one:/self/deeper >"$WORK/said" 2>&1; then
		fail "$driver: into itself" "it succeeded"
	else
		[ $? = 1 ] && pass "$driver: into itself" || fail "$driver: into itself" "$(cat "$WORK/said")"
	fi
	ours copy one:/self/in one:/self >"$WORK/said" 2>&1 && fail "$driver: over itself" "it succeeded" || pass "$driver: over itself"
	at=$(ours mount one)
	[ "$(cat "$at/self/in/file")" = kept ] && pass "$driver: the source is still there" || fail "$driver: the source is still there"
	ours unmount one >/dev/null
	case_ "$driver: not mounted any more" test -z "$(ours mounted one)"
	unmount_below "$G"
done
finish
