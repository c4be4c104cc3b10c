# SPDX-License-Identifier: Apache-2.0
"""What the crash tests share: running a command on a store, reading a store's state straight from the disk, and the
rules that hold after each operation. What is tried is in operations.py.

The state of a store is a dictionary with one entry per layer, image and container, each with all that is kept of it:
record, content by digest, tar-split, data items. Times of creation and random IDs are left out, so that the same
operation leads to an equal state every time. A crash may leave a store in the state before the operation or in the
state after it, and in no other."""

import base64
import ctypes
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2
UNREADABLE = (OSError, ValueError, KeyError)  # what state_of() meets in a damaged store
JSON_FILES = ('layers', 'images', 'containers')


class Result:
    def __init__(self, code, out, err, timed_out=False):
        self.code, self.out, self.err, self.timed_out = code, out, err, timed_out

    def text(self):
        return (self.err + self.out).decode(errors='replace').strip()[-400:]


class Store:
    """A store below `where`, laid out and opened as its mode says (operations.py)."""

    def __init__(self, where, mode, run_root=None):
        self.where, self.mode, self.driver = where, mode, mode.driver
        self.graph, self.run = where + '/g', run_root or where + '/r'
        self.images = where + '/i' if mode.split else self.graph  # where read-only layers and images are
        self.foreign = where + '/f' if mode.additional else None  # somebody else's, only read
        self.layer_store = where + '/far'
        self.told = {'CST_FAULT_LOG': where + '/told'} if mode.layer_stores else {}
        self.bare = ()  # layers that the driver may have without a record
        self.rebooted = False
        self.older, self.asked = {}, ()  # indexes, and what was there to look up (indexes.py)

    def arguments(self):
        given = ['-g', self.graph, '-R', self.run, '-s', self.driver]
        if self.mode.split:
            given += ['--image-store', self.images]
        if self.mode.transient:
            given += ['--transient-store']
        if self.foreign:
            given += ['--storage-opt', f'{self.driver}.imagestore={self.foreign}']
        if self.mode.layer_stores:
            given += ['--storage-opt', 'overlay.additionallayerstore=' + self.layer_store]
        if self.mode.images:
            given += ['--storage-opt', 'overlay.use_composefs=true']
        return given

    def forgotten(self, identity):
        """Of a container that went with the run directory, or its layer: only a collection of garbage takes their content."""
        return self.rebooted and self.mode.transient and (identity[0] == 'c' or identity != identity[:2] * 32)

    def roots(self):
        return [self.graph, self.images] if self.mode.split else [self.graph]

    def homes(self):
        return [f'{root}/{self.driver}' for root in self.roots()]

    def kind(self, kind, root=None):
        return f'{root or (self.images if kind == "images" else self.graph)}/{self.driver}-{kind}'


def clean_environment(extra=None):
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith(('CST_FAULT', 'STORAGE_', 'CONTAINERS_'))}
    environment['LC_ALL'] = 'C'
    environment.update(extra or {})
    return environment


def run(binary, store, arguments, extra=None, before=(), timeout=300):
    """Runs one command in a process group of its own."""
    process = subprocess.Popen([*before, binary, *store.arguments(), *arguments], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                               env=clean_environment({**store.mode.environment, **store.told, **(extra or {})}))
    try:
        out, err = process.communicate(timeout=timeout)
        return Result(process.returncode, out, err)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return Result(process.returncode, out, err, True)


# ---- mounts ----

def mounts_below(directory):
    found = []
    with open('/proc/self/mountinfo', encoding='utf-8', errors='surrogateescape') as file:
        for line in file:
            point = line.split()[4].replace('\\040', ' ')
            if point.startswith(directory + '/') or point == directory:
                found.append(point)
    return found


def unmount_below(directory):
    for point in reversed(mounts_below(directory)):
        if point != directory:
            LIBC.umount2(os.fsencode(point), MNT_DETACH)


def remove(directory):
    unmount_below(directory)
    shutil.rmtree(directory, ignore_errors=True)


