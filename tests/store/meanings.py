#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""meanings.py write DIR: writes base.tar, middle.tar, child.tar, before.tar and moved.tar, what layers of the test hold, and case-NAME.tar, the
archives of one-meaning.sh.

An entry is its name: a `/` at the end makes a directory, ` -> ` a symlink, ` = ` a hard link; without one of them it is a
file. Attributes may follow: mode, uid, xattr.

meanings.py tree DIR: prints the tree as a user sees it. The time of a directory is left out: it is that of the import where no
entry names the directory."""
import io
import os
import stat
import sys
import tarfile

BASE = [
    ('tmp/', 0o1777, 5, {'user.note': 'kept'}), ('tmp/old',), ('tmp/deep/', 0o2750, 6), ('tmp/deep/down/', 0o700, 7), ('tmp/deep/down/f',),
    ('a/', 0o711, 8, {'user.note': 'a'}), ('a/one',), ('a/sub/', 0o750, 9), ('a/sub/two',), ('b/', 0o700, 3), ('b/a',), ('b/c/', 0o710, 4),
    ('b/c/f',), ('usr/',), ('usr/lib/', 0o711, 2), ('usr/lib/libc',), ('usr/lib/gone',), ('lib -> usr/lib',), ('abs -> /usr/lib',), ('file',),
    ('hidden/', 0o700, 11), ('hidden/in/', 0o700, 11), ('shut/', 0o700, 12), ('shut/in/', 0o700, 12), ('shut/in/f',),
    ('was/', 0o700, 13), ('was/in/', 0o700, 13), ('top',), ('loop1 -> loop2',), ('loop2 -> loop1',),
]
# Between base and the layer: a whiteout, an opaque directory, something of another kind, new attributes of a directory.
MIDDLE = [('.wh.hidden',), ('shut/', 0o701, 14), ('shut/.wh..wh..opq',), ('.wh.was',), ('was',), ('b/c/', 0o2770, 15, {'user.note': 'c'})]
CHILD = [('hidden/', 0o750, 16), ('nothing',)]
# In a layer before the archive is applied to it.
BEFORE = [('a/mine',), ('b/c/mine',), ('before/', 0o700, 17), ('before/f',), ('dir-then/',), ('dir-then/f',), ('file-then',), ('tmp/mine',)]
# On directories that a mount moved: b to c, tmp to aa/tmp, a to aa.
MOVED = [('aa/tmp/deep/down/x',), ('aa/tmp/.wh.old',), ('aa/sub/.wh.two',), ('c/c/x',), ('c/.wh.a',), ('tmp/x',), ('b/c/x',)]

CASES = {
    # Directories that are only implied.
    'implied': [('tmp/x',)],
    'implied-deep': [('tmp/deep/down/x',)],
    'implied-twice': [('tmp/deep/x',), ('tmp/deep/down/y',)],
    'implied-by-a-directory': [('tmp/deep/down/x/', 0o700, 1)],
    'implied-by-a-link': [('f',), ('tmp/x = f',)],
    'implied-changed-between': [('b/c/x',)],
    'implied-hidden-between': [('hidden/in/x',)],
    'implied-opaque-between': [('shut/in/x',)],
    'implied-file-between': [('was/in/x',)],
    'implied-new': [('new/er/x',)],
    'implied-then-named': [('tmp/x',), ('tmp/', 0o755, 1, {'user.note': 'mine'})],
    'named-then-implied': [('tmp/', 0o755, 1, {'user.note': 'mine'}), ('tmp/deep/x',)],
    'implied-by-a-mark': [('a/sub/.wh.two',)],
    'implied-by-opaque': [('a/.wh..wh..opq',)],
    'implied-over-a-file': [('file/x',)],
    # After a whiteout of their own parent.
    'deleted-then-in-it': [('.wh.tmp',), ('tmp/x',)],
    'deleted-then-deep-in-it': [('.wh.tmp',), ('tmp/deep/down/x',)],
    'deleted-then-named': [('.wh.a',), ('a/', 0o700, 1), ('a/sub/x',)],
    'deleted-then-marks': [('.wh.a',), ('a/.wh.one',), ('a/sub/.wh.two',), ('a/sub/.wh..wh..opq',)],
    'opaque-then-deep': [('tmp/', 0o1777, 5, {'user.note': 'mine'}), ('tmp/.wh..wh..opq',), ('tmp/deep/x',)],
    'opaque-then-marks': [('a/.wh..wh..opq',), ('a/sub/.wh.two',), ('a/sub/.wh..wh..opq',)],
    # A mark after what the same archive made.
    'made-then-deleted': [('a/one',), ('a/.wh.one',), ('new',), ('.wh.new',)],
    'made-in-it-then-deleted': [('a/sub/x',), ('.wh.a',)],
    'named-then-deleted': [('a/', 0o700, 1, {'user.note': 'mine'}), ('a/x',), ('.wh.a',)],
    'made-then-opaque': [('a/sub/x',), ('a/.wh..wh..opq',)],
    'marks-then-deleted': [('a/sub/.wh.two',), ('.wh.a',)],
    'marks-then-opaque': [('a/sub/.wh.two',), ('a/.wh..wh..opq',)],
    'twice': [('.wh.a',), ('/.wh.a',), ('a/x',), ('../.wh.a',)],
    'opaque-twice': [('a/.wh..wh..opq',), ('a/x',), ('/a/.wh..wh..opq',)],
    # Marks where there is nothing, or no directory.
    'mark-in-nothing': [('no/such/.wh.x',)],
    'opaque-nothing': [('no/such/.wh..wh..opq',)],
    'mark-in-a-file': [('file/.wh.x',)],
    'opaque-file': [('file/.wh..wh..opq',)],
    'mark-in-a-new-file': [('p',), ('p/.wh.x',)],
    'opaque-new-file': [('p',), ('p/.wh..wh..opq',)],
    'mark-hidden-between': [('hidden/in/.wh.x',), ('shut/in/.wh.f',), ('was/in/.wh.x',)],
    # Symlinks of the same archive.
    'link-then-deleted': [('l -> /b',), ('l/.wh.a',)],
    'directory-becomes-link': [('a -> /b',), ('a/.wh.a',)],
    'link-then-opaque': [('l -> b',), ('l/.wh..wh..opq',)],
    'link-then-opaque-in-it': [('l -> b',), ('l/c/.wh..wh..opq',)],
    'link-then-named-opaque': [('s -> a',), ('a/', 0o700, 1, {'user.note': 'mine'}), ('s/.wh..wh..opq',)],
    'link-then-file': [('l -> b',), ('l/new',)],
    'link-then-deep-file': [('l -> b/c',), ('l/new/er',)],
    'link-then-directory': [('l -> /tmp/deep',), ('l/down/', 0o711, 1)],
    'link-up-then-file': [('x/l -> ../../b/../tmp/deep',), ('x/l/f',), ('x/l/down/.wh.f',)],
    'link-chain': [('l1 -> l2',), ('l2 -> /b/l3',), ('b/l3 -> c',), ('l1/new',), ('l1/.wh.f',)],
    'link-to-nothing': [('l -> nowhere',), ('l/x',)],
    'link-to-nothing-mark': [('l -> nowhere',), ('l/.wh.x',)],
    'link-to-a-file': [('l -> file',), ('l/x',)],
    'link-to-a-file-mark': [('l -> file',), ('l/.wh.x',)],
    'link-loop': [('s1 -> s2',), ('s2 -> s1',), ('s1/x',)],
    'link-loop-mark': [('s1 -> s2',), ('s2 -> s1',), ('s1/.wh.x',)],
    'link-to-deleted': [('.wh.b',), ('l -> b',), ('l/x',)],
    'link-to-deleted-mark': [('.wh.b',), ('l -> b',), ('l/.wh.a',)],
    'link-into-opaque': [('a/.wh..wh..opq',), ('l -> a/sub',), ('l/.wh.two',)],
    # Symlinks below: for marks.
    'lower-link-mark': [('lib/.wh.gone',)],
    'lower-link-absolute-mark': [('abs/.wh.gone',)],
    'lower-link-opaque': [('lib/.wh..wh..opq',)],
    'lower-link-loop-mark': [('loop1/.wh.x',)],
    'lower-link-itself': [('.wh.lib',)],
    'link-to-lower-link-mark': [('l -> lib',), ('l/.wh.gone',)],
    # What an earlier archive left in the layer.
    'earlier-file': [('a/.wh.mine',), ('.wh.file-then',)],
    'earlier-directory': [('.wh.before',), ('b/.wh.c',)],
    'earlier-kept': [('before/new',), ('.wh.before',)],
    'earlier-opaque': [('a/.wh..wh..opq',), ('before/.wh..wh..opq',)],
    'earlier-file-becomes-directory': [('file-then/x',)],
    'file-becomes-directory': [('tmp',), ('a',)],
    # The root.
    'root-opaque': [('.wh..wh..opq',)],
    'root-opaque-then': [('.wh..wh..opq',), ('tmp/x',), ('new',)],
    'root-opaque-last': [('tmp/x',), ('a/', 0o700, 1, {'user.note': 'mine'}), ('new',), ('.wh..wh..opq',)],
}


def write(path, entries):
    with tarfile.open(path, 'w', format=tarfile.PAX_FORMAT) as tar:
        for name, *rest in entries:
            mode, uid, xattrs = (rest + [0o644, 0, {}][len(rest):])[:3]
            name, _, link = name.partition(' -> ')
            name, _, hard = name.partition(' = ')
            info = tarfile.TarInfo(name.rstrip('/') if name != '/' else name)
            info.type = tarfile.SYMTYPE if link else tarfile.LNKTYPE if hard else tarfile.DIRTYPE if name.endswith('/') else tarfile.REGTYPE
            info.mode = 0o755 if not rest and name.endswith('/') else 0o777 if link else mode
            info.linkname, info.uid, info.gid, info.mtime = link or hard, uid, uid, 1500000000
            info.pax_headers = {'SCHILY.xattr.' + key: value for key, value in xattrs.items()}
            data = name.encode() if info.type == tarfile.REGTYPE else b''
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_all(where):
    for name, entries in (('base', BASE), ('middle', MIDDLE), ('child', CHILD), ('before', BEFORE), ('moved', MOVED)):
        write(f'{where}/{name}.tar', entries)
    for name, entries in CASES.items():
        write(f'{where}/case-{name}.tar', entries)


def describe(path):
    st = os.lstat(path)
    words = [stat.filemode(st.st_mode), f'{st.st_uid}:{st.st_gid}']
    if not stat.S_ISDIR(st.st_mode):
        words += [f'{st.st_nlink} names', f'{st.st_size} bytes', str(int(st.st_mtime))]
    if stat.S_ISLNK(st.st_mode):
        words.append('-> ' + os.readlink(path))
    if stat.S_ISREG(st.st_mode):
        words.append(repr(open(path, 'rb').read()))
    for key in sorted(os.listxattr(path, follow_symlinks=False)):
        if key.startswith(('user.', 'security.')) and key != 'security.selinux':
            words.append(f'{key}={os.getxattr(path, key, follow_symlinks=False)!r}')
    return ' '.join(words)


def tree(top):
    print('.', describe(top))
    for folder, directories, files in os.walk(top):
        directories.sort()
        for name in sorted(directories + files):
            path = os.path.join(folder, name)
            print(os.path.relpath(path, top), describe(path))


{'write': write_all, 'tree': tree}[sys.argv[1]](sys.argv[2])
