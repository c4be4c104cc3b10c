# SPDX-License-Identifier: Apache-2.0
"""What the crash tests share: running a command on a store, reading a store's state straight from the disk, the
operations that are tried and the rules that hold after each of them.

The state of a store is a dictionary with one entry per layer, image and container, each with all that is kept of it:
record, content by digest, tar-split, data items. Times of creation and random IDs are left out, so that the same
operation leads to an equal state every time. A crash may leave a store in the state before the operation or in the
state after it, and in no other."""

import ctypes
import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2
JSON_FILES = ('layers', 'images', 'containers')

# Fixed IDs: equal runs, equal states.
ID = {name: (digit * 64) for name, digit in
      (('base', '1'), ('middle', '2'), ('empty', '3'), ('data', '4'), ('x1', '5'), ('x2', '6'), ('x3', '7'))}
ID.update({'image1': 'a1' * 32, 'image2': 'a2' * 32, 'container1': 'c1' * 32, 'container2': 'c2' * 32,
           'new': 'e0' * 32})


class Result:
    def __init__(self, code, out, err, timed_out=False):
        self.code, self.out, self.err, self.timed_out = code, out, err, timed_out

    def text(self):
        return (self.err + self.out).decode(errors='replace').strip()[-400:]


class Store:
    def __init__(self, where, driver='overlay', run_root=None):
        self.where, self.driver = where, driver
        self.graph, self.run = where + '/g', run_root or where + '/r'

    def home(self):
        return f'{self.graph}/{self.driver}'

    def kind(self, kind, root=None):
        return f'{root or self.graph}/{self.driver}-{kind}'


def clean_environment(extra=None):
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith(('CST_FAULT', 'STORAGE_', 'CONTAINERS_'))}
    environment['LC_ALL'] = 'C'
    environment.update(extra or {})
    return environment


def run(binary, store, arguments, extra=None, before=(), timeout=300):
    """Runs one command in a process group of its own."""
    command = [*before, binary, '-g', store.graph, '-R', store.run, '-s', store.driver, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=clean_environment(extra), start_new_session=True)
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
    subprocess.run(['cp', '-a', '--reflink=auto', template, where], check=True)


# ---- state ----

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
    for root in (store.graph, store.run):
        for prefix in ('', 'volatile-'):
            found += load(f'{store.kind(kind, root)}/{prefix}{kind}.json')
    return found


def data_state(directory):
    if not os.path.isdir(directory):
        return {}
    return {name: sha(read(f'{directory}/{name}')) for name in sorted(os.listdir(directory))
            if not os.path.isdir(f'{directory}/{name}')}


def layer_content(store, identity):
    if store.driver == 'overlay':
        where = f'{store.home()}/{identity}'
        state = {}
        for name in ('diff', 'work', 'empty'):
            if os.path.isdir(f'{where}/{name}'):
                state[name] = tree_state(f'{where}/{name}') if name == 'diff' else 'there'
        for name in ('lower', 'lower-layers'):
            if os.path.exists(f'{where}/{name}'):
                state[name] = read(f'{where}/{name}').decode()
        return state
    where = f'{store.home()}/dir/{identity}' if store.driver == 'vfs' else f'{store.home()}/subvolumes/{identity}'
    return {'tree': tree_state(where)} if os.path.isdir(where) else {}


def tar_split(store, identity):
    path = f'{store.kind("layers")}/{identity}.tar-split.gz'
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
    directory = store.home() + '/l'
    if store.driver == 'overlay' and os.path.isdir(directory):
        for name in os.listdir(directory):
            names['l/' + name] = 'l/' + os.readlink(f'{directory}/{name}').split('/')[-2]
    names.pop('', None)
    return names


