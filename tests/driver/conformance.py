# SPDX-License-Identifier: Apache-2.0
"""Runs every case on every kind of store. A case is a function case_NAME(store) that says with store.is_() what has to be."""

import contextlib
import fnmatch
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import kinds
import trees

WORK = os.environ['WORK']
PROGRAM = os.environ['BUILD'] + '/cstorage'
FULL = os.environ.get('DRIVER') == 'full'
MAPS = ('--uidmap', '0:100000:65536', '--gidmap', '0:100000:65536')


class Wrong(Exception):
    pass


class Store:
    def __init__(self, kind, disk, name):
        self.kind, self.disk, self.where = kind, disk, f'{disk}/{name}'
        self.extra = []
        kinds.folder(kind, self.where)

    def command(self, arguments):
        options = [f'--storage-opt={option}' for option in (*self.kind.options, *self.extra)]
        return [PROGRAM, '-g', self.where + '/root', '-R', self.where + '/run', '-s', self.kind.driver, *options, *arguments]

    def start(self, *arguments, **how):
        return subprocess.Popen(self.command(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, **self.kind.environment}, **how)

    def try_(self, *arguments, data=None):
        """(exit code, what it printed, what it complained)"""
        process = self.start(*arguments, stdin=subprocess.DEVNULL if data is None else subprocess.PIPE)
        out, err = process.communicate(data, timeout=120)
        return process.returncode, out, err.decode(errors='replace').strip()

    def do(self, *arguments, data=None):
        code, out, err = self.try_(*arguments, data=data)
        if code:
            raise Wrong(f'{" ".join(arguments)}: exit code {code}: {err}')
        return out

    def text(self, *arguments):
        return self.do(*arguments).decode(errors='replace').strip()

    def refused(self, words, *arguments):
        code, _, err = self.try_(*arguments)
        if not code or not re.search(words, err):
            raise Wrong(f'{" ".join(arguments)}: not refused with "{words}" but exit code {code}: {err}')

    def archive(self, name, fill):
        return trees.archive(f'{self.where}/{name}.tar', fill)

    def layer(self, name, fill, *parent):
        return self.text('import-layer', '-i', name, '-f', self.archive(name, fill), *parent)

    def container(self, name, layer, *options):
        """A container on an image of its own; returns the ID of its layer."""
        self.do('create-image', '-i', 'image-of-' + name, layer)
        self.do('create-container', '-i', name, *options, 'image-of-' + name)
        return self.layer_of(name)

    def layer_of(self, name):
        return re.search(r'Layer: (\w+)', self.text('container', name)).group(1)

    def shown(self, name, **how):
        """What a mount of it shows."""
        if self.kind.program:  # it writes times when it likes
            how.setdefault('times', 0)
        at = self.text('mount', name)
        try:
            return trees.found(at, **how)
        finally:
            self.do('unmount', name)

    def is_(self, what, got, want):
        if got != want:
            raise Wrong(f'{what}: {got!r} and not {want!r}')

    def same(self, what, one, other):
        said = trees.difference(one, other)
        if said:
            raise Wrong(f'{what}: {said}')

    def home(self):
        """Everything below the driver's home but the layers' files: what is left behind shows here."""
        home = f'{self.where}/root/{self.kind.driver}'
        return sorted(os.path.relpath(f'{at}/{name}', home) for at, inner, names in os.walk(home)
                      for name in inner + names if at.count('/') - home.count('/') < 3)

    def mounts(self, home=False):
        """What is mounted on a layer; with `home` also the driver's home."""
        with open('/proc/self/mountinfo', encoding='utf-8') as file:
            points = [line.split()[4] for line in file]
        return [point for point in points if point.startswith(self.where + '/') and (home or point.count('/') > self.where.count('/') + 2)]

    def checked(self):
        self.do('check')


# ---- the cases ----