def copy_store(template, where):
    remove(where)
    subprocess.run([os.path.dirname(os.path.abspath(__file__)) + '/../copy-store', template, where], check=True)


# ---- state ----

# Where a driver keeps its layers, in its home.
LAYERS = {'overlay': '', 'vfs': '/dir', 'btrfs': '/subvolumes'}
# What the overlay driver keeps beside its layers.
NO_LAYERS = ('l', 'staging', 'tempdirs', 'backingFsBlockDev', '.has-mount-program')


def entries(directory):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def sha(data):
    return hashlib.sha256(data).hexdigest()[:16]


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def file_state(path, info, links):
    kind = stat.S_IFMT(info.st_mode)
    entry = [oct(info.st_mode), info.st_uid, info.st_gid]
    if kind == stat.S_IFREG:
        entry += [info.st_size, sha(read(path))]
        if info.st_nlink > 1:
            entry.append('link %d' % links.setdefault(info.st_ino, len(links)))
    elif kind == stat.S_IFLNK:
        entry.append(os.readlink(path))
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry.append(info.st_rdev)
    if kind != stat.S_IFDIR and not (kind == stat.S_IFCHR and info.st_rdev == 0):  # a whiteout has no time
        entry.append(info.st_mtime_ns)
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if not name.startswith('trusted.overlay.') or name == 'trusted.overlay.opaque':
            entry.append((name, os.getxattr(path, name, follow_symlinks=False).hex()))
    return entry


def tree_state(root):
    """A digest over everything below root, and the number of entries."""
    entries, links = [], {}
    todo = ['']
    while todo:
        relative = todo.pop()
        path = root + relative
        entries.append((relative, file_state(path, os.lstat(path), links)))
        for item in sorted(os.scandir(path), key=lambda e: e.name, reverse=True):
            name = relative + '/' + item.name
            if item.is_dir(follow_symlinks=False):
                todo.append(name)
            else:
                entries.append((name, file_state(root + name, item.stat(follow_symlinks=False), links)))
    return '%d entries, %s' % (len(entries), sha(repr(entries).encode()))


def load(path):
    try:
        data = read(path)
    except FileNotFoundError:
        return []
    return json.loads(data) if data else []


def records(store, kind):
    found = []
    for root in (*store.roots(), store.run):
        for prefix in ('', 'volatile-'):
            found += load(f'{store.kind(kind, root)}/{prefix}{kind}.json')
    return found


def foreign_records(store, kind):
    if not store.foreign or kind == 'containers':
        return []
    return load(f'{store.foreign}/{store.driver}-{kind}/{kind}.json')


def fingerprint(root, but=()):
    """Everything inside of root as it is on disk, with the times of change: equal only if nothing was touched."""
    seen = []
    for directory, inner, names in os.walk(root):
        for path in [f'{directory}/{name}' for name in inner + names]:
            if path in but:
                continue
            info = os.lstat(path)
            seen.append((path, info.st_mode, info.st_size, info.st_ino, info.st_mtime_ns, info.st_ctime_ns))
    return sha(repr(sorted(seen)).encode())


def data_state(directory):
    if not os.path.isdir(directory):
        return {}
    return {name: sha(read(f'{directory}/{name}')) for name in sorted(os.listdir(directory))
            if not os.path.isdir(f'{directory}/{name}')}


def driver_layers(store):
    """{ID: its directory} of all layers that the driver has."""
    found = {}
    for home in store.homes():
        where = home + LAYERS[store.driver]
        found.update((name, f'{where}/{name}') for name in entries(where) if name not in NO_LAYERS)
    return found


DUMPER = ''  # the command that knows composefs images


def image_state(path):
    """What is in a composefs image, but for the times of directories."""
    done = subprocess.run([DUMPER, 'dump-composefs', '--layer', path], capture_output=True, env=clean_environment(), check=False)
    if done.returncode:
        return 'damaged: ' + done.stderr.decode(errors='replace')
    lines = [line.split(b' ') for line in done.stdout.splitlines()]
    return sha(repr([fields[:7] + fields[8:] if fields[2][:1] == b'4' else fields for fields in lines]).encode())


