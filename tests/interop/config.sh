#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What storage.conf, drop-ins and environment mean: the same input to containers-storage (1.63 or later, which has the
# `config` command and reads drop-ins) and to ours, and the same output expected.
#
#     config.sh CONTAINERS-STORAGE OURS        as root; ends with "N passed, N failed, N skipped"
#
# Everything happens in a mount namespace of its own, with empty directories over the real ones.
set -u

if [ "${CONFIG_IN_NAMESPACE:-}" != 1 ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "skipped: needs root for a mount namespace"
		echo "0 passed, 0 failed, 1 skipped"
		exit 0
	fi
	CONFIG_IN_NAMESPACE=1 exec unshare --mount --propagation private "$BASH" "$0" "$@"
fi

theirs=${1:-${GO:-}}
ours=${2:-$OURS}
version=
if [ -n "$theirs" ]; then
	version=$("$theirs" --graph /tmp/cst-config-version/root --run /tmp/cst-config-version/run -s vfs version 2>&1 | sed -n 's/.*Version: //p')
	rm -rf /tmp/cst-config-version
fi
if [ -z "$version" ] || [ "$(printf '%s\n' 1.63 "$version" | sort -V | head -n 1)" != 1.63 ]; then
	echo "SKIP the meaning of storage.conf: no containers-storage of 1.63 or later"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi
passed=0
failed=0
scratch=/tmp/cst-config
sys=/usr/share/containers
adm=/etc/containers

mount -t tmpfs none /tmp && chmod 1777 /tmp
for directory in $sys $adm /var/lib/containers /run/containers /run/user /root; do
	mkdir -p $directory && mount -t tmpfs -o mode=755 none $directory || exit 1
done
mkdir -p $scratch

if ! env -i PATH="$PATH" HOME=/root $theirs config 2>/dev/null | grep -q '"PullOptions"'; then
	echo "skipped: $theirs has no \`config\`"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi

# Runs "$@" config with the environment of the case, as the user of the case.
run() {
	(cd $scratch && env -i PATH="$PATH" HOME=/root "${environment[@]}" $as $* config -U=false 2>/dev/null)
}

begin() {
	environment=()
	as=
	# overlay keeps a mount on its home: lazily gone, then the directory
	awk '$5 ~ /^\/(tmp|var\/lib\/containers|root)\/./ { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r mountpoint; do umount -l "$mountpoint"; done
	rm -rf $sys/* $adm/* /root/.config /root/.local /var/lib/containers/* /run/containers/* /run/user/* \
		$scratch /tmp/storage-run-* /tmp/t
	mkdir -p $scratch /tmp/t
	chmod 777 $scratch /tmp/t
}

# put FILE: standard input goes there
put() {
	mkdir -p "$(dirname "$1")" && cat >"$1"
}

# same NAME: both say the same
same() {
	local a b
	a=$(run "$theirs")
	# ours must not find what theirs left in the store
	b=$(run "$ours")
	if [ "$a" = "$b" ] && [ -n "$a" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n  theirs: %s\n  ours:   %s\n' "$1" "$a" "$b"
	fi
}

# expect NAME OUTPUT: both say this
expect() {
	local b
	same "$1"
	b=$(run "$ours")
	if [ "$b" = "$2" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n  wanted: %s\n  ours:   %s\n' "$1" "$2" "$b"
	fi
}

# only NAME OUTPUT: ours says this, and theirs something else (docs/format/config.md, "Differences of cstorage")
only() {
	local a b
	a=$(run "$theirs")
	b=$(run "$ours")
	if [ "$b" = "$2" ] && [ "$a" != "$b" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n  wanted: %s\n  ours:   %s\n  theirs: %s\n' "$1" "$2" "$b" "$a"
	fi
}

# conf NAME: standard input as the only file
conf() {
	begin
	put /tmp/t/f
	environment+=(CONTAINERS_STORAGE_CONF=/tmp/t/f)
	same "$1"
}

roots='graphroot="/tmp/t/g"
runroot="/tmp/t/r"'

# ---- one file ----

conf "empty file" </dev/null
begin; expect "no file" '{"runroot":"/run/containers/storage","root":"/var/lib/containers/storage","PullOptions":null}'
conf "most keys" <<E
[storage]
driver = "vfs"
$roots
transient_store = true
driver_priority = ["vfs", "overlay"]
[storage.options]
disable-volatile = true
root-auto-userns-user = "containers"
auto-userns-min-size = 5
auto-userns-max-size = 6
E
conf "driver tables" <<E
[storage]
driver = "vfs"
$roots
[storage.options.vfs]
ignore_chown_errors = "1"
[storage.options.overlay]
size = "1G"
mount_program = "/x"
mountopt = "nodev"
inodes = "5"
skip_mount_home = "true"
force_mask = "shared"
use_composefs = "false"
sync = "none"
ignore_chown_errors = "false"
[storage.options.btrfs]
size = "2G"
min_space = "1G"
[storage.options.zfs]
mountopt = "m"
size = "3G"
fsname = "z/x"
E
conf "general options" <<E
[storage]
driver = "overlay"
$roots
[storage.options]
mountopt = "nodev"
force_mask = 0o755
ignore_chown_errors = "T"
skip_mount_home = "0"
additionallayerstores = []
E
conf "force_mask zero, empty strings" <<E
[storage]
driver = "overlay"
$roots
[storage.options]
force_mask = 0
size = ""
mountopt = ""
E
conf "pull options" <<E
[storage]
driver = "vfs"
$roots
[storage.options.pull_options]
enable_partial_images = "TRUE"
unknown-key = "x=<y>"
"a b" = ""
A = "1"
a = "2"
E
conf "empty pull options" <<E
[storage]
driver = "vfs"
$roots
[storage.options.pull_options]
E
conf "any case of keys" <<E
[STORAGE]
Driver = "vfs"
GraphRoot = "/tmp/t/g"
RUNROOT = "/tmp/t/r"
[Storage.OPTIONS.Vfs]
Ignore_Chown_Errors = "1"
E
conf "dotted keys, inline tables, TOML 1.1" <<'E'
storage.driver = "vfs"
storage.graphroot = '/tmp/t/g'
storage."runroot" = """\
   /tmp/t/r"""
storage.options = { disable-volatile = true, # comment
  auto-userns-min-size = 0x1_0, pull_options = {"x" = "\x41\u00e9"}, }
E
conf "byte order mark and CRLF" < <(
	printf '\xef\xbb\xbf[storage]\r\ndriver="vfs"\r\ngraphroot="/tmp/t/g"\r\nrunroot="/tmp/t/r"\r\n'
)
conf "unknown and legacy keys" <<E
other = 1
[storage]
driver = "vfs"
$roots
foo = [1, {a = 2}]
[storage.options]
remap-uids = "0:1:2"
imagestore = "/x"
use_composefs = "true"
[storage.options.thinpool]
fs = "xfs"
[storage.options.overlay.more]
x = 1
E
conf "overlay2" <<E
[storage]
driver = "overlay2"
$roots
E
conf "list with attribute" <<E
[storage]
driver = "vfs"
$roots
driver_priority = [{append=true}, "vfs",]
E
conf "rootless_storage_path is not for root" <<E
[storage]
driver = "vfs"
runroot = "/tmp/t/r"
rootless_storage_path = "/tmp/t/k"
E

# ---- errors ----

bad() {
	conf "error: $1" < <(printf '%b' "$2")
}
bad "bool from string" '[storage]\ndriver="vfs"\n\n\ntransient_store="true"\n'
bad "string from number" '[storage]\ndriver=1\n'
bad "string from array" '[storage]\ngraphroot=["a"]\n'
bad "string from date" '[storage]\ngraphroot=2020-01-01\n'
bad "string from table" '[storage.driver]\n'
bad "number from string" '[storage.options]\nforce_mask="0755"\n'
bad "number from float" '[storage.options]\nforce_mask=1.5\n'
bad "negative" '[storage.options]\nauto-userns-min-size=-1\n'
bad "too large" '[storage.options]\nauto-userns-max-size=4294967296\n'
bad "out of int64" '[storage.options]\nauto-userns-max-size=99999999999999999999\n'
bad "list from string" '[storage]\ndriver_priority="/x"\n'
bad "list from table" '[storage]\ndriver_priority={append=true}\n'
bad "list with number" '[storage]\ndriver_priority=["x",1]\n'
bad "list with list" '[storage]\ndriver_priority=["x",[1,"a",true]]\n'
bad "attribute of another type" '[storage]\ndriver_priority=[{append="x"}]\n'
bad "unknown attribute" '[storage]\ndriver_priority=["x",{prepend=true,append=true}]\n'
bad "pull option type" '[storage.options.pull_options]\nx=true\n'
bad "key twice" '[storage]\ndriver="a"\ndriver="b"\n'
bad "table twice" '[storage]\n[storage.options]\n[storage.options]\n'
bad "table as array" '[storage]\n[[storage]]\n'
bad "value as table" '[storage]\ndriver="x"\n[storage.driver.x]\n'
bad "value as dotted table" '[storage]\ndriver="x"\ndriver.y=1'
bad "header not closed" '[storage\n'
bad "no value" '[storage]\ndriver=\n'
bad "no equals sign" '[storage]\ndriver "x"\n'
bad "no key" '[storage]\n= "x"\n'
bad "bare value" '[storage]\ndriver = vfs\n'
bad "rest of line" '[storage]\ndriver = "a" x\n'
bad "string not closed" '[storage]\ndriver="a\n'
bad "file ends in string" '[storage]\ndriver="a'
bad "file ends in long string" '[storage]\ndriver="""a\n\n'
bad "file ends in array" '[storage]\ndriver_priority=["a","b"\n\n'
bad "array without comma" '[storage]\ndriver_priority=["a" "b"]\n'
bad "two commas" '[storage]\ndriver_priority=["a",,"b"]\n'
bad "inline table without comma" '[storage]\noptions={size="1" x=2}\n'
bad "bad escape" '[storage]\ndriver="\\q"\n'
bad "surrogate" '[storage]\ndriver="\\ud800"\n'
bad "leading zero" '[storage]\ndriver=01\n'
bad "underscores" '[storage]\ndriver=1__0\n'
bad "hexadecimal" '[storage]\ndriver=0xZ\n'
bad "float" '[storage]\ndriver=1.e5\n'
bad "date" '[storage]\ndriver=2020-13-01\n'
bad "quoted key" '[storage]\n"a b".c=1\n"a b".c=2\n'
bad "NUL" '[storage]\ndriver="a\0b"\n'
bad "imagestore" '[storage]\nimagestore="/tmp/t/g"\ngraphroot="/tmp/t/g"\nrunroot="/tmp/t/r"\n'

# ---- expansion ----

graph() {
	begin
	mkdir -p /tmp/t/h/x
	ln -s /tmp/t/h /tmp/t/link
	printf '[storage]\ndriver="vfs"\nrunroot="/tmp/t/r"\ngraphroot="%s"\n' "$1" >/tmp/t/f
	environment+=(CONTAINERS_STORAGE_CONF=/tmp/t/f HOME=/tmp/t/h A=b)
	same "graphroot $1"
}
graph '$HOME/${FOO}x/$UID/../$UNDEF/y'
graph '/tmp/t/h/$UIDX/x'
graph '/tmp/t/h/a$/x'
graph '/tmp/t/h/$$/$1/$A/${A}c/$A_/z'
graph '/tmp/t/h/${A/x'
graph '/tmp/t/h/${}/${UID}x'
graph '/tmp/t/link/x'
graph '/tmp/t/link/missing/../y/'

# ---- environment ----

begin; put /tmp/t/f <<E
[storage]
driver = "overlay"
$roots
[storage.options]
mountopt = "nodev"
E
environment=(CONTAINERS_STORAGE_CONF=/tmp/t/f STORAGE_DRIVER=vfs STORAGE_OPTS=vfs.ignore_chown_errors=1,overlay.size=5)
same "STORAGE_DRIVER and STORAGE_OPTS"
environment=(CONTAINERS_STORAGE_CONF=/tmp/t/f STORAGE_DRIVER= STORAGE_OPTS=)
same "STORAGE_DRIVER and STORAGE_OPTS empty"
environment=(CONTAINERS_STORAGE_CONF=/nonexist)
expect "missing file" "error initializing: open /nonexist: no such file or directory"
environment=(CONTAINERS_STORAGE_CONF=/tmp/t)
same "file is a directory"
environment=(CONTAINERS_STORAGE_CONF=)
same "file variable empty"
environment=(CONTAINERS_STORAGE_CONF=/tmp/t/f CONTAINERS_STORAGE_CONF_OVERRIDE=/nonexist)
same "missing override"
put /tmp/t/o <<E
[storage.options]
disable-volatile = true
E
environment=(CONTAINERS_STORAGE_CONF=/tmp/t/f CONTAINERS_STORAGE_CONF_OVERRIDE=/tmp/t/o)
same "override"
environment=(CONTAINERS_STORAGE_CONF_OVERRIDE=/tmp/t/o)
same "override alone"

# ---- search ----

# min FILE N: a file that sets one number
min() {
	printf '[storage.options]\nauto-userns-min-size = %d\n' "$2" | put "$1"
}
max() {
	printf '[storage.options]\nauto-userns-max-size = %d\n' "$2" | put "$1"
}
user() {
	printf '[storage.options]\nroot-auto-userns-user = "%s"\n' "$2" | put "$1"
}
own=/root/.config/containers

begin; min $sys/storage.conf 1; same "only the system file"
max $adm/storage.conf 2; same "the administrator's replaces it"
user $own/storage.conf u; same "the user's replaces both, for root too"
begin; min $adm/storage.conf 1; min /tmp/t/xdg/containers/storage.conf 2; min $own/storage.conf 3
environment=(XDG_CONFIG_HOME=/tmp/t/xdg); same "XDG_CONFIG_HOME"
begin; mkdir -p $adm/storage.conf; same "main file is a directory"
begin; ln -s /nonexist $adm/storage.conf; min $sys/storage.conf 1; same "main file is a dangling link"
begin; min $sys/storage.conf.d/10-a.conf 10; max $adm/storage.conf.d/10-a.conf 11; same "same name: the higher hides"
begin; user $sys/storage.rootful.conf.d/20-b.conf u; user $adm/storage.conf.d/20-c.conf e; same "rootful, order by name"
begin; user $sys/storage.conf.d/9.conf s; user $adm/storage.conf.d/5.conf a; user $own/storage.conf.d/7.conf u
same "order by name across directories"
begin; user $own/storage.conf own; user $adm/storage.conf.d/1.conf drop-in; same "drop-in beats the main file"
begin; user $sys/storage.conf.d/a.conf 1; user $adm/storage.rootful.conf.d/a.conf 2; user $adm/storage.conf.d/a.conf 3
same "rootful hides the general one of its directory"
begin; user $adm/storage.rootless.conf.d/a.conf 1; same "rootless ones are not for root"
begin; user $adm/storage.conf.d/a.txt 1; user $adm/storage.conf.d/.x.conf 2; mkdir $adm/storage.conf.d/d.conf
ln -s /nonexist $adm/storage.conf.d/e.conf; user /tmp/t/linked 3; ln -s /tmp/t/linked $adm/storage.conf.d/f.conf
same "what counts as a drop-in"
begin; mkdir -p $adm/storage.conf.d; ln -s /tmp $adm/storage.conf.d/f.conf; same "drop-in link to a directory"
begin; put $adm/storage.conf.d </dev/null; same "drop-in directory is a file"
begin; put $adm/storage.conf.d/a.conf <<E
[storage]
driver = 1
E
same "error in a drop-in"
begin; user $adm/storage.conf.d/a.conf 1; put /tmp/t/f </dev/null; environment=(CONTAINERS_STORAGE_CONF=/tmp/t/f)
same "no drop-ins beside CONTAINERS_STORAGE_CONF"

begin
for i in '"1"' '"2"' '{append=true},"3"' '"4"'; do
	printf '[storage]\ndriver = "vfs"\ndriver_priority = [%s]\n' "$i" |
		put $adm/storage.conf.d/$(printf %s "$i" | tr -dc 0-9).conf
done
same "appending lasts"
begin
printf '[storage]\ndriver="vfs"\ndriver_priority=["a",{append=true}]\n' | put $adm/storage.conf.d/1.conf
printf '[storage]\ndriver_priority=["b"]\n' | put $adm/storage.conf.d/2.conf
printf '[storage]\ndriver_priority=["c",{append=false}]\n' | put $adm/storage.conf.d/3.conf
same "appending ends"
begin
printf '[storage.options.pull_options]\na="1"\nb="1"\n' | put $adm/storage.conf.d/1.conf
printf '[storage.options.pull_options]\nb="2"\nc="2"\n' | put $adm/storage.conf.d/2.conf
same "pull options merge by key"
begin
printf '[storage]\ndriver="vfs"\n%s\n' "$roots" | put $adm/storage.conf
printf '[storage]\ndriver=""\ngraphroot=""\n' | put $adm/storage.conf.d/2.conf
same "an empty string unsets"

# ---- users ----

if command -v setpriv >/dev/null; then
	as_user() {
		begin
		as="setpriv --reuid 5000 --regid 5000 --clear-groups"
		environment=(HOME=/tmp/t/home STORAGE_DRIVER=vfs USER=tst)
		install -d -o 5000 -g 5000 /tmp/t/home
	}
	as_user; expect "user without XDG_RUNTIME_DIR" \
		'{"runroot":"/tmp/storage-run-5000/containers","root":"/tmp/t/home/.local/share/containers/storage","driver":"vfs","PullOptions":null}'
	for mode in 700 750 755 770 777; do
		as_user; install -d -o 5000 -g 5000 -m $mode /run/user/5000; same "/run/user/5000 of mode $mode"
	done
	as_user; install -d -o 0 -g 0 -m 755 /run/user/5000; same "/run/user/5000 of root"
	as_user; install -d -o 5000 -m 777 /tmp/storage-run-5000; same "storage-run of mode 777"
	as_user; install -d -o 5000 /tmp/t/x; environment+=(TMPDIR=/tmp/t/x); same "TMPDIR"
	as_user; install -d -o 5000 /tmp/t/x; ln -s x /tmp/t/y; environment+=(XDG_RUNTIME_DIR=/tmp/t/y); same "XDG_RUNTIME_DIR"
	as_user; environment+=(XDG_RUNTIME_DIR=/nope); same "XDG_RUNTIME_DIR missing"
	as_user; environment+=(XDG_DATA_HOME=/tmp/t/home/d); same "XDG_DATA_HOME"
	as_user; printf '[storage]\nrootless_storage_path="/tmp/t/home/rl-$USER-$UID"\n' | put $adm/storage.conf
	same "rootless_storage_path"
	as_user; printf '[storage]\n%s\nrootless_storage_path="/tmp/t/k"\n' "$roots" | put $adm/storage.conf
	same "system file's roots are for users too"
	as_user; user $adm/storage.rootless.conf.d/20.conf all; user $adm/storage.rootless.conf.d/5000/10.conf own
	same "order by name beats the user's directory"
	as_user; user $adm/storage.rootless.conf.d/20.conf all; user $adm/storage.rootless.conf.d/5000/20.conf own
	same "the user's directory hides"
	as_user; user $adm/storage.rootful.conf.d/20.conf root; same "rootful ones are not for users"
	as_user; environment+=(HOME=); same "no home"
else
	echo "skipped: users (no setpriv)"
fi

# ---- where ours differs ----

begin; printf '[storage]\ndriver="vfs"\nrunroot="/tmp/t/r"\ngraphroot="$UNDEF"\n' | put $adm/storage.conf
only "empty root" 'error initializing: graphroot "$UNDEF" must be an absolute path, but expands to ""'
begin; printf '[storage]\ndriver="vfs"\nrunroot="r"\ngraphroot="/tmp/t/g"\n' | put $adm/storage.conf
only "relative root" 'error initializing: runroot "r" must be an absolute path, but expands to "r"'
begin; user $own/storage.conf home; user $scratch/containers/storage.conf cwd; environment=(XDG_CONFIG_HOME=)
only "XDG_CONFIG_HOME empty is unset" '{"runroot":"/run/containers/storage","root":"/var/lib/containers/storage","root_auto_ns_user":"home","PullOptions":null}'
begin; printf '[storage]\ndriver="vfs"\nrunroot="/tmp/t/r"\ngraphroot="/tmp/t/g"\nimagestore="/tmp/t/$UID"\n' | put $adm/storage.conf
only "imagestore expands" '{"runroot":"/tmp/t/r","root":"/tmp/t/g","imagestore":"/tmp/t/0","driver":"vfs","PullOptions":null}'
begin; mkdir /tmp/t/g; printf '[storage]\ndriver="vfs"\nrunroot="/tmp/t/r"\ngraphroot="/tmp/t/g"\nimagestore="/tmp/t/g/"\n' | put $adm/storage.conf
only "imagestore by another name" 'error initializing: imagestore /tmp/t/g/ must either be not set or be different than graphroot'

begin
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
