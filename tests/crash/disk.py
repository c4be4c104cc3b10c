# SPDX-License-Identifier: Apache-2.0
"""A store on a disk that is an image file: a copy of it is mounted as after a power cut, and the store in it judged."""

import fcntl
import hashlib
import os
import subprocess
import tempfile
import time

import indexes
import loop
import operations
import rig

FICLONE = 0x40049409
MKFS = {'ext4': ['mkfs.ext4', '-q', '-F'], 'xfs': ['mkfs.xfs', '-q', '-f'], 'btrfs': ['mkfs.btrfs', '-q', '-f']}
OPTIONS = {'xfs': ',nouuid'}
DISK_SIZE = 384 << 20
BTRFS_START_SYNC, BTRFS_WAIT_SYNC = 0x80089418, 0x40089416


def quiet(*command):
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)}: {done.stderr.decode(errors="replace").strip()}')


def clone(source, target):
    """A copy of what is on the disk at this instant."""
    target_fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    source_fd = os.open(source, os.O_RDONLY)
    try:
        fcntl.ioctl(target_fd, FICLONE, source_fd)
    finally:
        os.close(source_fd)
        os.close(target_fd)


class Cut:
    """A copy of the disk, and between which commands it was taken."""

    def __init__(self, image, low, high, when):
        self.image, self.low, self.high, self.when = image, low, high, when


class Bench:
    def __init__(self, options, filesystem, mode):
        self.options, self.filesystem, self.mode = options, filesystem, mode
        self.where = tempfile.mkdtemp(prefix='powercut-', dir=options.work)
        self.host, self.disk = self.where + '/host', self.where + '/disk'
        os.mkdir(self.host)
        os.mkdir(self.disk)
        host_image = self.where + '/host.img'
        with open(host_image, 'wb') as file:
            file.truncate(8 << 30)
        quiet('mkfs.xfs', '-q', '-f', '-m', 'reflink=1', host_image)
        quiet('mount', '-o', 'loop', host_image, self.host)
        self.archives = self.where + '/archives'
        rig.DUMPER = os.path.realpath(options.binary)
        operations.make_archives(self.archives, rig.DUMPER)
        self.steps = operations.workload(self.archives, mode, options.since)
        self.run_roots = 0
        self.names = None
        self.older_indexes = self.other_indexes = {}
        self.faults = {}  # of the commands under test

    def close(self):
        rig.remove(self.where)

    def mount(self, image):
        quiet('mount', '-o', 'loop' + OPTIONS.get(self.filesystem, ''), '-t', self.filesystem, image, self.disk)

    def unmount(self):
        rig.unmount_below(self.disk)
        for _ in range(200):
            if rig.LIBC.umount2(os.fsencode(self.disk), 0) == 0:
                return
            time.sleep(0.01)  # a process that was killed may still be on its way out
        raise RuntimeError(f'{self.disk} stays busy')

    def commit(self, neighbour):
        """Somebody else's fsync: what the file system knows of names and sizes goes to the disk, our data does not."""
        neighbour.write(b'x')
        if self.filesystem == 'btrfs':  # an fsync would write its own file's part of the log alone
            transaction = fcntl.ioctl(neighbour, BTRFS_START_SYNC, bytes(8))
            fcntl.ioctl(neighbour, BTRFS_WAIT_SYNC, transaction)
        else:
            os.fsync(neighbour.fileno())

    def store(self):
        """The store on the disk, with the run directory of a machine that has just come up; or if an index is what matters, with that
        of the last time, which some keep on a disk."""
        self.run_roots += 1
        store = rig.Store(self.disk, self.mode, None if self.mode.indexed else f'{self.where}/run-{self.run_roots}')
        store.rebooted = True
        store.older = self.older_indexes
        store.bare = (operations.GARBAGE,)
        return store

    def program(self, step):
        binary = self.options.binary
        if isinstance(step, operations.OwnStep):
            return os.path.realpath(binary)
        return os.path.dirname(binary) + '/operation' if isinstance(step, operations.LibraryStep) else binary

    def state(self, store):
        """What a reboot leaves of the store's state."""
        state = rig.state_of(store, self.names)
        state.pop('mounts')
        for key in list(state):
            if self.mode.transient and key.startswith(('container ', 'layer layer-of-')):
                del state[key]
            elif key.startswith(('container ', 'image ')):
                del state[key]['run directory']
        return state

    def make_fresh(self):
        """The disk that every run starts from; it is left mounted."""
        fresh = self.host + '/fresh.img'
        with open(fresh, 'wb') as file:
            file.truncate(DISK_SIZE)
        quiet(*MKFS[self.filesystem], fresh)
        self.mount(fresh)
        store = self.store()
        operations.prepare(self.options.prepare or self.options.binary, store, self.archives, self.options.since >= 164)
        self.names = rig.link_names(store, None)
        return store

    def prepare(self):
        """A fresh disk, and the states that the commands lead through."""
        fresh = self.host + '/fresh.img'
        prepared = self.make_fresh()
        self.states = [self.state(prepared)]
        self.older_indexes = indexes.contents(prepared)
        self.unmount()
        clone(fresh, self.host + '/disk.img')
        self.mount(self.host + '/disk.img')
        store = self.store()
        for number, step in enumerate(self.steps):
            result = rig.run(self.program(step), store, step, {'CST_FAULT_LOG': f'{self.where}/log-{number}'})
            if result.code != 0:
                raise RuntimeError(f'{" ".join(step[:3])}: exit code {result.code}: {result.text()}')
            self.states.append(self.state(store))
        wrong = rig.check_rules(store)
        self.other_indexes = indexes.taken(store)
        self.unmount()
        return wrong