def layer_content(store, where):
    if store.driver != 'overlay':
        state = {'tree': tree_state(where)}
        quota = where.replace('/btrfs/subvolumes/', '/btrfs/quotas/')
        return {**state, 'quota': read(quota).decode()} if quota != where and os.path.exists(quota) else state
    state = {}
    for name in entries(where):  # diff1 of a layer whose lower ones were given to other ids
        if os.path.islink(f'{where}/{name}'):
            state[name] = os.readlink(f'{where}/{name}').replace(store.where, '')
        elif name.startswith('diff'):
            state[name] = tree_state(f'{where}/{name}')
        elif name == 'composefs-data':
            state[name] = image_state(f'{where}/{name}/composefs.blob')
        elif name in ('lower', 'lower-layers', 'additionallayer'):
            state[name] = read(f'{where}/{name}').decode().replace(store.where, '')
        elif name in ('work', 'empty'):
            state[name] = 'there'
    return state


CACHE = 'chunked-manifest-cache'


def item_file(key):
    """The file that a data item is in (docs/format/store.md)."""
    return key if re.fullmatch('[0-9a-z.]*', key) else '=' + base64.b64encode(key.encode()).decode()


def without_cache(record, data):
    """Whether a layer has a cache of its TOC is left out: it is made when it is missing, and stays if it is right."""
    names = [name for name in record.get('big-data-names') or [] if name != CACHE]
    rest = {key: value for key, value in record.items() if key != 'big-data-names'}
    if names:
        rest['big-data-names'] = sorted(names)
    for key in ('big-data-sizes', 'big-data-digests'):
        if key in rest:
            rest[key] = {name: value for name, value in rest[key].items() if name != CACHE}
    return rest, {name: value for name, value in data.items() if name != item_file(CACHE)}


def tar_split(path):
    try:
        return sha(gzip.decompress(read(path)))
    except FileNotFoundError:
        return None
    except (OSError, EOFError, gzip.zlib.error) as error:
        return f'damaged: {error}'


def link_names(store, known):
    """What the random names below l/ stand for, and the IDs that differ from run to run; `known` those of the prepared
    store, whose owners may be gone."""
    names = dict(known or {})
    for entry in records(store, 'containers'):
        names[entry.get('layer', '')] = 'layer-of-' + entry['id'][:8]
    for entry in records(store, 'images'):
        for number, mapped in enumerate(entry.get('mapped-layers') or []):
            names[mapped] = f'mapped-{number}-of-{entry["id"][:8]}'
    roots = [*store.roots(), *([store.foreign] if store.foreign else [])]
    for directory in [f'{root}/overlay/l' for root in roots]:
        for name in entries(directory):
            names['l/' + name] = 'l/' + os.readlink(f'{directory}/{name}').split('/')[-2]
    names.pop('', None)
    return names


def private_state(where):
    """What is in the private directory; None: it was not made."""
    if not os.path.isdir(where + '/userdata'):
        return None
    return {path[len(where) + 1:] + '/' + name: sha(read(f'{path}/{name}'))
            for path, _, names in os.walk(where + '/userdata') for name in names}


