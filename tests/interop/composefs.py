#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""composefs.py dumps FOLDER COUNT   writes dumps: COUNT random trees (the same each time), and the cases at every border
composefs.py tree FOLDER [TO]     prints the dump of a real tree, and puts the objects into TO, named by the SHA-256 of their content;
                                  with VERITY=1 it gives them fs-verity, and has their digests
composefs.py list FOLDER          prints all there is to know of what is below a folder, content and attributes, too
"""
import fcntl
import hashlib
import os
import random
import stat
import struct
import sys


def escape(data, equals=False):
    named = {0x5c: b'\\\\', 0x0a: b'\\n', 0x0d: b'\\r', 0x09: b'\\t'}
    out = b''
    for c in data:
        if c in named:
            out += named[c]
        elif 0x20 < c < 0x7f and not (equals and c == 0x3d):
            out += bytes([c])
        else:
            out += b'\\x%02x' % c
    return out


def optional(data):
    if data is None:
        return b'-'
    return b'\\x2d' if data == b'-' else escape(data)


def line(path, mode, size=0, nlink=1, uid=0, gid=0, rdev=0, mtime=(0, 0), payload=None, content=None, digest=None, xattrs=(), link=False):
    fields = [escape(path), b'%d' % size, (b'@' if link else b'') + b'%o' % mode, b'%d' % nlink, b'%d' % uid, b'%d' % gid, b'%d' % rdev,
              b'%d.%d' % mtime, optional(payload), optional(content), optional(digest)]
    fields += [escape(name, True) + b'=' + escape(value, True) for name, value in xattrs]
    return b' '.join(fields) + b'\n'


ROOT = line(b'/', 0o40755, nlink=2)


def object_of(data):
    name = hashlib.sha256(data).hexdigest().encode()
    return name[:2] + b'/' + name[2:]


class Tree:
    """A random one."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        r = self.r
        self.shape = r.choice(['wide', 'deep', 'any'])
        self.names = r.choice([8, 40, 255])
        self.times = r.choice([1, 2, 1000])
        self.ids = r.choice([1, 3, 70000])
        self.xattrs = r.choice([0, 0, 1, 4, 30])
        self.keys = [r.choice([b'user.', b'trusted.', b'security.', b'trusted.overlay.', b'user.overlay.', b'system.posix_acl_access',
                               b'system.posix_acl_default', b'odd.', b'lustre.']) + b'k%d' % i for i in range(12)]
        self.keys += [b'security.selinux', b'system.posix_acl_access', b'security.capability', b'user.' + b'n' * 200]
        # mkcomposefs 1.0.8 fails where a whiteout replaces an attribute that its directory has.
        self.marks = r.random() < 0.5
        if self.marks:
            self.keys += [b'trusted.overlay.overlay.opaque', b'trusted.overlay.whiteout', b'user.overlay.whiteouts', b'trusted.overlay.opaque']
        self.dirs, self.files, self.used = [b''], [], {b''}

    def name(self):
        r = self.r
        kind = r.random()
        if kind < 0.1:
            return bytes(r.choice([1, 9, 10, 13, 32, 33, 45, 46, 61, 92, 128, 200, 255]) for _ in range(r.randint(1, 6)))
        if kind < 0.2:
            return b'%02x' % r.randrange(256)
        return bytes(r.choices(b'abcdefghijklmnopqrstuvwxyz.-_0123456789', k=r.randint(1, self.names)))

    def path(self):
        for _ in range(100):
            where = self.dirs[-1] if self.shape == 'deep' and self.r.random() < 0.7 else self.r.choice(self.dirs)
            if self.shape == 'wide' and self.r.random() < 0.8:
                where = self.dirs[0]
            name = self.name()
            path = where + b'/' + name
            if name not in (b'.', b'..') and path not in self.used and len(path) < 3000:
                self.used.add(path)
                return path
        return None

    def attributes(self):
        r = self.r
        given = {}
        for _ in range(r.randint(0, self.xattrs)):
            size = r.choice([0, 1, 3, 4, 20, 33, 300, 3000 if r.random() < 0.1 else 2])
            value = b'' if r.random() < 0.3 else (b'shared' if r.random() < 0.5 else r.randbytes(size))
            given[r.choice(self.keys)] = value
        return list(given.items())

    def common(self):
        r = self.r
        return {'uid': r.randrange(self.ids) if self.ids < 10 else r.choice([0, 65535, 65536, 4294967295]),
                'gid': r.randrange(self.ids), 'nlink': r.choice([1, 1, 1, 2, 65535, 65536]),
                'mtime': (1700000000 + r.randrange(self.times), r.choice([0, 0, 5, 999999999]) if self.times > 1 else 0),
                'xattrs': self.attributes()}

    def file(self, path):
        r = self.r
        kind = r.random()
        common = self.common()
        data = r.randbytes(r.choice([1, 2, 63, 64, 65, 100, 2047, 2048, 2049, 4095, 4096, 4097, 5000]))
        if kind < 0.1:
            return line(path, 0o100644, **common)
        if kind < 0.3:
            return line(path, 0o100600, size=len(data), content=data, **common)
        size = r.choice([1, 2, 4095, 4096, 4097, 65536, 2**20 + 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**43, 2**43 + 1, 2**47 + 5, 2**52, 2**53])
        name = object_of(data[:1] if r.random() < 0.3 else data)
        digest = hashlib.sha256(data).hexdigest().encode() if r.random() < 0.5 else None
        return line(path, 0o104755, size=size, payload=name if r.random() < 0.95 else None, digest=digest, **common)

    def entry(self):
        r = self.r
        path = self.path()
        if not path:
            return b''
        kind = r.random()
        if kind < (0.5 if self.shape == 'deep' else 0.15):
            self.dirs.append(path)
            return line(path, 0o41777 if r.random() < 0.1 else 0o40755, size=r.choice([0, 4096, 2**40]), **self.common())
        if 0.78 <= kind < 0.88 and self.files:
            return line(path, 0o100644, payload=r.choice(self.files), link=True)
        self.files.append(path)
        if kind < 0.7:
            return self.file(path)
        if kind < 0.78:
            target = b'x' * r.choice([1, 5, 100, 2000, 3900, 4000, 4031, 4032, 4063, 4064, 4095])
            return line(path, 0o120777, size=3, payload=target, **self.common())
        if kind < 0.9 and not self.marks:
            return line(path, 0o20600, size=5, rdev=0, **self.common())
        if kind < 0.94:
            return line(path, 0o20666, rdev=r.choice([259, 5 << 8, 0xfff00 | 0xff]), **self.common())
        if kind < 0.97:
            return line(path, 0o60660, rdev=r.choice([0, 0x80001]), **self.common())
        return line(path, r.choice([0o10644, 0o140755]), size=r.choice([0, 0, 2**33]), **self.common())

    def dump(self, n):
        root = dict(self.common(), nlink=1)
        return line(b'/', 0o40755, **root) + b''.join(self.entry() for _ in range(n))


