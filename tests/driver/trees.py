# SPDX-License-Identifier: Apache-2.0
"""Trees that are hard to keep: as archives, and as what a program finds of them on the disk."""

import hashlib
import io
import os
import shutil
import stat
import tarfile

ATTRIBUTES = ('user.colour', 'security.capability')


def entry(tar, name, kind=tarfile.REGTYPE, data=b'', mode=0o644, owner=(0, 0), link='', when=1600000000.0, device=(0, 0), **pax):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size, info.mtime = kind, mode, link, len(data), when
    info.uid, info.gid = owner
    info.devmajor, info.devminor = device
    info.pax_headers = pax.get('pax', {})
    tar.addfile(info, io.BytesIO(data))


def archive(path, fill):
    with tarfile.open(path, 'w', format=tarfile.PAX_FORMAT) as tar:
        fill(tar)
    return path


def hostile(tar):
    """Everything that an archive can have: types, modes, names, owners, times, attributes, links."""
    entry(tar, 'd', tarfile.DIRTYPE, mode=0o755)
    entry(tar, 'd/sticky', tarfile.DIRTYPE, mode=0o1777)
    entry(tar, 'd/locked', tarfile.DIRTYPE, mode=0o000)
    entry(tar, 'd/locked/inside', data=b'inside')
    entry(tar, 'd/setuid', data=b'#!', mode=0o6755, owner=(7, 8))
    entry(tar, 'd/nothing', mode=0o000)
    entry(tar, 'd/large', data=bytes(range(256)) * 3000)
    entry(tar, 'd/hard', tarfile.LNKTYPE, link='d/large')
    entry(tar, 'z-hard', tarfile.LNKTYPE, link='d/large')
    entry(tar, 'd/owned', data=b'x', owner=(65533, 40000))
    entry(tar, 'd/old', data=b'y', when=1.5)
    entry(tar, 'd/future', data=b'y', when=4000000000.25)
    entry(tar, 'd/link', tarfile.SYMTYPE, link='/etc/passwd', mode=0o777)
    entry(tar, 'd/dangling', tarfile.SYMTYPE, link='../../../nowhere', mode=0o777, owner=(3, 4))
    entry(tar, 'd/pipe', tarfile.FIFOTYPE, mode=0o600)
    entry(tar, 'd/null', tarfile.CHRTYPE, mode=0o666, device=(1, 3))
    entry(tar, 'd/disk', tarfile.BLKTYPE, mode=0o660, device=(7, 250))
    entry(tar, 'd/new\nline', data=b'1')
    entry(tar, 'd/\u00fcml\u00e4ut', data=b'2')
    entry(tar, 'd/' + 'n' * 255, data=b'3')
    deep = 'd'
    for level in range(30):
        deep += '/' + 'deep' * 12 + str(level)
        entry(tar, deep, tarfile.DIRTYPE, mode=0o755)
    entry(tar, deep + '/file', data=b'far down')
    entry(tar, 'd/attributes', data=b'4', pax={'SCHILY.xattr.user.colour': 'blue'})
    entry(tar, 'd/empty', tarfile.DIRTYPE, mode=0o700, owner=(1, 1))


def base(tar):
    for name in ('keep', 'gone', 'emptied', 'turned'):
        entry(tar, name, tarfile.DIRTYPE, mode=0o755)
        for number in range(3):
            entry(tar, f'{name}/f{number}', data=f'{name} {number}'.encode() * 100)
    entry(tar, 'file', data=b'before')
    entry(tar, 'chmod', data=b'the same')
    entry(tar, 'chown', data=b'the same')
    entry(tar, 'becomes-dir', data=b'a file')
    entry(tar, 'linked', data=b'twice')
    entry(tar, 'linked-too', tarfile.LNKTYPE, link='linked')


CHANGES = ['Modify "/becomes-dir"', 'Add "/becomes-dir/in"', 'Modify "/chmod"', 'Modify "/chown"', 'Modify "/emptied"',
           'Delete "/emptied/f0"', 'Delete "/emptied/f1"', 'Delete "/emptied/f2"', 'Modify "/file"', 'Delete "/gone"', 'Add "/new"',
           'Add "/new/a"', 'Add "/new/b"', 'Modify "/turned"']