def state_of(store, known=None):
    names = link_names(store, known)

    def plain(value):
        text = json.dumps(value, sort_keys=True)
        for _ in (1, 2):
            for name, meaning in names.items():
                text = text.replace(name, meaning)
        return json.loads(text)

    state = {}
    there = driver_layers(store)
    for record in records(store, 'layers'):
        identity = record.pop('id')
        record.pop('created', None)
        where = there.pop(identity, None)
        record, data = without_cache(record, data_state(f'{store.kind("layers")}/{identity}'))
        state['layer ' + names.get(identity, identity)] = plain({
            'record': record, 'content': layer_content(store, where) if where else {},
            'tar-split': tar_split(f'{store.kind("layers")}/{identity}.tar-split.gz'), 'data': data})
    for identity in set(there) & set(store.bare):
        state['layer without record ' + identity] = plain({'content': layer_content(store, there[identity])})
    for kind in ('images', 'containers'):
        for record in records(store, kind):
            identity = record.pop('id')
            record.pop('created', None)
            state[f'{kind[:-1]} {identity}'] = plain({
                'record': record, 'data': data_state(f'{store.kind(kind)}/{identity}'),
                'directory': private_state(f'{store.kind(kind, store.graph)}/{identity}'),
                'run directory': private_state(f'{store.kind(kind, store.run)}/{identity}')})
    mounts = {}
    layers = {record['id'] for record in records(store, 'layers')}
    for entry in load(f'{store.kind("layers", store.run)}/mountpoints.json'):
        if entry.get('count', 0) and entry['id'] in layers:  # others go with the next save
            mounts[names.get(entry['id'], entry['id'])] = entry['count']
    state['mounts'] = mounts
    state['staged'] = plain(staged_state(store))
    if store.mode.layer_stores:
        far = store.layer_store + '/' + entries(store.layer_store)[0]
        state['layer store'] = {'there': [name for name in entries(far) if name != 'use'], 'tree': tree_state(far + '/diff')}
    if store.foreign:
        state['foreign'] = {'everything': tree_state(store.foreign)}
    return state


def difference(one, other):
    """The first few differences of two states, in words."""
    said = []
    for key in sorted(set(one) | set(other)):
        if key not in one:
            said.append(f'{key[:20]} appeared')
        elif key not in other:
            said.append(f'{key[:20]} is gone')
        elif one[key] != other[key]:
            what = [k for k in set(one[key]) | set(other[key]) if one[key].get(k) != other[key].get(k)]
            detail = '; '.join(f'{k}: {one[key].get(k)} -> {other[key].get(k)}' for k in sorted(what))
            said.append(f'{key[:20]}: {detail[:300]}')
    return said


# ---- rules ----

def check_data(store, kind, found):
    wrong = []
    directory = store.kind(kind)
    known = {record['id']: record for record in found}
    foreign = {record['id'] for record in foreign_records(store, kind)}
    for root in (*store.roots(), store.run):
        for name in entries(store.kind(kind, root)):
            if name not in known and name not in foreign and name != 'tmp' and not store.forgotten(name) and os.path.isdir(f'{store.kind(kind, root)}/{name}'):
                wrong.append(('orphan', f'directory {store.kind(kind, root)[len(store.where) + 1:]}/{name[:8]} without record'))
    for identity, record in known.items():
        files = data_state(f'{directory}/{identity}')
        names = record.get('big-data-names') or []
        recorded = [item_file(name) for name in names]
        for name in files:
            if name not in recorded and not name.startswith('.tmp-'):
                wrong.append(('orphan', f'{kind[:-1]} {identity[:8]}: data item {name} is not recorded'))
        for name in names:
            path = f'{directory}/{identity}/{item_file(name)}'
            if item_file(name) not in files:
                wrong.append(('lost', f'{kind[:-1]} {identity[:8]}: data item {name} is missing'))
                continue
            size = (record.get('big-data-sizes') or {}).get(name)
            if size is not None and size != os.path.getsize(path):
                wrong.append(('corrupt', f'{kind[:-1]} {identity[:8]}: data item {name}: size {size} recorded, '
                                         f'{os.path.getsize(path)} there'))
            digest = (record.get('big-data-digests') or {}).get(name, '')
            if digest and digest != 'sha256:' + hashlib.sha256(read(path)).hexdigest():
                wrong.append(('corrupt', f'{kind[:-1]} {identity[:8]}: data item {name}: wrong digest'))
    return wrong


def kept_staged(store):
    """(home, name of the directory, where what is known is) of the staged layers that outlive their process."""
    found = []
    for home in store.homes():
        for name in entries(home + '/staging'):
            found.append((home, f'staging/{name}', f'{home}/staging/{name}/staging.lock'))
        for name in entries(home + '/tempdirs'):
            if name.startswith('temp-dir-'):
                found.append((home, f'tempdirs/{name}', f'{home}/tempdirs/lock-{name[9:]}'))
    return [place for place in found if os.path.exists(place[2] + '/state')]


