#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every file of a store damaged in every way, by every operation: never a crash, a hang, more damage, or wrong bytes.

usage: damage.py CSTORAGE WORK DRIVER [--every N] [--seed N] [--only TEXT] [--go PROGRAM] [--compare]

A cell is a path, a damage and an operation. --every N takes every Nth cell, another one for each seed; --only those whose name has the text.
With --go the 1.64 command looks at the store after a repair, too; with --compare there are no operations, but its check and ours (called
containers-storage) look at the same damage. Prints FAIL lines, and at the end how many cells there were."""

import argparse, hashlib, io, json, os, shutil, signal, stat, subprocess, sys, tarfile, zlib

TIMEOUT = 15
L1, L2, L3, IMAGE_A, IMAGE_B, BOX, LOOSE = ("%064d" % i for i in range(1, 8))
LAYERS = (L1, L2, L3)
IDS = (*LAYERS, IMAGE_A, IMAGE_B, BOX, LOOSE)
ITEM_NAMES = ("base", "upper", "lone", "im-a", "im-b", "box", "loose")
MADE_NAMES = ("new", "grown", "more", "made")


def archive(path, entries):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.mtime, info.mode = 1500000000, 0o644
            if data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data or b""))


class Suite:
    def __init__(self, options):
        self.options, self.work, self.driver = options, options.work, options.driver
        self.at, self.whole, self.older = (f"{self.work}/{name}" for name in ("at", "whole", "older"))
        self.canary = f"{self.work}/canary"
        self.cells = self.failed = 0
        os.makedirs(self.work, exist_ok=True)
        self.prepare()

    # ---- running ----

    def run(self, *words, program=None):
        """(exit status, stdout, stderr); the status is "hang" or "signal N" if it is so."""
        command = [program or self.options.cstorage, "-g", self.at + "/root", "-R", self.at + "/run", "-s", self.driver, *words]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with the children: the Go command starts itself again
            process.communicate()
            return "hang", b"", b""
        status = f"signal {-process.returncode}" if process.returncode < 0 else process.returncode
        return status, out, err

    def must(self, *words):
        status, out, err = self.run(*words)
        if status != 0:
            sys.exit(f"{words}: {status}: {err.decode()}")
        return out

    # ---- the store ----

    def unmount(self):
        with open("/proc/self/mounts") as mounts:
            points = [line.split()[1] for line in mounts if line.split()[1].startswith(self.work + "/")]
        for point in reversed(points):
            subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)

    def remove(self):
        self.unmount()
        shutil.rmtree(self.at, ignore_errors=True)

    def fresh(self):
        self.remove()
        subprocess.run(["cp", "-a", "--reflink=auto", self.whole, self.at], check=True)

    def prepare(self):
        for name, entries in {
            "base": [("etc/", None), ("etc/hello", b"hello\n"), ("usr/", None), ("usr/big", b"0123456789abcdef" * 4096)],
            "upper": [("etc/", None), ("etc/more", b"more\n"), ("usr/", None), ("usr/.wh.big", b"")],
            "lone": [("lone", b"alone\n" * 1000)],
            "extra": [("extra/", None), ("extra/file", b"extra\n")],
        }.items():
            archive(f"{self.work}/{name}.tar", entries)
        self.make_canary()
        self.remove()
        os.makedirs(self.at)
        self.must("import-layer", "-i", L1, "-n", "base", "-f", f"{self.work}/base.tar")
        self.must("import-layer", "-i", L3, "-n", "lone", "-f", f"{self.work}/lone.tar")
        self.must("create-image", "-i", IMAGE_B, "-n", "im-b", L3)
        self.must("set-image-data", "-f", f"{self.work}/lone.tar", "im-b", "manifest")
        self.must("create-container", "-i", LOOSE, "-n", "loose", "--volatile", "im-b")
        self.keep(self.older)
        self.must("import-layer", "-i", L2, "-n", "upper", "-f", f"{self.work}/upper.tar", "base")
        self.must("set-layer-data", "-f", f"{self.work}/base.tar", "base", "key")
        self.must("create-image", "-i", IMAGE_A, "-n", "im-a", L2)
        self.must("set-image-data", "-f", f"{self.work}/base.tar", "im-a", "manifest")
        self.must("set-image-data", "-f", f"{self.work}/upper.tar", "im-a", "config")
        self.must("set-image-data", "-f", f"{self.work}/upper.tar", "im-b", "manifest")
        self.must("create-container", "-i", BOX, "-n", "box", "im-a")
        self.must("set-container-data", "-f", f"{self.work}/upper.tar", "box", "key")
        self.must("get-container-run-dir", "box")
        for verb, items in (("get-image-dir", (IMAGE_A, IMAGE_B)), ("get-image-run-dir", (IMAGE_A,)), ("get-container-dir", (BOX, LOOSE))):
            for item in items:
                self.must(verb, item)
        self.must("mount", "box")
        self.must("unmount", "box")
        self.box_layer, = (x["layer"] for x in json.loads(self.must("containers", "-j")) if x["id"] == BOX)
        self.digests = {layer: self.digest_of(layer) for layer in LAYERS}
        self.data = {image: self.run("get-image-data", image, "manifest")[1] for image in (IMAGE_A, IMAGE_B)}
        for layer, name in zip(LAYERS, ITEM_NAMES):
            with open(f"{self.work}/{name}.tar", "rb") as file:
                if self.digests[layer] != hashlib.sha256(file.read()).hexdigest():
                    sys.exit(f"{name}: what comes out is not what went in")
        self.keep(self.whole)
        self.links = {}
        if os.path.isdir(f"{self.whole}/root/{self.driver}/l"):
            for name in os.listdir(f"{self.whole}/root/{self.driver}/l"):
                self.links[name] = os.readlink(f"{self.whole}/root/{self.driver}/l/{name}").split("/")[1]

    def keep(self, where):
        self.unmount()
        shutil.rmtree(where, ignore_errors=True)
        subprocess.run(["cp", "-a", self.at, where], check=True)

    def paths(self):
        found = ["run"]
        for top in ("root", "run"):
            for directory, names, files in os.walk(f"{self.whole}/{top}"):
                names.sort()
                found += sorted(os.path.relpath(os.path.join(directory, name), self.whole) for name in names + files)
        return found

    def digest_of(self, layer):
        status, out, _ = self.run("diff", "--uncompressed", layer)
        return hashlib.sha256(out).hexdigest() if status == 0 else status

    def owners(self, path):
        """IDs of the items that the path belongs to; empty: it is the whole store's."""
        parts = path.split("/")
        owners = {item for item in (*IDS, self.box_layer) if any(part.startswith(item) for part in parts)}
        owners |= {layer for link, layer in self.links.items() if link in parts}
        return owners | ({L2, IMAGE_A} if L1 in owners else set())

    # ---- what is in order ----

    def listing(self, without=()):
        """What is on disk, but for what every process changes: locks, tokens, the run directory."""
        seen = {}
        for directory, names, files in os.walk(f"{self.at}/root"):
            for name in names + files:
                full = os.path.join(directory, name)
                path = os.path.relpath(full, self.at)
                if any(path == skip or path.startswith(skip + "/") for skip in without) or name.endswith(".lock") or name.startswith(".reserve-"):
                    continue
                st = os.lstat(full)
                seen[path] = (st.st_mode, st.st_uid, st.st_size if stat.S_ISREG(st.st_mode) else 0, os.readlink(full) if stat.S_ISLNK(st.st_mode) else self.sum_of(full, st))
        return seen

    @staticmethod
    def sum_of(path, st):
        if not stat.S_ISREG(st.st_mode):
            return 0
        with open(path, "rb") as file:
            return zlib.crc32(file.read())

    def make_canary(self):
        self.unmount()
        shutil.rmtree(self.canary, ignore_errors=True)
        os.makedirs(f"{self.canary}/directory")
        for name in ("passwd", "directory/file"):
            with open(f"{self.canary}/{name}", "w") as file:
                file.write("keep me\n" * 100)

    def canary_is_whole(self, strict):
        """Nothing outside of the store was changed; not `strict`: but a directory there may be where the store's is, and get more."""
        for path in ("/passwd", "/directory/file"):
            try:
                with open(self.canary + path, "rb") as file:
                    if file.read() != b"keep me\n" * 100:
                        return False
            except OSError:
                return False
            st = os.lstat(self.canary + path)
            if st.st_uid or st.st_mode != 0o100644:
                return False
        return not strict or (os.listdir(self.canary + "/directory") == ["file"] and os.lstat(self.canary + "/directory").st_mode == 0o40755)

    def served(self, damaged, gone, may_be_old):
        """What of the undamaged is not given back as it was. Of damage that is the whole store's there may be an error, but no wrong bytes."""
        wrong = []
        for layer in LAYERS:
            if layer in gone:
                continue
            got = self.digest_of(layer)
            if got != self.digests[layer] and layer not in damaged and (isinstance(got, str) or damaged):
                wrong.append(f"layer {layer[-1]}: {got}")
        for image in (IMAGE_A, IMAGE_B):
            if image in gone:
                continue
            status, out, _ = self.run("get-image-data", image, "manifest")
            if out != self.data[image] and image not in damaged and (damaged or (status == 0 and not may_be_old)):
                wrong.append(f"image {image[-1]}: exit status {status}")
        return wrong

    # ---- one cell ----

    def fail(self, cell, why):
        self.failed += 1
        text = f"FAIL {self.driver}: {cell}: {why}"
        for item in (*IDS, self.box_layer):
            text = text.replace(item, {self.box_layer: "BOX"}.get(item, "ID" + item[-1]))
        print(text[:700], flush=True)

    def judge(self, cell, path, words, result):
        """Of one call: it ends, and if it fails it says of what."""
        status, out, err = result
        if not isinstance(status, int):
            self.fail(cell, f"{' '.join(words)}: {status}")
        elif status != 0 and not err and not (out and words[0] in ("check", "exists")):
            self.fail(cell, f"{' '.join(words)}: exit status {status} without a word")
        elif status != 0 and words[0] not in ("check", "exists"):
            text = err.decode(errors="replace")
            named = any(name in text for name in (self.at, *IDS, self.box_layer, *ITEM_NAMES, *MADE_NAMES, os.path.basename(path), *self.links))
            if not named:
                self.fail(cell, f"{' '.join(words)}: names nothing: {text.strip()}")

    def chosen(self, cell):
        if self.options.only not in cell:
            return False
        return (zlib.crc32(cell.encode()) + self.options.seed) % self.options.every == 0

    def cell(self, path, damage, operation):
        name = f"{path}, {damage}, {operation}"
        if not self.chosen(name):
            return
        self.fresh()
        if not DAMAGES[damage](self, f"{self.at}/{path}", path):
            return
        self.cells += 1
        damaged = self.owners(path)
        if operation == "read":
            before = self.listing((path,))
            for words in READING:
                self.judge(name, path, words, self.run(*words))
            after = self.listing((path,))
            changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            if changed:
                self.fail(name, f"reading changed {changed[:4]}")
            gone = ()
        else:
            steps, gone = WRITING[operation]
            for words in steps:
                self.judge(name, path, words, self.run(*[word.replace("WORK", self.work) for word in words]))
        if not self.canary_is_whole(strict=bool(damaged)):
            self.fail(name, "something outside of the store was changed")
        wrong = self.served(damaged, gone, damage == "an older version") if gone != "all" else []
        if wrong:
            self.fail(name, f"not served: {', '.join(wrong)}")
        if operation == "repair":
            self.repaired(name, path)
        self.make_canary()

    # ---- the same findings as the 1.64 command's ----

    def found_by(self, program, path, damage):
        """(exit status, the findings), or None if the damage does not apply. A finding is an object and a text that does not depend on the words for
        what the system said."""
        self.fresh()
        if not DAMAGES[damage](self, f"{self.at}/{path}", path):
            return None
        status, out, _ = self.run("check", program=program)
        found, about = set(), ""
        for line in out.decode(errors="replace").splitlines():
            about = about if line.startswith(" ") else line
            if line.startswith(" "):
                found.add((about, next((text for text in TOLD if text in line), "cannot be read or mounted")))
        return status, found

    @staticmethod
    def differs_on_purpose(path, damage):
        """Ours follows no symlink out of the store, and refuses what has another type in the place of a lock or of what the driver keeps beside a
        layer's files; theirs follows and takes it, or fails where ours needs none of it to look. Ours does not mount a layer whose `lower` is gone
        or names nothing; theirs mounts it without what it is built on."""
        name = os.path.basename(path)
        kept = name.endswith(".lock") or name in ("diff", "empty", "link", "lower", "l", "merged", "work")
        retyped = damage in ("another type", "a fifo", "a device", "a whiteout", "a symlink to itself")
        no_lower = name == "lower" and damage in ("missing", "empty", "truncated", "bits turned", "garbage")
        return damage == "a symlink elsewhere" or (kept and retyped) or no_lower or (name, damage) == ("empty", "missing")

    def compare(self, path, damage):
        name = f"{path}, {damage}, compared"
        if not self.chosen(name) or self.differs_on_purpose(path, damage):
            return
        theirs = self.found_by(self.options.go, path, damage)
        if theirs is None or not isinstance(theirs[0], int) or (theirs[0] and not theirs[1]):
            return  # it does not apply, or they hang, or they cannot open the store
        ours = self.found_by(self.options.cstorage, path, damage)
        self.cells += 1
        if theirs != ours:
            more, less = (sorted(f"{about} {text}" for about, text in found) for found in (theirs[1] - ours[1], ours[1] - theirs[1]))
            self.fail(name, f"exit status {theirs[0]} and {ours[0]}; only theirs: {more}; only ours: {less}")
        self.make_canary()

    def repaired(self, name, path):
        status, out, err = self.run("check", "--json")
        if status != 0:
            try:
                if not json.loads(out):
                    self.fail(name, f"check fails after a repair: {status}")
            except ValueError:
                if not err:
                    self.fail(name, f"check says nothing after a repair: {status}")
        if self.options.go:
            theirs, said, _ = self.run("check", program=self.options.go)
            # Ours does not need what the kernel makes in `work`.
            if theirs != 0 and status == 0 and "/work/" not in path:
                self.fail(name, f"the 1.64 command finds after a repair: {said.decode(errors='replace')}")