def state_of(store, known=None):
    names = link_names(store, known)

    def plain(value):
        text = json.dumps(value, sort_keys=True)
        for _ in (1, 2):
            for name, meaning in names.items():
                text = text.replace(name, meaning)
        return json.loads(text)

    state = {}
    for record in records(store, 'layers'):
        identity = record.pop('id')
        record.pop('created', None)
        state['layer ' + names.get(identity, identity)] = plain({
            'record': record, 'content': layer_content(store, identity), 'tar-split': tar_split(store, identity),
            'data': data_state(f'{store.kind("layers")}/{identity}')})
    for kind in ('images', 'containers'):
        for record in records(store, kind):
            identity = record.pop('id')
            record.pop('created', None)
            state[f'{kind[:-1]} {identity}'] = plain({
                'record': record, 'data': data_state(f'{store.kind(kind)}/{identity}')})
    mounts = {}
    layers = {record['id'] for record in records(store, 'layers')}
    for entry in load(f'{store.kind("layers", store.run)}/mountpoints.json'):
        if entry.get('count', 0) and entry['id'] in layers:  # others go with the next save
            mounts[names.get(entry['id'], entry['id'])] = entry['count']
    state['mounts'] = mounts
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

def entries(directory):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def check_data(store, kind, found):
    wrong = []
    directory = store.kind(kind)
    known = {record['id']: record for record in found}
    for name in entries(directory):
        if not os.path.isdir(f'{directory}/{name}') or name == 'tmp':
            continue
        if name not in known:
            wrong.append(('orphan', f'data directory {kind}/{name[:8]} without record'))
    for identity, record in known.items():
        files = data_state(f'{directory}/{identity}')
        names = record.get('big-data-names') or []
        for name in files:
            if name not in names and not name.startswith('.tmp-'):
                wrong.append(('orphan', f'{kind[:-1]} {identity[:8]}: data item {name} is not recorded'))
        for name in names:
            path = f'{directory}/{identity}/{name}'
            if name not in files:
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


def check_temporary(store):
    """No temporary file of anybody, no staging directory, no intent."""
    wrong = []
    for root in (store.graph, store.run):
        for kind in JSON_FILES:
            directory = store.kind(kind, root)
            for name in entries(directory):
                if name.startswith('.tmp-'):
                    wrong.append(('litter', f'{directory[len(store.where) + 1:]}/{name}'))
                elif os.path.isdir(f'{directory}/{name}'):
                    wrong += [('litter', f'{kind}/{name[:8]}/{inner}') for inner in entries(f'{directory}/{name}')
                              if inner.startswith('.tmp-')]
    places = [store.kind('layers') + '/tmp', store.home() + '/tempdirs', store.home() + '/staging']
    for place in places:
        wrong += [('orphan', f'{place[len(store.where) + 3:]}/{name}') for name in entries(place)]
    for directory, _, files in os.walk(store.graph + '/cstorage'):
        for name in files:  # docs/format/store.md, "Intents": magic, length of what is announced
            head = read(f'{directory}/{name}')[:16]
            if head and (head[:8] != b'cstjrnl1' or head[8:] != bytes(8)):
                wrong.append(('orphan', f'{directory[len(store.where) + 3:]}/{name} still announces something'))
    return wrong


def check_links(store, known):
    wrong = []
    directory = store.home() + '/l'
    for name in entries(directory):
        target = os.readlink(f'{directory}/{name}')
        owner = target.split('/')[-2]
        if not os.path.isdir(f'{directory}/{target}'):
            wrong.append(('orphan', f'l/{name} is dangling ({target[:20]})'))
        elif owner not in known or read(f'{store.home()}/{owner}/link').decode() != name:
            wrong.append(('orphan', f'l/{name} is not named by the layer it points at'))
    for identity in known:
        try:
            link = read(f'{store.home()}/{identity}/link').decode()
        except FileNotFoundError:
            wrong.append(('lost', f'layer {identity[:8]} has no link file'))
            continue
        if not os.path.islink(f'{directory}/{link}'):
            wrong.append(('lost', f'layer {identity[:8]}: l/{link} is missing'))
        if os.path.exists(f'{store.home()}/{identity}/lower'):
            for lower in read(f'{store.home()}/{identity}/lower').decode().split(':'):
                if not os.path.isdir(f'{store.home()}/{lower}'):
                    wrong.append(('lost', f'layer {identity[:8]}: lower {lower} does not resolve'))
    return wrong


