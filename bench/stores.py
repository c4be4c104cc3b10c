# SPDX-License-Identifier: Apache-2.0
"""Stores and layers to measure with. What is large is made by a child: a command's peak counts what its parent held when it was
started."""
import hashlib, io, json, os, random, shutil, subprocess, tarfile

DRIVER = os.environ.get("DRIVER", "overlay" if os.geteuid() == 0 else "vfs")
SIZE = int(os.environ.get("SIZE", "400"))


def in_child(do, *arguments):
    pid = os.fork()
    if pid == 0:
        do(*arguments)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("bench: %s failed" % do.__name__)


class Store:
    def __init__(self, where, name, sync=None, driver=DRIVER):
        self.root = os.path.join(where, name)
        self.env = dict(os.environ, CONTAINERS_STORAGE_CONF=self.root + ".conf", HOME=where)
        for unwanted in ("STORAGE_DRIVER", "STORAGE_OPTS"):
            self.env.pop(unwanted, None)
        with open(self.root + ".conf", "w") as f:
            f.write('[storage]\ndriver = "%s"\ngraphroot = "%s/g"\nrunroot = "%s/r"\n' % (driver, self.root, self.root))
            if sync:
                f.write('[storage.options.%s]\nsync = "%s"\n' % (driver, sync))

    def call(self, command, *words):
        subprocess.run([command, *words], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def ask(self, command, *words):
        return subprocess.run([command, *words], env=self.env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def drop(self, command, layer):
        if os.path.isdir(self.root + "/g") and layer in self.ask(command, "layers", "--quiet", "--no-trunc").split():
            self.call(command, "delete-layer", layer)

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


def btrfs_at(where):
    """A fresh btrfs, on an image file beside it. False: this machine has none."""
    os.mkdir(where)
    if not shutil.which("mkfs.btrfs"):
        return False
    with open(where + ".image", "wb") as f:
        f.truncate(8 << 30)
    done = [subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
            for words in (["mkfs.btrfs", "-q", where + ".image"], ["mount", "-o", "loop", where + ".image", where])]
    return done == [0, 0]


# ---- many layers ----

def digest(*of):
    return hashlib.sha256(repr(of).encode()).hexdigest()


def fill(store, n):
    """n layers, and an image for each 11 of them, of which the driver knows none."""
    in_child(write_records, store, n)


def write_records(store, n):
    stamp = "2026-01-02T03:04:05.%09dZ"
    layers, images = [], []
    for i in range(n):
        layers.append({"id": digest("layer", i), **({"parent": digest("layer", i - 1)} if i % 11 else {}), "created": stamp % (i * 10 + 1),
                       "compressed-diff-digest": "sha256:" + digest("c", i), "compressed-size": i + 1,
                       "diff-digest": "sha256:" + digest("d", i), "diff-size": i + 1, "compression": 2, "uidset": [0], "gidset": [0]})
        if i % 11 == 10:
            images.append({"id": digest("image", i), "names": ["registry.example/image:%d" % i], "layer": digest("layer", i),
                           "created": stamp % (i * 10 + 1)})
    for kind, records in (("layers", layers), ("images", images)):
        with open("%s/g/%s-%s/%s.json" % (store.root, DRIVER, kind, kind), "w") as f:
            json.dump(records, f, separators=(",", ":"))


# ---- layers ----

def write_files(path, sizes, prefix="usr/share", is_changed=lambda n: False):
    """Files of these sizes: half of the bytes are text, half do not compress. A changed one has other bytes in its middle."""
    rng = random.Random(7)
    words = [("%x " % rng.getrandbits(rng.randrange(8, 64))).encode() for _ in range(5000)]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        made = set()
        for n, size in enumerate(sizes):
            for directory in ("%s/%02x" % (prefix, n % 40), "%s/%02x/%02x" % (prefix, n % 40, n // 40 % 60)):
                if directory not in made:
                    made.add(directory)
                    info = tarfile.TarInfo(directory)
                    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, 1700000000
                    tar.addfile(info)
            body = rng.randbytes(size) if n % 2 else b"".join(rng.choices(words, k=size // 8 + 1))[:size]
            if is_changed(n):
                body = body[:size // 2] + b"changed"[:size - size // 2] + body[size // 2 + 7:]
            info = tarfile.TarInfo("%s/%02x/%02x/file%06d" % (prefix, n % 40, n // 40 % 60, n))
            info.size, info.mode, info.mtime = len(body), 0o644, 1700000000
            tar.addfile(info, io.BytesIO(body))


def sizes_of_system(mib):
    """As in a system's image: many small files, a few large."""
    rng, left = random.Random(8), mib << 20
    while left > 0:
        size = min(left, rng.choice((300, 2000, 8000, 20000, 60000, 200000, 2000000)))
        yield size
        left -= size


class Layer:
    """A tar, and the same packed."""

    def __init__(self, where, name, sizes, packers=()):
        self.tar = os.path.join(where, name + ".tar")
        in_child(write_files, self.tar, sizes)
        self.packed = {".tar": self.tar}
        for end, packer in packers:
            if shutil.which(packer[0]):
                self.packed[end] = self.tar[:-4] + end
                with open(self.tar, "rb") as source, open(self.packed[end], "wb") as f:
                    subprocess.run([*packer, "-c"], stdin=source, stdout=f, check=True)

    def remove(self):
        for path in self.packed.values():
            os.unlink(path)
