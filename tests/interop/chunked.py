#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the suite chunked does with blobs and layouts.

  chunked.py tar FILE [old]       a layer with every type of entry and content of every kind, the same each time
  chunked.py changed FROM TO      the same layer with other bytes in the middle of three files, one file less, and one more
  chunked.py dir FOLDER TAR...    an image of plain layers, for skopeo's dir:
  chunked.py oci FOLDER BLOB:JSON...   an OCI layout of blobs; JSON is what `cstorage chunked create --json` printed
  chunked.py blobs FOLDER         for each layer of an OCI layout: its file, and the annotations of zstd:chunked and eStargz
  chunked.py same BLOB BLOB       do both have the same TOC, but for offsets, and the same tar-split?
  chunked.py estargz FILE TAR     a plain tar as eStargz; prints the digest of the TOC
"""
import gzip, hashlib, io, json, os, random, re, shutil, subprocess, sys, tarfile

KEY = "io.github.containers.zstd-chunked."


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def change_mode(path, name, mode):
    """Some writers put the type of the file into the mode; Python's does not."""
    with tarfile.open(path) as file:
        at = next(member.offset_data - 512 for member in file if member.name == name)
    with open(path, "r+b") as file:
        file.seek(at)
        block = bytearray(file.read(512))
        block[100:108] = b"%07o\0" % mode
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        file.seek(at)
        file.write(block)


def make_tar(path, old=None):
    noise = random.Random(7)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        def add(name, data=b"", type=tarfile.REGTYPE, **more):
            entry = tarfile.TarInfo(name)
            entry.size, entry.type, entry.mtime, entry.mode, entry.uid, entry.gid = len(data), type, 1700000000.25, 0o644, 1000, 1001
            for key, value in more.items():
                setattr(entry, key, value)
            file.addfile(entry, io.BytesIO(data))
        add("./", type=tarfile.DIRTYPE, mode=0o755)
        add("./d/", type=tarfile.DIRTYPE, mode=0o1777, mtime=0)
        add("./d/hello", b"hello world\n")
        add("./d/empty", mtime=-5)
        for size in (1, 63, 64, 65, 4096, 65536, 1 << 20, 5 << 20):
            add("./d/noise%d" % size, noise.randbytes(size))
        for size in (1023, 1024, 1025, 5000, 9 << 20):
            add("./d/zeros%d" % size, bytes(size))
        add("./d/holes", noise.randbytes(5000) + bytes(1000000) + noise.randbytes(7000) + bytes(1023) + b"x" + bytes(1024) + b"y" +
            bytes(70000))
        add("./d/half", bytes(b if b < 128 else 0 for b in noise.randbytes(600000)))
        add("./d/letters", b"abcdefghijklmnopqrstuvwxyz" * 250000)
        add("./d/link", type=tarfile.LNKTYPE, linkname="./d/hello")
        add("./d/symlink", type=tarfile.SYMTYPE, linkname="../\u00fc <&>\u2028")
        add("./d/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
        add("./d/disk", type=tarfile.BLKTYPE, devmajor=8, devminor=300)
        add("./d/fifo", type=tarfile.FIFOTYPE)
        add("./d/.wh.gone")
        add("./d/x", b"xattr file", pax_headers={"SCHILY.xattr.user.foo": "bar baz", "SCHILY.xattr.user.eq": "x=a=b",
            "atime": "1700000001.5", "ctime": "1700000002", "comment": "c"} | ({} if old else {"SCHILY.xattr.user.none": ""}))
        add("./d/\u00fcmlaut \x01\t\"\\", b"q" * 200)
        add("./" + "long/" * 40 + "f", noise.randbytes(200000))
        add("./big-id", b"1", uid=3000000, gid=4294967294)
    change_mode(path, "./d/hello", 0o104755)
    change_mode(path, "./d/symlink", 0o120777)


def make_changed(old, new):
    with tarfile.open(old) as source, tarfile.open(new, "w", format=tarfile.PAX_FORMAT) as file:
        for entry in source:
            data = source.extractfile(entry).read() if entry.isreg() else b""
            if entry.name in ("./d/letters", "./d/noise5242880", "./d/noise64"):
                data = data[:len(data) // 2] + b"changed" + data[len(data) // 2 + 7:]
            if entry.name != "./d/noise63":
                file.addfile(entry, io.BytesIO(data))
        entry = tarfile.TarInfo("./d/new")
        entry.size = 100000
        file.addfile(entry, io.BytesIO(random.Random(8).randbytes(100000)))


def put_blob(folder, data):
    name = sha256(data)[7:]
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)
    return {"digest": "sha256:" + name, "size": len(data)}


def manifest(folder, layers, diff_ids):
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    return json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": dict(
        put_blob(folder, config.encode()), mediaType="application/vnd.oci.image.config.v1+json"), "layers": layers}).encode()


