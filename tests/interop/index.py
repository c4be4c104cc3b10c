#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A store with an index; index.sh says what it is for.

    index.py fill GRAPH DRIVER                                    gives the store many layers and images
    index.py storm GRAPH DRIVER RUN OURS GO SECONDS SEED          prints a line for each wrong answer
"""
import collections, glob, hashlib, json, os, random, subprocess, sys, threading, time

sys.dont_write_bytecode = True

import commands

LAYERS = 1500
NAMES = ["alpha", "beta", "gamma", "registry.example/delta:1"]


def hex_id(*of):
    return hashlib.sha256(repr(of).encode()).hexdigest()


def records(graph, driver, kind):
    return os.path.join(graph, "%s-%s" % (driver, kind), kind + ".json")


def read(path):
    with open(path) as f:
        return json.load(f) or []


def write(path, content):
    with open(path + ".new", "w") as f:
        json.dump(content, f, separators=(",", ":"))
    os.rename(path + ".new", path)


def fill(graph, driver):
    layers = read(records(graph, driver, "layers"))
    images = []
    for i in range(LAYERS):
        layer = {"id": hex_id("layer", i), "created": "2026-01-02T03:04:05.%09dZ" % (i * 10 + 1),
                 "compressed-diff-digest": "sha256:" + hex_id("c", i // 2), "compressed-size": i + 1,
                 "diff-digest": "sha256:" + hex_id("d", i // 2), "diff-size": i + 1, "compression": 2}
        if i % 11:
            layer = {"id": layer.pop("id"), "parent": hex_id("layer", i - 1), **layer}
        layers.append(layer)
        if i % 11 == 10:
            images.append({"id": hex_id("image", i), "names": ["image%d" % i], "layer": layer["id"], "metadata": "x" * 2000,
                           "created": "2026-01-02T03:04:05.%09dZ" % (i * 10 + 1)})
    write(records(graph, driver, "layers"), layers)
    write(records(graph, driver, "images"), images)


class Tamperer(threading.Thread):
    """Does something to the index, again and again."""

    def __init__(self, run, seed):
        super().__init__(daemon=True)
        self.rng, self.run_root, self.stop, self.done, self.old = random.Random(seed), run, False, collections.Counter(), []

    def once(self):
        """Says what was done; None: nothing."""
        paths = glob.glob(self.run_root + "/cstorage/*.index")
        if not paths:
            return None
        path = self.rng.choice(paths)
        what = self.rng.choice(("delete", "cut", "damage", "damage", "keep", "swap", "swap", "mode"))
        if what == "delete":
            os.unlink(path)
        elif what == "cut":
            os.truncate(path, self.rng.randrange(os.path.getsize(path) + 1))
        elif what == "damage":
            with open(path, "r+b") as f:
                at = self.rng.randrange(max(os.path.getsize(path), 1))
                f.seek(at)
                byte = f.read(1)
                f.seek(at)
                f.write(bytes([byte[0] ^ 1 << self.rng.randrange(8)]) if byte else b"x")
        elif what == "keep":
            with open(path, "rb") as f:
                self.old = self.old[-5:] + [(path, f.read())]
            return None
        elif what == "swap":
            if not self.old:
                return None
            path, content = self.rng.choice(self.old)
            with open(path, "r+b" if self.rng.randrange(2) and os.path.exists(path) else "wb") as f:
                f.write(content)
        elif what == "mode":
            os.chmod(path, 0o666)
        return what

    def run(self):
        while not self.stop:
            try:
                self.done[self.once()] += 1
            except OSError:
                pass  # a process of ours replaced it just now
            time.sleep(self.rng.choice((0.001, 0.01, 0.05, 0.2)))


class Storm:
    def __init__(self, graph, driver, run, ours, go, seconds, seed):
        self.graph, self.driver, self.run_root = graph, driver, run
        self.commands = {"ours": ours, "go": go}
        self.rng, self.end, self.steps, self.counts = random.Random(seed), time.monotonic() + seconds, 0, collections.Counter()
        self.made, self.made_images, self.serial = [], [], 0

    def argv(self, who, *words):
        return [self.commands[who], "-g", self.graph, "-R", self.run_root, "-s", self.driver, *words]

    def call(self, who, *words):
        try:
            run = commands.run(self.argv(who, *words), 120, text=True)
        except subprocess.TimeoutExpired:
            self.complain("%s %s: hangs" % (who, " ".join(words)))
            return 124, "[]", "hangs"
        return run.returncode, run.stdout, run.stderr

    def complain(self, what):
        print("step %d: %s" % (self.steps, what), flush=True)

    def change(self):
        """One change by one of the two: (words, what it needs to be right about afterwards)"""
        rng = self.rng
        self.serial += 1
        some = hex_id("layer", rng.randrange(LAYERS))
        parent = rng.choice(([], self.made[-1:]))  # the driver knows only those
        names = ["-n", rng.choice(NAMES)] if rng.randrange(2) else []
        new = hex_id("new", self.serial)
        verb = rng.choice(("create", "create", "delete", "names", "names", "metadata", "image", "delete-image"))
        if verb == "create":
            self.made.append(new)
            return "create-layer", "-i", new, *parent
        if verb == "delete" and self.made:
            return "delete-layer", self.made.pop()
        if verb == "image":
            self.made_images.append(new)
            return "create-image", "-i", new, some
        if verb == "delete-image" and self.made_images:
            return "delete", self.made_images.pop()
        if verb == "names" and names:
            return "set-names", *names, some
        return "set-metadata", "-m", "%d" % self.serial, some

    def step(self):
        who = self.rng.choice(("ours", "ours", "go"))
        words = self.change()
        if who == "ours" and self.rng.randrange(5) == 0:
            with subprocess.Popen(self.argv(who, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(self.rng.random() * 0.03)
                process.kill()
            self.counts["killed"] += 1
            return
        code, _, said = self.call(who, *words)
        fine = ("layer not known", "has children", "is used by", "used by", "already in use", "not a layer", "not known", "in use")
        self.counts["refused" if code else who] += 1
        if code and not any(text in said for text in fine):
            self.complain("%s %s: %s" % (who, " ".join(words), said.strip()))

    def look(self):
        """What ours finds is what stands in the files, which nobody changes meanwhile."""
        code, _, said = self.call("ours", "exists", "seed")  # settles what a killed process left
        if code:
            self.complain("ours exists seed: %s" % said)
        for kind in ("layers", "images"):
            there = read(records(self.graph, self.driver, kind))
            code, listed, said = self.call("ours", kind, "-j")
            if code or [x["id"] for x in json.loads(listed) or []] != [x["id"] for x in there]:
                self.complain("ours %s: other IDs than in the file: %s" % (kind, said))
            for record in self.rng.sample(there, 2) + [x for x in there if x.get("names") and kind == "layers"][:2]:
                for word in (record["id"], record["id"][:20], *record.get("names", [])):
                    code, found, said = self.call("ours", kind[:-1], "-j", word)
                    if code or json.loads(found)[0]["id"] != record["id"]:
                        self.complain("ours %s %s: %s%s" % (kind[:-1], word, found, said))
        for word in (hex_id("never", self.steps), "no-such-name"):
            if self.call("ours", "exists", word)[0] == 0:
                self.complain("ours exists %s: there is none" % word)
        if self.steps % 5 == 0:
            for kind in ("layers", "images"):
                lists = [json.loads(self.call(who, kind, "-j")[1]) or [] for who in ("ours", "go")]
                if [x["id"] for x in lists[0]] != [x["id"] for x in lists[1]]:
                    self.complain("%s: ours and the Go command list others" % kind)
                for ours, go in zip(*lists):
                    differ = [key for key in set(ours) & set(go) if ours[key] != go[key]]
                    if differ:
                        self.complain("%s %s: %s differ" % (kind, ours["id"], differ))

    def run(self, seed):
        tamperer = Tamperer(self.run_root, seed)
        tamperer.start()
        while time.monotonic() < self.end:
            self.steps += 1
            self.step()
            self.look()
        tamperer.stop = True
        tamperer.join()
        tampered = {what: n for what, n in tamperer.done.items() if what}
        print("%d changes of ours and %d of the Go command's, %d refused by either, %d of ours killed; the index was tampered with %d times: %s" %
              (*(self.counts[what] for what in ("ours", "go", "refused", "killed")), sum(tampered.values()),
               ", ".join("%d %s" % (n, what) for what, n in sorted(tampered.items()))), file=sys.stderr)


if sys.argv[1] == "fill":
    fill(*sys.argv[2:])
else:
    Storm(*sys.argv[2:7], float(sys.argv[7]), int(sys.argv[8])).run(int(sys.argv[8]))
