# SPDX-License-Identifier: Apache-2.0
"""What the crash tests try: the ways to lay out a store (MODES), what it is filled with (prepare), every operation of the
command and the library that changes something (operations), and a working day of one store (workload). The only table
there is: a new operation, or a new way to open a store, is a line here."""

import gzip
import io
import json
import os
import random
import shutil
import subprocess
import tarfile

import rig

# Fixed IDs: equal runs, equal states.
ID = {name: (digit * 64) for name, digit in
      (('base', '1'), ('middle', '2'), ('empty', '3'), ('data', '4'), ('x1', '5'), ('x2', '6'), ('x3', '7'), ('mapped', '8'))}
ID.update({'image1': 'a1' * 32, 'image2': 'a2' * 32, 'container1': 'c1' * 32, 'container2': 'c2' * 32, 'new': 'e0' * 32,
           'new1': 'e1' * 32, 'new2': 'e2' * 32,
           'foreign1': 'b1' * 32, 'foreign2': 'b2' * 32, 'foreign': 'ab' * 32})
MAPS = ['--uidmap', '0:100000:65536', '--gidmap', '0:100000:65536']


# ---- ways to lay out and open a store ----

class Mode:
    """`split`: an image store beside the graph root. `transient`: containers last until the machine goes down.
    `additional`: somebody else's store is read, and must never change. `copies`: content is given to other ids by copying
    it, where the driver could map it as it mounts. `indexed`: the sets have an index, however small they are, to which things happen
    (indexes.py). `images`: new layers are composefs images where they can be. `layer_stores`: it has an additional layer store, with one layer. `since`: the release
    of the Go command that can open it."""

    def __init__(self, name, driver, split=False, transient=False, additional=False, copies=False, indexed=False, images=False,
                 layer_stores=False, since=143):
        self.images, self.layer_stores = images, layer_stores
        self.name, self.driver = name, driver
        self.split, self.transient, self.additional = split, transient, additional
        self.copies, self.since = copies or driver != 'overlay', since
        self.environment = {'_CONTAINERS_OVERLAY_DISABLE_IDMAP': 'yes'} if copies else {}
        self.indexed = indexed
        if indexed:
            self.environment['CST_INDEX_FROM'] = '1'


MODES = {mode.name: mode for mode in (
    Mode('overlay', 'overlay'),
    Mode('overlay-indexed', 'overlay', indexed=True),
    Mode('overlay-copies', 'overlay', copies=True, since=164),
    Mode('overlay-transient', 'overlay', transient=True, since=164),
    Mode('overlay-split', 'overlay', split=True, since=164),
    Mode('overlay-additional', 'overlay', additional=True, since=164),
    Mode('overlay-images', 'overlay', images=True, since=164 if shutil.which('mkcomposefs') else 1000),
    Mode('overlay-layer-stores', 'overlay', layer_stores=True, since=164),
    Mode('vfs', 'vfs'),
    Mode('vfs-transient', 'vfs', transient=True, since=164),
    Mode('vfs-split', 'vfs', split=True, since=164),
    Mode('vfs-additional', 'vfs', additional=True, since=164),
    Mode('btrfs', 'btrfs'),
    Mode('btrfs-additional', 'btrfs', additional=True, since=1000),  # no Go command has additional stores there
)}


def modes(text):
    """`all`, `others` (all but the plain one), or names with commas."""
    names = list(MODES)
    chosen = names if text == 'all' else names[1:] if text == 'others' else text.split(',')
    return [MODES[name] for name in chosen]


# ---- what a store is filled with ----

def add(tar, name, kind=tarfile.REGTYPE, data=b'', mode=0o644, link='', when=1600000000):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.linkname, info.size = kind, mode, when, link, len(data)
    tar.addfile(info, io.BytesIO(data))


def make_blobs(where, program):
    """Two versions of a layer as zstd:chunked blobs: old.zst and new.zst, with the digests of their TOCs in old.toc and new.toc."""
    noise = random.Random(1)
    same, changed, large = noise.randbytes(3000), noise.randbytes(100000), noise.randbytes(200000)
    for version in ('old', 'new'):
        with tarfile.open(f'{where}/{version}.tar', 'w') as tar:
            add(tar, 'usr', tarfile.DIRTYPE, mode=0o755)
            for name, data in (('same', same), ('changed', changed), ('large', large), ('empty', b''), (version, version.encode())):
                add(tar, 'usr/' + name, data=data)
            add(tar, 'usr/link', tarfile.LNKTYPE, link='usr/same')
        changed, large = noise.randbytes(50000), large[:150000] + noise.randbytes(1000) + large[150000:]
        done = subprocess.run([program, 'chunked', 'create', '-j', '-o', f'{where}/{version}.zst', f'{where}/{version}.tar'],
                              stdout=subprocess.PIPE, check=True, env=rig.clean_environment())
        with open(f'{where}/{version}.toc', 'w', encoding='ascii') as file:
            file.write(json.loads(done.stdout)['toc-digest'])


