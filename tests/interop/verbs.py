#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""verbs.py [-d DRIVER] [-r COUNT [-s SEED]] [-a] [-v] FOLDER OURS GO [TEXT...]

The same command line for both commands on the same store: what they print, how they exit and what the store holds after it
must be equal. The table of command lines is made here out of every verb, option and kind of operand; by itself a part
of it runs, with -a all of it, with -r COUNT lines put together at random (the seed is printed). TEXT: only lines that hold it.

Differences meant to be are in DELIBERATE, as narrow as can be told, each with the case of tests/cli that pins ours down."""
import argparse, fnmatch, gzip, hashlib, json, os, random, re, shlex, shutil, subprocess, sys

sys.dont_write_bytecode = True

import commands

# ---- the verbs: name, aliases, options, kinds of operands ----
# An option is its names, and for one with a value the values to try.

JSON = ("--json", "-j")
NEW_LAYER = [("--label", "-l", ["system_u:object_r:x_t:s0", ""]), ("--id", "-i", ["N1", "L1", "", "lü", "NN/N"[:2]]),
             ("--readonly", "-r"), JSON, ("--hostuidmap",), ("--hostgidmap",)]
MAPS = [("--uidmap", ["0:1000:10", "0:1000", "x", "0:1000:10:20:2000:5", "", "0:1000:10:5:2000:10", "-1:0:1", "0:0:4294967296"]),
        ("--gidmap", ["0:1000:10", "x:y:z", "0:1000:10:", ""]),
        ("--subuidmap", ["nosuchuser", "subbed", ""]), ("--subgidmap", ["nosuchgroup", "subbed"])]
NAMES = ["new", "base", "img1", "c1", "", "a<b>&c", "tab\there", "ünïcode", "new\nline", "\x7f\x1b", "x y"]
METADATA = [("--metadata", "-m", ["text", "", "<html> & \t\u2028"]), ("--metadata-file", "-f", ["meta", "none", "src", "empty"])]
FILE_IN = [("--file", "-f", ["a.tar", "a.tgz", "b.tar", "none", "src", "meta", "empty", "junk", "cut.tar", "cut.tgz", "unreadable"])]
FILE_OUT = [("--file", "-f", ["out", "nosuch/out", "src", "/dev/null"])]
LAYER, IMAGE, CONTAINER, ANY = "layer", "image", "container", "any"
KINDS = {
    LAYER: ["L1", "base", "L2", "L3", "L4", "LM", "nosuch", "", "I1", "uni", "odd<&>", "L"],
    IMAGE: ["I1", "img1", "I2", "I3", "nosuch", "", "L1", "C1", "imgé", "I"],
    CONTAINER: ["C1", "c1", "C2", "C3", "nosuch", "", "I1", "L1", "C"],
    ANY: ["L1", "base", "L3", "L4", "LM", "I1", "img1", "I2", "I3", "C1", "c1", "C2", "C3", "nosuch", "", "odd<&>", "uni", "both"],
    "directory": ["src", "none", "a.tar", ""],
    "key": ["k1", "nokey", "", "manifest", "odd/<&>key", "a\tb"],
    "digest": ["@D1@", "sha256:" + "0" * 64, "sha256:12", "md5:abc", "junk", "", "sha512:" + "0" * 128],
    "place": ["L1:/d", "L4:/x", "src", "L4:/", "L1:/d/f", "a.tar", "none", "nosuch:/x", "L4:/a/b", ":/x", "L4:", "out", "L2:/d"],
}
VERBS = [
    ("check", [], [("--max", "-m", ["xx", "5", "1d"])], []),
    ("config", [], [], []),
    ("container", [], [JSON], [CONTAINER, "*"]),
    ("list-container-data", ["listcontainerdata"], [JSON], [CONTAINER]),
    ("get-container-data", ["getcontainerdata"], FILE_OUT, [CONTAINER, "key"]),
    ("get-container-data-size", ["getcontainerdatasize"], [], [CONTAINER, "key"]),
    ("get-container-data-digest", ["getcontainerdatadigest"], [], [CONTAINER, "key"]),
    ("set-container-data", ["setcontainerdata"], FILE_IN, [CONTAINER, "key"]),
    ("get-container-dir", ["getcontainerdir"], [], [CONTAINER]),
    ("get-container-run-dir", ["getcontainerrundir"], [], [CONTAINER]),
    ("container-parent-owners", [], [JSON], [CONTAINER, "*"]),
    ("containers", [], [JSON], []),
    ("copy", [], [("--chown", "-o", ["1", "1:2", "x", "1:x", "", ":1", "4294967296", "-1"]), JSON], ["place", "place"]),
    ("create-storage-layer", [], NEW_LAYER + MAPS, [LAYER]),
    ("create-layer", ["createlayer"], [("--name", "-n", NAMES)] + NEW_LAYER + MAPS, [LAYER]),
    ("import-layer", ["importlayer"], [("--name", "-n", NAMES)] + FILE_IN + NEW_LAYER + MAPS, [LAYER]),
    ("create-image", ["createimage"], [("--name", "-n", NAMES), ("--id", "-i", ["N1", "I1", ""]),
                                       ("--digest", "-d", KINDS["digest"])] + METADATA + [JSON], [LAYER]),
    ("create-container", ["createcontainer"], [("--name", "-n", NAMES), ("--id", "-i", ["N1", "C1", ""]), ("--volatile",)] +
     METADATA + [JSON, ("--hostuidmap",), ("--hostgidmap",)] + MAPS, [IMAGE]),
    ("dedup", [], [JSON, ("--hash-method", ["foo"])], []),
    ("delete", [], [JSON], [ANY, "*"]),
    ("delete-layer", ["deletelayer"], [JSON], [LAYER, "*"]),
    ("delete-image", ["deleteimage"], [("--test", "-t"), JSON], [IMAGE, "*"]),
    ("delete-container", ["deletecontainer"], [JSON], [CONTAINER, "*"]),
    ("changes", [], [JSON], [LAYER, LAYER]),
    ("diffsize", ["diff-size"], [], [LAYER, LAYER]),
    ("diff", [], FILE_OUT + [("--uncompressed", "-u"), ("--gzip", "-c"), ("--bzip2", "--bz2", "-b"), ("--xz", "-x")],
     [LAYER, LAYER]),
    ("applydiff", ["apply-diff"], FILE_IN, [LAYER]),
    ("applydiff-using-staging-dir", [], [], [LAYER, "directory"]),
    ("exists", [], [("--quiet", "-q"), ("--layer", "-l"), ("--image", "-i"), ("--container", "-c"), JSON], [ANY, "*"]),
    ("gc", [], [], ["nothing"]),
    ("image", [], [JSON], [IMAGE, "*"]),
    ("list-image-data", ["listimagedata"], [JSON], [IMAGE]),
    ("get-image-data", ["getimagedata"], FILE_OUT, [IMAGE, "key"]),
    ("get-image-data-size", ["getimagedatasize"], [], [IMAGE, "key"]),
    ("get-image-data-digest", ["getimagedatadigest"], [], [IMAGE, "key"]),
    ("set-image-data", ["setimagedata"], FILE_IN, [IMAGE, "key"]),
    ("get-image-dir", ["getimagedir"], [], [IMAGE]),
    ("get-image-run-dir", ["getimagerundir"], [], [IMAGE]),
    ("images", [], [("--quiet", "-q"), JSON], []),
    ("images-by-digest", [], [("--quiet", "-q"), JSON], ["digest"]),
    ("layer", [], [JSON], [LAYER, "*"]),
    ("layer-parent-owners", [], [JSON], [LAYER, "*"]),
    ("list-layer-data", ["listlayerdata"], [JSON], [LAYER]),
    ("get-layer-data", ["getlayerdata"], FILE_OUT, [LAYER, "key"]),
    ("set-layer-data", ["setlayerdata"], FILE_IN, [LAYER, "key"]),
    ("layers", [], [("--tree", "-t"), ("--quick", "-q"), JSON], []),
    ("storage-layers", [], [JSON], []),
    ("metadata", [], [("--quiet", "-q"), JSON], [ANY, "*"]),
    ("set-metadata", ["setmetadata"], METADATA, [ANY]),
    ("mount", [], [("--opt", "-o", ["ro", ""]), ("--label", "-l", [""]), ("--read-only", "--ro", "-r"), JSON], [ANY, "*"]),
    ("unmount", ["umount"], [JSON, ("--force", "-f")], [ANY, "*"]),
    ("mounted", [], [JSON], [ANY, "*"]),
    ("get-names", ["getnames"], [JSON], [ANY]),
    ("add-names", ["addnames"], [("--name", "-n", NAMES), JSON], [ANY, "*"]),
    ("remove-names", ["removenames"], [("--name", "-n", NAMES), JSON], [ANY, "*"]),
    ("set-names", ["setnames"], [("--name", "-n", NAMES), JSON], [ANY, "*"]),
    ("shutdown", [], [JSON, ("--force", "-f")], []),
    ("status", [], [JSON], []),
    ("unshare", [], [], ["nothing"]),
    ("version", [], [JSON], []),
    ("wipe", [], [JSON], []),
]
GLOBALS = [("--debug", "-D"), ("--transient-store",), ("--graph", "-g", ["g", "none", ""]), ("--run", "-R", ["r", ""]),
           ("--storage-driver", "-s", ["vfs", "nosuch", ""]), ("--storage-opt", ["nosuch=1", "junk", "vfs.ignore_chown_errors=true",
            "vfs.nosuch=1", ".size=1"]), ("--image-store", ["i"]), ("--unshare", "-U", []), ("--help",), ("-h",), ("-help",)]

# ---- differences meant to be ----


class Meant:
    """On lines that match `lines` the answers may differ in what is named here and in nothing else; what exactly: the cases
    of tests/cli that pin ours down, or `why`. Each of these is done before the answers are compared:
    ask        the Go command is given another line, for which it does what ours does for this one
    cut        (part, pattern): what matches is taken out of both answers
    free       these parts are not compared
    unchanged  ours has left the store as it was, and then the stores are not compared
    ours       (part, pattern): only if ours says that"""

    def __init__(self, lines, why, ask=None, cut=(), free="", unchanged=False, ours=None):
        self.lines, self.why, self.ask, self.cut, self.free = re.compile(lines), why, ask, cut, free.split()
        self.unchanged, self.ours = unchanged, ours

    def applies(self, line, ours):
        return self.lines.search(str(line)) and (not self.ours or re.search(self.ours[1], str(ours[self.ours[0]])))

    def level(self, ours, go, before):
        """Both answers without the difference."""
        ours, go = dict(ours), dict(go)
        for part, pattern in self.cut:
            for answer in (ours, go):
                answer[part] = re.sub(pattern, "", answer[part] or "")
        free = self.free + ["store"] if self.unchanged and ours["store"] == before else self.free
        for part in free:
            ours[part] = go[part] = ""
        return ours, go


def image_store_to_absolute(bench, line):
    text = "\0".join(line.words)
    return Line(re.sub(r"(--image-store[\0=])i\b", lambda m: m.group(1) + bench.case + "/i", text).split("\0"), stdin=line.stdin)


NOT_YET = "not in this version"


def in_words(line, change):
    """The line with the operands behind its verb changed."""
    if line.shell is not None:
        return Line(shell=re.sub(r"(?<=cs )([^;|]*)", lambda m: " ".join(change(m.group(1).split(" "))), line.shell))
    return Line(change(line.words), stdin=line.stdin)


def mount_ids(bench, line):
    return in_words(line, lambda words: [bench.record_id("layer", w) for w in words] if "mount" in words else words)


def image_ids(bench, line):
    return in_words(line, lambda words: [bench.record_id("image", w) for w in words])


def copy_to_absolute(bench, line):
    return in_words(line, lambda words: words[:-1] + [bench.case + "/" + words[-1]] if "copy" in words and ":" not in words[-1] else words)


DELIBERATE = [
    Meant(r"(^|cs )(check|gc)\b|^-.* (check|gc)\b", NOT_YET, free="exit stdout stderr store",
          ours=("stderr", ": not supported by this version")),
    Meant(r">&-", "fixed-closed-stdout: a closed stream is an error", free="exit stderr", ours=("stderr", "bad file descriptor")),
    Meant(r"<&-", "fixed-closed-stdin: a closed stream is an error", free="exit stdout stderr store",
          ours=("stderr", "bad file descriptor")),
    Meant(r"get-?image-?(run-?)?dir\b", "fixed-get-image-dir-name: a name will do", ask=image_ids),
    Meant(r"get-?image-?(run-?)?dir\b", "fixed-get-image-dir-missing", free="exit stdout stderr store",
          ours=("stderr", "image not known")),
    Meant(r"(^|cs )config \w", "fixed-config-file: the file is read", free="exit stdout stderr"),
    Meant(r"(^|cs )unshare( [^-]|$)", "fixed-usr-unshare-*: once, and with the exit status of the command", free="exit stdout stderr"),
    Meant(r"(^| )(-U|--unshare)(=true|)( |$)", "fixed-usr-unshare-*: for root upstream's starts itself without end",
          free="exit stdout stderr store"),
    Meant(r"--image-store[ =]i\b", "fixed-ovl-image-store-relative: one of the caller's", ask=image_store_to_absolute,
          cut=[("store", r"(?m)^i/(l|overlay/l|vfs/dir|btrfs) .*\n?")]),
    Meant(r"create.*-i='\"N 1\"'", "fixed-bad-id", free="exit stdout stderr store"),
    Meant(r"get-?\w+-?data\b.* (-f|--file)", "fixed-get-data-leaves-no-file", cut=[("store", r"(?m)^out 100644 0:0 0 .*\n?")]),
    Meant(r"(^| )diff .*(-f|--file)", "fixed-diff-leaves-old-file", cut=[("store", r"(?m)^out 100644 0:0 0 .*\n?")]),
    Meant(r"\b(applydiff|apply-diff)\b", "fixed-applydiff-fails-whole", unchanged=True, ours=("stderr", r"\S")),
    Meant(r"\b(applydiff|apply-diff)\b.*\bb\.tar (L1|base)\b", "fixed-ovl-applydiff-whiteout: upstream fails on overlay where the file is the "
          "layer's own", free="exit stderr store"),
    Meant(r"(^|-\S+ |cs )mount\b", "fixed-mount-layer-name: a layer's name will do as well as its ID", ask=mount_ids,
          cut=[("stdout", r'"id":"[^"]*",')]),
    Meant(r"\b(unmount|umount)\b.*(-j|--json)", "fixed-unmount-json: nothing but the JSON", cut=[("stdout", r"(?m)^.* mountpoint unmounted\n")]),
    Meant(r"\bmounted\b.*(-j|--json)", "fixed-mounted-json", free="stdout"),
    Meant(r"\bshutdown -f", "fixed-shutdown-force: what could be done is no failure", free="exit stdout stderr"),
    Meant(r"\bshutdown -j", "fixed-shutdown-mounted-json", cut=[("stdout", r'\{\}|"a layer is mounted: .*"')]),
    Meant(r"\bexists\b.*(-[lic]\b|--layer|--image|--container)", "fixed-exists-kind-text", free="stdout"),
    Meant(r"\bdelete\S*( .*)? (\S+) (.* )?\2( |$)", "fixed-delete-same-twice", free="exit stdout stderr"),
    Meant(r"(^| )-[a-z]*j|--json", "fixed-init-error-json", free="stdout stderr", ours=("stderr", "error initializing")),
    Meant(r"json; cs (layers -q|images)$", "fixed-broken-records: told of in other words, when it is needed", free="exit stdout stderr"),
    Meant(r"""^(csc|"\$BIN") .*layers -q$|(^| )(-s|--storage-driver)(=| '')( |$)""",
          "fixed-ovl-only-vfs-read: no other driver begins a store because somebody reads",
          cut=[("store", r"(?m)^[gr]/overlay[ /-].*\n?")], ours=("store", r"(?s)\A(?!.*\ng/overlay )")),
    Meant(r"set-?layer-?data .*\bsrc\b", "fixed-set-layer-data-reads-first",
          cut=[("stderr", "copying bigdata for the layer: (?=read src)"), ("store", r"(?m)^g/\w+-layers/L\w+[/ ].*\n?")]),
    Meant(r"\bcopy\b.* (new|none|out)\b", "fixed-copy-relative-target: one of the caller's", ask=copy_to_absolute),
    Meant(r"\bcopy\b.* L4:/?\S* L4:/", "fixed-copy-into-itself", free="exit stderr store", ours=("stderr", "cannot copy a directory into itself")),
    Meant(r"\bcopy\b", "copy-*: what the kernel keeps in the work directory of a mount", cut=[("store", r"(?m)^g/overlay/[^/]+/work/work(/#\S+)? .*\n?")]),
    Meant(r"\bcopy\b.* (\S+:/\S*) \1$", "fixed-ovl-copy-onto-itself: nothing is made anew", cut=[("store", r"(?m)^g/overlay/[^/]+/diff/.*\n?")]),
    Meant(r"(^| )(diff|diffsize|diff-size|changes)\b.* (L2|L3) (nosuch|I1|L)$", "fixed-unknown-reference: upstream takes the parent",
          free="exit stdout stderr", ours=("stderr", r"(stat|faccessat) .*: no such file or directory")),
    Meant(r"create-container .*0:1000:10:5:2000:10", "fixed-overlapping-maps: before a mapped copy is made, not after", free="store"),
    Meant(r"-j=\w+=|-(qj|jq)=", "fixed-sub-group-equals", free="exit stdout stderr"),
    Meant(r"\bcreate-?storage-?layer\b.*(-i|--id)[= ]'?(L1|lü)\b", "fixed-create-storage-layer-there: it is left as it is",
          free="exit stdout stderr", unchanged=True),
    Meant(r"create-storage-layer -i N1; cs create-storage-layer -i N1", "fixed-btr-create-storage-layer-twice",
          cut=[("stdout", r"\AN1\n(?=N1\n)"), ("stderr", r"failed to create btrfs subvolume: file exists\n")]),
    Meant(r"--uidmap", "fixed-btr-mapped-root",
          cut=[("store", r"(?m)^g/btrfs/subvolumes/[^/ ]+ 40[57]55 .*\n?")]),
    Meant(r"\bstatus\b", "fixed-btr-status", cut=[
        ("stdout", r',\["(Build|Library) Version","[^"]*"\]'), ("stderr", r"(Build|Library) Version: .*\n")]),
    Meant(r"\bdedup\b", "fixed-btr-dedup", free="stdout", cut=[("store", r"(?m)^r/cstorage[/ ].*\n?")], ours=("stdout", "[:d ][1-9]")),
    Meant(r"\bdiff L1 \| head", "fixed-btr-diff-leaves-no-count", cut=[("store", r"(?m)^r/btrfs-layers/mountpoints.json .*\n?")]),
    Meant(r"(create-?image|images-by-digest)\b.*sha512", "fixed-image-digest-sha512: the Go command is built without it", free="exit stdout stderr store"),
    Meant(r"^(diffsize|diff-size)\b|cs diffsize", "fixed-ovl-diffsize-leaves-nothing", cut=[("store", r"(?m)^g/overlay/[^/]+/work/work .*\n?")]),
    Meant(r"(^| )(-D|--debug)", "fixed-ovl-debug-says-it-once",
          cut=[("stderr", r'(?m)^(time=T level=debug msg="Cached value indicated that overlay is supported"\n)(?=\1)')]),
    Meant(r"(^| )(-D|--debug)", "ovl-debug-mount: what is done inside is done otherwise",
          cut=[("stderr", r'(?m)^time=T level=debug msg="(Applying tar in|Tar with options on|overlay: mount_data=|Start untar layer|Untar time|Failed to unmount|'
                          r'Cached value indicated that idmapped).*\n')]),
]


def value_of(option):
    return option[-1] if isinstance(option[-1], list) else None


def names_of(option):
    return [n for n in option if isinstance(n, str)]


class Line:
    """One command line behind the program: words, or shell source with cs() for the command on the store."""

    def __init__(self, words=None, shell=None, stdin=None):
        self.words, self.shell, self.stdin = words, shell, stdin

    def __str__(self):
        if self.shell is not None:
            return self.shell
        text = " ".join(shlex.quote(w) for w in self.words)
        return text + (" <" + self.stdin if self.stdin else "")


def table():
    """Every verb by itself, each of its options in each form, each kind of operand."""
    for verb, aliases, options, kinds in VERBS:
        yield from parsing(verb, aliases, options)
        yield from operands(verb, options, kinds)
    yield from program_lines()
    for text in SNIPPETS.strip().split("\n"):
        yield Line(shell=text)


def parsing(verb, aliases, options):
    for word in [verb] + aliases:
        yield Line([word, "--help"])
        yield Line([word, "--nosuch"])
    yield Line([verb])
    yield Line([verb, "-h"])
    yield Line([verb, "-help"])
    yield Line([verb, "--help=false"])
    yield Line([verb, "-Z"])
    yield Line([verb, "a", "b", "c", "--d", "", "é\x01"])
    yield Line([verb, "-=x"])
    for option in options:
        for name in names_of(option):
            if value_of(option) is None:
                for form in ("", "=", "=x", "=false", "='true'", '="0"'):
                    yield Line([verb, name + form, "--", "nosuch", "a"])
            else:
                yield Line([verb, name])
                yield Line([verb, name + "="])


def samples(kinds):
    """Lists of operands: each of the first kind alone, pairs for two kinds, several for `*`."""
    if not kinds:
        return [[]]
    if kinds == ["nothing"]:
        return []
    first = KINDS[kinds[0]]
    if len(kinds) == 1:
        return [[x] for x in first]
    if kinds[1] == "*":
        return [[x] for x in first] + [[first[0], "nosuch", first[1]], [first[3], first[3]], ["nosuch", "also nosuch"]]
    pairs = [[a, b] for a in first for b in KINDS[kinds[1]]]
    return [[x] for x in first] + pairs if kinds[1] == kinds[0] else pairs


def operands(verb, options, kinds):
    lists = samples(kinds)
    for words in lists:
        yield Line([verb] + words)
        for option in options:
            if value_of(option) is None and names_of(option)[-1] in ("-j", "-q", "-t", "-f", "-r", "-u"):
                yield Line([verb, names_of(option)[-1]] + words)
    for option in options:
        for value in value_of(option) or []:
            for words in lists[:2]:
                for name in (names_of(option)[0], names_of(option)[-1]):
                    yield Line([verb, name, value] + words)
                    if JSON in options:
                        yield Line([verb, "-j", name + "=" + value] + words)


def program_lines():
    for words in ([], [""], ["-"], ["--"], ["--help"], ["-h"], ["-help"], ["--help=false"], ["--nosuch"], ["nosuch"], ["nosuch", "--help"],
                  ["-Dj", "layers"], ["--debug", "--help"], ["--debug=x", "layers"], ["-s"], ["--graph"], ["LAYERS"], ["layer s"],
                  ["--version"], ["help"], ["df"], ["tree"], ["inspect"], ["locks"], ["__complete"], ["é"], ["\x01<&>"]):
        yield Line(words)


SNIPPETS = r"""
cs --debug layers
cs layers --debug
cs layers -D -j
cs layers -jq; cs layers -qt; cs layers -tj
cs layers >/dev/full -j
cs images -j >/dev/full
cs diff -u L1 >/dev/full
cs get-image-data I1 k1 >/dev/full
cs image -j I1 >&-
cs diff -u L1 >&-
cs get-image-data I1 k1 >&-
cs diff L1 | head -c 10 | wc -c
cs import-layer -i N1 <a.tar; cs diff -u N1 | sha256sum; cs changes N1; cs diffsize N1
cs import-layer -i N1 <a.tgz; cs diff N1 | gzip -dc | sha256sum; cs layer -j N1
cs import-layer -i N1 L1 <b.tar; cs changes N1; cs changes -j N1; cs diffsize N1; cs diff -u N1 | sha256sum
cs import-layer -i N1 <junk
cs import-layer -i N1 <cut.tar
cs import-layer -i N1 <cut.tgz
cs import-layer -i N1 <badsum.tar
cs import-layer -i N1 <empty; cs layer -j N1
cs import-layer -i N1 <&-
cs import-layer -i N1 -f src
cs import-layer -i N1 -n base <a.tar
cs import-layer -i L1 <a.tar
cs import-layer -i N1 nosuch <a.tar
cs applydiff L4 <cut.tar; cs layer -j L4
cs applydiff L4 <junk; cs layer -j L4
cs applydiff L4 <a.tgz; cs layer -j L4; cs changes L4
cs applydiff nosuch <a.tar
cs set-image-data I1 k2 <meta; cs image -j I1; cs get-image-data I1 k2
cs set-image-data I1 manifest <meta; cs image I1; cs images
cs set-container-data C1 'a b' <meta; cs container -j C1; cs get-container-data-digest C1 'a b'
cs set-layer-data L1 k2 <meta; cs layer -j L1; cs list-layer-data L1; cs get-layer-data L1 k2
cs set-image-data I1 k2 <&-
cs set-image-data I1 k2 -f src
cs add-names -n x -n y -n x L1; cs add-names -n y -n base -j L3; cs layers -j
cs add-names -n x I1; cs set-names -n z I1; cs remove-names -n z I1; cs image -j I1; cs images -j
cs set-names C1; cs get-names -j C1; cs containers -j
cs set-names -n "$(printf 'a\001\002\177<>&"\\\n\t')" L1; cs layers -j; cs layers; cs get-names L1; cs get-names -j L1
cs set-names -n "$(printf '\xff\xfe\xc3')" L1; cs layers -j; cs get-names L1
cs set-names -n "$(printf 'a\342\200\250b')" L1; cs layers -j
cs set-metadata -m "$(printf 'x\001\n\n')" I1; cs metadata I1; cs metadata -j I1; cs metadata -q I1
cs set-metadata -f meta C1; cs metadata -j C1; cs set-metadata -f empty C1; cs metadata C1
cs set-metadata -f none C1; cs set-metadata -f src C1
cs create-layer -i N1; cs create-layer -i N2 N1; cs layers -t; cs delete-layer N1; cs delete-layer N2 N1; cs layers -q
cs create-layer -i N1 -n "$(printf 'q\nr')"; cs layers; cs layers -t
cs create-layer -i N1 -n a -n b; cs create-layer -i N2 -n b; cs layers -j
cs create-layer -i N1 --uidmap 0:5:10 --gidmap 0:6:10; cs layer N1; cs layer -j N1; cs create-layer -i N2 N1; cs layer -j N2
cs create-layer -i N1 --hostuidmap --hostgidmap LM; cs layer N1
cs create-image -i N1 -n a -n b -m meta L2; cs image N1; cs create-container -i N2 -n cc a; cs container N2; cs container -j N2
cs create-image -i N1 -d sha256:1234567890123456789012345678901234567890123456789012345678901234; cs images; cs images-by-digest sha256:1234567890123456789012345678901234567890123456789012345678901234
cs create-container -i N1 --volatile -m x I1; cs containers -j; cs container N1; cs delete-container N1; cs containers
cs create-container -i N1 I1; cs mount N1; cs mounted N1; cs unmount N1; cs mounted N1; cs delete-container N1
cs mount L1; cs mount L1; cs unmount L1; cs mounted L1; cs unmount L1; cs mounted L1; cs unmount L1
cs mount C1; cs layers -t; cs unmount -f C1
cs mount L1 nosuch C1; echo $?; cs unmount -f L1 nosuch C1; echo $?
cs mount -j L1 nosuch; cs unmount -f L1
cs mount L1; cs shutdown; echo $?; cs unmount L1; cs shutdown; echo $?
cs mount L1; cs shutdown -f; cs mounted L1; cs shutdown
cs mount L1; cs shutdown -j; cs mounted L1; cs shutdown; echo $?
cs mount -r I1; cs mount -r img1; cs unmount -f I1
cs mount L1; cs delete L1; cs layers -q; cs storage-layers
cs delete I1; cs images -q; cs layers -q; cs containers -j
cs delete C1; cs containers; cs layers -q
cs delete L1; cs layers -t
cs delete-image I1; echo $?; cs delete-container C1 C2; cs delete-image -t I1; cs delete-image I1; cs layers -q
cs delete-container C1 C2 C3; cs delete-image -j I1 I2 nosuch; cs layers -j; cs images -j
cs delete-layer L1; cs delete-layer L3; cs delete-layer -j L3 L1 nosuch; cs layers -q
cs wipe; cs layers -j; cs images -j; cs containers -j; cs storage-layers
cs wipe -j
cs create-storage-layer -i N1; cs create-storage-layer -i N1; cs create-storage-layer -j -i N2 N1; cs storage-layers; cs storage-layers -j; cs layers -q
cs create-storage-layer -i N1 nosuch
cs copy src L4:/; cs changes L4; cs copy L4:/d new; ls -R new; cs copy --chown 5:6 src/d/f L4:/z/y/x; cs changes L4; cs diff -u L4 | tar --numeric-owner -tv | cut -c1-30
cs copy src/d/f L4:/d; cs copy src L4:/d/q; cs copy src/d/f L4:/d; cs changes L4
cs copy L1:/d L4:/e; cs copy L1:/d/l L4:/link; cs changes L4; cs diff -u L4 | tar -tv | cut -c1-10
cs copy nosuch L4:/x; cs copy src/d/f nosuch:/x; cs copy src/d/f src/d/l L4:/two
cs exists L1 img1 c1 nosuch; cs exists -q L1; echo $?; cs exists -q nosuch; echo $?; cs exists -j L1 nosuch base
csc layers -j
csc config
csc status; csc status -j
csc -s vfs layers
csc --storage-opt x layers
csc -g "$G" layers -q
csc -R "$R" layers -q
STORAGE_DRIVER=nosuch csc layers -q
STORAGE_DRIVER=vfs STORAGE_OPTS=a=b,c csc config
STORAGE_OPTS= STORAGE_DRIVER= csc config
CONTAINERS_STORAGE_CONF=$W/none csc layers
CONTAINERS_STORAGE_CONF=$W/junk csc layers
CONTAINERS_STORAGE_CONF=$W/src csc layers
CONTAINERS_STORAGE_CONF= csc config | tr , '\n' | grep driver
CONTAINERS_STORAGE_CONF=$W/none csc --help | head -3
CONTAINERS_STORAGE_CONF=$W/none csc layers --help
CONTAINERS_STORAGE_CONF_OVERRIDE=$W/over.conf csc config
CONTAINERS_STORAGE_CONF_OVERRIDE=$W/none csc config
HOME=$W/g csc layers --help
HOME=/ csc layers --help
HOME= csc layers --help
csc layers -s nosuch
csc layers --storage-opt nosuch=1
csc layers --storage-opt vfs.nosuch=1
csc layers --storage-opt junk
csc layers -g meta
csc layers -g none/x -q; ls none
csc layers -g "$W/meta/x"
csc layers -R "$W/meta/x"
cs layers -g "$W/other" -j; ls other
cs -g "'$G'" layers -q
"$BIN" -g "$G" -R "$R" -s nosuch layers
"$BIN" -g "$G" -R "$R" layers -q
"$BIN" -g "$G" -s vfs layers -q
"$BIN" -R "$R" -s vfs layers -q
"$BIN" -g '' -R '' -s vfs layers -q
cs -U=false layers -q
cs layers --unshare=false -q
cs layer -- -j
cs layer L1 -j
cs create-layer -in N1 nm; cs layers
cs create-layer -nfoo
cs create-layer -ni N1
cs create-layer -i N1 -i N2 -n a --name=b
cs layers -json
cs layers ---json
cs layers -j=T -q=0
cs layers -é
cs layers -jé
cs layers --json=TrUe
cs layers --json='"true"'
cs create-layer -i='"N 1"' --name="'q'"
cs create-layer -i=N1 --name='"x'
cs create-layer --name=a=b -i N1
cs set-metadata --metadata== L1; cs metadata L1
cs layer -- L1 --
cs layer -j -- L1
cs layers - ; cs layers -- -
cs metadata L1 I1 C1 nosuch; echo $?; cs metadata -q L1 I1; cs metadata -j I1 nosuch C1
chmod 0 g/vfs-layers/layers.json; cs layers -q
echo junk >g/vfs-layers/layers.json; cs layers -q
echo '[{"id":"X"}]' >g/vfs-layers/layers.json; cs layers -j
echo '[]' >g/vfs-images/images.json; cs images -j; cs image I1; cs delete-image I1
echo '{}' >g/vfs-images/images.json; cs images
: >g/vfs-containers/containers.json; cs containers -j
rm -r g/vfs-layers; cs layers -j; cs image I1
rm -r g/vfs/dir/L3; cs layers -q; cs mount L3; cs diff -u L3; cs changes L3; cs delete-layer L3
rm -r g/vfs-images/I1; cs image I1; cs get-image-data I1 k1; cs list-image-data I1
rm -r g/vfs-containers/C1; cs container C1; cs get-container-data C1 k1
cs get-image-data -f out I1 k1; cat out
cs get-image-data -f out I1 nokey
cs diff -u -f out L1; sha256sum <out
cs diff -c L1 | gzip -dc | sha256sum; cs diff -b L1; cs diff -x L1; cs diff -bux L1
cs diff -u L2 L1 | tar -t; cs diff -u L1 L2 | tar -t; cs diff -u L1 nosuch
cs changes L2 L1; cs changes L1 L2; cs changes -j L1 L2; cs changes L1 nosuch; cs diffsize L1 nosuch; cs diffsize L2 L1
cs shutdown -j
cs config none; cs config junk
cs unshare /bin/true extra
cs version; cs version -j; cs status; cs status -j
"""

# ---- lines put together at random ----


def random_line(rng):
    verb, aliases, options, kinds = rng.choice(VERBS)
    while kinds == ["nothing"] or verb == "config":
        verb, aliases, options, kinds = rng.choice(VERBS)
    words = []
    for _ in range(rng.choice((0, 0, 0, 0, 0, 1))):
        words += random_option(rng, GLOBALS[:2] + GLOBALS[4:6])
    words.append(rng.choice([verb] * 4 + aliases))
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3))):
        words += random_option(rng, options or GLOBALS[:1]) if rng.random() < 0.95 else random_option(rng, GLOBALS)
    if rng.random() < 0.05:
        words.append("--")
    several = kinds[-1:] == ["*"]
    for kind in kinds[:1] * rng.randint(1, 4) if several else kinds[:rng.choice((len(kinds),) * 9 + (1,))]:
        words.append(rng.choice(KINDS[kind]))
    if rng.random() < 0.03:
        words.append(rng.choice(("-j", "", "extra", "--help")))
    stdin = rng.choice(FILE_IN[0][2][:3] + ["meta", "junk", "cut.tar", "empty"]) if verb in READS_STDIN else None
    return Line(words, stdin=stdin)


READS_STDIN = ("import-layer", "applydiff", "set-image-data", "set-container-data", "set-layer-data")


def random_option(rng, options):
    option = rng.choice(options)
    name, values = rng.choice(names_of(option)), value_of(option)
    if rng.random() < 0.03:
        return [rng.choice(("-jq", "-qj", "-xyz", "--js", "-in", "-j=x", "-=", "--=", "---j"))]
    if values:
        return rng.choice(([name, rng.choice(values)], [name + "=" + rng.choice(values)]))
    return [name + rng.choice(("", "", "", "", "=true", "=0", "=F"))]


# ---- the store that each line finds ----

STORE = r"""
cs import-layer -i L1 -n base -f a.tar
cs import-layer -i L2 -n mid -f b.tgz L1
cs create-layer -i L3 -n third L1
cs create-layer -i L4 -n both
cs create-layer -i LM -n mapped --uidmap 0:1000:65536 --gidmap 0:2000:65536
cs create-layer -i lü -n uni
cs create-layer -i LO -n 'odd<&>'
cs create-image -i I1 -n img1 -m '{"x":"<y>"}' L2
cs create-image -i I2
cs create-image -i I3 -n both -n imgé -d @D1@ L3
cs create-container -i C1 -n c1 -m text I1
cs create-container -i C2 -n both ''
cs create-container -i C3 --volatile I3
echo data | cs set-image-data I1 k1
echo '{"m":1}' | cs set-image-data I1 manifest
echo odd | cs set-image-data I1 'odd/<&>key'
echo data | cs set-container-data C1 k1
echo data | cs set-layer-data L1 k1
"""
FILES = r"""
mkdir -p src/d in2/d; printf 'hello\n' >src/d/f; ln -s f src/d/l; printf 'world\n' >in2/d/g; : >in2/d/.wh.f; : >empty
t="tar --format=ustar --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner"
$t -C src -cf a.tar d; $t -C in2 -cf b.tar d; gzip -nk a.tar b.tar; mv a.tar.gz a.tgz; mv b.tar.gz b.tgz; rm -r in2
head -c 1600 a.tar >cut.tar; head -c 60 a.tgz >cut.tgz; head -c 2000 /dev/zero | tr '\0' x >junk; cp a.tar badsum.tar
printf x | dd of=badsum.tar bs=1 seek=600 conv=notrunc 2>/dev/null
echo '{"meta":"data"}' >meta; cp meta unreadable; chmod 0 unreadable
printf '[storage]\ndriver = "@DRIVER@"\ngraphroot = "%s/g"\nrunroot = "%s/r"\n' "$W" "$W" >storage.conf
printf '[storage.options]\nignore_chown_errors = "true"\n' >over.conf
"""
D1 = "sha256:" + "ab" * 32
PRELUDE = 'cs() { "$BIN" -g "$G" -R "$R" -s @DRIVER@ "$@"; }; csc() { "$BIN" "$@"; }\n'


class Bench:
    """One folder in which the two commands take turns, each line on a fresh copy of the store."""

    def __init__(self, folder, driver, ours, go):
        self.base, self.case, self.template = folder, folder + "/case", folder + "/template"
        self.driver, self.programs = driver, (ours, go)
        shutil.rmtree(self.template, ignore_errors=True)
        self.empty_case()
        os.makedirs(self.case)
        for text, strict in ((FILES, True), (STORE, True)):
            done = self.run(Line(shell="set -e\n" + text), go)
            if done.returncode != 0:
                sys.exit("cannot make the store: %r" % done.stderr)
        unmount_below(self.case)
        copy_store(self.case, self.template)
        self.mark = self.fingerprint()
        names = Names()
        self.before = self.dump(names)
        self.known = names.known

    def record_id(self, kind, word):
        """Of the layer or image of that name, or whose ID alone begins so; other words stay."""
        records = json.loads(read("%s/g/%s-%ss/%ss.json" % (self.template, self.driver, kind, kind)))
        begun = [x["id"] for x in records if word and x["id"].startswith(word)]
        named = [x["id"] for x in records if word in x.get("names", ()) and (kind, word) != ("layer", "both")]
        return (named + (begun if len(begun) == 1 else []) + [word])[0]

    def empty_case(self):
        unmount_below(self.case)
        shutil.rmtree(self.case, ignore_errors=True)

    def reset(self):
        if self.fingerprint() != self.mark:
            self.empty_case()
            copy_store(self.template, self.case)

    def run(self, line, program):
        case = self.case
        env = {"PATH": os.environ["PATH"], "HOME": case, "LC_ALL": "C", "TZ": "UTC", "W": case, "G": case + "/g", "R": case + "/r",
               "BIN": program, "CONTAINERS_STORAGE_CONF": case + "/storage.conf"}
        if line.shell is not None:
            words = ["bash", "-c", self.fill(PRELUDE + line.shell)]
        else:
            words = [program, "-g", env["G"], "-R", env["R"], "-s", self.driver] + [self.fill(w) for w in line.words]
        stdin = open(case + "/" + line.stdin, "rb") if line.stdin else subprocess.DEVNULL
        try:
            return commands.run(words, 120, stdin=stdin, cwd=case, env=env)
        finally:
            if line.stdin:
                stdin.close()

    def fill(self, text):
        if self.driver != "vfs":
            text = text.replace("g/vfs/dir/", "g/btrfs/subvolumes/" if self.driver == "btrfs" else "g/overlay/").replace("vfs", self.driver)
        return text.replace("@D1@", D1).replace("@DRIVER@", self.driver)

    def fingerprint(self):
        """Has a line changed anything?"""
        seen = []
        for path, st in walk(self.case):
            size = 0 if path.endswith((".lock", "/")) else st.st_size
            seen.append((path, st.st_mode, st.st_uid, size))
        with open("/proc/self/mounts") as f:
            seen.append(f.read().count(self.case))
        return seen

    def outcome(self, line, program):
        self.reset()
        done = self.run(line, program)
        known = Names(self.known)
        mixed = any(UNORDERED.search(x) for x in ([line.shell] if line.shell is not None else line.words))
        out, err = (known.plain(x, program, mixed) for x in (done.stdout, done.stderr))
        changed = self.fingerprint() != self.mark
        store = self.dump(known) if changed else self.before
        return {"exit": done.returncode, "stdout": out, "stderr": err, "store": store}

    def dump(self, known):
        g = "%s/g/%s-" % (self.case, self.driver)
        for kind in ("layers", "images", "containers"):
            known.plain(read(g + kind + "/" + kind + ".json"), "", False)
        if self.driver == "overlay":
            known.links(self.case + "/g/overlay")
        lines = []
        for path, st in walk(self.case):
            shown = os.path.relpath(path, self.case)
            if IGNORED.search(shown):
                continue
            full, what = path.rstrip("/"), ""
            if os.path.islink(full):
                what = os.readlink(full)
            elif os.path.isfile(full) and not full.endswith(".lock"):
                what = content(full, st)
            text = "%s %o %d:%d %s" % (shown, st.st_mode, st.st_uid, st.st_gid, what)
            lines.append(known.plain(text.encode(errors="surrogateescape"), "", False))
        return "\n".join(sorted(lines))


UNORDERED = re.compile(r"^(exists|delete|changes)|cs (exists|delete|changes)[-a-z]* ")
# What differs between two runs of the same command, and our own notes outside of what the Go tools look at.
IGNORED = re.compile(r"^g/cstorage(/|$)|/(backingFsBlockDev|tmp|tempdirs|staging|\.reserve-[^/]*)$")


def walk(top):
    for folder, folders, files in os.walk(top):
        folders.sort()
        yield folder + "/", os.lstat(folder)
        for name in sorted(files) + [x for x in folders if os.path.islink(folder + "/" + x)]:
            yield folder + "/" + name, os.lstat(folder + "/" + name)


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def content(path, st):
    data = read(path)
    if path.endswith(".json"):
        return data.decode(errors="surrogateescape")
    if path.endswith("tar-split.gz"):
        try:
            data = gzip.decompress(data)
        except OSError:
            pass
    return data.decode() if path.endswith(("/link", "/lower")) else "%d %s" % (len(data), hashlib.sha256(data).hexdigest()[:12])


class Names:
    """Random names become numbers in the order in which they are first seen."""

    def __init__(self, known=()):
        self.known = dict(known)

    def number(self, match):
        return self.known.setdefault(match.group(0), "RANDOM%d" % len(self.known))

    def links(self, home):
        for name in sorted(os.listdir(home)):
            link = read("%s/%s/link" % (home, name)).decode()
            if link:
                self.known[link] = "LINK-" + self.plain(name.encode(errors="surrogateescape"), "", False)

    def plain(self, data, program, sort):
        text = without_whiteout_times(data).decode(errors="surrogateescape")
        if program:
            text = re.sub(r"See '\S*(containers-storage)( |')", r"See '\1\2", text)
        text = re.sub(r'time="[^"]*"', "time=T", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)", "T", text)
        text = re.sub(r"(?<![0-9a-z:])[0-9a-f]{64}(?![0-9a-f])", self.number, text)
        text = re.sub(r"\b[A-Z0-9]{26}\b", self.number, text)
        if sort:
            text = "\n".join(sorted(re.split(r"\n|(?<=\})[\],]|\[(?=\{)", text)))
        return text


def without_whiteout_times(data):
    """A whiteout in a diff that is made by comparing has the time of the comparison, by either command."""
    if data[:2] == b"\x1f\x8b":
        try:
            plain = gzip.decompress(data)
        except (OSError, EOFError):
            return data
        leveled = without_whiteout_times(plain)
        return data if leveled == plain else leveled
    if data[257:262] != b"ustar":
        return data
    blocks, at = bytearray(data), 0
    while blocks[at + 257:at + 262] == b"ustar":
        name, size = bytes(blocks[at:at + 100]).rstrip(b"\0"), int(bytes(blocks[at + 124:at + 135]), 8)
        if name.split(b"/")[-1].startswith(b".wh."):
            blocks[at + 136:at + 156] = bytes(20)  # mtime, checksum
        at += 512 + (size + 511) // 512 * 512
    return bytes(blocks)


def copy_store(old, new):
    subprocess.run([os.path.dirname(os.path.abspath(__file__)) + "/../copy-store", old, new], check=True)


def unmount_below(folder):
    with open("/proc/self/mounts") as f:
        below = [x.split()[1] for x in f if x.split()[1].startswith(folder + "/")]
    for path in sorted(below, reverse=True):
        subprocess.run(["umount", "-l", path], check=False)


# ---- judging ----


def describe(what, ours, go):
    if what != "store":
        return "  | %s, ours: %.600r\n  | %s, Go's: %.600r" % (what, ours, what, go)
    a, b = ours.split("\n"), go.split("\n")
    only = ["  | store, ours: %.700s" % x for x in a if x not in b] + ["  | store, Go's: %.700s" % x for x in b if x not in a]
    return "\n".join(only[:12])


def compare(bench, line, options):
    ours, go = (bench.outcome(line, p) for p in bench.programs)
    meant = [m for m in DELIBERATE if m.applies(line, ours)] if ours != go else []
    asked = line
    for m in meant:
        asked = m.ask(bench, asked) if m.ask else asked
    if asked is not line:
        go = bench.outcome(asked, bench.programs[1])
    for m in meant:
        ours, go = m.level(ours, go, bench.before)
    if ours == go:
        if options.verbose:
            print("ok   %s -> %s%s" % (line, go["exit"], "".join(": " + m.why for m in meant)))
        return "passed"
    differs = [w for w in ours if ours[w] != go[w]]
    print("FAIL %s\n%s" % (line, "\n".join(describe(w, ours[w], go[w]) for w in differs)), flush=True)
    return "failed"


# Where the driver has a say: the rest is asked on vfs alone.
WITH_DRIVER = re.compile(r"\b(import-?layer|create-(storage-)?layer|create-container|u?n?mount(ed)?|diff|apply-?diff|diff-?size|changes|copy|"
                         r"delete|wipe|shutdown|status)\b|/dir/|--debug| -D")


def lines_of(options):
    if options.random:
        rng = random.Random(options.seed)
        return [random_line(rng) for _ in range(options.random)]
    lines = list(table())
    if options.text:
        return [x for x in lines if any(t in str(x) for t in options.text)]
    if options.all:
        return lines
    # Those written by hand all run; of the others a part does, always the same.
    lines = [x for x in lines if x.shell is not None or hashlib.sha256(str(x).encode()).digest()[0] % 32 == 0]
    return [x for x in lines if options.driver == "vfs" or WITH_DRIVER.search(str(x))]


def missing_cases():
    """The cases named in DELIBERATE that are in no table of tests/cli."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli")
    ids = []
    for table_of_cases in ("cli-cases.tsv", "fixed-cases.tsv", "cstorage-cases.tsv"):
        with open(os.path.join(folder, table_of_cases), encoding="utf-8") as f:
            ids += [x.split("\t")[0] for x in f]
    named = [m.why.split(":")[0] for m in DELIBERATE]
    return [x for x in named if x != NOT_YET and not fnmatch.filter(ids, x)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-d", "--driver", default="vfs")
    parser.add_argument("-r", "--random", type=int, default=0)
    parser.add_argument("-s", "--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("-a", "--all", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("folder")
    parser.add_argument("ours")
    parser.add_argument("go")
    parser.add_argument("text", nargs="*")
    options = parser.parse_args()
    if missing_cases():
        sys.exit("no such case in tests/cli: %s" % ", ".join(missing_cases()))
    if options.random:
        print("seed %d" % options.seed)
    bench = Bench(os.path.abspath(options.folder), options.driver, options.ours, options.go)
    counts = {"passed": 0, "failed": 0}
    for line in lines_of(options):
        counts[compare(bench, line, options)] += 1
    bench.empty_case()
    print("%d passed, %d failed, 0 skipped" % (counts["passed"], counts["failed"]))
    sys.exit(counts["failed"] != 0)


main()
