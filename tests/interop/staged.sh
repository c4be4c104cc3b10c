#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# applydiff-using-staging-dir by both commands on one store: the same digests, records and files, and a TOC that tells the same; each
# reads the other's. What upstream loses (nodes, times of directories) is not in the directory.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_overlay)
[ -n "$lacking" ] || lacking=$(lacks_go)
[ -n "$lacking" ] || [[ $(go_version) > 1.63 ]] || lacking="no containers-storage of 1.64 or later"
if [ -n "$lacking" ]; then
	skip "applydiff-using-staging-dir by both" "$lacking" 20
	finish
fi
new_store one overlay
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n[storage.options.pull_options]\nenable_partial_images = "true"\n' \
	"$G" "$R" >"$WORK/partial.conf"
on() { CONTAINERS_STORAGE_CONF=$WORK/partial.conf timeout -k 5 120 "$@"; }
apply() { # SUFFIX OF ID: both, the same directory; from the parents P-ours and P-go if they are there
	local who
	on "$OURS" applydiff-using-staging-dir "$1-ours" "$2" && on "$GO" applydiff-using-staging-dir "$1-go" "$2"
}
# The record without what differs from run to run; the TOC without where the compressed bytes lie.
record() { on "$OURS" layer -j "$1" | sed -E 's/"(id|parent)":"[^"]*",|"names":\["[^"]*"\],//g; s/"created":"[^"]*",?//; s/"toc-digest":"[^"]*"/TOC/; s/"chunked-manifest-cache",?//' |
	python3 -c 'import re, sys; s = sys.stdin.read(); print(re.sub(r"\[[^\[\]]*\]", lambda m: str(sorted(m.group(0)[1:-1].strip(",").split(","))), s))'; }
toc() {
	on "$OURS" get-layer-data "$1" zstd-chunked-manifest | python3 -c '
import json, sys
toc = json.load(sys.stdin)
del toc["tarSplitDigest"]
for entry in toc["entries"] or []:
    entry.pop("offset", None), entry.pop("endOffset", None)
print(json.dumps(toc, indent=1))'
}
same_layers() { # NAME
	local part
	for part in record toc; do
		for who in ours go; do "$part" "$1-$who" >"$WORK/$part-$who" 2>&1; done
		same "$1: $part" "$WORK/$part-go" "$WORK/$part-ours"
	done
	for who in ours go; do
		on "$OURS" diff -u "$1-$who" >"$WORK/tar-$who"
		(cd "$G/overlay/$1-$who/diff" && find . -not -type d -not -type c -printf '%p %m %U:%G %s %T@ %l\n' | sort
			find . \( -type d -o -type c \) -printf '%p %m %U:%G\n' | sort) >"$WORK/files-$who"
	done
	same "$1: the tar of it" "$WORK/tar-go" "$WORK/tar-ours"
	same "$1: the files" "$WORK/files-go" "$WORK/files-ours"
}

src=$WORK/src
mkdir -p "$src/d/deep" "$WORK/none"
head -c 3000000 /dev/urandom >"$src/random"
{ head -c 5000 /dev/urandom; head -c 1000000 /dev/zero; head -c 3000 /dev/urandom; } >"$src/d/holes"
echo text >"$src/d/deep/text"
: >"$src/empty"
ln "$src/random" "$src/d/link"
chmod 4711 "$src/d/deep/text"
chown 5:6 "$src/d/deep"
setfattr -n user.x -v value "$src/empty" 2>/dev/null
find "$src" -exec touch -h -d 2020-02-02T02:02:02 {} +
case_ "a directory becomes a layer" apply new "$src"
same_layers new
on "$OURS" create-layer -i parent >/dev/null && on "$OURS" mount parent >/dev/null && mkdir "$G/overlay/parent/merged/d" && : >"$G/overlay/parent/merged/d/gone" && chmod 711 "$G/overlay/parent/merged" && on "$OURS" unmount parent >/dev/null
for who in ours go; do on "$OURS" create-layer -i "child-$who" -n "name-$who" parent >/dev/null; done
: >"$src/d/.wh.gone"
touch -d 2020-02-02T02:02:02 "$src/d/.wh.gone" "$src/d"
rm "$src/random"
case_ "it becomes the content of a layer" apply child "$src"
same_layers child
case_ "by a name, once more" apply name "$src"
same_layers child
case_ "there is no such directory" apply none "$WORK/nothing"
same_layers none

# Theirs read what ours wrote: when they look for layers to take parts from, they make a cache of the TOC.
on "$GO" applydiff-using-staging-dir last "$src"
for layer in new-ours child-ours; do
	on "$OURS" list-layer-data "$layer" | grep -qx chunked-manifest-cache && pass "1.64 reads the TOC of $layer" || fail "1.64 reads the TOC of $layer"
done
on "$GO" check >"$WORK/said" 2>&1
grep -q -e -ours "$WORK/said" && fail "their check finds nothing in ours" "$(cat "$WORK/said")" || pass "their check finds nothing in ours"
said=$(on "$OURS" layers >/dev/null; audit)
[ -z "$said" ] && pass "nothing is left over" || fail "nothing is left over" "$said"
finish
