#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mounts.py [-v] FOLDER OURS GO VERSION [TEXT...]

The same store, the same options and the same mounts with both commands, each alone in a mount namespace: the lines of the kernel's
mount table must be equal, and so must what the commands say when they fail. The store has the same path and the same IDs both times.
TEXT: only cases whose name holds it.

Of a VERSION before 1.64 only what became of the mounts counts, not its words, and not read-only images, which it mounts with options of
its own."""
import os, re, shutil, subprocess, sys

verbose = "-v" in sys.argv
folder, ours, go, version, *wanted = [a for a in sys.argv[1:] if a != "-v"]
old = tuple(map(int, version.split("."))) < (1, 64)
G, R = folder + "/s/root", folder + "/s/run"
FUSE = shutil.which("fuse-overlayfs") if os.access("/dev/fuse", os.W_OK) else None
LABEL = "system_u:object_r:container_file_t:s0:c1,c2"

# What is mounted in every case: a container, a layer without parent, one with two, an image.
LAYERS = ["create-layer -i A", "create-layer -i B A", "create-layer -i C B", "create-image -i I C", "create-container -i N I"]
MOUNTS = ["mount N", "mount A", "mount C", "mount -r I"]
DEEP = ["create-layer -i A0"] + ["create-layer -i A%d A%d" % (n, n - 1) for n in range(1, 12)]

def opt(*options):
    return ["overlay." + o for o in options]

# name, storage options, commands before, mounts
CASES = [("default", [], LAYERS, MOUNTS)]
for words in ["nodev", "nodev,nosuid,noexec", "ro", "rw", "ro,rw", "suid,dev,exec", "noatime", "relatime", "strictatime", "nodiratime",
              "noatime,strictatime", "sync", "dirsync", "async", "metacopy=on", "nodev,metacopy=on", "metacopy=off", "index=on",
              "index=off", "nfs_export=on,index=on", "redirect_dir=on", "redirect_dir=off", "redirect_dir=follow",
              "redirect_dir=nofollow", "metacopy=on,redirect_dir=on", "xino=on", "xino=auto", "xino=off", "volatile", "userxattr",
              "uuid=on", "uuid=null", "default_permissions", "verity=off", "defaults", "", ",", "nodev,", "nodev,nodev", "nosuchoption",
              "index=maybe", "remount", "bind", "shared", "private", "rslave", "lowerdir=/", "context=x", "mand", "silent", "iversion",
              "xino=off,index=off,nodev", "fsync=volatile", " nodev"]:
    CASES.append(("mountopt=" + words, opt("mountopt=" + words), LAYERS, MOUNTS))
CASES += [
    ("volatile container", [], LAYERS[:-1] + ["create-container --volatile -i N I"], MOUNTS),
    ("volatile container, mountopt volatile", opt("mountopt=volatile"), LAYERS[:-1] + ["create-container --volatile -i N I"], MOUNTS),
    ("image options replace mountopt", opt("mountopt=nodev"), LAYERS, ["mount -r -o nosuid I"]),
    ("image options beside metacopy", opt("mountopt=nodev,metacopy=on"), LAYERS, ["mount -r -o nosuid I", "mount -r I"]),
    ("image options with a list", [], LAYERS, ["mount -r -o nodev,noexec I"]),
    ("image options: rw", [], LAYERS, ["mount -r -o rw I"]),
    ("image options: unknown", [], LAYERS, ["mount -r -o nosuch I"]),
    ("skip_mount_home", opt("skip_mount_home=true"), LAYERS, MOUNTS),
    ("skip_mount_home false", opt("skip_mount_home=false"), LAYERS, MOUNTS),
    ("ignore_chown_errors", opt("ignore_chown_errors=true"), LAYERS, MOUNTS),
    ("force_mask", opt("force_mask=700"), LAYERS[:-1], ["mount -r I"]),
    ("force_mask, a container", opt("force_mask=shared"), LAYERS, []),
    ("maps", [], LAYERS[:-1] + ["create-container --uidmap 0:100000:65536 --gidmap 0:200000:65536 -i N I"], ["mount N"]),
    ("maps of one id", [], LAYERS[:-1] + ["create-container --uidmap 0:100000:1 --gidmap 0:200000:1 -i N I"], ["mount N"]),
    ("deep", [], DEEP, ["mount A11", "mount A5"]),
    ("mounted twice", [], LAYERS, ["mount N", "mount N", "unmount N", "unmount N"]),
    ("mounted and unmounted", opt("mountopt=nodev"), LAYERS, ["mount N", "unmount N"]),
    ("several", [], LAYERS, ["mount N A", "mount -r I I"]),
    ("unknown", [], LAYERS, ["mount nosuch", "mount -r nosuch"]),
    ("label", [], LAYERS, ["mount -l %s N" % LABEL, "mount -l x N", "mount -r -l %s I" % LABEL, "mount -l nocomma,x N"]),
    ("label, mountopt", opt("mountopt=nodev"), LAYERS, ["mount -l %s N" % LABEL]),
    ("shut down", [], LAYERS, ["mount N", "shutdown"]),
    ("additional store", ["@add"] + opt("mountopt=nodev"), LAYERS[4:], ["mount N"]),
    ("image of an additional store", ["@add"], [], ["mount -r I"]),
    ("image store", ["@image-store"], LAYERS, MOUNTS),
]
for options in ["size=10M", "inodes=10", "size=0", "inodes=0", "size=x", "inodes=x", "size=10M,inodes=5"]:
    CASES.append(("quota " + options, opt(*options.split(",")), LAYERS, ["mount N"]))
for options in ["mount_program=/nosuch", "force_mask=9", "force_mask=", "skip_mount_home=x", "ignore_chown_errors=", "bogus=1", "mountopt",
                "sync=bad", "imagestore=rel", "use_composefs=x", "force_mask=private", "force_mask=0", "force_mask=7777777777777"]:
    CASES.append(("option " + options, opt(options), ["create-layer -i A"], ["mount A"]))
if FUSE:
    program = "mount_program=" + FUSE
    maps = LAYERS[:-1] + ["create-container --uidmap %s --gidmap %s -i N I"]
    CASES += [
        ("program", opt(program), LAYERS, MOUNTS + ["unmount N"]),
        ("program, mountopt", opt(program, "mountopt=nodev,metacopy=on"), LAYERS, MOUNTS),
        ("program, mountopt of its own", opt(program, "mountopt=squash_to_uid=5,noacl"), LAYERS, MOUNTS),
        ("program, unknown mountopt", opt(program, "mountopt=lowerdir=/nosuch"), LAYERS, MOUNTS),
        ("program, volatile", opt(program), LAYERS[:-1] + ["create-container --volatile -i N I"], ["mount N"]),
        ("program, force_mask", opt(program, "force_mask=700"), LAYERS, MOUNTS),
        ("program, maps", opt(program), maps[:-1] + [maps[-1] % ("0:100000:65536", "0:200000:65536")], ["mount N"]),
        ("program, one id", opt(program), maps[:-1] + [maps[-1] % ("0:100000:1", "0:200000:1")], ["mount N"]),
        ("program, two ranges", opt(program),
         maps[:-1] + [maps[-1] % ("0:100000:10:10:100010:65526", "0:100000:65536")], ["mount N"]),
        ("program, label", opt(program), LAYERS, ["mount -l %s N" % LABEL, "mount -l x N"]),
        ("program, then none named", opt(program), LAYERS, ["@none", "mount N"]),
        ("program that fails", opt("mount_program=/bin/false"), LAYERS, ["mount N"]),
        ("program that cannot run", opt("mount_program=/etc/passwd"), LAYERS, ["mount N"]),
    ]

# What older ones do not have, or do not check.
NEWER = ["image store", "image of an additional store", "mountopt=lowerdir=/", "option skip_mount_home=x", "option force_mask=private",
         "option force_mask=0"]
if old:
    CASES = [c for c in CASES if c[0] not in NEWER]

# Where ours is other on purpose, and why.
PROBE = "the Go command tries the options out on a mount that it writes to, and cannot start with these"
DELIBERATE = {
    "image of an additional store": "the Go command looks for its layer in the store only",
    "mountopt=ro": PROBE,
    "mountopt=bind": PROBE + "; ours says so when it mounts",
    "mountopt=lowerdir=/": PROBE + "; ours refuses what names a directory",
    "program, unknown mountopt": "ours refuses it before it asks the program",
}

def run(command, options, words):
    args, given = [], ["-g", G, "-R", R, "-s", "overlay"]
    for o in options:
        if o == "@add":
            given += ["--storage-opt", "overlay.imagestore=" + folder + "/add"]
        elif o == "@image-store":
            given += ["--image-store", folder + "/s/images"]
        else:
            given += ["--storage-opt", o]
    done = subprocess.run([command] + given + words.split(" "), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr

names = {}
def tidy(line):
    """Without what is random: the ID of the container's layer, the folder, names of scratch directories."""
    line = re.sub(r"\b[0-9a-f]{64}\b", lambda m: names.setdefault(m.group(), "ID%d" % len(names)), line)
    return line.replace(G + "/overlay", "H").replace(folder, "")