def make_dir(folder, *tars):
    os.makedirs(folder)
    layers = []
    for tar in tars:
        data = open(tar, "rb").read()
        layers.append(dict(put_blob(folder, data), mediaType="application/vnd.oci.image.layer.v1.tar"))
    with open(folder + "/manifest.json", "wb") as file:
        file.write(manifest(folder, layers, [layer["digest"] for layer in layers]))
    with open(folder + "/version", "w") as file:
        file.write("Directory Transport Version: 1.1\n")


def make_oci(folder, *blobs):
    blob_folder = folder + "/blobs/sha256"
    os.makedirs(blob_folder)
    layers, diff_ids = [], []
    for pair in blobs:
        path, told = pair.split(":", 1)
        told = json.load(open(told))
        layer = put_blob(blob_folder, open(path, "rb").read())
        assert layer == {"digest": told["digest"], "size": told["size"]}
        layers.append(dict(layer, mediaType="application/vnd.oci.image.layer.v1.tar+zstd", annotations={
            KEY + "manifest-checksum": told["toc-digest"], KEY + "manifest-position": told["manifest-position"],
            KEY + "tarsplit-position": told["tarsplit-position"]}))
        diff_ids.append(told["diff-digest"])
    entry = dict(put_blob(blob_folder, manifest(blob_folder, layers, diff_ids)),
                 mediaType="application/vnd.oci.image.manifest.v1+json", annotations={"org.opencontainers.image.ref.name": "x"})
    json.dump({"schemaVersion": 2, "manifests": [entry]}, open(folder + "/index.json", "w"))
    json.dump({"imageLayoutVersion": "1.0.0"}, open(folder + "/oci-layout", "w"))


def list_blobs(folder):
    def blob(digest):
        return folder + "/blobs/sha256/" + digest[7:]
    index = json.load(open(folder + "/index.json"))
    for layer in json.load(open(blob(index["manifests"][0]["digest"])))["layers"]:
        notes = layer.get("annotations", {})
        print(blob(layer["digest"]), *(notes.get(KEY + key, "-") for key in
                                       ("manifest-checksum", "manifest-position", "tarsplit-position")),
              notes.get("containerd.io/snapshot/stargz/toc.digest", "-"))