def check_layers(store, layers):
    wrong = []
    known = {record['id'] for record in layers}
    if len(known) != len(layers):
        wrong.append(('corrupt', 'two layer records with one ID'))
    if store.driver == 'overlay':
        ours = [n for n in entries(store.home()) if n not in ('l', 'staging', 'tempdirs', 'backingFsBlockDev',
                                                             '.has-mount-program')]
        wrong += check_links(store, known)
    else:
        ours = entries(store.home() + ('/dir' if store.driver == 'vfs' else '/subvolumes'))
    wrong += [('orphan', f'driver has {n[:20]}, no record') for n in ours if n not in known]
    wrong += [('lost', f'record of layer {n[:8]}, but nothing in the driver') for n in known if n not in ours]
    for record in layers:
        if (record.get('flags') or {}).get('incomplete') is True:
            wrong.append(('corrupt', f'layer {record["id"][:8]} is still incomplete'))
        leftovers = [flag for flag in record.get('flags') or {} if flag.startswith('cstorage.pending')]
        wrong += [('orphan', f'layer {record["id"][:8]}: flag {flag}') for flag in leftovers]
        if record.get('parent') and record['parent'] not in known:
            wrong.append(('lost', f'layer {record["id"][:8]}: parent {record["parent"][:8]} is missing'))
    splits = {n[:-len('.tar-split.gz')] for n in entries(store.kind('layers')) if n.endswith('.tar-split.gz')}
    wrong += [('orphan', f'tar-split {n[:20]}, no record') for n in splits - known]
    wrong += [('lost', f'layer {r["id"][:8]} has a digest and no tar-split') for r in layers
              if r.get('diff-digest') and not r.get('toc-digest') and r['id'] not in splits]
    return wrong


def check_rules(store):
    """Everything that must hold for any store at rest: a list of (class, text)."""
    try:
        layers, images, containers = (records(store, kind) for kind in JSON_FILES)
    except (ValueError, UnicodeDecodeError) as error:
        return [('corrupt', f'a record file cannot be parsed: {error}')]
    wrong = check_temporary(store) + check_layers(store, layers)
    for kind, found in (('layers', layers), ('images', images), ('containers', containers)):
        wrong += check_data(store, kind, found)
    known = {record['id'] for record in layers}
    for kind, found in (('image', images), ('container', containers)):
        for record in found:
            used = [record.get('layer')] + (record.get('mapped-layers') or [])
            wrong += [('lost', f'{kind} {record["id"][:8]}: its layer {layer[:8]} is missing') for layer in used
                      if layer and layer not in known]
    for point in mounts_below(store.home()):
        owner = point[len(store.home()) + 1:].split('/')
        if owner != [''] and not (owner[0] in known and owner[1:] == ['merged']):
            wrong.append(('orphan', f'something is mounted at {store.driver}/{"/".join(owner)[:60]}'))
    return wrong


# ---- what a store is filled with ----

def add(tar, name, kind=tarfile.REGTYPE, data=b'', mode=0o644, link='', when=1600000000):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.linkname, info.size = kind, mode, when, link, len(data)
    tar.addfile(info, io.BytesIO(data))


def make_archives(where):
    """base.tar, small.tar (whiteout, opaque directory, links), more.tar, big.tar.gz (hundreds of entries)."""
    os.makedirs(where, exist_ok=True)
    with tarfile.open(where + '/base.tar', 'w') as tar:
        add(tar, 'etc', tarfile.DIRTYPE, mode=0o755)
        add(tar, 'etc/hello', data=b'hello\n' * 100)
        add(tar, 'etc/hard', tarfile.LNKTYPE, link='etc/hello')
        add(tar, 'dir', tarfile.DIRTYPE, mode=0o750)
        for name in ('a', 'b', 'c'):
            add(tar, 'dir/' + name, data=name.encode() * 5000)
    with tarfile.open(where + '/small.tar', 'w') as tar:
        add(tar, 'dir', tarfile.DIRTYPE, mode=0o755)
        add(tar, 'dir/.wh.a')
        add(tar, 'opaque', tarfile.DIRTYPE, mode=0o755)
        add(tar, 'opaque/.wh..wh..opq')
        add(tar, 'opaque/new', data=b'new')
        add(tar, 'link', tarfile.SYMTYPE, mode=0o777, link='../dir/b')
        add(tar, 'dir/large', data=bytes(range(256)) * 600)
    for number in (1, 2, 3):
        with tarfile.open(f'{where}/x{number}.tar', 'w') as tar:
            for name in range(3):
                add(tar, f'x{number}-{name}', data=f'{number} {name}'.encode() * 400)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode='w') as tar:
        for directory in range(15):
            add(tar, f'd{directory}', tarfile.DIRTYPE, mode=0o755)
            for name in range(20):
                add(tar, f'd{directory}/f{name}', data=(b'%d %d ' % (directory, name)) * (37 * name))
    with open(where + '/big.tar.gz', 'wb') as file:
        file.write(gzip.compress(plain.getvalue(), mtime=0))
    for name, data in (('one', b'one'), ('two', b'two and more'), ('manifest', b'{"schemaVersion":2}'),
                       ('config', b'{"config":1}' * 50)):
        with open(f'{where}/{name}', 'wb') as file:
            file.write(data)


