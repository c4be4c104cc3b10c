# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Two commands, one store: what the interop suites share.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# The store in use: G, R and DRIVER, set by new_store.
ours() { timeout -k 5 120 "$OURS" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
go() { timeout -k 5 120 "$GO" -g "$G" -R "$R" -s "$DRIVER" "$@"; }
new_store() { # NAME DRIVER
	G=$WORK/$1/root R=$WORK/$1/run DRIVER=$2
	remove_tree "${WORK:?}/$1"
	mkdir -p "$WORK/$1"
}
export HOME=$WORK
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$WORK/conf/root" "$WORK/conf/run" >"$WORK/storage.conf"
export CONTAINERS_STORAGE_CONF=$WORK/storage.conf

drivers() { # those this machine can run
	[ -n "$(lacks_overlay)" ] || echo overlay
	echo vfs
}
# Where the driver keeps what the layer $1 holds.
layer_root() {
	case $DRIVER in
	vfs) echo "$G/vfs/dir/$1" ;;
	*) echo "$G/$DRIVER/$1/diff" ;;
	esac
}
# All there is to know of the files below $1; a time since the test began is "now", and so is one the command invented.
began=$(date +%s)
listing() {
	(
		cd "$1" || exit
		find . -printf '%T@ %y %m %U %G %n %s %p %l\n' | sort -k8 | awk -v began="$began" '
			$1 >= began { $1 = "now" }
			$2 == "d" { $7 = "-" }
			{ print }'
		find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex 2>/dev/null | sed '/^security.selinux/d'
		find . -type f -print0 | sort -z | xargs -0r sha256sum
		find . \( -type b -o -type c \) -print0 | sort -z | xargs -0r stat -c '%n %t:%T'
	)
}
same() { # NAME FILE FILE
	if cmp -s "$2" "$3"; then
		pass "$1"
	else
		fail "$1" "$(diff -a "$2" "$3" | head -n 10 | cut -c1-300 | sed '2,$s/^/  | /')"
	fi
}

# Is the store on disk one that nobody ever crashed in? Prints what is not.
audit() {
	python3 - "$G" "$DRIVER" <<-'X'
		import json, os, sys
		root, driver = sys.argv[1:]
		say = print
		def load(kind):
		    try:
		        with open("%s/%s-%s/%s.json" % (root, driver, kind, kind)) as f:
		            return json.load(f) or []
		    except FileNotFoundError:
		        return []
		def entries(path):
		    return set(os.listdir(path)) if os.path.isdir(path) else set()
		layers, images, containers = load("layers"), load("images"), load("containers")
		ids = [x["id"] for x in layers]
		for kind, records in (("layer", layers), ("image", images), ("container", containers)):
		    seen = [x["id"] for x in records]
		    for x in set(seen):
		        if seen.count(x) > 1:
		            say("%s %s is recorded twice" % (kind, x))
		    names = [n for x in records for n in x.get("names") or []]
		    for n in set(names):
		        if names.count(n) > 1:
		            say("name %s is used by two %ss" % (n, kind))
		for x in layers:
		    if (x.get("flags") or {}).get("incomplete"):
		        say("layer %s is incomplete" % x["id"])
		    if x.get("parent") and x["parent"] not in ids:
		        say("layer %s has lost its parent %s" % (x["id"], x["parent"]))
		for x in images:
		    if x.get("layer") and x["layer"] not in ids:
		        say("image %s has lost its layer %s" % (x["id"], x["layer"]))
		for x in containers:
		    if x.get("layer") not in ids:
		        say("container %s has lost its layer %s" % (x["id"], x.get("layer")))
		own = {"l", "staging", "tempdirs", ".has-mount-program", ".has-xattr", "backingFsBlockDev", "metacopy"}
		content = entries(root + "/vfs/dir") if driver == "vfs" else entries("%s/%s" % (root, driver)) - own
		for x in sorted(content - set(ids)):
		    say("%s/%s has no record" % (driver, x))
		for x in sorted(set(ids) - content):
		    say("layer %s has no content" % x)
		home = "%s/%s" % (root, driver)
		for kind, records in (("images", images), ("containers", containers)):
		    known = {x["id"] for x in records}
		    for x in entries("%s-%s" % (home, kind)):
		        if os.path.isdir("%s-%s/%s" % (home, kind, x)) and x not in known and x != "tmp":
		            say("%s-%s/%s has no record" % (driver, kind, x))
		for x in entries(home + "-layers"):
		    if x.endswith(".tar-split.gz") and x[:-len(".tar-split.gz")] not in ids:
		        say("%s has no layer" % x)
		    if x.startswith(".tmp-"):
		        say("%s-layers/%s was left behind" % (driver, x))
		for place in (home + "-layers/tmp", home + "/staging", home + "/tempdirs"):
		    for x in entries(place):
		        if not x.endswith(".lock") and not x.startswith("lock-"):
		            say("%s/%s was left behind" % (place, x))
		if driver == "overlay":
		    links = {}
		    for x in entries(home + "/l"):
		        if not os.path.isdir(home + "/l/" + x):
		            say("overlay/l/%s dangles" % x)
		        links[x] = os.readlink(home + "/l/" + x)
		    for x in content:
		        try:
		            link = open("%s/%s/link" % (home, x)).read()
		            if links.get(link) != "../%s/diff" % x:
		                say("overlay/%s/link says %s, which is %s" % (x, link, links.get(link)))
		        except FileNotFoundError:
		            say("overlay/%s has no link" % x)
	X
}
