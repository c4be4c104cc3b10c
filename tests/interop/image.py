#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""image.py FOLDER: an image of real files in the forms in which images travel: OCI layouts with the layers in gzip, in zstd,
and mixed (plain, gzip, zstd); and a Docker archive, docker.tar. Its three layers hold what this machine has of some Debian
packages: a shell that needs nothing else, one that needs the C library, and changes to both.

Beside each layout, NAME.layers has one line for each layer: its ID, the ID of its parent or "-", its digest uncompressed, its
file; and NAME.image the digests of config and manifest."""
import gzip, hashlib, io, json, os, shutil, subprocess, sys, tarfile, time

out = sys.argv[1]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Layer:
    def __init__(self, *own):
        """What is not of this machine: (name, content) of files, (name, mode) of folders."""
        self.data, self.own = io.BytesIO(), own
        self.archive = tarfile.open(fileobj=self.data, mode="w", format=tarfile.PAX_FORMAT)
        self.seen = {"/" + name for name, _ in own}

    def host(self, path):
        """A file of this machine. Its folders come first, and by their real names: /bin may be a link to usr/bin."""
        path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if path in self.seen or path == "/":
            return
        self.seen.add(path)
        self.host(os.path.dirname(path))
        entry = self.archive.gettarinfo(path, path[1:])
        if entry is None:  # a socket
            return
        with open(path, "rb") if entry.isreg() else io.BytesIO() as f:
            self.archive.addfile(entry, f)
        if entry.issym() and os.path.isdir(path):
            self.host(os.path.realpath(path))

    def packages(self, *names):
        if not shutil.which("dpkg-query"):
            return
        for line in subprocess.run(["dpkg-query", "-L", *names], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True).stdout.splitlines():
            if line.startswith("/") and line != "/." and os.path.lexists(line):
                self.host(line)

    def finish(self):
        for name, what in self.own:
            entry = tarfile.TarInfo(name)
            entry.mtime = 1700000000
            if isinstance(what, int):
                entry.type, entry.mode, what = tarfile.DIRTYPE, what, b""
            entry.size = len(what)
            self.archive.addfile(entry, io.BytesIO(what))
        self.archive.close()
        return self.data.getvalue()


def zstd(data):
    return subprocess.run(["zstd", "-q"], input=data, stdout=subprocess.PIPE, check=True).stdout


base = Layer(("proc", 0o755), ("sys", 0o755), ("dev", 0o755), ("run", 0o755), ("tmp", 0o1777),
             ("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), ("etc/group", b"root:x:0:\n"), ("srv", 0o755),
             ("srv/gone", b"not for long"), ("srv/hidden", 0o755), ("srv/hidden/below", b"below an opaque folder"))
base.packages("base-files", "busybox-static")
base.host(shutil.which("busybox"))
library = Layer(("srv", 0o755), ("srv/second", b"second layer"))
library.packages("libc6", "dash")
change = Layer(("srv", 0o755), ("srv/.wh.gone", b""), ("srv/hidden", 0o700), ("srv/hidden/.wh..wh..opq", b""),
               ("srv/hidden/new", b"new"), ("etc", 0o755), ("etc/motd", b"changed\n"))

PLAIN, GZIP, ZSTD = ("", bytes), ("+gzip", lambda x: gzip.compress(x, 1, mtime=0)), ("+zstd", zstd)
archives = [x.finish() for x in (base, library, change)]
now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
config = json.dumps({
    "created": now, "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux",
    "config": {"Cmd": ["/bin/busybox", "echo", "hello from an image"], "Labels": {"made-by": "cstorage"}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha256(x) for x in archives]},
    "history": [{"created": now, "created_by": "cstorage %d" % i} for i in range(1, 4)]}).encode()


def layout(name, kinds):
    place = "%s/%s" % (out, name)
    os.makedirs(place + "/blobs/sha256")

    def blob(kind, data):
        with open("%s/blobs/sha256/%s" % (place, sha256(data)), "wb") as f:
            f.write(data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + sha256(data), "size": len(data)}

    parent, layers = None, []
    with open(place + ".layers", "w") as f:
        for archive, (suffix, compress) in zip(archives, kinds):
            digest = sha256(archive)
            layers.append(blob("layer.v1.tar" + suffix, compress(archive)))
            # docs/format/config.md, 7.3: the ID is what every other tool gives it, too.
            layer_id = sha256((parent + "+" + digest).encode()) if parent else digest
            print(layer_id, parent or "-", digest, place + "/blobs/sha256/" + layers[-1]["digest"][7:], file=f)
            parent = layer_id
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": blob("config.v1+json", config), "layers": layers}).encode()
    entry = blob("manifest.v1+json", manifest)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    for file, content in (("index.json", {"schemaVersion": 2, "manifests": [entry]}), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
        with open("%s/%s" % (place, file), "w") as f:
            json.dump(content, f)
    with open(place + ".image", "w") as f:
        print(sha256(config), sha256(manifest), file=f)


layout("gzip", [GZIP] * 3)
layout("zstd", [ZSTD] * 3)
layout("mixed", [PLAIN, GZIP, ZSTD])
with tarfile.open(out + "/docker.tar", "w") as docker:
    def member(name, content):
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        docker.addfile(entry, io.BytesIO(content))
        return name

    member("manifest.json", json.dumps([{
        "Config": member(sha256(config) + ".json", config), "RepoTags": ["localhost/docker:1"],
        "Layers": [member(sha256(x) + ".tar", x) for x in archives]}]).encode())