def borders():
    """What is one byte more or less than something has room for."""
    for n in range(60, 100):
        yield f'dir-{n}', ROOT + b''.join(line(b'/%016d' % i, 0o100644) for i in range(n))
    # Behind an inode: all places in a block, for symlinks, content, directories and chunks.
    for step in range(0, 4200, 60):
        first = line(b'/a', 0o120777, payload=b'x' * (step % 3000 + 1)) + line(b'/aa', 0o100644, size=step // 3 + 1, content=b'c' * (step // 3 + 1))
        yield f'place-{step}', ROOT + first + b''.join(
            line(b'/b%d' % i, 0o120777, payload=b'y' * (step + i * 7 + 1)) if step < 4000 else b'' for i in range(6)) + b''.join(
            line(b'/c%d' % i, 0o100644, size=2**43 * (i * step // 10 + 1) if 2**43 * (i * step // 10 + 1) <= 2**53 else 2**53,
                 payload=b'p', mtime=(i, 0)) for i in range(6))
    yield 'negative-time', ROOT + line(b'/a', 0o100644, mtime=(-5, 7)) + line(b'/b', 0o100644, mtime=(-5, 6))
    yield 'shared-200', ROOT + b''.join(
        line(b'/f%d' % i, 0o100644, xattrs=[(b'user.%d' % k, b'v') for k in range(200)]) for i in range(2))
    yield 'links', ROOT + line(b'/z', 0o100644, payload=b'/y', link=True) + line(b'/y', 0o100644, payload=b'//x', link=True) + \
        line(b'/x', 0o100644, nlink=3, size=3, content=b'abc')
    yield 'no-newline', (ROOT + line(b'/a', 0o100644))[:-1]
    yield 'deep', ROOT + b''.join(line(b'/d' * i, 0o40755) for i in range(1, 700))
    yield 'order', ROOT + b''.join(line(b'/' + bytes([c]), 0o100644) for c in reversed(range(1, 256)) if c not in b'./') + \
        line(b'/...', 0o100644) + line(b'/.-', 0o100644) + line(b'/..-', 0o100644)
    yield 'whiteouts', ROOT + line(b'/w', 0o20000) + line(b'/d', 0o40755) + line(b'/d/w', 0o20777, size=5, uid=3) + \
        line(b'/d/f', 0o100644, payload=b'/d/w', link=True)
    yield 'selinux', line(b'/', 0o40755, uid=7, gid=8, mtime=(3, 4), xattrs=[(b'security.selinux', b'system_u:object_r:root_t:s0\0')])


def verity(path):
    """Enables fs-verity, and tells the digest (linux/fsverity.h)."""
    with open(path, 'rb') as file:
        fcntl.ioctl(file, 0x40806685, struct.pack('IIIIQIIQ88x', 1, 1, 4096, 0, 0, 0, 0, 0))
        return fcntl.ioctl(file, 0xc0046686, struct.pack('HH32x', 1, 32))[4:].hex().encode()


def tree(top, objects):
    """A real tree: what a user would hand to mkcomposefs."""
    seen = {}
    out = sys.stdout.buffer
    for where, names, files in os.walk(os.fsencode(top)):
        names.sort()
        for name in ([b''] if where == os.fsencode(top) else []) + sorted(names + files):
            full = os.path.join(where, name) if name else where
            st = os.lstat(full)
            path = b'/' + os.path.relpath(full, os.fsencode(top)) if name else b'/'
            common = {'uid': st.st_uid, 'gid': st.st_gid, 'nlink': st.st_nlink, 'mtime': divmod(st.st_mtime_ns, 10**9),
                      'xattrs': [(os.fsencode(x), os.getxattr(full, x, follow_symlinks=False)) for x in os.listxattr(full, follow_symlinks=False)]}
            if not stat.S_ISDIR(st.st_mode) and st.st_nlink > 1 and st.st_ino in seen:
                out.write(line(path, st.st_mode, payload=seen[st.st_ino], link=True))
                continue
            seen[st.st_ino] = path
            if stat.S_ISREG(st.st_mode):
                data = open(full, 'rb').read()
                small, digest = len(data) <= 64, None
                if objects and not small:
                    to = os.path.join(os.fsencode(objects), object_of(data))
                    os.makedirs(os.path.dirname(to), exist_ok=True)
                    with open(to, 'wb') as file:
                        file.write(data)
                    digest = verity(to) if os.environ.get('VERITY') else None
                out.write(line(path, st.st_mode, size=len(data), content=data if small and data else None,
                               payload=None if small else object_of(data), digest=digest, **common))
            elif stat.S_ISLNK(st.st_mode):
                out.write(line(path, st.st_mode, payload=os.readlink(full), **common))
            else:
                out.write(line(path, st.st_mode, rdev=st.st_rdev, **common))


def show(top):
    inodes = {}
    for where, names, files in os.walk(top):
        names.sort()
        for name in sorted(names + files) + ([''] if where == top else []):
            full = os.path.join(where, name) if name else where
            st = os.lstat(full)
            path = os.path.relpath(full, top)
            said = [path, oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, st.st_rdev]
            if not stat.S_ISDIR(st.st_mode):
                # Files of different images may have the same number.
                said += [st.st_nlink, inodes.setdefault(st.st_ino, path) if st.st_nlink > 1 else path, st.st_size]
            if stat.S_ISREG(st.st_mode):
                said.append(hashlib.sha256(open(full, 'rb').read()).hexdigest())
            if stat.S_ISLNK(st.st_mode):
                said.append(os.readlink(full))
            said += [(x, os.getxattr(full, x, follow_symlinks=False)) for x in sorted(os.listxattr(full, follow_symlinks=False))]
            print(*said)


def main():
    if sys.argv[1] == 'tree':
        return tree(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
    if sys.argv[1] == 'list':
        return show(sys.argv[2])
    folder, count = sys.argv[2], int(sys.argv[3])
    for name, dump in borders():
        open(f'{folder}/{name}', 'wb').write(dump)
    for seed in range(count):
        open(f'{folder}/random-{seed}', 'wb').write(Tree(seed).dump([3, 30, 150, 500][seed % 4]))


main()
