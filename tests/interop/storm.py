#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Eight workers do things at random to one store, four with each of two commands, and want nothing but answers that the
store's rules explain. storm.sh starts it and says what it is for.

    storm.py run GRAPH RUN DRIVER SCRATCH COMMAND COMMAND --seconds N --seed N [--kill] [--volatile]
    storm.py end GRAPH RUN DRIVER SCRATCH COMMAND COMMAND     unmounts and deletes everything, the commands by turns

The first COMMAND is "ours", the second "go" in what is printed: one line per kind of complaint, `WHO VERB: ANSWER`, without
IDs and paths. SCRATCH/word-for-word has each as it was said. With --kill a process of "ours" in four is killed after a random
part of the time that its verb takes."""
import argparse, collections, hashlib, io, json, os, random, re, shutil, signal, subprocess, sys, tarfile, threading, time

WORKERS = 8
KILL_ONE_IN = 4
HANGS_AFTER = 120  # seconds
WHOLE = b"0123456789abcdef" * 4096  # what the file "whole" of a layer must always be


def hex_id(*of):
    return hashlib.sha256(repr(of).encode()).hexdigest()


POOL = {"layer": [hex_id("layer", i) for i in range(7)],
        "image": [hex_id("image", i) for i in range(5)],
        "container": [hex_id("container", i) for i in range(6)]}
NAMES = ["alpha", "beta", "gamma", "delta", "registry.example/epsilon:1"]
KEYS = ["config.json", "Some/Key", "sha256:abc", "manifest-1"]

# ---- what may be answered: the rules of the store; a line of stderr and stdout has to be one of these as a whole ----

X = r"[^ \n]+"
ID = "[0-9a-f]{64}"
NOT_HELD = ["layer not known"]
# Ours does not lock out the others while it reads.
CHANGED = ['the layer "%s" was deleted meanwhile: layer not known' % ID, 'the layer "%s" was changed while it was read' % ID]
NEW_LAYER = ["that ID is already in use", "that name is already in use", "layer not known", "would-be parent layer is a container",
             'the parent layer "%s" was deleted meanwhile: layer not known' % ID]
REFUSALS = {
    "create-layer": NEW_LAYER,
    "import-layer": NEW_LAYER,
    "create-image": ["layer not known", "that ID is already in use", "that name is already in use",
                     'an image with ID "%s" already exists: that ID is already in use' % ID,
                     'image name "%s" is already associated with image "%s": that name is already in use' % (X, ID)],
    "create-container": ['locating image with ID "%s": image not known' % X, "that ID is already in use",
                         'the container name "%s" is already in use by %s. You have to remove that container to be able to '
                         "reuse that name: that name is already in use" % (X, ID)],
    "get-names": NOT_HELD, "add-names": NOT_HELD, "set-names": NOT_HELD, "remove-names": NOT_HELD,
    "set-metadata": ["identifier is not a layer, image, or container"],
    "metadata": [X + ":"],
    "exists": [X + ": (true|false)"],
    "mount": ["layer not known while mounting " + X],
    "unmount": ["layer not known while unmounting " + X],
    "mounted": ["layer not known checking if %s is mounted" % X],
    "diff": NOT_HELD + CHANGED, "applydiff": NOT_HELD, "diffsize": NOT_HELD + CHANGED, "changes": NOT_HELD + CHANGED,
    # Whose mounted layer was deleted gives back the mount of the next one with its ID.
    "copy": ['error finding layer "%s": layer not known' % X, 'error mounting layer "%s": layer not known' % X,
             'the layer "%s" was unmounted meanwhile: layer is not mounted' % ID],
    "delete": [X + ": layer not known"],
    "delete-layer": [X + ": identifier is not a layer", X + ": used by layer %s: layer has children" % ID,
                     X + ": layer %s used by image %s: layer is in use by an image" % (ID, ID),
                     X + ": layer %s used by container %s: layer is in use by a container" % (ID, ID)],
    "delete-image": [X + ": identifier is not an image", X + ": image used by %s: image is in use by a container" % ID],
    "delete-container": [X + ": identifier is not a container"],
    "layer": [], "image": [], "container": [],
    "get-container-dir": ["container not known"], "get-container-run-dir": ["container not known"],
    "shutdown": ["shutdown: a layer is mounted: layer is in use by a container"],
}
for kind, unknown, no_item in (
        ("layer", ["layer not known", 'locating layer with ID "%s"( to write bigdata)?: layer not known' % X],
         ['locating item named "%s" for layer with ID "%s": file does not exist' % (X, X)]),
        ("image", ['locating image with ID "%s": image not known' % X],
         ['locating item named "%s" for image with ID "%s" \\(consider removing the image to resolve the issue\\): file does not '
          "exist" % (X, X), "size is not known", "could not compute digest of item"]),
        ("container", ["container not known"],
         ["open %s: no such file or directory" % X, "size is not known", "could not compute digest of item"])):
    for verb in ("set-%s-data", "list-%s-data"):
        REFUSALS[verb % kind] = unknown
    for verb in ("get-%s-data", "get-%s-data-size", "get-%s-data-digest"):
        REFUSALS[verb % kind] = unknown + no_item
REFUSALS = {verb: [re.compile(text) for text in texts] for verb, texts in REFUSALS.items()}
# What two Go commands say to each other as well, each seen in storms without ours.
OF_GO = {
    # A mount of a layer by name asks the driver for that name.
    "mount": ["(stat|faccessat) %s: no such file or directory while mounting %s" % (X, X)],
    # Nothing keeps the target of a copy from being deleted. (EPERM: ext4 makes no file in a directory that was just removed.)
    "copy": ['error unmounting layer "%s": layer not known' % ID,
             'error copying "%s" to "%s": .*(no such file or directory|operation not permitted).*' % (X, X)],
    # The staging place is removed while it is in use (docs/format/store.md, "Crash and concurrency analysis", temp-dir liveness).
    "import-layer": [r"unpacking failed \(error: exit status 1; output: (mkdir|open) %s: no such file or directory\)" % X,
                     r"mkdir %s/tempdirs/temp-dir-\d+/0-addition: no such file or directory" % X,
                     # Nor is the parent kept from being deleted, from 1.62 on: it was looked up under a lock, then its diff.
                     'parent layer "%s": unknown layer: Stat %s/diff: no such file or directory' % (ID, X)],
    # Two processes took names away from each other twice in a row.
    None: [r"\(even after successfully cleaning up once:\) (container|image) store is inconsistent and the current caller does not hold "
           "a write lock"],
}
OF_GO = {verb: [re.compile(text) for text in texts] for verb, texts in OF_GO.items()}
TALKATIVE = {"delete-image": [re.compile(X + ": " + ID)], "status": [re.compile(".*")]}  # what success says on stderr


class Killed(Exception):
    """The command was killed: whatever it was about to do is half done."""


class Refused(Exception):
    """What had to succeed did not; it is complained about already."""


class Answer:
    def __init__(self, verb, code, out, err):
        self.code, self.out, self.err = code, out, err
        said = err if verb == "diff" else err + out  # half a tar is no answer
        self.text = said.decode(errors="replace").strip()

    def __bool__(self):
        return self.code == 0


class Storm:
    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.started = time.monotonic()
        self.complaints = collections.Counter()
        self.counts = collections.Counter()
        self.typical = collections.defaultdict(lambda: 0.03)  # seconds a verb takes
        self.others = {kind: set() for kind in POOL}  # items with IDs that nobody chose
        self.words = open(options.scratch + "/word-for-word", "a", encoding="utf-8")

    def complain(self, who, verb, text, details=""):
        short = re.sub("time=\"[^\"]*\"", "", text)
        short = re.sub(r"/\S*/(root|run)/[^ :\"]*", "PATH", re.sub(ID, "ID", short))
        short = re.sub("|".join(map(re.escape, NAMES)), "NAME", " | ".join(short.split("\n")))
        short = re.sub(r"\d{4,}", "N", short)
        with self.lock:
            self.complaints["%s %s: %s" % (who, verb, short)] += 1
            self.words.write("%.3f %s %s %s: %s\n" % (time.monotonic() - self.started, who, verb, details, text))
            self.words.flush()

    def command(self, who, verb, *arguments, kill_after=None, input=None):
        o = self.options
        binary = o.ours if who == "ours" else o.go
        began = time.monotonic()
        process = subprocess.Popen([binary, "-g", o.graph, "-R", o.run, "-s", o.driver, verb, *arguments], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(input, timeout=HANGS_AFTER if kill_after is None else kill_after)
        except subprocess.TimeoutExpired:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            out, err = process.communicate()
            if kill_after is None:
                self.complain(who, verb, "hangs", " ".join(arguments))
            if kill_after is None or process.returncode == -signal.SIGKILL:
                raise Killed() from None
        took = time.monotonic() - began
        with self.lock:
            self.typical[verb] += (took - self.typical[verb]) / 8
        return Answer(verb, process.returncode, out, err)


class Worker(threading.Thread):
    def __init__(self, storm, number):
        super().__init__()
        self.storm, self.number = storm, number
        self.is_first = number % 2 == 0
        self.who = "ours" if self.is_first and storm.options.ours != storm.options.go else "go"
        self.dice = random.Random("%s %s" % (storm.options.seed, number))
        self.scratch = "%s/worker-%d" % (storm.options.scratch, number)
        os.makedirs(self.scratch, exist_ok=True)
        self.private = [hex_id("private", number, kind) for kind in ("base", "top", "image", "container")]
        self.round = 0

    # ---- asking ----

    def ask(self, verb, *arguments, allow=None, input=None):
        """Runs a command; an answer that no rule explains is a complaint."""
        storm, kill_after = self.storm, None
        if storm.options.kill and self.is_first and self.dice.randrange(KILL_ONE_IN) == 0:
            kill_after = self.dice.uniform(0, storm.typical[verb] * 1.2)
        with storm.lock:
            storm.counts[self.who] += 1
        try:
            answer = storm.command(self.who, verb, *arguments, kill_after=kill_after, input=input)
        except Killed:
            with storm.lock:
                storm.counts["killed"] += 1
            raise
        allowed = TALKATIVE.get(verb, []) if answer else REFUSALS.get(verb, [])
        if allow is not None and not answer:
            allowed = [re.compile(text) for text in allow]
        if self.who == "go":
            allowed = allowed + OF_GO.get(verb, []) + OF_GO[None]
        said = answer.err.decode(errors="replace").strip() if answer else answer.text
        if not all(any(rule.fullmatch(line.strip()) for rule in allowed) for line in said.split("\n") if line.strip()):
            storm.complain(self.who, verb, said, " ".join(arguments))
        elif not answer:
            with storm.lock:
                storm.counts["refused"] += 1
        return answer

    def must(self, verb, *arguments, **more):
        answer = self.ask(verb, *arguments, allow=[], **more)
        if not answer:
            raise Refused()
        return answer

    def wrong(self, what, details=""):
        self.storm.complain(self.who, what, "is wrong", details)

    # ---- choosing ----

    def item(self, kind, named=True):
        """One that there may be, by ID or (other verbs than those of layers) by name."""
        choice = self.dice.random()
        others = list(self.storm.others[kind])
        if choice < 0.2 and others:
            return self.dice.choice(sorted(others))
        if choice < 0.5 and named:
            return self.dice.choice(NAMES)
        return self.dice.choice(POOL[kind])

    def new(self, kind):
        arguments = [] if self.dice.random() < 0.25 else ["-i", self.dice.choice(POOL[kind])]
        for _ in range(self.dice.choice((0, 1, 1, 2))):
            arguments += ["-n", self.dice.choice(NAMES)]
        return arguments

    def made(self, kind, answer):
        if answer:
            made = answer.out.decode().split()[0]
            if made not in POOL[kind]:
                with self.storm.lock:
                    self.storm.others[kind].add(made)

    def archive(self, *names):
        return self.storm.options.scratch + "/" + self.dice.choice(names)

    # ---- operations ----

    def import_layer(self):
        parent = [self.item("layer", named=False)] if self.dice.random() < 0.6 else []
        self.made("layer", self.ask("import-layer", *self.new("layer"), "-f", self.archive("one.tar", "one.tar.gz", "two.tar.gz"),
                                    *parent))

    def create_layer(self):
        parent = [self.item("layer")] if self.dice.random() < 0.7 else []
        self.made("layer", self.ask("create-layer", *self.new("layer"), *parent))

    def create_image(self):
        top = [self.item("layer")] if self.dice.random() < 0.9 else []
        self.made("image", self.ask("create-image", *self.new("image"), "-m", "by " + self.who, *top))

    def create_container(self):
        more = ["--volatile"] if self.storm.options.volatile and self.dice.random() < 0.3 else []
        image = self.item("image") if self.dice.random() < 0.9 else ""
        self.made("container", self.ask("create-container", *self.new("container"), *more, image))

    def names(self):
        verb = self.dice.choice(("add-names", "set-names", "get-names"))
        if self.who == "ours" and self.dice.random() < 0.2:
            verb = "remove-names"
        kind = self.dice.choice(list(POOL))
        new = [word for _ in range(self.dice.randrange(1, 3)) for word in ("-n", self.dice.choice(NAMES))]
        self.ask(verb, *([] if verb == "get-names" else new), self.item(kind))

    def metadata(self):
        item = self.item(self.dice.choice(list(POOL)))
        if self.dice.random() < 0.5:
            self.ask("set-metadata", "-m", "m%d" % self.dice.randrange(10**6), item)
        else:
            self.ask("metadata", item)

    def set_data(self):
        kind, body = self.dice.choice(list(POOL)), b"%d " % self.dice.randrange(10**9) * self.dice.randrange(1, 500)
        data = hashlib.sha256(body).hexdigest().encode() + body
        self.ask("set-%s-data" % kind, self.item(kind), self.dice.choice(KEYS), input=data)

    def get_data(self):
        kind = self.dice.choice(list(POOL))
        what = self.dice.choice(("", "", "-size", "-digest") if kind != "layer" else ("",))
        item, key = self.item(kind), self.dice.choice(KEYS)
        self.ask("list-%s-data" % kind, item)
        answer = self.ask("get-%s-data%s" % (kind, what), item, key)
        if answer and not what and hashlib.sha256(answer.out[64:]).hexdigest().encode() != answer.out[:64]:
            self.wrong("a data item", "%s %s" % (item, key))

    def mount(self):
        kind = "container" if self.dice.random() < 0.8 else "layer"
        answer = self.ask("mount", self.item(kind, named=kind != "layer"))
        if not answer:
            return
        path = answer.out.decode().rstrip("\n")
        layer = self.layer_of(path)
        try:
            self.use(path, "written-%d" % self.number)
        except OSError:
            pass  # it was deleted by somebody
        self.ask("mounted", layer)
        self.ask("unmount", layer)

    @staticmethod
    def layer_of(path):
        return os.path.basename(os.path.dirname(path) if path.endswith("/merged") else path)

    def use(self, path, name, strict=False):
        """Reads and writes where something is mounted, unless it is not any more."""
        there = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if self.storm.options.driver == "overlay" and os.fstat(there).st_dev == os.stat(os.path.dirname(path)).st_dev:
                if strict:
                    self.wrong("a mount", path)
                return
            try:
                with open("whole", "rb", opener=lambda p, f: os.open(p, f, dir_fd=there)) as f:
                    if f.read() != WHOLE:
                        self.wrong("the content of a file", path)
            except FileNotFoundError:
                if strict:
                    self.wrong("a layer's list of files", path)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with open(name, "wb", opener=lambda p, _: os.open(p, flags, 0o644, dir_fd=there)) as f:
                f.write(WHOLE)
        finally:
            os.close(there)

    def diff(self):
        answer = self.ask("diff", *(["-u"] if self.dice.random() < 0.7 else ["-c"]), self.item("layer"))
        if answer:
            try:
                with tarfile.open(fileobj=io.BytesIO(answer.out)) as archive:
                    archive.getmembers()
                if answer.out[:2] != b"\x1f\x8b" and not answer.out.endswith(bytes(1024)):
                    self.wrong("the end of a diff")
            except tarfile.TarError as e:
                self.wrong("a diff", str(e))

    def compare(self):
        verb = self.dice.choice(("changes", "diffsize"))
        self.ask(verb, *(["-j"] if verb == "changes" else []), self.item("layer"))

    def apply_diff(self):
        self.ask("applydiff", "-f", self.archive("patch.tar", "patch.tar.gz"), self.item("layer"))

    def copy(self):
        self.ask("copy", self.scratch + "/source", "%s:/copied/by-%d" % (self.item("layer", named=False), self.number))

    def delete(self):
        kind = self.dice.choice(("layer", "layer", "image", "container"))
        item = self.item(kind, named=kind != "layer")  # before 1.64 a layer's name passes by all checks
        answer = self.ask("delete-" + kind, item)
        if answer:
            with self.storm.lock:
                self.storm.others[kind].discard(item)

    def delete_anything(self):
        self.ask("delete", self.item(self.dice.choice(("image", "container")), named=False))

    def lists(self):
        found = {}
        for kind in ("layer", "container", "image"):
            answer = self.ask(kind + "s", "-j")
            if not answer:
                return
            try:
                found[kind] = json.loads(answer.out) or []
            except ValueError:
                self.wrong("the JSON of %ss -j" % kind, answer.text[:300])
                return
        private = {x for w in range(WORKERS) for x in [hex_id("private", w, k) for k in ("base", "top", "image", "container")]}
        of_containers = {x["layer"] for x in found["container"]}
        with self.storm.lock:
            for kind, items in found.items():
                self.storm.others[kind] = {x["id"] for x in items} - set(POOL[kind]) - private - of_containers

    def look(self):
        self.ask("exists", self.item(self.dice.choice(list(POOL))))
        kind = self.dice.choice(("layer", "image"))
        self.ask(kind, self.item(kind))
        if self.who == "ours":  # Go's makes the directories even if the container was deleted meanwhile, also for the size
            self.ask("container", self.item("container"))
            self.ask(self.dice.choice(("get-container-dir", "get-container-run-dir")), self.item("container"))

    def shutdown(self):
        self.ask(self.dice.choice(("shutdown", "status")))

    def own(self):
        """Items that nobody else touches: with them all has to go well, whatever the others do."""
        base, top, image, container = self.private
        for item in (container, image, top, base):
            self.ask("delete", item)
        self.round += 1
        self.must("import-layer", "-i", base, "-f", self.archive("one.tar", "one.tar.gz"))
        self.must("create-layer", "-i", top, base)
        self.must("create-image", "-i", image, "-m", "of %d" % self.round, top)
        self.must("create-container", "-i", container, image)
        written = "round-%d" % self.round
        path = self.must("mount", container).out.decode().rstrip("\n")
        self.use(path, written, strict=True)
        self.must("unmount", container)
        changes = json.loads(self.must("changes", "-j", self.layer_of(path)).out) or []
        if "/" + written not in [c["Path"] for c in changes]:
            self.wrong("what was changed", json.dumps(changes))
        self.must("set-image-data", image, "manifest-1", input=WHOLE)
        if self.must("get-image-data", image, "manifest-1").out != WHOLE:
            self.wrong("a data item")
        with tarfile.open(fileobj=io.BytesIO(self.must("diff", "-u", base).out)) as archive:
            if archive.extractfile("whole").read() != WHOLE:
                self.wrong("a diff")
        self.must("delete-container", container)
        self.must("delete-image", image)
        # The layers went with the image.
        for layer in (top, base):
            self.ask("exists", "-l", layer, allow=[X + ": false"])

    OPERATIONS = [(import_layer, 10), (create_layer, 8), (create_image, 8), (create_container, 10), (names, 8), (metadata, 4),
                  (set_data, 8), (get_data, 4), (mount, 12), (diff, 5), (compare, 5), (apply_diff, 5), (copy, 5), (delete, 20),
                  (delete_anything, 2), (lists, 6), (look, 4), (shutdown, 1), (own, 2)]

    def run(self):
        with open(self.scratch + "/source", "wb") as f:
            f.write(b"source of %d" % self.number)
        operations, weights = zip(*self.OPERATIONS)
        until = self.storm.started + self.storm.options.seconds
        while time.monotonic() < until:
            operation = self.dice.choices(operations, weights)[0]
            try:
                operation(self)
            except (Killed, Refused):
                pass
            except Exception as e:  # a mistake here must not look like success
                self.storm.complain("storm.py", operation.__name__, repr(e))


def make_archives(scratch):
    def archive(name, files, removed=()):
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as a:
            for path, data in files:
                t = tarfile.TarInfo(path)
                t.mtime, t.mode = 1600000000, 0o644
                if data is None:
                    t.type, t.mode = tarfile.DIRTYPE, 0o755
                elif isinstance(data, str):
                    t.type, t.linkname = tarfile.LNKTYPE, data
                else:
                    t.size = len(data)
                a.addfile(t, io.BytesIO(data) if isinstance(data, bytes) else None)
            for path in removed:
                t = tarfile.TarInfo(path)
                t.mtime = 1600000000
                a.addfile(t)
        with open("%s/%s.tar" % (scratch, name), "wb") as f:
            f.write(raw.getvalue())
        subprocess.run(["gzip", "-nk", "%s/%s.tar" % (scratch, name)], check=True)

    many = [("d/f%d" % i, b"%d" % i * 50) for i in range(30)]
    archive("one", [("d/", None), *many, ("d/hard", "d/f1"), ("e/", None), ("e/f", b"f"), ("whole", WHOLE)])
    archive("two", [("whole", WHOLE), ("d/", None), ("d/f2", b"again"), ("d/new", b"new")], ["d/.wh.f3", "e/.wh..wh..opq"])
    archive("patch", [("p/", None), ("p/patched", b"patched")])


def run(options):
    make_archives(options.scratch)
    storm = Storm(options)
    workers = [Worker(storm, n) for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for line, n in sorted(storm.complaints.items()):
        print(line)
    c = storm.counts
    print("note: %d commands of ours and %d of theirs, %d refused as they should be, %d killed" %
          (c["ours"], c["go"], c["refused"], c["killed"]), file=sys.stderr)


def end(options):
    """Everything goes: whatever a killed process left mounted, and in the order that the rules ask for."""
    storm = Storm(options)
    turn = 0

    def do(verb, *arguments):
        nonlocal turn
        turn += 1
        who = "ours" if turn % 2 else "go"
        answer = storm.command(who, verb, *arguments)
        if not answer:
            storm.complain(who, verb, answer.text, " ".join(arguments))
        return answer

    def listed(verb):
        return json.loads(do(verb, "-j").out) or []

    for container in listed("containers"):
        do("unmount", "-f", container["id"])
        do("delete-container", container["id"])
    for layer in listed("layers"):
        do("unmount", "-f", layer["id"])
    for image in listed("images"):
        do("delete-image", image["id"])
    while True:
        layers = listed("layers")
        parents = {x.get("parent") for x in layers}
        leaves = [x["id"] for x in layers if x["id"] not in parents]
        if not leaves or not all(do("delete-layer", x) for x in leaves):
            break
    for line in sorted(storm.complaints):
        print(line)


def main():
    parser = argparse.ArgumentParser()
    for name in ("what", "graph", "run", "driver", "scratch", "ours", "go"):
        parser.add_argument(name)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--volatile", action="store_true")
    options = parser.parse_args()
    os.makedirs(options.scratch, exist_ok=True)
    (run if options.what == "run" else end)(options)


main()