def make_archives(where, program=''):
    """base.tar, small.tar (whiteout, opaque directory, links), x1.tar to x3.tar, big.tar.gz (hundreds of entries); data
    items; `tree`, a directory to copy from; and if the command `program` can make them, blobs to pull in parts."""
    os.makedirs(where, exist_ok=True)
    if program.endswith('/cstorage'):
        make_blobs(where, program)
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
    with open(where + '/small.tar', 'rb') as plain, open(where + '/small.tar.gz', 'wb') as file:
        file.write(gzip.compress(plain.read(), mtime=0))
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
    os.makedirs(where + '/tree/inner', exist_ok=True)
    for name in ('tree/file', 'tree/inner/file', 'lonely'):
        with open(f'{where}/{name}', 'wb') as file:
            file.write(name.encode() * 300)
        os.utime(f'{where}/{name}', (1600000000, 1600000000))


def run_all(binary, store, steps):
    for step in steps:
        result = rig.run(binary, store, step)
        if result.code != 0:
            raise RuntimeError(f'preparing the store: {" ".join(step[:3])}: {result.text()}')


def prepare_foreign(binary, store, archives):
    """Somebody else's store, with an image of two layers."""
    theirs = rig.Store(store.where + '/theirs', MODES[store.driver])
    theirs.graph = store.foreign
    os.mkdir(theirs.where)
    run_all(binary, theirs, [
        ['import-layer', '-i', ID['foreign1'], '-f', archives + '/base.tar'],
        ['import-layer', '-i', ID['foreign2'], '-n', 'theirs', '-f', archives + '/small.tar', ID['foreign1']],
        ['create-image', '-i', ID['foreign'], '-n', 'f1', '-n', 'f1also', '-m', 'their own', ID['foreign2']],
        ['set-image-data', '-f', archives + '/manifest', ID['foreign'], 'manifest'],
        ['set-image-data', '-f', archives + '/config', ID['foreign'], 'config'],
    ])
    rig.remove(theirs.where)


FAR = 'sha256:' + 'fa' * 32


def make_layer_store(where):
    """A directory as the program of an additional layer store shows it, but without anybody who counts."""
    os.makedirs(f'{where}/{FAR}/diff/far')
    for name, data in (('diff/far/file', b'far'), ('blob', b''), ('info', json.dumps({'toc-digest': FAR}).encode())):
        with open(f'{where}/{FAR}/{name}', 'wb') as file:
            file.write(data)


