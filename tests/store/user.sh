#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An ordinary user, on a machine with the storage.conf that distributions ship: root's graphroot and runroot, for everybody. cstorage
# takes the user's own there, as podman does; where a path comes from that cannot be used is in the message. containers-storage
# says what the Go command of 1.64 says.
. "$(dirname "$0")/../lib.sh"
uid=61234
user_can() { setpriv --reuid $uid --regid $uid --clear-groups "$@"; }
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command setpriv unshare)
[ -n "$lacking" ] || user_can unshare --user --map-root-user --mount true 2>/dev/null || lacking="no user namespace for a user"
if [ -n "$lacking" ]; then
	skip "an ordinary user" "$lacking" 35
	finish
fi
# What is mounted over the machine's own configuration is seen by this suite only.
if [ -z "${USER_IN_NAMESPACE-}" ]; then
	export WORK USER_IN_NAMESPACE=1
	unshare --mount --propagation private "$0"
	status=$?
	[ -z "${work_is_ours-}" ] || remove_tree "$WORK"
	exit $status
fi
unset CONTAINERS_STORAGE_CONF

# Anybody must be able to run the commands.
mkdir -p "$WORK/bin" "$WORK/home"
cp "$BUILD/cstorage" "$WORK/bin"
ln -s cstorage "$WORK/bin/containers-storage"
find "$BUILD" -maxdepth 2 -name 'libcstorage.so*' ! -name '*.p' -exec cp -P {} "$WORK/bin" \;
chmod a+x "$WORK" "$(dirname "$WORK")"
# The user has a name and a home, and no subordinate ids. Others have some.
others() { for file in subuid subgid; do printf 'other:100000:65536\nanother:165536:65536\n' >"$WORK/$file"; done; }
others
{ grep -v "^tester:" /etc/passwd; echo "tester:x:$uid:$uid::$WORK/home:/bin/sh"; } >"$WORK/passwd"
mount --bind "$WORK/passwd" /etc/passwd || exit
for file in subuid subgid; do
	touch "$WORK/$file" /etc/$file
	mount --bind "$WORK/$file" /etc/$file || exit
done
sys=/usr/share/containers adm=/etc/containers
for directory in $sys $adm /var/lib/containers /run/containers; do
	mkdir -p $directory && mount -t tmpfs -o mode=755 none $directory || exit
done

