#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a small archive changes in a layer is on disk before the layer is reported: each directory in which a name was made or
# deleted, or which got a mark, is synced after its last change. Deletions too, or a power cut brings a deleted file back.
. "$(dirname "$0")/lib.sh"
lacking=$(lacks_root)
[ -n "$lacking" ] || lacking=$(lacks_command python3 strace)
if [ -n "$lacking" ]; then
	skip "directories that an archive changes are synced" "$lacking" 52
	finish
fi

mkdir -p "$WORK/in"
python3 - "$WORK/in" <<'P'
import io, sys, tarfile
def archive(name, *entries):
    with tarfile.open(f"{sys.argv[1]}/{name}.tar", "w") as tar:
        for entry in entries:
            path, _, link = entry.partition(" -> ")
            t = tarfile.TarInfo(path.rstrip("/"))
            t.type = tarfile.SYMTYPE if link else tarfile.DIRTYPE if path.endswith("/") else tarfile.REGTYPE
            t.mode, t.linkname, t.size = 0o755, link, 4 * (t.type == tarfile.REGTYPE)
            tar.addfile(t, io.BytesIO(b"data"))
archive("base", "a/", "a/gone", "a/kept", "d/", "d/e/", "d/e/f", "d/e/g/", "d/e/g/h", "d/x", "top", "link -> a", "far/", "far/in/", "far/in/f")
archive("file", "a/.wh.gone")
archive("at-the-root", ".wh.top")
archive("directory", ".wh.d")
archive("deep", "d/e/.wh.f")
archive("opaque", "d/.wh..wh..opq")
archive("opaque-root", "new", ".wh..wh..opq")
archive("by-a-link", "link/.wh.gone")
archive("into-a-link", "link/new")
archive("beside-what-is-new", "d/e/g/new", "d/.wh..wh..opq")
archive("hidden", "d/e/new", ".wh.d")
archive("link", ".wh.link", "link/new")
archive("a-link-that-moves", "link/.wh.gone", "link -> far")
archive("twice", "d/e/", "d/e/more", "d/.wh.e")
P

# Prints each directory below layers whose last change no fsync and no syncfs follows.
cat >"$WORK/unsynced" <<'P'
import re, sys
CALL = re.compile(r'(?:\d+ +)?(\w+)\((.*)\) += 0|(?:\d+ +)?(openat)\((.*O_CREAT.*)\) += \d')
changed, named = {}, re.compile(r'\d+<([^>]*)>, "([^"]*)"')
for line in open(sys.argv[1], errors="replace"):
    match = CALL.match(line)
    if not match:
        continue
    call, text = (match[1], match[2]) if match[1] else (match[3], match[4])
    names = [(d, n) for d, n in named.findall(text) if sys.argv[2] in d]
    on = re.match(r"\d+<([^>]*)>", text)
    if call == "syncfs":
        changed.clear()
    elif call == "fsync":
        changed.pop(on and on[1], None)
    elif call == "fsetxattr" and on and sys.argv[2] in on[1]:
        changed[on[1]] = line
    elif call in ("unlinkat", "mkdirat", "mknodat", "symlinkat", "linkat", "openat", "renameat", "renameat2"):
        for directory, name in names:
            changed[directory] = line
        if call == "unlinkat" and "AT_REMOVEDIR" in text and names:
            changed.pop("/".join(names[0]), None)
for directory, line in sorted(changed.items()):
    if not re.search(r"/\.cstorage-tmp-", directory):
        print(directory, "is not synced after", line.strip())
P

for driver in $have_drivers; do
	[ "$driver" = vfs ] && content=/0-addition layer=/vfs/dir/L || content=/diff layer=/diff
	for archive in "$WORK"/in/*.tar; do
		name=$(basename "$archive" .tar)
		[ "$name" != base ] || continue
		for how in import apply; do
			new_store synced "$driver"
			ours import-layer -i base -f "$WORK/in/base.tar" >/dev/null
			if [ $how = import ]; then
				at=$content
				set -- import-layer -i L -f "$archive" base
			else # into a layer that is mounted, in place
				ours create-layer -i L base >/dev/null
				ours applydiff -f "$WORK/in/base.tar" L >/dev/null # its names are the layer's own then
				ours mount L >/dev/null
				at=$layer
				set -- applydiff -f "$archive" L
			fi
			if strace -f -y -o "$WORK/trace" -e trace=desc,file,syncfs,fsync "$OURS" -g "$G" -R "$R" -s "$driver" "$@" >"$WORK/said" 2>&1; then
				said=$(python3 "$WORK/unsynced" "$WORK/trace" "$at")
				[ -z "$said" ] && pass "$driver: $how $name" || fail "$driver: $how $name" "$said"
			else
				fail "$driver: $how $name" "$(cat "$WORK/said")"
			fi
			unmount_below "$WORK/synced"
		done
	done
done
finish