def parts(path):
    """TOC and tar-split, found by the footer."""
    data = open(path, "rb").read()
    size = 40 if data[-8:] == b"GnUlInUx" else 64
    assert data[-8:] in (b"GNUlInUx", b"GnUlInUx"), path + ": no footer"
    fields = [int.from_bytes(data[-size + 8 * i:-size + 8 * i + 8], "little") for i in range(size // 8 - 1)]

    def unpack(offset, size, plain):
        plain_data = subprocess.run(["zstd", "-dcq"], input=data[offset:offset + size], stdout=subprocess.PIPE, check=True).stdout
        assert len(plain_data) == plain
        return plain_data
    return unpack(*fields[:3]), unpack(*fields[4:7]) if size == 64 else None


def split_lines(text):
    """The lines of a tar-split. Where bytes behind the end of the tar are cut into segments depends on how they were read."""
    lines = []
    for line in map(json.loads, text.splitlines()):
        line.pop("position")
        if line["type"] == 2 and lines and lines[-1]["type"] == 2:
            lines[-1]["payload"] += line["payload"]
        else:
            lines.append(line)
    return lines


def same(one, other):
    (toc1, split1), (toc2, split2) = parts(one), parts(other)

    def without_offsets(toc):
        # Versions up to 1.47 write times that there are not.
        toc = re.sub(rb'"(accesstime|changetime)":"0001-01-01T00:00:00Z",?', b"", toc)
        return re.sub(rb',?"(offset|endOffset|tarSplitDigest)":("[^"]*"|\d+)', b"", toc).replace(b",}", b"}")
    a, b = without_offsets(toc1), without_offsets(toc2)
    if a != b:
        entries = zip(json.loads(toc1)["entries"], json.loads(toc2)["entries"])
        for x, y in entries:
            for key in ("offset", "endOffset"):
                x.pop(key, None), y.pop(key, None)
            if x != y:
                sys.exit("another TOC:\n%s\n%s" % (x, y))
        sys.exit("another TOC: %s\n%s" % (toc1[-200:], toc2[-200:]))
    # Chunks are at other places, but in the same order.
    for x, y in zip(json.loads(toc1)["entries"], json.loads(toc2)["entries"]):
        assert ("offset" in x, "endOffset" in x) == ("offset" in y, "endOffset" in y), (x, y)
    if split1 is not None and split1 != split2 and split_lines(split1) != split_lines(split2):
        sys.exit("another tar-split")


TYPES = {tarfile.REGTYPE: "reg", tarfile.AREGTYPE: "reg", tarfile.LNKTYPE: "hardlink", tarfile.SYMTYPE: "symlink", tarfile.CHRTYPE: "char",
         tarfile.BLKTYPE: "block", tarfile.DIRTYPE: "dir", tarfile.FIFOTYPE: "fifo"}


def make_estargz(path, tar):
    """As stargz-snapshotter's estargz does, with chunks of 100000 bytes. Headers are in the member behind the content before."""
    raw, out, entries, at = open(tar, "rb").read(), bytearray(), [], 0
    with tarfile.open(tar) as file:
        for member in file:
            entry = {"name": member.name + ("/" if member.isdir() else ""), "type": TYPES[member.type], "mode": member.mode,
                     "uid": member.uid, "gid": member.gid, "linkName": member.linkname, "devMajor": member.devmajor,
                     "devMinor": member.devminor, "NumLink": 0}
            entries.append(entry)
            if not member.isreg() or member.size == 0:
                continue
            out += gzip.compress(raw[at:member.offset_data])
            at = member.offset_data
            content = raw[at:at + member.size]
            entry.update(size=member.size, digest=sha256(content))
            for begin in range(0, member.size, 100000):
                chunk = content[begin:begin + 100000]
                if begin:
                    entry = {"name": member.name, "type": "chunk", "chunkOffset": begin}
                    entries.append(entry)
                entry.update(offset=len(out), chunkDigest=sha256(chunk))
                if begin + len(chunk) < member.size:
                    entry["chunkSize"] = len(chunk)
                out += gzip.compress(chunk)
                at += len(chunk)
    # The end of the tar comes behind the TOC.
    end = raw[at:]
    padding = end[:-at % 512]
    out += gzip.compress(padding)
    toc = json.dumps({"version": 1, "entries": entries}).encode()
    member, toc_tar = tarfile.TarInfo("stargz.index.json"), io.BytesIO()
    member.size = len(toc)
    with tarfile.open(fileobj=toc_tar, mode="w") as file:
        file.addfile(member, io.BytesIO(toc))
    offset = len(out)
    out += gzip.compress(toc_tar.getvalue())
    out += bytes.fromhex("1f8b08040000000000ff1a0053471600") + b"%016xSTARGZ" % offset + bytes.fromhex("010000ffff0000000000000000")
    open(path, "wb").write(out)
    print(sha256(toc))


actions = {"tar": make_tar, "changed": make_changed, "dir": make_dir, "oci": make_oci, "blobs": list_blobs, "same": same, "estargz": make_estargz}
actions[sys.argv[1]](*sys.argv[2:])