def staged_state(store):
    state = {}
    for number, (home, name, known) in enumerate(sorted(kept_staged(store))):
        said = json.loads(read(known + '/state'))
        record = json.loads(said.pop('record'))
        for key in ('id', 'created'):
            record.pop(key, None)
        said.pop('parent-created', None)
        where = f'{home}/{name}/' + ('0-addition' if store.driver != 'overlay' else 'dir')
        state[str(number)] = {'said': said, 'record': record, 'content': layer_content(store, where),
                              'data': data_state(known + '/data'),
                              'tar-split': tar_split(known + '/0-addition')}
    return state


def check_temporary(store):
    """No temporary file of anybody, no staging directory, no intent."""
    wrong = []
    for root in (*store.roots(), store.run):
        for kind in JSON_FILES:
            directory = store.kind(kind, root)
            for name in entries(directory):
                if name.startswith('.tmp-'):
                    wrong.append(('litter', f'{directory[len(os.path.dirname(root)) + 1:]}/{name}'))
                elif os.path.isdir(f'{directory}/{name}'):
                    wrong += [('litter', f'{kind}/{name[:8]}/{inner}') for inner in entries(f'{directory}/{name}')
                              if inner.startswith('.tmp-')]
    places = [store.kind('layers') + '/tmp']
    places += [f'{home}/{name}' for home in store.homes() for name in ('tempdirs', 'staging', 'replaced')]
    wrong += [('orphan', f'old content of {where[-64:-56]}') for where in driver_layers(store).values()
              if os.path.exists(where + '/replaced')]
    wrong += [('orphan', f'quota of {name[:20]}, no layer') for home in store.homes() for name in entries(home + '/quotas')
              if name not in driver_layers(store)]
    kept = {path for home, name, known in kept_staged(store) for path in (f'{home}/{name}', known)}
    for place in places:
        wrong += [('orphan', f'{place[len(store.where) + 3:]}/{name}') for name in entries(place)
                  if f'{place}/{name}' not in kept]
    for directory, _, files in os.walk(store.graph + '/cstorage'):
        for name in files:  # docs/format/store.md, "Intents": magic, length of what is announced
            head = read(f'{directory}/{name}')[:16]
            if not name.endswith('.intent') or head and (head[:8] != b'cstjrnl1' or head[8:] != bytes(8)):
                wrong.append(('orphan', f'{directory[len(store.where) + 3:]}/{name} still announces something or waits'))
    return wrong


def check_links(store, known, there):
    """Each name below l/ is that of the layer it points at, and every lower layer is found by it."""
    wrong, links = [], set()
    for directory in [home + '/l' for home in store.homes()]:
        for name in entries(directory):
            target = os.readlink(f'{directory}/{name}')
            owner = target.split('/')[-2]
            links.add(name)
            if not os.path.isdir(f'{directory}/{target}'):
                wrong.append(('orphan', f'l/{name} is dangling ({target[:20]})'))
            elif not store.forgotten(owner) and owner not in known or read(f'{there[owner]}/link').decode() != name:
                wrong.append(('orphan', f'l/{name} is not named by the layer it points at'))
    if store.foreign:
        links.update(entries(store.foreign + '/overlay/l'))
    for identity in known & set(there):
        try:
            link = read(f'{there[identity]}/link').decode()
        except FileNotFoundError:
            wrong.append(('lost', f'layer {identity[:8]} has no link file'))
            continue
        if link not in links:
            wrong.append(('lost', f'layer {identity[:8]}: l/{link} is missing'))
        if os.path.exists(there[identity] + '/lower'):
            wrong += [('lost', f'layer {identity[:8]}: lower {lower} does not resolve')
                      for lower in read(there[identity] + '/lower').decode().split(':') if lower[2:] not in links]
    return wrong