def case_create(s):
    s.do('create-layer', '-i', 'one', '-n', 'first')
    s.do('create-layer', '-i', 'two', 'one')
    s.is_('layers', s.text('layers', '-q').split(), ['one', 'two'])
    s.is_('driver layers', s.text('storage-layers').split(), ['one', 'two'])
    s.is_('the root', s.shown('two')[''][0], 'dr-xr-xr-x')
    s.refused('is used by the layer', 'delete-layer', 'one')
    s.do('create-storage-layer', '-i', 'bare')
    s.is_('driver layers', sorted(s.text('storage-layers').split()), ['bare', 'one', 'two'])
    s.do('gc')
    s.do('delete-layer', 'two')
    s.do('delete-layer', 'one')
    s.is_('driver layers', s.text('storage-layers'), '')


def case_names_of_layers(s):
    s.refused('cannot be used', 'create-layer', '-i', '../evil')
    s.do('create-layer', '-i', 'same')
    s.refused('already in use', 'create-layer', '-i', 'same')
    s.refused('no layer "nobody"', 'create-layer', '-i', 'child', 'nobody')
    s.is_('driver layers', s.text('storage-layers'), 'same')


def case_snapshot(s):
    s.layer('base', trees.base)
    before = s.shown('base')
    s.do('create-layer', '-i', 'child', 'base')
    s.same('the child shows its parent', before, s.shown('child'))
    at = s.text('mount', 'child')
    trees.change(at)
    changed = trees.found(at, **({'times': 0} if s.kind.program else {}))
    s.do('unmount', 'child')
    s.same('the parent has not changed', before, s.shown('base'))
    s.same('the child has', changed, s.shown('child'))
    s.do('create-layer', '-i', 'beside', 'base')
    s.same('the next child begins with the parent', before, s.shown('beside'))
    s.do('create-layer', '-i', 'grandchild', 'child')
    s.same('a grandchild begins with the child', changed, s.shown('grandchild'))
    s.checked()


def case_hostile(s):
    s.layer('bad', trees.hostile)
    given = s.do('diff', '-u', 'bad')
    with open(s.where + '/bad.tar', 'rb') as file:
        s.is_('diff gives the archive back', given == file.read(), True)
    first = s.shown('bad', times=1e9)
    s.is_('entries', len(first) > 50, True)
    os.unlink(f'{s.where}/root/{s.kind.driver}-layers/bad.tar-split.gz')
    with open(s.where + '/again.tar', 'wb') as file:
        file.write(s.do('diff', '-u', 'bad'))
    s.do('import-layer', '-i', 'again', '-f', s.where + '/again.tar')
    s.same('packed and unpacked again', first, s.shown('again', times=1e9))


def case_outside(s):
    def fill(tar):
        trees.entry(tar, 'way', trees.tarfile.SYMTYPE, link='../../../../../../..' + s.where, mode=0o777)
        trees.entry(tar, 'way/escaped', data=b'evil')
    s.try_('import-layer', '-i', 'evil', '-f', s.archive('evil', fill))
    s.is_('outside', os.path.exists(s.where + '/escaped'), False)
    s.do('import-layer', '-i', 'up', '-f', s.archive('up', lambda tar: trees.entry(tar, '../../../../../../up', data=b'evil')))
    s.is_('where that is', [path for path in s.shown('up') if path], ['/up'])


def changes_of(kind):
    """What trees.change() made. Overlay's own list has a directory that takes the place of a file as a file that is gone."""
    native = kind.driver == 'overlay' and not kind.program
    return [line.replace('Modify "/becomes', 'Delete "/becomes') if native else line for line in trees.CHANGES]


def case_changes(s):
    s.layer('base', trees.base)
    s.do('create-layer', '-i', 'child', 'base')
    trees.change(s.text('mount', 'child'))
    s.do('unmount', 'child')
    s.is_('changes', s.text('changes', 'child').splitlines(), changes_of(s.kind))
    size = int(s.text('diffsize', 'child'))
    s.is_('the size of what changed', 20 < size < 10000, True)
    with open(s.where + '/diff.tar', 'wb') as file:
        file.write(s.do('diff', '-u', 'child'))
    s.do('import-layer', '-i', 'other', '-f', s.where + '/diff.tar', 'base')
    s.same('the diff on another child', s.shown('child', times=0), s.shown('other', times=0))
    s.do('create-layer', '-i', 'third', 'base')
    s.do('applydiff', '-f', s.where + '/diff.tar', 'third')
    s.same('the diff applied to a layer', s.shown('child', times=0), s.shown('third', times=0))
    with open(s.where + '/back.tar', 'wb') as file:
        file.write(s.do('diff', '-u', 'base', 'child'))
    s.is_('changes backwards', 'Add "/gone"' in s.text('changes', 'base', 'child'), True)