def change(root):
    """What CHANGES tells, made of base."""
    for name in ('gone', 'turned', 'emptied'):
        for number in range(3):
            os.unlink(f'{root}/{name}/f{number}')
    os.rmdir(root + '/gone')
    os.rmdir(root + '/turned')
    os.symlink('keep', root + '/turned')
    with open(root + '/file', 'w', encoding='ascii') as file:
        file.write('afterwards')
    os.chmod(root + '/chmod', 0o600)
    os.chown(root + '/chown', 5, 6)
    os.unlink(root + '/becomes-dir')
    os.mkdir(root + '/becomes-dir')
    os.mkdir(root + '/new')
    for path in ('becomes-dir/in', 'new/a'):
        with open(f'{root}/{path}', 'w', encoding='ascii') as file:
            file.write(path)
    os.link(root + '/new/a', root + '/new/b')


def many(tar):
    """A tree of 400 files, some of them twice."""
    for number in range(40):
        folder = '/'.join(f'd{int(digit)}' for digit in f'{number:02}'[:1 + number % 2])
        entry(tar, folder, tarfile.DIRTYPE, mode=0o755)
        for name in range(10):
            entry(tar, f'{folder}/f{number}-{name}', data=b'%d %d' % (number, name))
        entry(tar, f'{folder}/hard{number}', tarfile.LNKTYPE, link=f'{folder}/f{number}-1')


def change_at_random(root, rng):
    """One thing that a program may do to a tree."""
    paths = [at[len(root):] + '/' + name for at, inner, names in os.walk(root) for name in sorted(inner) + sorted(names)]
    path, other = (root + rng.choice(paths) for _ in range(2))
    beside = os.path.dirname(other) + f'/new{rng.randrange(1 << 32)}'
    times = os.lstat(path)

    def write(mode):
        with open(path, mode) as file:
            file.write(b'another')

    def write_and_hide():
        write('r+b')
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def there_and_back():
        os.rename(path, beside)
        os.rename(beside, path)

    def swap():
        os.rename(path, beside)
        os.rename(other, path)
        os.rename(beside, other)
    rng.choice([
        lambda: write('ab'), lambda: write('wb'), lambda: write('r+b'), write_and_hide, there_and_back, swap,
        lambda: os.truncate(path, 3), lambda: os.chmod(path, rng.randrange(0o10000)), lambda: os.chown(path, 5, 6),
        lambda: os.utime(path, (1, 2)), lambda: os.setxattr(path, 'user.colour', b'red'), lambda: os.removexattr(path, 'user.colour'),
        lambda: os.link(path, beside), lambda: os.rename(path, beside), lambda: os.rename(path, other), lambda: os.mkdir(beside),
        lambda: os.symlink('somewhere', beside), lambda: os.mkfifo(beside), lambda: os.unlink(path), lambda: shutil.rmtree(path),
    ])()


def found(root, ids=lambda number: number, times=1):
    """{path: all that there is to know of it}. A directory's size and link count are the file system's own affair. `times`: in
    units of so many nanoseconds; 0: do not count."""
    seen, inodes = {}, {}
    todo = ['']
    while todo:
        path = todo.pop()
        info = os.lstat(root + path)
        what = [stat.filemode(info.st_mode), ids(info.st_uid), ids(info.st_gid)]
        if times and path:
            what.append(int(info.st_mtime_ns // times))
        if stat.S_ISDIR(info.st_mode):
            todo += [f'{path}/{name}' for name in os.listdir(root + path)]
        elif stat.S_ISLNK(info.st_mode):
            what.append(os.readlink(root + path))
        elif stat.S_ISREG(info.st_mode):
            with open(root + path, 'rb') as file:
                what.append(hashlib.sha256(file.read()).hexdigest()[:16])
        elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            what.append((os.major(info.st_rdev), os.minor(info.st_rdev)))
        if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
            inodes.setdefault(info.st_ino, []).append(path)
        for name in os.listxattr(root + path, follow_symlinks=False):
            if name in ATTRIBUTES:
                what.append((name, os.getxattr(root + path, name, follow_symlinks=False)))
        seen[path] = tuple(what)
    for names in inodes.values():
        seen[tuple(sorted(names))] = 'one file'
    return seen


def difference(one, other):
    """In which the two differ, as text; empty if they do not."""
    lines = [f'{path!r}: {one.get(path)} and {other.get(path)}' for path in sorted({*one, *other}, key=str)
             if one.get(path) != other.get(path)]
    return '; '.join(lines[:4])