def check_layers(store, layers):
    wrong = []
    known = {record['id'] for record in layers}
    if len(known) != len(layers):
        wrong.append(('corrupt', 'two layer records with one ID'))
    there = driver_layers(store)
    foreign = {record['id'] for record in foreign_records(store, 'layers')}
    if store.driver == 'overlay':
        wrong += check_links(store, known | set(store.bare), there)
    wrong += [('orphan', f'driver has {n[:20]}, no record') for n in there
              if n not in known and n not in store.bare and not store.forgotten(n)]
    wrong += [('lost', f'record of layer {n[:8]}, but nothing in the driver') for n in known if n not in there]
    for record in layers:
        if (record.get('flags') or {}).get('incomplete') is True:
            wrong.append(('corrupt', f'layer {record["id"][:8]} is still incomplete'))
        leftovers = [flag for flag in record.get('flags') or {} if flag.startswith('cstorage.pending')]
        wrong += [('orphan', f'layer {record["id"][:8]}: flag {flag}') for flag in leftovers]
        if record.get('parent') and record['parent'] not in known | foreign:
            wrong.append(('lost', f'layer {record["id"][:8]}: parent {record["parent"][:8]} is missing'))
    splits = {n[:-len('.tar-split.gz')] for n in entries(store.kind('layers')) if n.endswith('.tar-split.gz')}
    wrong += [('orphan', f'tar-split {n[:20]}, no record') for n in splits - known]
    wrong += [('lost', f'layer {r["id"][:8]} has a digest and no tar-split') for r in layers
              if r.get('diff-digest') and not r.get('toc-digest') and r['id'] not in splits]
    return wrong


def users_told(store):
    """How many users an additional layer store has, by what it was told."""
    users = 0
    for line in read(store.told['CST_FAULT_LOG']).decode(errors='replace').splitlines() if store.told else ():
        _, call, path = line.split(' ', 2)
        if path.startswith(store.layer_store + '/sha256:'):
            users += call == 'sys_openat' and path.endswith('/use')
            users -= call == 'sys_unlinkat' and path.count('/') == store.layer_store.count('/') + 1
    return users


def drop_killed_call(store, number):
    """The call that the last command died at was not made. Is it one at which a message to an additional layer store gets lost: the
    one that tells it, or the next?"""
    lines = read(store.told['CST_FAULT_LOG']).splitlines()
    at, call, path = lines[-1].decode(errors='replace').split(' ', 2)
    if int(at) != number:
        return False
    with open(store.told['CST_FAULT_LOG'], 'wb') as file:
        file.write(b''.join(line + b'\n' for line in lines[:-1]))
    return (call == 'sys_unlinkat' and path.startswith(store.layer_store) or call == 'sys_renameat' and '/additionallayer' in path or
            call == 'sys_renameat2')


def check_users(store, lost_message):
    """The program of an additional layer store counts the layers that it has to keep. A message that is lost leaves one user too many,
    which does no harm, and never one too few."""
    there = sum(os.path.exists(where + '/additionallayer') for where in driver_layers(store).values())
    told = users_told(store)
    return [] if told in (there, there + lost_message) else [
        ('lost' if told < there else 'orphan', f'{there} layers use an additional layer store, which was told of {told}')]


def check_rules(store):
    """Everything that must hold for any store at rest: a list of (class, text)."""
    try:
        layers, images, containers = (records(store, kind) for kind in JSON_FILES)
    except (ValueError, UnicodeDecodeError) as error:
        return [('corrupt', f'a record file cannot be parsed: {error}')]
    wrong = check_temporary(store) + check_layers(store, layers)
    for kind, found in (('layers', layers), ('images', images), ('containers', containers)):
        wrong += check_data(store, kind, found)
    known = {record['id'] for record in layers + foreign_records(store, 'layers')}
    for kind, found in (('image', images), ('container', containers)):
        for record in found:
            used = [record.get('layer')] + (record.get('mapped-layers') or [])
            wrong += [('lost', f'{kind} {record["id"][:8]}: its layer {layer[:8]} is missing') for layer in used
                      if layer and layer not in known]
    for home in (*store.homes(), f'{store.run}/{store.driver}'):
        for point in mounts_below(home):
            owner = point[len(home) + 1:].split('/')
            if owner != [''] and not (owner[0] in known and owner[1:] == ['merged']):
                wrong.append(('orphan', f'something is mounted at {store.driver}/{"/".join(owner)[:60]}'))
    return wrong