def prepare(binary, store, archives, data_of_layers):
    """The store that the operations start from."""
    steps = [
        ['import-layer', '-i', ID['base'], '-n', 'base', '-f', archives + '/base.tar'],
        ['import-layer', '-i', ID['middle'], '-n', 'middle', '-f', archives + '/small.tar', ID['base']],
        ['create-layer', '-i', ID['empty'], '-n', 'empty', ID['base']],
        ['import-layer', '-i', ID['data'], '-n', 'data', '-f', archives + '/x1.tar'],
        ['import-layer', '-i', ID['x1'], '-f', archives + '/x1.tar', ID['base']],
        ['import-layer', '-i', ID['x2'], '-f', archives + '/x2.tar', ID['x1']],
        ['import-layer', '-i', ID['x3'], '-f', archives + '/x3.tar', ID['x2']],
        ['create-image', '-i', ID['image1'], '-n', 'i1', '-n', 'i1also', '-m', 'first', ID['middle']],
        ['set-image-data', '-f', archives + '/manifest', ID['image1'], 'manifest'],
        ['set-image-data', '-f', archives + '/config', ID['image1'], 'config'],
        ['create-image', '-i', ID['image2'], '-n', 'i2', ID['x3']],
        ['set-image-data', '-f', archives + '/config', ID['image2'], 'config'],
        ['create-container', '-i', ID['container1'], '-n', 'c1', '-m', 'meta', 'i1'],
        ['set-container-data', '-f', archives + '/config', 'c1', 'config'],
        ['create-container', '-i', ID['container2'], '-n', 'c2', 'i1'],
    ]
    if data_of_layers:
        steps.append(['set-layer-data', '-f', archives + '/config', ID['data'], 'config'])
    for step in steps:
        result = run(binary, store, step)
        if result.code != 0:
            raise RuntimeError(f'preparing the store: {" ".join(step[:3])}: {result.text()}')
    unmount_below(store.where)


# ---- the operations ----

class Operation:
    """One command, tried on a fresh copy of the prepared store. `first` is run before it, without faults. `prints`: its
    output is a report of success. `whole`: all or nothing; otherwise each object by itself. `code`: what it exits with
    (None: whatever it does without faults).
    `since`: the release that has it, 143 or 164. `program`: operation.c instead of the command.
    `newest`: makes records that release 1.43 does not see."""

    def __init__(self, name, arguments, first=(), prints=False, whole=True, code=0, since=143, program='',
                 newest=False):
        self.name, self.arguments, self.first = name, arguments, first
        self.prints, self.whole, self.code, self.since = prints, whole, code, since
        self.program, self.newest = program, newest


def maps_at_mount_time(driver):
    """Overlay does, where user namespaces can be made: not in a chroot."""
    return driver == 'overlay' and subprocess.run(['unshare', '--user', 'true'], stderr=subprocess.DEVNULL).returncode == 0