def prepare(binary, store, archives, data_of_layers):
    """The store that the operations start from."""
    if store.mode.layer_stores:
        make_layer_store(store.layer_store)
    of_image = ['-r'] if store.mode.split else []  # else it goes to the graph root
    if store.foreign:
        prepare_foreign(binary, store, archives)
    steps = [
        ['import-layer', *of_image, '-i', ID['base'], '-n', 'base', '-f', archives + '/base.tar'],
        ['import-layer', *of_image, '-i', ID['middle'], '-n', 'middle', '-f', archives + '/small.tar', ID['base']],
        ['create-layer', '-i', ID['empty'], '-n', 'empty', ID['base']],
        ['import-layer', '-i', ID['data'], '-n', 'data', '-f', archives + '/x1.tar'],
        ['import-layer', *of_image, '-i', ID['x1'], '-f', archives + '/x1.tar', ID['base']],
        ['import-layer', *of_image, '-i', ID['x2'], '-f', archives + '/x2.tar', ID['x1']],
        ['import-layer', *of_image, '-i', ID['x3'], '-f', archives + '/x3.tar', ID['x2']],
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
    run_all(binary, store, steps)
    rig.unmount_below(store.where)


# ---- the operations ----

def everywhere(_mode):
    return True


def has_subids(_mode):
    return all(os.path.exists(file) for file in rig.SUBID_FILES)


def split(mode):
    return mode.split


def additional(mode):
    return mode.additional


def mounts(mode):
    return mode.driver == 'overlay'


def images(mode):
    return mode.images


def overlay_only(mode):
    return mode.driver == 'overlay'


def btrfs_only(mode):
    return mode.driver == 'btrfs'


def make_subvolumes(store):
    """As a container makes them, one in the other."""
    where = rig.driver_layers(store)[ID['data']]
    for name in ('/inner', '/inner/most'):
        subprocess.run(['btrfs', '-q', 'subvolume', 'create', where + name], check=True)
        with open(f'{where}{name}/file', 'w', encoding='ascii') as file:
            file.write(name)
        os.utime(f'{where}{name}/file', (1600000000, 1600000000))


# ---- damages, which a repair mends ----

def layers_file(store):
    """That of the base layer's record."""
    return f'{store.kind("layers", store.images)}/layers.json'


def edit_records(path, change):
    with open(path, encoding='utf-8') as file:
        found = json.load(file)
    found = change(found)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(json.dumps(found, separators=(',', ':')))


def damage_driver_files(store):
    """The links of all layers, one's name for itself, another one's lists, a directory."""
    home = store.homes()[-1]
    for name in os.listdir(home + '/l'):
        os.unlink(f'{home}/l/{name}')
    os.unlink(f'{home}/{ID["base"]}/link')
    with open(f'{home}/{ID["x3"]}/lower', 'w', encoding='utf-8'):
        pass
    for name in ('lower', 'lower-layers'):
        os.unlink(f'{home}/{ID["x2"]}/{name}')
    os.rmdir(f'{home}/{ID["base"]}/empty')


def damage_data_record(store):
    def change(found):
        found[0]['big-data-sizes']['config'] = 7
        return found
    edit_records(store.kind('images') + '/images.json', change)


def damage_mount(store):
    rig.unmount_below(store.where)


def damage_records(store):
    for path in (layers_file(store), store.kind('images') + '/images.json'):
        os.truncate(path, os.path.getsize(path) - 1)


def damage_image(store):
    """That of the pulled layer."""
    os.truncate(f'{rig.driver_layers(store)[ID["new1"]]}/composefs-data/composefs.blob', 1500)


def lose_layers(store):
    edit_records(layers_file(store), lambda found: [layer for layer in found if layer['id'] not in (ID['base'], ID['middle'])])


class Operation:
    """One command, tried on a fresh copy of the prepared store. `first` is run before it, without faults: commands, other operations, or functions that get the store.
    `breaks` then damages the store so that it may not even open; the command is right when, run once more, it has mended that. `prints`: its
    output is a report of success. `whole`: all or nothing; otherwise each object by itself. `code`: what it exits with
    (None: whatever it does without faults). `since`: the release that has it, 143 or 164. `program`: operation (operation.c) or cstorage
    (the command by its own name) instead of the command under the Go command's name. `newest`: makes records that release 1.43 does not see. `only`: in modes for which it holds.
    `bare`: makes a layer without a record, or one that the Go command cannot mount. `loose`: the layer, image or container (as its state is called) whose content,
    or private directory, changes in place, and which may be left mounted: whole only when the command was repeated. `writes`: False: nothing is written, by however small a call.
    `environment`: of the command. `twice`: a second archive is applied, after which the content is not what the record's
    digest says, whoever applied it: Go's `check` would say so. `fails`: False: not for the fault loop: what it cannot read it
    takes for damaged and deletes, or what it removed a half of is garbage before and after. `shares`: the store is on a file
    system whose files can share blocks. `reads`: False: for the fault loop only what changes something fails: what is looked at
    and cannot be read counts as damaged. `otherwise`: the arguments of a command that leads to the other state that is right
    afterwards."""

    def __init__(self, name, arguments, first=(), prints=False, whole=True, code=0, since=143, program='', newest=False,
                 only=everywhere, bare=(), loose='', writes=True, environment=None,
                 twice=False, fails=True, shares=False, reads=True, breaks=None, otherwise=None):
        self.name, self.arguments, self.first = name, arguments, first
        self.prints, self.whole, self.code, self.since = prints, whole, code, since
        self.program, self.newest, self.only = program, newest, only
        self.bare, self.loose, self.writes, self.environment = bare, loose, writes, environment or {}
        self.twice, self.fails, self.shares, self.reads, self.breaks = twice, fails, shares, reads, breaks
        self.otherwise = otherwise
        self.broken = ()  # the rules that the store breaks before it, which it is to mend


def library(name, arguments, **properties):
    return Operation(name, arguments, program='operation', since=164, **properties)


def maps_at_mount_time(mode):
    """Overlay does, where user namespaces can be made: not in a chroot."""
    return not mode.copies and subprocess.run(['unshare', '--user', 'true'], stderr=subprocess.DEVNULL).returncode == 0


def layer_operations(archives):
    new = ID['new']
    taken = {'code': 1}
    small, mount = archives + '/small.tar', (['mount', 'c1'],)
    no_exchange = {'CST_FAULT_NO_EXCHANGE': '1'}
    return [
        Operation('create-layer', ['create-layer', '-i', new, '-n', 'new', 'middle'], prints=True),
        Operation('create-layer-read-only', ['create-layer', '-r', '-i', new, '-n', 'new', 'middle'], prints=True, only=split),
        Operation('create-layer-mapped', ['create-layer', *MAPS, '-i', new, 'middle'], prints=True),
        Operation('create-layer-id-taken', ['create-layer', '-i', ID['data'], '-n', 'new'], **taken),
        Operation('create-layer-name-taken', ['create-layer', '-i', new, '-n', 'base'], **taken),
        Operation('create-layer-foreign', ['create-layer', '-i', new, 'theirs'], prints=True, only=additional),
        library('create-layer-volatile', ['volatile-layer', new, 'new', 'middle', small], prints=True, newest=True),
        Operation('import-layer', ['import-layer', '-i', new, '-n', 'new', '-f', small, 'base'], prints=True),
        Operation('import-layer-gz', ['import-layer', '-i', new, '-f', small + '.gz', 'base'], prints=True),
        Operation('import-layer-hundreds', ['import-layer', '-i', new, '-f', archives + '/big.tar.gz'], prints=True),
        Operation('import-layer-read-only', ['import-layer', '-r', '-i', new, '-f', small, 'base'], prints=True, only=split),
        Operation('import-layer-mapped', ['import-layer', *MAPS, '-i', new, '-f', small, 'base'], prints=True),
        Operation('import-layer-id-taken', ['import-layer', '-i', ID['data'], '-f', small], **taken),
        Operation('import-layer-name-taken', ['import-layer', '-i', new, '-n', 'base', '-f', small], **taken),
        Operation('import-layer-foreign', ['import-layer', '-i', new, '-n', 'new', '-f', small, 'theirs'], prints=True,
                  only=additional),
        Operation('import-layers', ['import-layers', '-p', 'base', '-i', new, '-i', ID['new1'], '-i', ID['new2'], '-n', 'new',
                                    small, archives + '/x1.tar', archives + '/big.tar.gz'], prints=True, since=164, program='cstorage'),
        Operation('import-layers-id-taken', ['import-layers', '-i', new, '-i', ID['data'], small, archives + '/x1.tar'],
                  **taken, since=164, program='cstorage'),
        Operation('create-storage-layer', ['create-storage-layer', '-i', new, ID['base']], bare=(new,)),
        Operation('applydiff', ['applydiff', '-f', small, 'empty']),
        Operation('applydiff-again', ['applydiff', '-f', archives + '/x2.tar', 'data'], twice=True),
        Operation('applydiff-read-only', ['applydiff', '-f', archives + '/x2.tar', ID['x3']], only=split, twice=True),
        Operation('applydiff-mapped', ['applydiff', '-f', small, 'new'],
                  first=(['create-layer', *MAPS, '-i', new, '-n', 'new', 'base'],)),
        Operation('applydiff-mounted', ['applydiff', '-f', small, 'empty'], first=(['mount', ID['empty']],),
                  loose='layer ' + ID['empty']),
        Operation('applydiff-no-exchange', ['applydiff', '-f', small, 'empty'], environment=no_exchange),
        Operation('applydiff-again-no-exchange', ['applydiff', '-f', archives + '/x2.tar', 'data'], environment=no_exchange,
                  twice=True),
        Operation('applydiff-subvolumes', ['applydiff', '-f', archives + '/x2.tar', 'data'], first=(make_subvolumes,), only=btrfs_only,
                  twice=True),
        Operation('create-layer-subvolumes', ['create-layer', '-i', new, 'data'], first=(make_subvolumes,), only=btrfs_only, prints=True),
        Operation('delete-layer-subvolumes', ['delete-layer', 'data'], first=(make_subvolumes,), only=btrfs_only),
        Operation('copy', ['copy', archives + '/tree', 'empty:/made/here'], loose='layer ' + ID['empty'], since=164),
        Operation('copy-file', ['copy', '-o', '1:2', archives + '/lonely', 'empty:/lonely'],
                  loose='layer ' + ID['empty'], since=164),
        Operation('copy-between', ['copy', 'data:/', 'empty:/'], loose='layer ' + ID['empty'], since=164),
        Operation('copy-mapped', ['copy', archives + '/tree', 'new:/made'], loose='layer ' + new, since=164,
                  first=(['create-layer', *MAPS, '-i', new, '-n', 'new', 'base'],)),
        Operation('mount', ['mount', 'c1']),
        Operation('mount-again', ['mount', 'c1'], first=mount),
        Operation('mount-layer', ['mount', ID['middle']]),
        Operation('unmount', ['unmount', 'c1'], first=mount),
        Operation('unmount-one-of-two', ['unmount', 'c1'], first=(*mount, *mount)),
        Operation('unmount-force', ['unmount', '-f', 'c1'], first=(*mount, *mount)),
        Operation('set-layer-data', ['set-layer-data', '-f', archives + '/one', ID['base'], 'item'], since=164),
        Operation('set-layer-data-again', ['set-layer-data', '-f', archives + '/two', ID['data'], 'config'], since=164),
        Operation('delete-layer', ['delete-layer', 'data']),
        Operation('delete-layer-mounted', ['delete-layer', 'data'], first=(['mount', ID['data']],)),
        Operation('delete-layer-used', ['delete-layer', 'middle'], code=1),
        Operation('delete-layer-read-only', ['delete-layer', new], only=split,
                  first=(['import-layer', '-r', '-i', new, '-f', small, 'base'],)),
        Operation('delete-layer-foreign', ['delete-layer', 'theirs'], code=1, only=additional),
        Operation('delete-layer-on-foreign', ['delete-layer', 'new'], only=additional,
                  first=(['import-layer', '-i', new, '-n', 'new', '-f', small, 'theirs'],)),
    ]


def staged_operations(archives):
    new, item = ID['new'], archives + '/one'
    kept = library('keep', ['stage', 'keep', 'base', archives + '/small.tar', item])
    kept_for = library('keep-for', ['stage', 'keep-for', 'empty', archives + '/small.tar', item])
    directory = archives + '/tree'
    return [
        library('stage-layer', ['stage', new, 'middle', archives + '/small.tar', item], prints=True),
        library('stage-layer-id-taken', ['stage', ID['data'], 'base', archives + '/x1.tar', item], code=1),
        library('stage-content', ['stage', '-', 'empty', archives + '/small.tar', item], prints=True),
        library('stage-content-again', ['stage', '-', 'data', archives + '/x2.tar', archives + '/config'], prints=True),
        library('stage-content-no-exchange', ['stage', '-', 'data', archives + '/x2.tar', archives + '/config'], prints=True,
                environment={'CST_FAULT_NO_EXCHANGE': '1'}, only=mounts),
        library('stage-and-keep', kept.arguments, prints=True),
        library('stage-and-keep-for', kept_for.arguments, prints=True),
        library('adopt', ['adopt', new], first=(kept,), prints=True),
        library('adopt-id-taken', ['adopt', ID['data']], first=(kept,), code=1),
        library('adopt-for', ['adopt', '-'], first=(kept_for,), prints=True),
        library('discard-staged', ['discard'], first=(kept,)),
        Operation('wipe-staged', ['wipe'], first=(kept,), whole=False),
        Operation('apply-directory', ['applydiff-using-staging-dir', new, directory], since=164, program='cstorage'),
        Operation('apply-directory-again', ['applydiff-using-staging-dir', 'data', directory], since=164, program='cstorage'),
    ]


def pull_operations(archives):
    """Layers that are fetched in parts. What fails on the way makes them be fetched as a whole, with another record."""
    def pull(identity, version, *more):
        with open(f'{archives}/{version}.toc', encoding='ascii') as file:
            toc = file.read()
        return ['import-layer', '-i', identity, '--toc-digest', toc, '-f', f'{archives}/{version}.zst', *more]

    def operation(name, arguments, first=(), **properties):
        first = tuple(Operation('', step, program='cstorage') for step in first)
        return Operation(name, arguments, first=first, prints=True, since=164, program='cstorage', **properties)
    new, old = ID['new'], ID['new1']
    whole = ['import-layer', '-i', new, '--toc-digest', 'sha256:' + 64 * '0', '-f', archives + '/new.zst']
    if not os.path.exists(archives + '/new.toc'):
        return []
    return [
        operation('pull', pull(new, 'new'), otherwise=whole),
        operation('pull-with-donor', pull(new, 'new'), first=(pull(old, 'old'),), otherwise=whole),
        operation('pull-with-cache', pull(new, 'new'), first=(pull(old, 'old'), pull(ID['new2'], 'old')), otherwise=whole),
        operation('pull-on-base', pull(new, 'new', 'base'), first=(pull(old, 'old'),), otherwise=[*whole, 'base']),
        operation('pull-mapped', [*pull(new, 'new'), *MAPS], otherwise=[*whole, *MAPS]),
        operation('pull-id-taken', pull(ID['data'], 'new'), code=1),
        library('mend-image', ['mend'], first=(Operation('', pull(old, 'old'), program='cstorage'),), breaks=damage_image, whole=False,
                fails=False, only=images),
        Operation('delete-pulled', ['delete-layer', old], since=164, first=(Operation('', pull(old, 'old'), program='cstorage'),)),
    ]


def layer_store_operations():
    new, second = ID['new'], ID['new1']
    put = library('put', ['put-additional', new, '', FAR])
    return [
        library('put', put.arguments, only=layer_stores, prints=True),
        library('put-on-base', ['put-additional', new, 'base', FAR], only=layer_stores, prints=True),
        # One directory twice: the Go command's check cannot mount such a layer (docs/format/drivers.md).
        library('put-again', ['put-additional', second, new, FAR], first=(put,), only=layer_stores, prints=True, bare=(second,)),
        library('put-id-taken', ['put-additional', ID['data'], '', FAR], code=1, only=layer_stores),
        Operation('delete-put', ['delete-layer', new], first=(put,), only=layer_stores, since=164),
        Operation('delete-put-full', ['delete-layer', new], first=(put,), only=layer_stores, since=164,
                  environment={'CST_FAULT_FULL': '1'}),
        Operation('wipe-put', ['wipe'], first=(put,), only=layer_stores, since=164, whole=False),
        Operation('gc-put', ['gc'], first=(put, lose_put), only=layer_stores, since=164, bare=(new,)),
    ]


def image_operations(archives):
    new = ID['new']
    taken = {'code': 1}
    on_theirs = (['import-layer', '-i', ID['mapped'], '-f', archives + '/x1.tar', 'theirs'],
                 ['create-image', '-i', new, '-n', 'new', ID['mapped']])
    return [
        Operation('create-image', ['create-image', '-i', new, '-n', 'new', '-m', 'meta', 'middle'], prints=True),
        Operation('create-image-id-taken', ['create-image', '-i', ID['image1'], 'middle'], **taken),
        Operation('create-image-name-taken', ['create-image', '-i', new, '-n', 'i1', 'middle'], **taken),
        library('create-image-with-data', ['image', new, 'new', 'middle', archives + '/manifest', archives + '/config',
                                           archives + '/one'], prints=True),
        Operation('create-image-on-foreign', ['create-image', '-i', new, '-n', 'new', 'theirs'], prints=True, only=additional),
        Operation('create-image-over-foreign', ['create-image', '-i', ID['foreign'], '-n', 'new', 'theirs'], prints=True,
                  only=additional),
        Operation('set-image-data', ['set-image-data', '-f', archives + '/one', 'i1', 'item']),
        Operation('set-image-data-again', ['set-image-data', '-f', archives + '/two', 'i1', 'config']),
        Operation('set-image-data-manifest', ['set-image-data', '-f', archives + '/two', 'i1', 'manifest']),
        Operation('get-image-dir', ['get-image-dir', ID['image1']]),
        Operation('get-image-run-dir', ['get-image-run-dir', ID['image1']]),
        library('set-image-file', ['file', 'image', 'i1', 'directory', 'a/b', archives + '/one'],
                loose='image ' + ID['image1']),
        library('set-image-run-file', ['file', 'image', 'i1', 'run-directory', 'file', archives + '/one'],
                loose='image ' + ID['image1']),
        library('mount-image', ['mount-image', 'i1'], whole=False),  # a copy for root may come first
        library('unmount-image', ['unmount-image', 'i1'], first=(['mount', ID['middle']],)),
        library('mount-image-foreign', ['mount-image', 'f1'], only=additional),
        Operation('delete-image', ['delete-image', 'i2']),
        Operation('delete-image-used', ['delete-image', 'i1'], code=1),
        Operation('delete-image-with-directories', ['delete-image', 'i2'],
                  first=(['get-image-dir', ID['image2']], ['get-image-run-dir', ID['image2']])),
        Operation('delete-image-with-copies', ['delete-image', 'i2'],
                  first=(['create-container', *MAPS, '-i', new, 'i2'], ['delete-container', new])),
        Operation('delete-image-on-foreign', ['delete-image', 'new'], first=on_theirs, only=additional),
        Operation('delete-image-foreign', ['delete-image', 'f1'], code=1, only=additional),
        Operation('delete-an-image', ['delete', 'i2']),
    ]


def container_operations(archives, mode):
    new = ID['new']
    mount = (['mount', 'c1'],)
    mapped = ['create-container', *MAPS, '-i', new, '-n', 'new', 'i1']
    first_ids = ['create-container', '--uidmap', '0:500000:10', '--gidmap', '0:500000:20', '-i', ID['mapped'], 'i1']
    return [
        Operation('create-container', ['create-container', '-i', new, '-n', 'new', '-m', 'meta', 'i1'], prints=True),
        Operation('create-container-no-image', ['create-container', '-i', new, ''], prints=True, code=None, since=164),
        Operation('create-container-id-taken', ['create-container', '-i', ID['container1'], 'i1'], code=1),
        Operation('create-container-name-taken', ['create-container', '-i', new, '-n', 'c1', 'i1'], code=1),
        Operation('create-container-mapped', mapped, prints=True,
                  whole=maps_at_mount_time(mode)),  # else a copy of the image's layer comes first, and stays for the next
        Operation('create-container-mapped-again', ['create-container', *MAPS, '-i', ID['mapped'], '-n', 'other', 'i1'],
                  prints=True, first=(mapped,)),
        Operation('create-container-auto', ['create-container', '--userns=auto', '-i', new, '-n', 'new', 'i1'], prints=True,
                  since=164, program='cstorage', whole=maps_at_mount_time(mode), only=has_subids, first=(first_ids,)),
        library('create-container-with-data', ['container', new, 'new', 'i1', archives + '/config', archives + '/one'],
                prints=True),
        Operation('create-container-volatile', ['create-container', '--volatile', '-i', new, 'i1'], prints=True,
                  since=164, newest=True),
        Operation('create-container-foreign', ['create-container', '-i', new, '-n', 'new', 'f1'], prints=True,
                  only=additional),
        Operation('create-container-foreign-mapped', ['create-container', *MAPS, '-i', new, '-n', 'new', 'f1'], prints=True,
                  only=additional),
        Operation('mount-foreign', ['mount', 'new'], first=(['create-container', '-i', new, '-n', 'new', 'f1'],),
                  only=additional),
        Operation('mount-mapped', ['mount', 'new'], first=(mapped,), loose='layer layer-of-' + new[:8]),
        Operation('set-container-data', ['set-container-data', '-f', archives + '/one', 'c2', 'item']),
        Operation('set-container-data-again', ['set-container-data', '-f', archives + '/two', 'c1', 'config']),
        Operation('get-container-dir', ['get-container-dir', 'c1']),
        Operation('get-container-run-dir', ['get-container-run-dir', 'c1']),
        library('set-container-file', ['file', 'container', 'c1', 'directory', 'a/b', archives + '/one'],
                loose='container ' + ID['container1']),
        library('set-container-run-file', ['file', 'container', 'c1', 'run-directory', 'file', archives + '/one'],
                loose='container ' + ID['container1']),
        Operation('create-container-limited', ['--storage-opt', 'btrfs.size=64m', 'create-container', '-i', new, 'i1'], prints=True,
                  only=btrfs_only),
        Operation('mount-limited', ['mount', new], only=btrfs_only,
                  first=(['--storage-opt', 'btrfs.size=64m', 'create-container', '-i', new, 'i1'],)),
        Operation('delete-container-limited', ['delete-container', new], only=btrfs_only,
                  first=(['--storage-opt', 'btrfs.size=64m', 'create-container', '-i', new, 'i1'],)),
        Operation('delete-container', ['delete-container', 'c2']),
        Operation('delete-container-mounted', ['delete-container', 'c1'], first=mount),
        Operation('delete-container-mapped', ['delete-container', 'new'], first=(mapped,)),
        Operation('delete-container-volatile', ['delete-container', new], since=164, newest=True,
                  first=(['create-container', '--volatile', '-i', new, 'i1'],)),
        Operation('delete-container-with-directories', ['delete-container', 'c1'],
                  first=(['get-container-dir', 'c1'], ['get-container-run-dir', 'c1'])),
        Operation('delete-a-container', ['delete', 'c1']),
    ]


def name_operations():
    changes = []
    for kind, holder, name, other in (('layer', ID['base'], 'base', ID['x3']), ('image', ID['image1'], 'i1', ID['image2']),
                                      ('container', ID['container1'], 'c1', ID['container2'])):
        changes += [
            Operation('set-names-' + kind, ['set-names', '-n', name, '-n', 'n2', other]),
            Operation('add-names-' + kind, ['add-names', '-n', name, '-n', 'n2', other]),
            Operation('remove-names-' + kind, ['remove-names', '-n', name, holder], since=164),
            Operation('set-metadata-' + kind, ['set-metadata', '-m', 'other', holder]),
        ]
    # These bring the record of somebody else's image into the store, changed.
    changes += [Operation(name + '-foreign', arguments, only=additional) for name, arguments in (
        ('set-names', ['set-names', '-n', 'n2', 'f1']), ('add-names', ['add-names', '-n', 'n2', 'f1']),
        ('remove-names', ['remove-names', '-n', 'f1', ID['foreign']]))]
    return changes


def full_disk_operations():
    """What empties a disk on which nothing can be made."""
    mount = (['mount', 'c1'],)
    full = {'environment': {'CST_FAULT_FULL': '1'}}
    return [
        Operation('delete-layer-full', ['delete-layer', 'data'], **full),
        Operation('delete-image-full', ['delete-image', 'i2'], **full),
        Operation('delete-container-full', ['delete-container', 'c1'], **full,
                  first=(*mount, ['get-container-dir', 'c1'], ['get-container-run-dir', 'c1'])),
        Operation('unmount-full', ['unmount', 'c1'], first=mount, **full),
        Operation('wipe-full', ['wipe'], first=mount, whole=False, **full),
    ]


def reflinks(mode):
    return bool(shutil.which('mkfs.xfs'))


def layer_stores(mode):
    return mode.layer_stores


def lose_put(store):
    edit_records(layers_file(store), lambda found: [layer for layer in found if layer['id'] != ID['new']])


def lose_tarsplit(store):
    os.unlink(f'{store.kind("layers")}/{ID["data"]}.tar-split.gz')


def lose_content(store):
    where = rig.driver_layers(store)[ID['data']]
    shutil.rmtree(where + '/diff' if store.driver == 'overlay' else where)


def store_operations(archives):
    changed = (['copy', archives + '/lonely', 'data:/more'],)
    mount, garbage = (['mount', 'c1'],), (['create-storage-layer', '-i', ID['new']],)
    again = (['import-layer', '-i', ID['new'], '-f', archives + '/small.tar', 'base'], ['create-image', '-i', 'a3' * 32, ID['new']])
    known = (*again, ['dedup'], ['import-layer', '-i', 'e1' * 32, '-f', archives + '/small.tar'],
             ['create-image', '-i', 'a4' * 32, 'e1' * 32])
    return [
        Operation('delete-a-layer', ['delete', 'empty']),
        Operation('wipe', ['wipe'], whole=False),
        Operation('wipe-mounted', ['wipe'], first=mount, whole=False),
        Operation('gc', ['gc'], since=164),
        Operation('gc-garbage', ['gc'], first=garbage, bare=(ID['new'],), since=164),
        library('repair', ['repair'], first=garbage, bare=(ID['new'],), whole=False, fails=False),
        *(library('mend-' + name, ['mend'], first=first, breaks=breaks, only=only, whole=False, fails=False)
          for name, breaks, first, only in (
              ('driver-files', damage_driver_files, (), overlay_only), ('data-record', damage_data_record, (), everywhere),
              ('mount', damage_mount, mount, overlay_only), ('records', damage_records, (), everywhere),
              ('lost-layers', lose_layers, (), overlay_only))),
        library('prune', ['prune'], whole=False),
        Operation('dedup', ['dedup'], first=again, shares=True, since=164, only=reflinks),
        Operation('dedup-again', ['dedup'], first=known, shares=True, since=164, only=reflinks),
        library('dedup-passes', ['dedup', '3'], first=again, shares=True, only=reflinks),
        library('repair-from-blob', ['repair-from', archives], reads=False, first=changed),
        library('repair-from-blob-mapped', ['repair-from', archives], reads=False, only=mounts,
                first=(['import-layer', *MAPS, '-i', ID['new'], '-n', 'new', '-f', archives + '/small.tar', 'base'],
                       ['copy', archives + '/lonely', 'new:/more'])),
        library('repair-from-blob-no-exchange', ['repair-from', archives], reads=False, first=changed, only=mounts,
                environment={'CST_FAULT_NO_EXCHANGE': '1'}),
        library('repair-all-gone', ['repair-from', archives], reads=False, first=(lose_content,),
                loose='layer ' + ID['data']),  # overlay's empty directory comes before what is in it
        library('repair-tarsplit', ['repair-from', archives], reads=False, first=(lose_tarsplit,)),
        library('repair-tarsplit-in-use', ['repair-from', archives], reads=False, only=mounts, first=(['mount', ID['data']], lose_tarsplit)),
        library('repair-by-packing', ['repair-from', ''], reads=False, first=(lose_tarsplit,)),
        Operation('shutdown', ['shutdown']),
        Operation('shutdown-mounted', ['shutdown', '-f'], first=mount, code=None, since=164),
        library('read-only', ['--read-only', 'read'], writes=False),
        library('read-only-mounted', ['--read-only', 'read'], first=mount, writes=False, only=mounts),
        library('read-only-refuses', ['--read-only', 'refuse', 'i1', 'c1', 'base', 'empty'], writes=False),
    ]


def operations(archives, mode):
    table = (layer_operations(archives) + staged_operations(archives) + pull_operations(archives) + layer_store_operations() + image_operations(archives) + container_operations(archives, mode) +
             name_operations() + store_operations(archives) + full_disk_operations())
    return [operation for operation in table if operation.only(mode)]


# ---- a working day ----

COPIED_INTO = 'layer ' + 'e2' * 32  # by the workload
GARBAGE = 'e6' * 32


class LibraryStep(list):
    """For operation.c instead of the command. One object goes after the other."""


class OwnStep(list):
    """For the command by its own name."""


def pulls(archives):
    steps = []
    for identity, version in (('e7', 'old'), ('e8', 'new'), ('e9', 'new')):
        with open(f'{archives}/{version}.toc', encoding='ascii') as file:
            steps.append(OwnStep(['import-layer', '-i', identity * 32, '--toc-digest', file.read(), '-f', f'{archives}/{version}.zst']))
    item = archives + '/one'
    return steps + [
        ['delete-layer', 'e7' * 32],
        LibraryStep(['stage', 'keep', 'base', archives + '/small.tar', item]),
        LibraryStep(['adopt', 'ea' * 32]),
        LibraryStep(['stage', 'keep', 'base', archives + '/x1.tar', item]),
        OwnStep(['applydiff-using-staging-dir', 'eb' * 32, archives + '/tree']),
        LibraryStep(['discard']),
        LibraryStep(['stage', 'ec' * 32, 'e8' * 32, archives + '/small.tar', item]),
    ]


def workload(archives, mode, since):
    """Commands in order; each leads from one known state to the next. For the power cuts."""
    one, two, three = ID['new'], 'e1' * 32, 'e4' * 32
    image, container = 'a3' * 32, 'c3' * 32
    of_image = ['-r'] if mode.split else []
    steps = [
        ['import-layer', *of_image, '-i', one, '-n', 'new', '-f', archives + '/small.tar', 'base'],
        ['create-image', '-i', image, '-n', 'i3', '-m', 'meta', 'new'],
        ['set-image-data', '-f', archives + '/manifest', 'i3', 'manifest'],
        ['set-image-data', '-f', archives + '/config', 'i3', 'config'],
        ['import-layer', *of_image, '-i', two, '-f', archives + '/big.tar.gz', one],
        ['dedup'],  # of files that the layer has in common with 'middle'
        ['create-container', '-i', container, '-n', 'c3', 'i3'],
        ['set-container-data', '-f', archives + '/one', 'c3', 'item'],
        ['get-container-dir', 'c3'],
        ['applydiff', '-f', archives + '/small.tar', 'empty'],
        ['delete-container', 'c2'],
        ['set-names', '-n', 'i1', '-n', 'moved', ID['image2']],
        ['set-metadata', '-m', 'other', 'middle'],
        ['set-image-data', '-f', archives + '/two', 'i3', 'config'],
        ['delete-image', ID['image2']],
        ['add-names', '-n', 'more', 'c3'],
        ['set-container-data', '-f', archives + '/two', 'c3', 'item'],
        ['delete-layer', 'data'],
        ['set-layer-data', '-f', archives + '/one', ID['base'], 'item'],
        ['create-layer', '-i', 'e2' * 32, '-n', 'last', 'base'],
        ['import-layer', '-i', 'e3' * 32, '-f', archives + '/x2.tar', 'base'],
        ['import-layer', *MAPS, '-i', three, '-n', 'mapped', '-f', archives + '/x3.tar', 'base'],
        ['create-container', *MAPS, '-i', 'c4' * 32, 'i3'],
        ['copy', archives + '/tree', 'last:/made'],
        ['delete-layer', two],
        ['dedup'],
        ['set-metadata', '-m', 'end', 'c3'],
        ['delete-container', 'c4' * 32],
        ['delete-layer', three],
    ]
    if mode.additional:
        steps += [
            ['import-layer', '-i', 'e5' * 32, '-n', 'ours', '-f', archives + '/x1.tar', 'theirs'],
            ['create-image', '-i', 'a5' * 32, '-n', 'i5', 'ours'],
            ['create-container', '-i', 'c5' * 32, '-n', 'c5', 'f1'],
            ['add-names', '-n', 'known here', ID['foreign']],
            ['delete-container', 'c5'],
            ['delete-image', 'i5'],
            ['delete-image', ID['foreign']],
        ]
    if os.path.exists(archives + '/new.toc'):
        steps += pulls(archives)
    steps += [
        ['create-storage-layer', '-i', GARBAGE, ID['base']],
        ['gc'],
        ['create-storage-layer', '-i', GARBAGE, ID['base']],
        LibraryStep(['repair']),
        ['import-layer', *of_image, '-i', two, '-f', archives + '/big.tar.gz', one],
        ['create-image', '-i', 'a6' * 32, '-n', 'unused', two],
        LibraryStep(['prune']),
    ]
    if mode.transient:  # the containers that were prepared went with the machine's last run
        steps.remove(['delete-container', 'c2'])
    if since >= 164:
        return steps
    return [step for step in steps if step[0] not in ('set-layer-data', 'copy', 'dedup', 'create-storage-layer', 'gc')
            and not isinstance(step, LibraryStep)]
