# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A suite that is about an ordinary user with subordinate ids, sourced after lib.sh. It is root's, and makes the user.
#
#   lacks_user_ids        what this machine lacks for that, or nothing
#   enter_user_suite      the suite starts again in mount and process namespaces of its own: what is mounted over the machine's files,
#                         and what its processes leave, is gone with it
#   make_user COUNT       tester, with a home ($WORK/home) and so many ids; $WORK/bin has cstorage, and `ours`, as containers-storage
#   user COMMAND...       runs it as that user
#   user_inside COMMAND...  the same in the namespace that `cstorage unshare` makes
user_id=61235
lacks_user_ids() {
	[ -z "$(lacks_root)" ] || { lacks_root; return; }
	lacks_command setpriv unshare newuidmap newgidmap
}
enter_user_suite() {
	[ -z "${IN_USER_SUITE-}" ] || return 0
	export WORK IN_USER_SUITE=1
	unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" "$@"
	local status=$?
	[ -z "${work_is_ours-}" ] || remove_tree "$WORK"
	exit $status
}
make_user() { # COUNT
	local file
	mkdir -p "$WORK/bin" "$WORK/home" "$WORK/run"
	chown $user_id:$user_id "$WORK/home" "$WORK/run"
	chmod 755 "$WORK" "$(dirname "$WORK")" "$WORK/bin"
	for file in passwd group subuid subgid; do
		grep -v "^tester:\|^[^:]*:x:$user_id:" /etc/$file >"$WORK/$file"
		case $file in
		passwd) echo "tester:x:$user_id:$user_id::$WORK/home:/bin/sh" ;;
		group) echo "tester:x:$user_id:" ;;
		*) echo "tester:500000:$1" ;;
		esac >>"$WORK/$file"
		touch /etc/$file && mount --bind "$WORK/$file" /etc/$file || return
	done
	# Distributions have it for everybody.
	if mknod "$WORK/fuse" c 10 229 && chmod 666 "$WORK/fuse"; then mount --bind "$WORK/fuse" /dev/fuse 2>/dev/null || true; fi
	cp "$BUILD/cstorage" "$WORK/bin"
	ln -sf cstorage "$WORK/bin/ours"
	find "$BUILD" -maxdepth 2 -name 'libcstorage.so*' ! -name '*.p' -exec cp -P {} "$WORK/bin" \;
	printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$WORK/home/x" "$WORK/run/x" >"$WORK/storage.conf"
}
user() {
	(cd "$WORK/home" && setpriv --reuid $user_id --regid $user_id --clear-groups env -i PATH="$PATH" LD_LIBRARY_PATH="$WORK/bin" \
		HOME="$WORK/home" XDG_RUNTIME_DIR="$WORK/run" USER=tester CONTAINERS_STORAGE_CONF="$WORK/storage.conf" "$@")
}
user_inside() { user "$WORK/bin/cstorage" unshare "$@"; }