def said(result):
    code, out, err = result
    if old:
        out = err = ""
    lines = [re.sub(r'^time="[^"]*" ', "", line) for line in err.splitlines()]
    lines = [line for line in lines if not line.startswith(("level=warning", "level=debug"))]
    return [tidy(line) for line in ["exit %d" % code] + out.splitlines() + lines if line]

def lower_id(path):
    """1.43 names a lower by its link, and the kernel shows the words of the mount call."""
    if re.search(r"/mapped/\d+/", path) or re.match(r"/[^/]+/diff$", path):
        return "MAPPED"  # a clone of a directory, which has no path, or one for the time of the call
    if re.match(r"(.*/)?l/[A-Z2-7]{26}$", path):
        link = path if path.startswith("/") else G + "/overlay/" + path
        path = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
    return path if path.startswith("/") else G + "/overlay/" + path

def table():
    lines = []
    for line in open("/proc/self/mountinfo"):
        fields, kind = line.rstrip("\n").split(" - ")
        _, _, _, root, at, options, *tags = fields.split(" ")
        if not at.startswith(folder):
            continue
        kind, source, data = kind.split(" ", 2)
        lowers, rest = [], []
        for word in data.split(","):
            key, _, value = word.partition("=")
            if key in ("lowerdir", "lowerdir+") and kind == "overlay":
                lowers += [lower_id(v) for v in value.split(":")]
            elif key in ("upperdir", "workdir") and kind == "overlay":
                rest.append(key + "=" + (value if value.startswith("/") else G + "/overlay/" + value))
            else:
                rest.append(word)
        if kind != "overlay":
            root = ""
        tags = "".join(sorted(t.split(":")[0] for t in tags))
        lines.append(tidy(" ".join([root, at, options, tags, kind, source] + lowers + rest)))
    return sorted(lines)

