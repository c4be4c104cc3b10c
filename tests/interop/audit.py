#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""audit.py GRAPH-ROOT RUN-ROOT DRIVER: is the store on disk one that nobody ever crashed in? Prints what is not, a line each.

Nothing may be at work on the store, and an opener of ours must have been there since the last crash: it settles what it finds."""
import base64, hashlib, json, os, re, sys

graph, run, driver = sys.argv[1:]
say = print
home = "%s/%s" % (graph, driver)


def load(path):
    try:
        with open(path) as f:
            return json.loads(f.read() or "[]") or []
    except FileNotFoundError:
        return []


def entries(path):
    return set(os.listdir(path)) if os.path.isdir(path) else set()


def data_file(key):
    """docs/format/store.md, "Big data file names"."""
    end = re.search("[^0-9a-z.]", key)
    return "=" + base64.b64encode(key.encode()).decode() if end and end.end() < len(key) else key


layers, images, containers = (load("%s-%s/%s.json" % (home, k, k)) + load("%s-%s/volatile-%s.json" % (home, k, k))
                              for k in ("layers", "images", "containers"))
ids = {x["id"] for x in layers}


def audit_records():
    for kind, records in (("layer", layers), ("image", images), ("container", containers)):
        seen = [x["id"] for x in records]
        for x in set(seen):
            if seen.count(x) > 1:
                say("%s %s is recorded twice" % (kind, x))
        for x in records:
            for n in {n for n in x.get("names") or [] if x["names"].count(n) > 1}:
                say("%s %s has the name %s twice" % (kind, x["id"], n))
        names = [n for x in records for n in set(x.get("names") or [])]
        for n in set(names):
            if names.count(n) > 1:
                say("name %s is used by two %ss" % (n, kind))
    for x in layers:
        if (x.get("flags") or {}).get("incomplete"):
            say("layer %s is incomplete" % x["id"])
        if x.get("parent") and x["parent"] not in ids:
            say("layer %s has lost its parent %s" % (x["id"], x["parent"]))
    for x in images:
        if x.get("layer") and x["layer"] not in ids:
            say("image %s has lost its layer %s" % (x["id"], x["layer"]))
    for x in containers:
        if x.get("layer") not in ids:
            say("container %s has lost its layer %s" % (x["id"], x.get("layer")))


def audit_content():
    own = {"l", "staging", "tempdirs", ".has-mount-program", ".has-xattr", "backingFsBlockDev", "metacopy"}
    place = {"overlay": "", "vfs": "/dir", "btrfs": "/subvolumes"}[driver]
    content = entries(home + place) - own
    for x in sorted(entries(home + "/quotas") - content):
        say("%s/quotas/%s has no layer" % (driver, x))
    for x in sorted(content - ids):
        say("%s/%s has no record" % (driver, x))
    for x in sorted(ids - content):
        say("layer %s has no content" % x)
    if driver == "overlay":
        audit_links(content)


def audit_links(content):
    links, named = {}, set()
    for x in entries(home + "/l"):
        if not os.path.isdir(home + "/l/" + x):
            say("overlay/l/%s dangles" % x)
        links[x] = os.readlink(home + "/l/" + x)
    for x in content:
        try:
            link = open("%s/%s/link" % (home, x)).read()
            named.add(link)
            if links.get(link) != "../%s/diff" % x:
                say("overlay/%s/link says %s, which is %s" % (x, link, links.get(link)))
        except FileNotFoundError:
            say("overlay/%s has no link" % x)
        except NotADirectoryError:
            pass
    for x in sorted(set(links) - named):
        say("overlay/l/%s is no layer's: %s" % (x, links[x]))


def audit_data():
    """Data items: each record's are there and as recorded, and there are no others."""
    for kind, records in (("layers", layers), ("images", images), ("containers", containers)):
        place = "%s-%s" % (home, kind)
        known = {x["id"]: x for x in records}
        for x in entries(place):
            if os.path.isdir("%s/%s" % (place, x)) and x not in known and x != "tmp":
                say("%s-%s/%s has no record" % (driver, kind, x))
        for x, record in known.items():
            files = {data_file(k): k for k in record.get("big-data-names") or []}
            there = {f for f in entries("%s/%s" % (place, x)) if f != "userdata"}
            for f in there - set(files):
                say("%s-%s/%s/%s has no record" % (driver, kind, x, f))
            for f, key in files.items():
                if f not in there:
                    say("%s-%s/%s has lost its data %s" % (driver, kind, x, key))
                elif kind != "layers":
                    data = open("%s/%s/%s" % (place, x, f), "rb").read()
                    if record["big-data-sizes"].get(key, 0) != len(data):
                        say("%s-%s/%s: the size of %s is not that recorded" % (driver, kind, x, key))
                    if record["big-data-digests"].get(key) != "sha256:" + hashlib.sha256(data).hexdigest():
                        say("%s-%s/%s: the digest of %s is not that recorded" % (driver, kind, x, key))
    run_place = "%s/%s-containers" % (run, driver)
    for x in entries(run_place) - {x["id"] for x in containers}:
        # Go's `delete` removes what is in a container's directory, and leaves the directory.
        if entries("%s/%s" % (run_place, x)):
            say("run root: %s-containers/%s has no record" % (driver, x))


def audit_leftovers():
    for x in entries(home + "-layers"):
        if x.endswith(".tar-split.gz") and x[:-len(".tar-split.gz")] not in ids:
            say("%s has no layer" % x)
    for place in (home + "-layers", home + "-images", home + "-containers", "%s/%s-layers" % (run, driver)):
        for where, _, files in os.walk(place):
            for x in files:
                if x.startswith(".tmp-"):
                    say("%s/%s was left behind" % (where, x))
    for place in (home + "-layers/tmp", home + "/staging", home + "/tempdirs"):
        for x in entries(place):
            if not x.endswith(".lock") and not x.startswith("lock-"):
                say("%s/%s was left behind" % (place, x))
    for x in entries(graph + "/cstorage"):
        announced = open("%s/cstorage/%s" % (graph, x), "rb").read(16)
        if any(announced[8:]):
            say("cstorage/%s: something was announced and not settled" % x)


def audit_mounts():
    """Counts and mounts go together, and belong to layers."""
    counts = {x["id"]: x for x in load("%s/%s-layers/mountpoints.json" % (run, driver))}
    for x in set(counts) - ids:
        say("a mount is counted for the layer %s, which is unknown" % x)
    if driver == "vfs":
        return
    mounted = set()
    for line in open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape"):
        at = line.split()[4]
        if at.startswith(home + "/"):
            mounted.add(at[len(home) + 1:].split("/")[0])
    for x in sorted(mounted - set(counts)):
        say("%s/%s is mounted, and no mount is counted" % (driver, x) + ("" if x in ids else "; it is unknown, too"))
    for x in sorted(set(counts) - mounted):
        say("a mount of layer %s is counted, and there is none" % x)


audit_records()
audit_content()
audit_data()
audit_leftovers()
audit_mounts()
