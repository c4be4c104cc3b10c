#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""trees.py random SEED FILE: a tar of a tree as nobody would make it. What the Go command makes something else of is not in it
(docs/format/archive.md): directories twice, whiteouts of nothing, directories without an entry in one with the set-group-ID bit.
trees.py pieces FILE: the same as FILE.gz of several members and FILE.zst of several frames."""
import gzip, io, os, random, subprocess, sys, tarfile

CHUNK = 256 * 1024  # where unpacking cuts the stream
SIZES = (0, 1, 511, 512, 513, 4096, 30000, CHUNK - 512, CHUNK, CHUNK + 1, 3 * CHUNK + 77)
WORDS = ("a", "bin", "lib.so.1", "x y", "\u00fcml", "n" * 120, "new\nline", "quo\"te", "back\\slash", "<&>", "\udcff\udcfe", "\u2028", "-")
TIMES = (0, 1, 1600000000, 1600000000.25, 1999999999.999999, 2**33)


class Tree:
    def __init__(self, seed, path):
        self.rng = random.Random(seed)
        self.used, self.directories, self.files = set(), [""], []
        kind = self.rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
        self.pax = kind == tarfile.PAX_FORMAT
        self.tar = tarfile.open(path, "w", format=kind, encoding="utf-8", errors="surrogateescape")

    def name(self):
        while True:
            name = self.rng.choice(self.directories) + self.rng.choice(WORDS) + self.rng.choice(("", "%d" % self.rng.randrange(99)))
            if name not in self.used:
                self.used.add(name)
                return name

    def add(self, name, kind, mode, data=b"", **more):
        rng = self.rng
        t = tarfile.TarInfo(rng.choice(("", "", "./", "here/../" if kind == tarfile.REGTYPE else "./")) + name)
        t.type, t.mode, t.size, t.mtime = kind, mode, len(data), rng.choice(TIMES)
        if not self.pax:
            t.mtime = int(t.mtime)
        t.uid, t.gid = rng.choice(((0, 0), (0, 0), (1000, 100), (0, 42), (65534, 3000000)))
        for key, value in more.items():
            setattr(t, key, value)
        if self.pax and kind in (tarfile.REGTYPE, tarfile.DIRTYPE) and rng.random() < 0.2:
            t.pax_headers = {"SCHILY.xattr.user.%d" % n: "v" * rng.randrange(1, 60) for n in range(rng.randrange(1, 4))}
        self.tar.addfile(t, io.BytesIO(data))

    def directory(self):
        name = self.name()
        self.add(name, tarfile.DIRTYPE, self.rng.choice((0o755, 0o755, 0o700, 0o555, 0o1777, 0)))
        self.directories.append(name + "/")

    def implied(self):
        """A directory that has no entry of its own, or a late one."""
        name = self.name()
        self.directories.append(name + "/")
        self.file()
        if self.rng.random() < 0.5:
            self.add(name, tarfile.DIRTYPE, 0o711)

    def file(self):
        rng, name = self.rng, self.name()
        size = rng.choice(SIZES) if rng.random() < 0.4 else rng.randrange(3000)
        data = rng.randbytes(size) if rng.random() < 0.5 else (b"some text %d " % rng.randrange(999) * (size // 10 + 1))[:size]
        self.add(name, tarfile.REGTYPE, rng.choice((0o644, 0o644, 0o755, 0o600, 0o4755, 0o2755, 0o6711, 0o444, 0)), data)
        self.files.append(name)

    def hard_link(self):
        if self.files:
            self.add(self.name(), tarfile.LNKTYPE, 0o644, linkname=self.rng.choice(self.files))

    def symlink(self):
        self.add(self.name(), tarfile.SYMTYPE, 0o777, linkname=self.rng.choice(WORDS + ("/", "../..", "/no/where", "l" * 300)))

    def special(self):
        kind = self.rng.choice((tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE))
        self.add(self.name(), kind, 0o620, devmajor=self.rng.randrange(1, 300), devminor=self.rng.randrange(1 << 16))

    def fill(self):
        makers = (self.directory,) * 4 + (self.file,) * 20 + (self.hard_link,) * 3 + (self.symlink,) * 3
        makers += (self.implied, self.special)
        for _ in range(400):
            self.rng.choice(makers)()
        self.tar.close()


def pieces(path):
    rng = random.Random(os.path.getsize(path))
    with open(path, "rb") as source, open(path + ".gz", "wb") as gz, open(path + ".zst", "wb") as zst:
        while piece := source.read(rng.randrange(1, 600000)):
            gz.write(gzip.compress(piece, rng.randrange(10), mtime=0))
            zst.write(subprocess.run(["zstd", "-qc", "-%d" % rng.randrange(1, 7)], input=piece, stdout=subprocess.PIPE, check=True).stdout)


if sys.argv[1] == "random":
    Tree(int(sys.argv[2]), sys.argv[3]).fill()
else:
    pieces(sys.argv[2])