def one(command, case):
    """All that a case shows, with one of the commands."""
    name, options, before, mounts = case
    shown = []
    for words in before:
        result = run(command, options, words)
        if result[0]:
            shown += [words] + said(result)
    for words in mounts:
        if old and words.startswith("mount -r"):
            continue
        if words == "@none":
            options = []
            continue
        result = run(command, options, words)
        # The Go command mounts the home before it looks at some of the options.
        mounted = [line for line in table() if result[0] == 0 or not line.startswith(" H ")]
        shown += ["$ " + words] + said(result) + mounted
    return shown

def inside(command, case):
    """In a mount namespace of its own, on a fresh store."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            os.unshare(0x20000) if hasattr(os, "unshare") else unshare()
            with os.fdopen(writer, "w") as out:
                out.write("\n".join(one(command, case)))
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as f:
        text = f.read()
    _, status = os.waitpid(child, 0)
    if status:
        text += "\ndied: %d" % status
    shutil.rmtree(folder + "/s")
    os.makedirs(folder + "/s")
    return text

def unshare():
    import ctypes
    if ctypes.CDLL(None, use_errno=True).unshare(0x20000):
        raise OSError(ctypes.get_errno(), "unshare")

os.makedirs(folder + "/s")
os.makedirs(folder + "/add")
for words in LAYERS[:4]:
    G = folder + "/add"
    assert run(go, [], words)[0] == 0
G = folder + "/s/root"
run(go, [], "shutdown")
for at in [line.split(" ")[4] for line in open("/proc/self/mountinfo") if " " + folder in line]:
    subprocess.run(["umount", "-l", at])
passed = failed = 0
for case in CASES:
    name = case[0]
    if wanted and not any(w in name for w in wanted):
        continue
    mine, theirs = inside(ours, case), inside(go, case)
    if verbose:
        print("==== %s\n%s" % (name, theirs))
    reason = DELIBERATE.get(name)
    if (mine == theirs) != bool(reason):
        passed += 1
        continue
    failed += 1
    if reason:
        print("FAIL %s: equal, although it is listed as different: %s" % (name, reason))
        continue
    a, b = mine.split("\n"), theirs.split("\n")
    print("FAIL %s" % name)
    for text in [x for x in a if x not in b]:
        print("  | ours: " + text)
    for text in [x for x in b if x not in a]:
        print("  | go:   " + text)
print("%d passed, %d failed, 0 skipped" % (passed, failed))
sys.exit(failed > 0)