# ---- what an interrupted operation may leave ----

LOOSE = ('content', 'directory', 'run directory')


def without_content(state, loose):
    """The state but for what is in something that changes in place, and whether it was left mounted."""
    rest = {key: value for key, value in state.items() if key != 'mounts'}
    if loose in rest:
        rest[loose] = {key: value for key, value in rest[loose].items() if key not in LOOSE}
    return rest


def allowed(operation, state, before, after):
    """None if the state is one that the operation may have been interrupted in, else what is wrong: (class, text)."""
    if operation.loose:
        state, before, after = (without_content(one, operation.loose) for one in (state, before, after))
    if state in (before, after):
        return None
    if not operation.whole:
        wrong = [key for key in set(state) | set(before) | set(after)
                 if state.get(key) not in (before.get(key), after.get(key))]
        if not wrong:
            return None
        return ('corrupt', f'{wrong[0][:20]} is neither as before nor as after')
    said = difference(before, state)
    lost = any(key in before and key in after and key not in state for key in before)
    return ('lost' if lost else 'corrupt', 'neither before nor after: ' + ' | '.join(said)[:500])


# ---- which points ----

def points(total, limit):
    """All of 1..total, or at most `limit` of them: the beginning, the end (where the commit is) and some between."""
    if not limit or total <= limit:
        return list(range(1, total + 1))
    head, tail = limit // 4, limit // 2
    chosen = set(range(1, head + 1)) | set(range(total - tail + 1, total + 1))
    rest = limit - len(chosen)
    chosen |= {head + (total - tail - head) * i // (rest + 1) for i in range(1, rest + 1)}
    return sorted(n for n in chosen if 1 <= n <= total)


def after_renames(calls):
    """The calls right after a record file came into place: the operation is half visible there."""
    return [n + 2 for n, call in enumerate(calls) if call.startswith('sys_rename') and call.endswith('.json')
            and n + 2 <= len(calls)]


def read_count(path):
    try:
        return int.from_bytes(read(path)[:8], 'little')
    except FileNotFoundError:
        return 0


SUBID_FILES = ('/etc/subuid', '/etc/subgid')


def give_subids():
    """The user of automatic user namespaces has ids, in files that are mounted over those of the machine."""
    for file in SUBID_FILES:
        if os.path.exists(file):
            with tempfile.NamedTemporaryFile('w', encoding='utf-8') as ours:
                ours.write('containers:500000:100000\n')
                ours.flush()
                os.chmod(ours.name, 0o644)
                subprocess.run(['mount', '--bind', ours.name, file], check=True)


def enter_namespace():
    """A mount namespace of our own; everything mounted in it goes with it."""
    if os.environ.get('CRASH_NAMESPACE'):
        give_subids()
        return
    os.environ['CRASH_NAMESPACE'] = '1'
    os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, *sys.argv])


class Summary:
    """Counts of a whole run; one case per operation and mode."""

    def __init__(self, verbose=False):
        self.mode = ''
        self.passed = self.failed = self.skipped = 0
        self.verbose = verbose
        self.start = time.monotonic()

    def named(self, name):
        return f'{self.mode}: {name}' if self.mode else name

    def case(self, name, findings, said):
        name = self.named(name)
        if findings:
            self.failed += 1
            counts = {}
            for kind, _ in findings:
                counts[kind] = counts.get(kind, 0) + 1
            shown = ', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))
            print(f'FAIL {name}: {said}: {shown}')
            for kind, text in findings if self.verbose else findings[:3]:
                print(f'  | {kind}: {text}')
        else:
            self.passed += 1
            print(f'ok   {name}: {said}', flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f'SKIP {self.named(name)}: {why}')

    def finish(self):
        print(f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped', flush=True)
        return 1 if self.failed else 0