# A fresh user, and the distribution's file.
shipped='driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"'
begin() {
	rm -rf "${WORK:?}/home" "$WORK/run" ${sys:?}/* ${adm:?}/* /var/lib/containers/* /run/containers/*
	install -d -o $uid -g $uid -m 700 "$WORK/home" "$WORK/run"
	environment=(HOME="$WORK/home" XDG_RUNTIME_DIR="$WORK/run" USER=tester)
	printf '[storage]\n%s\n' "$shipped" >$sys/storage.conf
}
as_user() { # PROGRAM ARGUMENT...
	(cd "$WORK/home" && user_can env -i PATH="$PATH" LD_LIBRARY_PATH="$WORK/bin" "${environment[@]}" "$@")
}
ours() { as_user "$WORK/bin/cstorage" "$@"; }
own=$WORK/home/.local/share/containers/storage own_run=$WORK/run/containers
roots() { ours config 2>&1 | sed -E 's/^\{"runroot":"([^"]*)","root":"([^"]*)".*/\2 \1/'; }
equal() { [ "$1" = "$2" ] || { printf '%s\n   not %s\n' "$1" "$2"; return 1; }; }
says() { # PATTERN COMMAND...: it fails, and its last words but the hint match
	local pattern=$1 said
	shift
	said=$("$@" 2>&1) && { echo "succeeded: $said"; return 1; }
	[[ $(grep -v '^Hint\|level=warning' <<<"$said") == $pattern ]] || { printf '%s\n   not %s\n' "$said" "$pattern"; return 1; }
}

# ---- which roots ----

begin
case_ "root's roots in the file of the system: the user's own" equal "$(roots)" "$own $own_run"
case_ "a layer is made there" equal "$(ours create-layer -i L1 2>/dev/null)" L1
case_ "and found again" equal "$(ours layers -q 2>&1)" L1
case_ "in the user's own store" test -d "$own/vfs/dir/L1"
case_ "nothing is made in root's places" equal "$(ls /var/lib/containers /run/containers | grep storage)" ""
case_ "inside of the user's namespace it is the same store" equal "$(ours unshare "$WORK/bin/cstorage" layers -q 2>/dev/null)" L1
begin
printf '[storage]\n%s\n' "$shipped" >$adm/storage.conf
case_ "the administrator's main file is for everybody, too" equal "$(roots)" "$own $own_run"
begin
mkdir -p $adm/storage.conf.d
printf '[storage]\ngraphroot="/srv/cst-nobody-has-this"\n' >$adm/storage.conf.d/1.conf
case_ "and so are its drop-ins" equal "$(roots)" "$own $own_run"
begin
printf 'rootless_storage_path = "%s/home/$USER-$UID"\n' "$WORK" >>$sys/storage.conf
case_ "rootless_storage_path" equal "$(roots)" "$WORK/home/tester-$uid $own_run"
case_ "without a warning" equal "$(ours config 2>&1 >/dev/null)" ""
begin
printf '[storage]\nimagestore = "/var/lib/containers/images"\n' >$sys/storage.conf
case_ "an image store of root's is left alone" equal "$(ours config 2>&1 | grep -c imagestore)" 0
begin
printf '[storage]\ngraphroot = "%s/home/g"\nrunroot = "/run/containers/storage"\n' "$WORK" >$sys/storage.conf
case_ "a place that the user can write to is used" equal "$(roots)" "$WORK/home/g $own_run"
begin
environment+=(XDG_DATA_HOME="$WORK/home/data")
case_ "XDG_DATA_HOME" equal "$(roots)" "$WORK/home/data/containers/storage $own_run"

# ---- where a path comes from that cannot be used ----

denied='cstorage: error initializing: mkdir *: permission denied'
begin
printf '[storage]\n\ngraphroot = "/var/lib/containers/$USER"\n' >$sys/storage.conf
case_ "a path with a variable is meant for users" says "$denied (the graph root, set in $sys/storage.conf:3)" ours create-layer
begin
mkdir -p $adm/storage.rootless.conf.d
printf '[storage]\nrunroot = "/run/containers/x"\n' >$adm/storage.rootless.conf.d/1.conf
case_ "so is a drop-in for users" says "$denied (the run root, set in $adm/storage.rootless.conf.d/1.conf:2)" ours create-layer
begin
environment+=(CONTAINERS_STORAGE_CONF=$sys/storage.conf)
case_ "so is a file that the user names" says "$denied (the run root, set in $sys/storage.conf:3)" ours create-layer
mkdir -m 711 /run/containers/storage /var/lib/containers/storage
case_ "the same if it exists" says "cstorage: error initializing: *: permission denied (the graph root, set in $sys/storage.conf:4)" \
	ours create-layer
begin
environment+=(XDG_DATA_HOME=/var/lib/containers/x)
case_ "a variable" says "$denied (the graph root, from \$XDG_DATA_HOME)" ours create-layer
begin
environment+=(XDG_RUNTIME_DIR=/run/containers/nope)
case_ "a variable that names nothing" says \
	"cstorage: error initializing: lstat /run/containers/nope: no such file or directory (the run root, from \$XDG_RUNTIME_DIR)" ours layers
begin
case_ "an option" says "$denied (the graph root, given with --graph)" ours -g /var/lib/containers/x create-layer
case_ "another" says "$denied (the run root, given with --run)" ours -R /run/containers/x create-layer

begin
mkdir -m 700 /var/lib/containers/other
printf '[storage.options]\nadditionalimagestores = [\n"/var/lib/containers/other"]\n' >>$sys/storage.conf
case_ "an additional image store" says "*/var/lib/containers/other*: permission denied (an additional image store, set in $sys/storage.conf:6)" ours layers
rmdir /var/lib/containers/other
mkdir -p /var/lib/containers/other/vfs-images/images.lock
case_ "one whose records cannot be read" says "*/var/lib/containers/other/*images.lock* (an additional image store, set in $sys/storage.conf:6)" ours images
remove_tree /var/lib/containers/other
sed -i 's/"vfs"/"overlay"/' $sys/storage.conf
as_root() { env -i PATH="$PATH" LD_LIBRARY_PATH="$WORK/bin" "$WORK/bin/$@"; }
case_ "one that the driver asks for" says "*stat /var/lib/containers/other: no such file or directory (an additional image store, set in $sys/storage.conf:6)" \
	as_root cstorage create-layer
case_ "containers-storage does not say it" says "*stat /var/lib/containers/other: no such file or directory" \
	as_root containers-storage create-layer
begin
environment+=(STORAGE_OPTS=vfs.imagestore=/var/lib/containers/nope)
mkdir -m 700 /var/lib/containers/nope
case_ "one of a variable" says "*/var/lib/containers/nope*: permission denied (an additional image store, from \$STORAGE_OPTS)" ours layers

# ---- no subordinate ids ----

begin
first=$(ours create-layer -i L0 2>&1 >/dev/null)
case_ "one line says that there are no subordinate ids" equal "$(wc -l <<<"$first") $(grep -c 'no subuid ranges.*no subgid ranges' <<<"$first")" "1 1"
case_ "it names the files and the lines that they lack" equal "$(grep -oE '/etc/sub.id, which lacks a line such as .{23}' <<<"$first" | tr -d '\\')" \
	'/etc/subuid, which lacks a line such as "tester:231072:65536"
/etc/subgid, which lacks a line such as "tester:231072:65536"'
case_ "once" equal "$(ours layers -q 2>&1; ours create-layer -i L1 2>&1)" "L0
L1"
case_ "and not by unshare, which opens no store" equal "$(ours unshare echo inside 2>&1)" inside

# ---- too few of them ----

begin
mkdir -p "$WORK/tree"
echo x >"$WORK/tree/far"; chown 7:70000 "$WORK/tree/far"
tar -C "$WORK/tree" -cf "$WORK/far.tar" far; chmod a+r "$WORK/far.tar"
for file in subuid subgid; do echo "tester:300000:65536" >"$WORK/$file"; done
case_ "an owner that the user's ids do not have" says \
	"cstorage: unpacking $WORK/far.tar: /far belongs to 7:70000, and this user namespace has no such ids: the ranges in /etc/subuid and /etc/subgid must have 70000 ids at least; lchown /far: invalid argument" \
	ours import-layer -i F -f "$WORK/far.tar"
upstream_far() { { as_user "$1" -g "$WORK/home/f" -R "$WORK/run/f" -s vfs import-layer -f "$WORK/far.tar" 2>&1 || true; } | grep -o 'potentially.*' | tail -n 1 | sed 's/ exit status 1.*//'; }
case_ "containers-storage says what the Go command says" equal "$(upstream_far "$WORK/bin/containers-storage")" \
	'potentially insufficient UIDs or GIDs available in user namespace (requested 7:70000 for /far): Check /etc/subuid and /etc/subgid if configured locally and run "podman system migrate": lchown /far: invalid argument'
case_ "with ignore_chown_errors it is the user's" equal "$(ours --storage-opt vfs.ignore_chown_errors=true import-layer -i F -f "$WORK/far.tar" 2>&1)" F
others

# ---- automatic user namespaces ----

begin
for file in subuid subgid; do echo "tester:300000:3000" >"$WORK/$file"; done
case_ "a container gets ids of the user's namespace" equal "$(ours create-container -j --userns=auto '' | grep -o '"host_id":[0-9]*,"size":[0-9]*' | sort -u)" \
	'"host_id":1,"size":1024'
case_ "which have an end" says \
	"cstorage: the container needs 2000 free UIDs, but of the 3000 of this user namespace only 1976 are free*" \
	ours create-container --userns=auto:size=2000 ''
others

# ---- containers-storage ----

begin
user='\"tester\"'
words="level=warning msg=\"Reading allowed ID mappings: reading subuid mappings for user $user and subgid mappings for group $user: no subuid ranges found for user $user in /etc/subuid\"
level=warning msg=\"Found no UID ranges set aside for user $user in /etc/subuid.\"
level=warning msg=\"Found no GID ranges set aside for user $user in /etc/subgid.\"
error initializing: mkdir /run/containers/storage: permission denied
rc 1"
upstream_words() { { as_user "$@" 2>&1 || echo "rc $?"; } | sed 's/^time="[^"]*" //'; }
case_ "containers-storage says what 1.64 says" equal "$(upstream_words "$WORK/bin/containers-storage" layers)" "$words"
case_ "every time" equal "$(upstream_words "$WORK/bin/containers-storage" images)" "$words"
if [ -n "$GO" ] && as_user "$GO" -g "$WORK/home/v" -R "$WORK/run/v" -s vfs version 2>&1 | grep -q 'Version: 1\.64'; then
	case_ "so does the Go command" equal "$(upstream_words "$GO" layers)" "$words"
else
	skip "so does the Go command" "no containers-storage of 1.64"
fi
finish