def case_apply_again(s):
    s.layer('base', trees.base)
    s.do('create-layer', '-i', 'child', 'base')
    for number in range(3):
        one = s.archive(f'step{number}', lambda tar, number=number: trees.entry(tar, f'step{number}', data=b'%d' % number))
        s.do('applydiff', '-f', one, 'child')
    s.is_('all steps', sorted(p for p in s.shown('child') if 'step' in p), ['/step0', '/step1', '/step2'])
    s.refused('not a directory', 'applydiff', '-f', '/dev/null/x', 'child')


def case_broken_archive(s):
    path = s.archive('cut', trees.hostile)
    os.truncate(path, os.path.getsize(path) // 2)
    before = s.home() if os.path.isdir(s.where + '/root') else []
    s.refused('end', 'import-layer', '-i', 'cut', '-f', path)
    s.is_('layers', s.text('layers', '-q'), '')
    s.is_('left behind', [name for name in s.home() if name not in before and re.search(r'\d', name)], [])


def case_sizes(s):
    def fill(tar):
        trees.entry(tar, 'a', data=b'a' * 100000)
        trees.entry(tar, 'b', trees.tarfile.LNKTYPE, link='a')
        trees.entry(tar, 'c', data=b'c' * 50000)
    s.layer('base', fill)
    s.is_('diffsize', int(s.text('diffsize', 'base')), 150000)
    s.container('box', 'base')
    at = s.text('mount', 'box')
    with open(at + '/d', 'wb') as file:
        file.write(b'd' * 70000)
    s.do('unmount', 'box')
    found = s.text('df', '-j')
    s.is_('df', '"box"' in found and int(s.text('diffsize', s.layer_of('box'))) >= 70000, True)


def case_mounts(s):
    s.layer('base', trees.base)
    at = s.text('mount', 'base')
    s.is_('again', s.text('mount', 'base'), at)
    s.is_('counted', s.text('mounted', 'base'), 'base mounted')
    s.do('unmount', 'base')
    s.is_('still there', os.path.exists(at + '/file'), True)
    s.do('unmount', 'base')
    s.is_('mounts', s.mounts(), [])


def case_delete_mounted(s):
    s.layer('base', trees.base)
    s.container('box', 'base')
    at = s.text('mount', 'box')
    with open(at + '/open', 'w+', encoding='ascii') as file:
        file.write('still readable')
        file.flush()
        s.do('delete-container', 'box')
        file.seek(0)
        s.is_('an open file', file.read(), 'still readable')
    s.is_('containers', s.text('containers', '-q'), '')
    s.is_('driver layers', s.text('storage-layers'), 'base')
    s.is_('mounts', s.mounts(), [])
    s.checked()


def case_maps(s):
    s.layer('base', trees.hostile)
    plain = s.shown('base')
    s.container('box', 'base', *MAPS)
    at = s.text('mount', 'box')
    owners = trees.found(at)
    s.is_('whose the files are', {o for path, what in owners.items() if path != '' and what != 'one file' for o in what[1:3]}, {
        100000, 100001, 100003, 100004, 100007, 100008, 165533, 140000})
    s.do('unmount', 'box')
    s.same('by the ids of the container', plain, s.shown('box', ids=lambda number: number - 100000 if number >= 100000 else number))
    s.same('the layer is as it was', plain, s.shown('base'))
    s.checked()


def case_deep(s):
    count = 200 if FULL else 24
    parent = ()
    for number in range(count):
        s.do('import-layer', '-i', f'l{number}', '-f', s.archive('step', lambda tar, n=number: (
            trees.entry(tar, f'f{n}', data=b'%d' % n), trees.entry(tar, 'top', data=b'%d' % n))), *parent)
        parent = (f'l{number}',)
    at = s.text('mount', parent[0])
    with open(at + '/top', encoding='ascii') as file:
        s.is_('the topmost', file.read(), str(count - 1))
    s.is_('all of them', len([name for name in os.listdir(at) if name.startswith('f')]), count)
    s.do('unmount', parent[0])
    for number in reversed(range(count)):
        s.do('delete-layer', f'l{number}')
    s.is_('driver layers', s.text('storage-layers'), '')


def at_once(s, *commands):
    """All of them succeed, each in a process of its own."""
    jobs = [s.start(*command) for command in commands]
    said = [job.communicate()[1] for job in jobs]
    s.is_('at once', [job.returncode and text for job, text in zip(jobs, said)], [0] * len(jobs))


def case_many_at_once(s):
    s.layer('base', trees.base)
    archive = s.archive('more', trees.hostile)
    for _ in range(3 if FULL or s.kind.driver == 'zfs' else 1):
        at_once(s, *(('import-layer', '-i', f'at-once-{number}', '-f', archive, 'base') for number in range(8)))
        at_once(s, *(('delete-layer', f'at-once-{number}') for number in range(4, 8)))
        at_once(s, *(('diff', '-u', f'at-once-{number}') for number in range(4)), *[('check',)] * 2)
        at_once(s, *(('delete-layer', f'at-once-{number}') for number in range(4)))
    at_once(s, *(('import-layer', '-i', f'at-once-{number}', '-f', archive, 'base') for number in range(4)))
    jobs = [s.start('delete-layer', f'at-once-{number}') for number in range(2)]
    jobs += [s.start('create-layer', '-i', f'new-{number}', f'at-once-{number + 2}') for number in range(2)]
    jobs += [s.start('import-layer', '-i', 'same-id', '-f', archive, 'base') for _ in range(2)]
    ends = [(job.communicate()[1], job.returncode)[1] for job in jobs]
    s.is_('those with operands of their own', ends[:4], [0, 0, 0, 0])
    s.is_('one of those who want the same', sorted(ends[4:]) in ([0, 1], [0, 125]), True)
    s.is_('layers', sorted(s.text('layers', '-q').split()), ['at-once-2', 'at-once-3', 'base', 'new-0', 'new-1', 'same-id'])
    s.is_('driver layers', sorted(s.text('storage-layers').split()), sorted(s.text('layers', '-q').split()))
    s.checked()


def wait_for_staging(s, job):
    end = time.monotonic() + 60
    while not any('addition' in name or name.startswith('staging/') or (s.kind.driver == 'zfs' and 'temp-dir' in name) for name in s.home()):
        if job.poll() is not None or time.monotonic() > end:
            raise Wrong(f'it ended, or did not begin: {job.poll()}')


def case_killed(s):
    """A process dies while it fills a layer: the next one finds nothing of it."""
    s.layer('base', trees.base)
    before = s.home()
    with open(s.archive('more', trees.hostile), 'rb') as file:
        data = file.read()
    dying = s.start('import-layer', '-i', 'dying', 'base', stdin=subprocess.PIPE)
    dying.stdin.write(data[:len(data) // 2])
    dying.stdin.flush()
    wait_for_staging(s, dying)
    dying.send_signal(signal.SIGKILL)
    dying.communicate()
    s.is_('layers', s.text('layers', '-q'), 'base')
    s.is_('left behind', [name for name in s.home() if name not in before and re.search(r'\d', name)], [])
    s.checked()


def case_read_only(s):
    s.layer('base', trees.base)
    s.do('create-layer', '-i', 'child', 'base')
    shown = s.shown('base')
    before = s.home()
    s.is_('layers', s.text('--read-only-store', 'layers', '-q').split(), ['base', 'child'])
    if s.kind.program:
        s.refused('takes a mount of the mount program', '--read-only-store', 'changes', 'child')
    else:
        s.is_('changes', s.text('--read-only-store', 'changes', 'child'), '')
    s.refused('read only', '--read-only-store', 'create-layer', '-i', 'no', 'base')
    s.is_('nothing was made', s.home(), before)
    s.same('nor changed', shown, s.shown('base'))


def case_additional(s):
    if s.kind.alone:
        return
    s.layer('base', trees.base)
    other = Store(s.kind, s.disk, os.path.basename(s.where) + '-other')
    other.extra = [f'{s.kind.driver}.imagestore={s.where}/root']
    s.do('create-image', '-i', 'picture', 'base')
    other.do('create-container', '-i', 'box', 'picture')
    at = other.text('mount', 'box')
    trees.change(at)
    other.do('unmount', 'box')
    s.is_('changes', other.text('changes', other.layer_of('box')).splitlines(), changes_of(s.kind))
    s.is_('the store that is only read', s.text('changes', 'base').count('Modify'), 0)
    other.do('delete-container', 'box')
    other.do('shutdown')


def case_damage(s):
    s.layer('base', trees.base)
    s.do('import-layer', '-i', 'child', '-f', s.archive('more', lambda tar: trees.entry(tar, 'more', data=b'more')), 'base')
    s.checked()
    at = s.text('mount', 'child')
    with open(at + '/more', 'wb') as file:
        file.write(b'less')
    s.do('unmount', 'child')
    code, out, _ = s.try_('check')
    s.is_('found', (code != 0, b'child' in out), (True, True))
    other = Store(s.kind, s.disk, os.path.basename(s.where) + '-other')
    other.do('import-layer', '-i', 'theirs', '-f', s.where + '/base.tar')
    other.do('import-layer', '-i', 'child', '-f', s.where + '/more.tar', 'theirs')
    s.do('check', '--repair', '--from', other.where + '/root')
    s.checked()
    s.is_('mended', s.shown('child')['/more'][-1], hashlib.sha256(b'more').hexdigest()[:16])


def case_limit(s):
    if not s.kind.sizes:
        return
    s.layer('base', lambda tar: trees.entry(tar, 'a', data=b'a' * 1000))
    s.extra = [f'{s.kind.driver}.size=8M']
    s.container('box', 'base')
    at = s.text('mount', 'box')
    written = subprocess.run(['dd', 'if=/dev/zero', f'of={at}/much', 'bs=1M', 'count=64', 'conv=fsync'], capture_output=True, text=True, check=False)
    s.is_('more than the limit', ('quota' in written.stderr.lower(), written.returncode), (True, 1))
    s.is_('what was written', os.path.getsize(at + '/much') <= 8 << 20, True)
    s.do('unmount', 'box')
    s.do('delete-container', 'box')
    s.refused('invalid size', '--storage-opt', f'{s.kind.driver}.size=big', 'layers')
    s.is_('left behind', [name for name in s.home() if name.startswith('quotas/')], [])


def case_all_gone(s):
    s.layer('base', trees.hostile)
    s.do('create-layer', '-i', 'child', 'base')
    s.container('box', 'child')
    s.do('mount', 'box')
    s.do('wipe')
    s.is_('driver layers', s.text('storage-layers'), '')
    s.do('shutdown')
    s.is_('mounts', s.mounts(home=True), [])


def subvolume(*command):
    subprocess.run(['btrfs', 'subvolume', *command], check=True, capture_output=True)


def has_subvolumes(kind):
    """May a container make some? Overlay does not let it."""
    return kind.filesystem == 'btrfs' and not kind.mounts and shutil.which('btrfs')


def case_subvolumes(s):
    """Subvolumes that a container made go with it; also one that is read-only."""
    if not has_subvolumes(s.kind):
        return
    s.layer('base', trees.base)
    s.container('box', 'base')
    at = s.text('mount', 'box')
    for command in (['create', at + '/inner'], ['create', at + '/inner/most'], ['snapshot', '-r', at + '/inner', at + '/keep/frozen']):
        subvolume(*command)
    with open(at + '/inner/most/file', 'w', encoding='ascii') as file:
        file.write('x')
    s.do('unmount', 'box')
    s.is_('changes', 'Add "/inner/most/file"' in s.text('changes', s.layer_of('box')), True)
    s.do('delete-container', 'box')
    left = subprocess.run(['btrfs', 'subvolume', 'list', '-o', s.disk], capture_output=True, text=True, check=True).stdout
    s.is_('subvolumes', re.findall(r'inner|frozen|tempdirs', left), [])


def case_subvolumes_copied(s):
    """What is in them is a layer's content as well as all else: for its children, and when an archive is applied to it."""
    if not has_subvolumes(s.kind):
        return
    s.layer('base', trees.base)
    s.do('create-layer', '-i', 'child', 'base')
    at = s.text('mount', 'child')
    for number in range(300 if FULL else 3):
        subvolume('create', f'{at}/keep/v{number}')
    subvolume('create', at + '/inner')
    subvolume('create', at + '/inner/most')
    with open(at + '/inner/most/file', 'w', encoding='ascii') as file:
        file.write('x')
    s.do('unmount', 'child')
    before = s.shown('child')
    s.do('create-layer', '-i', 'grandchild', 'child')
    s.same('a child shows them', before, s.shown('grandchild'))
    s.do('delete-layer', 'grandchild')
    s.do('applydiff', '-f', s.archive('more', lambda tar: trees.entry(tar, 'inner/most/more', data=b'y')), 'child')
    after = s.shown('child')
    s.is_('they stay', {'/inner/most/file', '/inner/most/more'} <= set(after), True)
    s.do('delete-layer', 'child')
    left = subprocess.run(['btrfs', 'subvolume', 'list', '-o', s.disk], capture_output=True, text=True, check=True).stdout
    s.is_('subvolumes', re.findall(r'inner|keep/v|tempdirs', left), [])


def case_changes_at_random(s):
    """In a snapshot most inodes are those of its original, which saves looking at them: the changes are those of a full comparison."""
    tool = os.environ['BUILD'] + '/tests/unit/pack_tool'
    if s.kind.driver != 'btrfs' or not shutil.which('strace') or not os.path.exists(tool):
        return
    s.layer('base', trees.many)
    layers = [f'{s.where}/root/btrfs/subvolumes/{name}' for name in ('child', 'base')]
    for seed in range(60 if FULL else 6):
        rng = random.Random(seed)
        s.do('create-layer', '-i', 'child', 'base')
        for _ in range(rng.randrange(30)):
            with contextlib.suppress(OSError):
                trees.change_at_random(layers[seed % 3 == 0 and rng.randrange(5) == 0], rng)
        for words, full in (('changes child', 'changes-trees'), ('diffsize child', 'size-trees'), ('diff -u child', 'pack-changes')):
            quick, looks = looked(s, s.command(words.split()))
            all_of_it, looks_of_it = looked(s, [tool, full, *layers])
            s.is_(f'{words} with the seed {seed}', plain(quick), plain(all_of_it))
            s.is_(f'with the seed {seed} not all is looked at', looks < looks_of_it / 2, True)
        s.do('delete-layer', 'child')


def plain(data):
    """Without the time of whiteouts, which is that of the comparison."""
    blocks = bytearray(data)
    for at in range(0, len(blocks), 512):
        if b'/.wh.' in b'/' + blocks[at:at + 100]:
            blocks[at + 136:at + 156] = bytes(20)
    return bytes(blocks)


def looked(s, command):
    """(what it prints, at the attributes of how many files it looked)"""
    trace = s.where + '/trace'
    done = subprocess.run(['strace', '-f', '-qq', '-o', trace, '-e', 'trace=llistxattr', *command], capture_output=True, check=True)
    with open(trace, encoding='utf-8', errors='replace') as file:
        return done.stdout, sum(1 for line in file)


def case_read_only_layer(s):
    """A layer that somebody made read-only can be the parent of another one, and be deleted."""
    if s.kind.driver != 'btrfs' or not shutil.which('btrfs'):
        return
    s.layer('base', trees.base)
    subprocess.run(['btrfs', 'property', 'set', '-ts', f'{s.where}/root/btrfs/subvolumes/base', 'ro', 'true'], check=True)
    s.do('create-layer', '-i', 'child', 'base')
    trees.change(s.text('mount', 'child'))
    s.do('unmount', 'child')
    s.refused('[Rr]ead-only', 'applydiff', '-f', s.where + '/base.tar', 'base')
    s.do('delete-layer', 'child')
    s.do('delete-layer', 'base')
    s.is_('driver layers', s.text('storage-layers'), '')


def case_copied_by_files(s):
    """A store that was copied with cp works, though what were subvolumes are directories there."""
    if s.kind.alone:
        return
    s.layer('base', trees.base)
    shown = s.shown('base')
    s.do('shutdown')
    copy = Store(s.kind, s.disk, os.path.basename(s.where) + '-copy')
    for name in ('root', 'run'):
        subprocess.run(['cp', '-a', f'{s.where}/{name}', f'{copy.where}/{name}'], check=True)
    copy.do('create-layer', '-i', 'child', 'base')
    copy.same('the child', shown, copy.shown('child'))
    copy.do('applydiff', '-f', s.where + '/base.tar', 'base')
    copy.do('delete-layer', 'child')
    copy.do('delete-layer', 'base')
    copy.is_('driver layers', copy.text('storage-layers'), '')
    copy.do('shutdown')


def case_home_is_mounted(s):
    """The Go tools mount a driver's home on itself, and unmount it, at any moment."""
    if s.kind.driver != 'btrfs':
        return
    home = f'{s.where}/root/btrfs'
    s.layer('base', trees.base)
    with open(s.archive('more', trees.hostile), 'rb') as file:
        data = file.read()
    for name, command in (('one', ['mount', '--bind', '--make-private', home, home]), ('two', ['umount', '-l', home])):
        job = s.start('import-layer', '-i', name, 'base', stdin=subprocess.PIPE)
        job.stdin.write(data[:len(data) // 2])
        job.stdin.flush()
        wait_for_staging(s, job)
        subprocess.run(command, check=True)
        _, err = job.communicate(data[len(data) // 2:])
        s.is_(f'{command[0]} meanwhile', (job.returncode, err), (0, b''))
    s.do('delete-layer', 'one')
    s.do('delete-layer', 'two')
    s.is_('left behind', [name for name in s.home() if name.startswith('tempdirs/')], [])


def case_wrong_place(s):
    """A file system that cannot carry the driver is named, and the driver too."""
    if s.kind.driver != 'btrfs' or s.kind.filesystem == 'here':
        return
    code, _, err = subprocess_run([PROGRAM, '-g', WORK + '/wrong', '-R', WORK + '/wrong-run', '-s', 'btrfs', 'create-layer'])
    s.is_('refused', (code != 0, 'not on a btrfs filesystem' in err, os.path.exists(WORK + '/wrong/btrfs')), (True, True, False))


def subprocess_run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


# ---- running them ----

CASES = {name.removeprefix('case_').replace('_', '-'): function for name, function in list(globals().items()) if name.startswith('case_')}
PASSED, FAILED, SKIPPED = 0, 0, 0


def wanted(name, patterns, otherwise):
    return any(fnmatch.fnmatch(name, pattern) for pattern in re.split('[ ,]+', patterns)) if patterns else otherwise


def run_kind(name, kind):
    global PASSED, FAILED, SKIPPED
    disk = f'{WORK}/{name}'
    cases = [case for case in CASES if wanted(case, os.environ.get('CASES'), True)]
    lacking = kinds.mount(kind, disk)
    if lacking:
        print(f'SKIP {name}: {lacking}')
        SKIPPED += len(cases)
        kinds.unmount(disk)
        return
    for case in cases:
        try:
            CASES[case](Store(kind, disk, case))
            PASSED += 1
        except (Wrong, OSError, subprocess.SubprocessError, AttributeError) as wrong:
            FAILED += 1
            print(f'FAIL {name}, {case}: {wrong}'.replace('\n', '\n  | '))
    kinds.unmount(disk)


def main():
    for name, kind in kinds.KINDS.items():
        if wanted(name, os.environ.get('KINDS'), FULL and kind.filesystem != 'here' or kind.quick):
            run_kind(name, kind)
    print(f'{PASSED} passed, {FAILED} failed, {SKIPPED} skipped')
    sys.exit(FAILED > 0)


main()
