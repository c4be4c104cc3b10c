#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fixture.py FOLDER: layer archives with everything a layer may hold, base.tar and change.tar on top of it; and the same in
every compression. As an ordinary user only what a user may make: own files, no devices, no attributes."""
import bz2, gzip, io, lzma, os, sys, tarfile

out = sys.argv[1]
root = os.getuid() == 0
T = 1600000000


def entry(archive, name, kind=tarfile.REGTYPE, data=b"", mode=None, uid=0, gid=0, mtime=T, pax=None, **more):
    t = tarfile.TarInfo(name)
    t.type, t.size, t.mtime = kind, len(data), mtime
    t.mode = mode if mode is not None else 0o755 if kind == tarfile.DIRTYPE else 0o644
    t.uid, t.gid = (uid, gid) if root else (os.getuid(), os.getgid())
    t.pax_headers = dict(pax or {})
    for k, v in more.items():
        setattr(t, k, v)
    archive.addfile(t, io.BytesIO(data))


def xattr(name, value):
    return {"SCHILY.xattr." + name: value}


def base(a):
    D, S, H = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
    for d in ("bin", "etc", "etc/deep", "etc/deep/er", "usr", "usr/share", "gone", "hidden", "empty", "turns"):
        entry(a, d + "/", D)
    entry(a, "tmp/", D, mode=0o1777)
    entry(a, "private/", D, mode=0o700, uid=1000, gid=100)
    entry(a, "bin/tool", data=b"#!/bin/sh\nexit 0\n", mode=0o755)
    entry(a, "bin/suid", data=b"suid", mode=0o4755)
    entry(a, "bin/sgid", data=b"sgid", mode=0o2755, gid=42)
    entry(a, "bin/hard", H, linkname="bin/tool")
    entry(a, "bin/soft", S, linkname="tool", mode=0o777)
    entry(a, "bin/absolute", S, linkname="/etc/passwd", mode=0o777)
    entry(a, "bin/dangling", S, linkname="../no/where", mode=0o777)
    entry(a, "etc/passwd", data=b"root:x:0:0::/:/bin/sh\n")
    entry(a, "etc/shadow", data=b"secret", mode=0o600, gid=42)
    entry(a, "etc/deep/er/file", data=bytes(range(256)) * 5000, uid=12345, gid=54321)
    entry(a, "etc/nothing", mode=0)
    entry(a, "usr/share/\u00fcml\u00e4ut \u4e2d\u6587", data=b"utf-8 name")
    entry(a, "usr/share/" + "n" * 200, data=b"long name")
    entry(a, "usr/share/" + "/".join(["d" * 90] * 3) + "/f", data=b"long path, no entry for its directories")
    entry(a, "usr/share/precise", data=b"x", pax={"mtime": "1600000000.123456789"})
    entry(a, "usr/share/before1970", data=b"x", mtime=0)
    for n in ("a", "b", "c"):
        entry(a, "gone/" + n, data=n.encode())
        entry(a, "hidden/" + n, data=n.encode())
    entry(a, "turns/into-dir", data=b"file")
    entry(a, "turns/into-file/", D)
    entry(a, "turns/into-file/x", data=b"x")
    entry(a, "big", data=b"0123456789abcdef" * 65536 * 4)
    if root:
        entry(a, "dev/", D)
        entry(a, "dev/null", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)
        entry(a, "dev/loop0", tarfile.BLKTYPE, mode=0o660, gid=6, devmajor=7, devminor=0)
        entry(a, "dev/pipe", tarfile.FIFOTYPE, mode=0o600)
        entry(a, "bin/ping", data=b"ping", mode=0o755, pax=xattr("user.note", "hello"))
        capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00".decode()
        entry(a, "bin/capable", data=b"cap", mode=0o755, pax=xattr("security.capability", capability))
        entry(a, "usr/local/", D, pax=xattr("user.on-a-directory", "yes"))


def change(a):
    D, S, H = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
    entry(a, "etc/", D, mode=0o750)
    entry(a, "etc/passwd", data=b"root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
    entry(a, "etc/new", data=b"new")
    entry(a, "etc/new-hard", H, linkname="etc/new")
    entry(a, "gone/.wh.a")
    entry(a, ".wh.empty")
    entry(a, "hidden/.wh..wh..opq")
    entry(a, "hidden/fresh", data=b"fresh")
    entry(a, "turns/into-dir/", D)
    entry(a, "turns/into-dir/f", data=b"f")
    entry(a, "turns/.wh.into-file")
    entry(a, "turns/into-file", data=b"file now")
    entry(a, "bin/soft", S, linkname="capable", mode=0o777)
    entry(a, "tmp/", D, mode=0o755)


def build(what, form):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as a:
        what(a)
    return raw.getvalue()


for name, what in (("base", base), ("change", change)):
    data = build(what, tarfile.PAX_FORMAT)
    open("%s/%s.tar" % (out, name), "wb").write(data)
    open("%s/%s.tar.gz" % (out, name), "wb").write(gzip.compress(data, mtime=0))
    open("%s/%s.tar.bz2" % (out, name), "wb").write(bz2.compress(data))
    open("%s/%s.tar.xz" % (out, name), "wb").write(lzma.compress(data, check=lzma.CHECK_CRC32))
open(out + "/gnu.tar", "wb").write(build(base, tarfile.GNU_FORMAT))
open(out + "/empty.tar", "wb").write(bytes(1024))
open(out + "/nothing.tar", "wb").write(b"")