def whole_layers(bench, store):
    """Every layer that has a digest gives back the bytes that have it."""
    wrong = []
    for record in rig.records(store, 'layers'):
        digest = record.get('diff-digest')
        if not digest:
            continue
        result = rig.run(bench.options.binary, store, ['diff', '-u', record['id']])
        if result.code != 0:
            wrong.append(('corrupt', f'diff of {record["id"][:8]}: {result.text()}'))
        elif 'sha256:' + hashlib.sha256(result.out).hexdigest() != digest:
            wrong.append(('corrupt', f'diff of {record["id"][:8]} has another digest'))
    return wrong


def first_wrong(allowed, state):
    """Against the state that comes nearest: what differs."""
    said = min((rig.difference(one, state) for one in allowed), key=len)
    return ' | '.join(said)[:400]


def is_between(state, before, after):
    """Is each object as before or as after?"""
    return all(state.get(key) in (before.get(key), after.get(key)) for key in {*state, *before, *after})


def judge(bench, cut, number):
    try:
        bench.mount(cut.image)
    except RuntimeError as error:
        return [('unmountable', str(error))]
    try:
        store = bench.store()
        wrong = []
        if bench.mode.indexed:
            asker = bench.program(operations.LibraryStep())
            wrong += indexes.wrong_answers(asker, store, bench.other_indexes, number, {}, indexes.Happening.left_alone)
        wrong += loop.open_twice(bench.options.binary, store, number)
        if wrong and wrong[-1][0] == 'unopenable':
            return wrong
        wrong += rig.check_rules(store)
        allowed = bench.states[cut.low:cut.high + 1]
        try:
            state = bench.state(store)
        except rig.UNREADABLE as error:
            return wrong + [('corrupt', f'the state cannot be read: {error!r}')]
        if cut.high > cut.low and bench.steps[cut.high - 1][0] == 'copy':  # what was copied by then is there
            state, *allowed = (rig.without_content(one, operations.COPIED_INTO) for one in (state, *allowed))
        parts = cut.high > cut.low and isinstance(bench.steps[cut.high - 1], operations.LibraryStep)
        if state not in allowed and not (parts and is_between(state, *allowed[-2:])):
            if state in bench.states[:cut.low]:
                behind = cut.low - bench.states.index(state)
                wrong.append(('lost', f'the last {behind} commands reported as done are not there: '
                              f'{first_wrong(allowed, state)}'))
            else:
                wrong.append(('lost' if any(k not in state for k in set.intersection(*map(set, allowed))) else 'corrupt',
                              first_wrong(allowed, state)))
        if not wrong and number % bench.options.diff_every == 0:
            wrong += whole_layers(bench, store)
        return wrong
    finally:
        bench.unmount()
        os.unlink(cut.image)


def losses(bad):
    return sum(bad.get(kind, 0) for kind in ('lost', 'corrupt', 'unopenable'))


def lacking(filesystem):
    for name in {'mkfs.xfs', MKFS[filesystem][0]}:
        if subprocess.run(['sh', '-c', f'command -v {name}'], capture_output=True, check=False).returncode:
            return f'no {name}'
    with open('/proc/filesystems', encoding='ascii') as file:
        known = file.read().split()
    for name in {'xfs', filesystem}:
        if name not in known and subprocess.run(['modprobe', name], capture_output=True, check=False).returncode:
            return f'this kernel has no {name}'
    if not os.path.exists('/dev/loop-control'):
        return 'no loop devices'
    return None