def operations(archives, driver):
    new = ID['new']
    maps = ['--uidmap', '0:100000:65536', '--gidmap', '0:100000:65536']
    mount = (['mount', 'c1'],)
    table = [
        Operation('create-layer', ['create-layer', '-i', new, '-n', 'new', 'middle'], prints=True),
        Operation('import-layer', ['import-layer', '-i', new, '-n', 'new', '-f', archives + '/small.tar', 'base'],
                  prints=True),
        Operation('import-layer-hundreds', ['import-layer', '-i', new, '-f', archives + '/big.tar.gz'], prints=True),
        Operation('applydiff', ['applydiff', '-f', archives + '/small.tar', 'empty']),
        Operation('applydiff-again', ['applydiff', '-f', archives + '/x2.tar', 'data']),
        Operation('create-image', ['create-image', '-i', new, '-n', 'new', '-m', 'meta', 'middle'], prints=True),
        Operation('create-image-with-data', ['image', new, 'new', 'middle', archives + '/manifest',
                                             archives + '/config', archives + '/one'], prints=True, program='operation'),
        Operation('create-container', ['create-container', '-i', new, '-n', 'new', '-m', 'meta', 'i1'], prints=True),
        Operation('create-container-mapped', ['create-container', *maps, '-i', new, '-n', 'new', 'i1'], prints=True,
                  whole=maps_at_mount_time(driver)),  # else a copy of the image's layer comes first, and stays for the next
        Operation('create-container-with-data', ['container', new, 'new', 'i1', archives + '/config', archives + '/one'],
                  prints=True, program='operation'),
        Operation('create-container-volatile', ['create-container', '--volatile', '-i', new, 'i1'], prints=True,
                  since=164, newest=True),
        Operation('mount', ['mount', 'c1']),
        Operation('mount-again', ['mount', 'c1'], first=mount),
        Operation('unmount', ['unmount', 'c1'], first=mount),
        Operation('set-names', ['set-names', '-n', 'i1', '-n', 'n2', ID['image2']]),
        Operation('add-names-layer', ['add-names', '-n', 'base', '-n', 'n2', ID['x3']]),
        Operation('add-names-container', ['add-names', '-n', 'c1', '-n', 'n2', ID['container2']]),
        Operation('remove-names', ['remove-names', '-n', 'i1', ID['image1']], since=164),
        Operation('set-metadata-layer', ['set-metadata', '-m', 'other', 'middle']),
        Operation('set-metadata-image', ['set-metadata', '-m', 'other', 'i1']),
        Operation('set-metadata-container', ['set-metadata', '-m', 'other', 'c1']),
        Operation('set-image-data', ['set-image-data', '-f', archives + '/one', 'i1', 'item']),
        Operation('set-image-data-again', ['set-image-data', '-f', archives + '/two', 'i1', 'config']),
        Operation('set-image-data-manifest', ['set-image-data', '-f', archives + '/two', 'i1', 'manifest']),
        Operation('set-container-data', ['set-container-data', '-f', archives + '/one', 'c2', 'item']),
        Operation('set-container-data-again', ['set-container-data', '-f', archives + '/two', 'c1', 'config']),
        Operation('set-layer-data', ['set-layer-data', '-f', archives + '/one', ID['base'], 'item'], since=164),
        Operation('set-layer-data-again', ['set-layer-data', '-f', archives + '/two', ID['data'], 'config'],
                  since=164),
        Operation('delete-layer', ['delete-layer', 'data']),
        Operation('delete-image', ['delete-image', 'i2']),
        Operation('delete-container', ['delete-container', 'c2']),
        Operation('delete-container-mounted', ['delete-container', 'c1'], first=mount),
        Operation('delete-a-layer', ['delete', 'empty']),
        Operation('delete-an-image', ['delete', 'i2']),
        Operation('delete-a-container', ['delete', 'c1']),
        Operation('wipe', ['wipe'], whole=False),
        Operation('gc', ['gc'], since=164),
        Operation('shutdown', ['shutdown']),
        Operation('shutdown-mounted', ['shutdown', '-f'], first=mount, code=None, since=164),
    ]
    return table


def allowed(operation, state, before, after):
    """None if the state is one that the operation may have been interrupted in, else what is wrong: (class, text)."""
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


def enter_namespace():
    """A mount namespace of our own; everything mounted in it goes with it."""
    if os.environ.get('CRASH_NAMESPACE'):
        return
    os.environ['CRASH_NAMESPACE'] = '1'
    os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, *sys.argv])


class Summary:
    """Counts of a whole run; one case per operation."""

    def __init__(self, verbose=False):
        self.passed = self.failed = self.skipped = 0
        self.verbose = verbose
        self.start = time.monotonic()

    def case(self, name, findings, said):
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
        print(f'SKIP {name}: {why}')

    def finish(self):
        print(f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped', flush=True)
        return 1 if self.failed else 0