# ---- damages: each returns False if it does not apply ----


def away(full):
    if os.path.isdir(full) and not os.path.islink(full):
        shutil.rmtree(full)
    else:
        os.remove(full)


def is_plain(full):
    return stat.S_ISREG(os.lstat(full).st_mode)


def missing(suite, full, path):
    away(full)
    return True


def empty(suite, full, path):
    if os.path.isdir(full) and not os.path.islink(full):
        if not os.listdir(full):
            return False
        shutil.rmtree(full), os.mkdir(full, 0o700)
    elif is_plain(full) and os.path.getsize(full):
        os.truncate(full, 0)
    else:
        return False
    return True


def truncated(suite, full, path):
    if not is_plain(full) or os.path.getsize(full) < 2:
        return False
    os.truncate(full, os.path.getsize(full) // 2)
    return True


def bits(suite, full, path):
    if not is_plain(full) or not os.path.getsize(full):
        return False
    with open(full, "r+b") as file:
        file.seek(os.path.getsize(full) // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes((byte[0] ^ 0x15,)))
    return True


def garbage(suite, full, path):
    if not is_plain(full):
        return False
    with open(full, "wb") as file:
        file.write(bytes(range(256)) * 64)
    return True


def other_type(suite, full, path):
    directory = os.path.isdir(full) and not os.path.islink(full)
    away(full)
    if directory:
        with open(full, "w") as file:
            file.write("not a directory\n")
    else:
        os.makedirs(full + "/inside")
    return True


def fifo(suite, full, path):
    away(full), os.mkfifo(full)
    return True


def device(suite, full, path):
    away(full), os.mknod(full, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    return True


def whiteout(suite, full, path):
    away(full), os.mknod(full, stat.S_IFCHR, 0)
    return True


def owner(suite, full, path):
    os.lchown(full, 12345, 12345)
    return True


def mode(suite, full, path):
    if os.path.islink(full):
        return False
    os.chmod(full, 0)
    return True


def to_elsewhere(suite, full, path):
    directory = os.path.isdir(full)
    away(full)
    os.symlink(suite.canary + ("/directory" if directory else "/passwd"), full)
    return True


def to_itself(suite, full, path):
    away(full), os.symlink(os.path.basename(full), full)
    return True


def older(suite, full, path):
    source = f"{suite.older}/{path}"
    if not os.path.lexists(source):
        return False
    away(full)
    subprocess.run(["cp", "-a", source, full], check=True)
    return True


DAMAGES = {
    "missing": missing, "empty": empty, "truncated": truncated, "bits turned": bits, "garbage": garbage, "another type": other_type, "a fifo": fifo,
    "a device": device, "a whiteout": whiteout, "another owner": owner, "mode 0": mode, "a symlink elsewhere": to_elsewhere,
    "a symlink to itself": to_itself, "an older version": older,
}

TOLD = (
    "layer content modified", "layer content incorrect digest", "layer content incorrect size", "data item is missing", "data item has incorrect size",
    "layer not referenced", "not accounted for", "layer is missing", "image missing",
)
READING = [
    ("layers",), ("images",), ("containers",), ("tree",), ("status",), ("df",), ("exists", L1, L2, L3, IMAGE_A, IMAGE_B, BOX), ("inspect", "base"),
    ("inspect", "box"), ("list-image-data", "im-a"), ("get-container-data", "box", "key"), ("get-layer-data", "base", "key"), ("changes", "upper"),
    ("diffsize", "upper"), ("diff", "--uncompressed", "base"), ("diff", "box"), ("check", "--json"), ("check", "--quick"), ("check", "--tree"),
    ("gc", "--dry-run"), ("prune", "--dry-run", "--images", "--older-than", "0s"), ("locks",), ("layers", "--read-only-store"),
]
WRITING = {  # what is run, and which items go
    "mount": ([("mount", "box"), ("unmount", "box"), ("mount", "--read-only", "im-b"), ("unmount", "im-b")], ()),
    "import on top": ([("import-layer", "-f", "WORK/extra.tar", "upper")], ()),
    "import beside": ([("import-layer", "-n", "new", "-f", "WORK/extra.tar"), ("layers",)], ()),
    "apply": ([("create-layer", "-n", "grown", "upper"), ("applydiff", "-f", "WORK/extra.tar", "grown")], ()),
    "create a container": ([("create-container", "-n", "more", "im-a"), ("delete-container", "more")], ()),
    "create an image": ([("create-image", "-n", "made", "upper"), ("set-image-data", "-f", "WORK/extra.tar", "made", "manifest"), ("add-names", "-n", "other", "made")], ()),
    "delete a container": ([("delete-container", "box")], (BOX,)),
    "delete an image": ([("delete-container", "box"), ("delete-image", "im-a")], (BOX, IMAGE_A, L1, L2)),
    "delete all": ([("delete-container", "loose"), ("delete-image", "im-b"), ("delete", "box"), ("delete", "im-a")], "all"),
    "gc": ([("gc",)], ()),
    "prune": ([("prune", "--images", "--layers", "--containers", "--older-than", "0s")], "all"),
    "repair": ([("check", "--repair")], "all"),
    "repair by force": ([("check", "--repair", "--force")], "all"),
    "shutdown": ([("shutdown",), ("layers",)], ()),
    "wipe": ([("wipe",), ("layers",)], "all"),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cstorage"), parser.add_argument("work"), parser.add_argument("driver")
    parser.add_argument("--every", type=int, default=1), parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=""), parser.add_argument("--go"), parser.add_argument("--compare", action="store_true")
    suite = Suite(parser.parse_args())
    for path in suite.paths():
        for damage in DAMAGES:
            if suite.options.compare:
                suite.compare(path, damage)
                continue
            for operation in ("read", *WRITING):
                suite.cell(path, damage, operation)
    suite.remove()
    print(f"{suite.cells} cells, {suite.failed} failed")
    return suite.failed > 0


sys.exit(main())
