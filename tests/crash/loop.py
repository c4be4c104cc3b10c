# SPDX-License-Identifier: Apache-2.0
"""Kill loop and fault loop: one operation, tried again and again on a fresh copy of the prepared store, with one more
of its system calls left out each time; after each try the store must open and be as before or as after."""

import argparse
import concurrent.futures
import copy
import fnmatch
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback

import indexes
import operations
import rig

# Everything that changes something, as strace knows it.
CHANGING = ('openat,creat,open,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,link,linkat,unlink,unlinkat,rmdir,rename,'
            'renameat,renameat2,write,pwrite64,writev,pwritev,pwritev2,copy_file_range,sendfile,splice,ftruncate,truncate,'
            'fallocate,fchown,fchownat,chown,lchown,fchmod,fchmodat,fchmodat2,chmod,utimensat,fsetxattr,lsetxattr,setxattr,'
            'fremovexattr,lremovexattr,removexattr,fsync,fdatasync,syncfs,sync,sync_file_range,mount,umount2,fsopen,'
            'fsconfig,fsmount,move_mount,open_tree,mount_setattr,io_uring_setup').split(',')
# For the Go command: what it changes files with; its reads of the configuration are not worth a run each.
GO_POINTS = ('mkdirat,mknodat,symlinkat,linkat,unlinkat,renameat,renameat2,pwrite64,fdatasync,fsync,mount,umount2,fchownat,'
             'fchmodat,utimensat')


class Bench:
    """The binaries, the archives and the prepared stores of one mode; made once, used by every worker."""

    def __init__(self, options, mode):
        self.options, self.mode = options, mode
        self.binary = options.binary
        self.go = options.go if options.go and options.go_release >= mode.since else ''
        self.where = tempfile.mkdtemp(prefix='crash-', dir=options.work)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2g,mode=0755', 'tmpfs', self.where], check=True)
        if mode.driver == 'btrfs':
            self.mount_image(self.where, 1 << 30, ['mkfs.btrfs', '-q', '-f'])
        self.archives = self.where + '/archives'
        rig.DUMPER = os.path.realpath(self.binary)
        operations.make_archives(self.archives, rig.DUMPER)
        self.template = self.where + '/template'
        os.mkdir(self.template)
        store = rig.Store(self.template, mode)
        operations.prepare(options.prepare or self.binary, store, self.archives, options.since >= 164)
        self.names = rig.link_names(store, None)
        self.tampers = mode.indexed and options.operation  # it is to be asked
        if self.tampers:
            indexes.make(options.operation, store)
            self.other_indexes = indexes.taken(store)

    def run(self, operation, store, extra=None, before=()):
        program = {'': self.binary, 'operation': self.options.operation, 'cstorage': os.path.realpath(self.binary)}[operation.program]
        return rig.run(program, store, operation.arguments,
                       {**operation.environment, **(extra or {})}, before)

    def state(self, store):
        return rig.state_of(store, self.names)

    def disk(self):
        """A directory on a file system whose files can share blocks; made when it is first needed."""
        where = self.where if self.mode.driver == 'btrfs' else self.where + '/disk'
        if not os.path.isdir(where):
            os.mkdir(where)
            self.mount_image(where, 512 << 20, ['mkfs.xfs', '-q', '-f', '-m', 'reflink=1'])
        return where

    def mount_image(self, where, size, mkfs):
        with open(self.where + '/disk.img', 'wb') as image:
            image.truncate(size)
        subprocess.run([*mkfs, image.name], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(['mount', '-o', 'loop', image.name, where], check=True)

    def close(self):
        rig.remove(self.where)
        while rig.LIBC.umount2(os.fsencode(self.where), rig.MNT_DETACH) == 0:
            pass
        os.rmdir(self.where)

    def fresh(self, operation, name):
        """A copy of the prepared store, in which the operation's first steps have been made."""
        store = self.copy(name, self.disk() if operation.shares else self.where)
        store.bare = operation.bare
        for step in operation.first:
            if callable(step):
                step(store)
                continue
            by_program = isinstance(step, operations.Operation)
            result = self.run(step, store) if by_program else rig.run(self.binary, store, step)
            if result.code != 0:
                raise RuntimeError(f'{operation.name}: {step.name if by_program else " ".join(step)}: {result.text()}')
        if self.tampers:
            indexes.make(self.options.operation, store)
        if operation.breaks:
            operation.breaks(store)
        return store

    def copy(self, name, where=None):
        store = rig.Store(f'{where or self.where}/{name}', self.mode)
        rig.copy_store(self.template, store.where)
        return store


def listing(binary, store, kind, environment=None):
    """(list of IDs, None) or (None, what went wrong)."""
    result = rig.run(binary, store, [kind, '-j'], environment)
    if result.code != 0 or result.timed_out:
        return None, f'{kind}: exit code {result.code}{" (hangs)" if result.timed_out else ""}: {result.text()}'
    try:
        found = json.loads(result.out) if result.out.strip() else []
    except ValueError:
        return None, f'{kind}: no JSON: {result.text()}'
    if isinstance(found, dict):
        found = list(found.values())
    return sorted(entry['id'] for entry in found or []), None


def open_twice(binary, store, first, environment=None):
    """Opens the store as any next command does, starting with one kind or another, or with two at the same time.
    `environment`: what was true for the command that died still is."""
    wrong = []
    kinds = rig.JSON_FILES[first % 3:] + rig.JSON_FILES[:first % 3]
    seen = {}
    with concurrent.futures.ThreadPoolExecutor(1 + first % 2) as pool:
        listed = list(pool.map(lambda kind: listing(binary, store, kind, environment), kinds[:2]))
    for kind, (found, error) in zip(kinds + kinds, listed + [(None, None)] * 4):
        if found is None and error is None:
            found, error = listing(binary, store, kind, environment)
        if error:
            return [('unopenable', error)]
        if seen.setdefault(kind, found) != found:
            wrong.append(('corrupt', f'{kind}: listed differently the second time'))
    for kind in kinds:
        there = sorted(record['id'] for record in rig.records(store, kind) + rig.foreign_records(store, kind))
        if there != seen[kind]:
            wrong.append(('corrupt', f'{kind}: listed {len(seen[kind])}, on disk {len(there)}'))
    return wrong


def release_of(go):
    """164 if the Go command knows `check`, as releases from 1.54 on do, else 143."""
    done = subprocess.run([go, 'check', '--help'], capture_output=True, env=rig.clean_environment(), check=False)
    return 143 if b'unrecognized' in done.stderr + done.stdout else 164


def go_agrees(bench, operation, store):
    """The Go command lists the same, and finds nothing wrong."""
    wrong = []
    for kind in rig.JSON_FILES:
        theirs, error = listing(bench.go, store, kind)
        if error:
            wrong.append(('go', f'the Go command: {error}'))
            continue
        if theirs != sorted(record['id'] for record in rig.records(store, kind) + rig.foreign_records(store, kind)):
            wrong.append(('go', f'the Go command lists other {kind}'))
    if bench.options.go_release < 164 or operation.twice or wrong:
        return wrong
    result = rig.run(bench.go, store, ['check', '-j'])
    try:
        report = json.loads(result.out)
    except ValueError:
        return [('go', f'check: exit code {result.code}: {result.text()}')]
    found = [f'{kind} {identity[:8]}: {texts}' for kind, objects in report.items() for identity, texts in objects.items()
             if identity not in store.bare]
    return [('go', f'check: {" | ".join(found)[:300]}')] if found else []


def told_mounted(operation, result, state, after):
    """`copy` is done, and said that its layer could not be unmounted: no failure, as with the Go command."""
    return operation.loose and b'error unmounting layer' in result.err and {**state, 'mounts': after['mounts']} == after


def judge_mended(bench, operation, store, result, after, with_check):
    """Whatever a repair was killed at, the store is no worse than before: the next one mends it all the same."""
    wrong = []
    if result.code != operation.code:
        again = bench.run(operation, store)
        if again.code != operation.code:
            return [('stuck', f'the same command again: exit code {again.code}: {again.text()}')], None
    wrong += open_twice(bench.binary, store, 0, operation.environment) + rig.check_rules(store)
    state = bench.state(store)
    if state != after:
        wrong.append(('lost', 'mended otherwise: ' + ' | '.join(rig.difference(after, state))[:400]))
    if bench.go and with_check:
        wrong += go_agrees(bench, operation, store)
    return wrong, 'after'


def other_state(bench, operation):
    """That which the other command leads to."""
    store = bench.fresh(operation, 'other-' + operation.name)
    other = copy.copy(operation)
    other.arguments = operation.otherwise
    result = bench.run(other, store)
    if result.code != operation.code:
        raise RuntimeError(f'{" ".join(other.arguments)}: {result.text()}')
    state = bench.state(store)
    rig.remove(store.where)
    return state


def judge(bench, operation, store, result, before, after, number, with_check):
    """What is wrong with the store that the interrupted command left behind."""
    if operation.breaks:
        return judge_mended(bench, operation, store, result, after, with_check)
    wrong = []
    if bench.tampers:
        wrong += indexes.wrong_answers(bench.options.operation, store, bench.other_indexes, f'{operation.name} {number}', operation.environment)
    wrong += open_twice(bench.binary, store, number, operation.environment)
    if wrong and wrong[-1][0] == 'unopenable':
        return wrong, None
    broken = rig.check_rules(store)
    try:
        state = bench.state(store)
    except rig.UNREADABLE as error:
        return wrong + broken + [('corrupt', f'the state cannot be read: {error!r}')], None
    if operation.otherwise and state == operation.other_state:
        after = state
    wrong += [one for one in broken if state != before or one not in operation.broken]
    verdict = rig.allowed(operation, state, before, after)
    if verdict:
        wrong.append(verdict)
    reported = result.code == operation.code or (operation.prints and result.code == -9 and operations.ID['new'].encode() in
                                                 result.out)
    if reported and state != after and not told_mounted(operation, result, state, after):
        wrong.append(('lost', 'success was reported, but: ' + ' | '.join(rig.difference(after, state))[:400]))
    if not operation.writes and state != before:
        wrong.append(('escaped', 'something was changed: ' + ' | '.join(rig.difference(before, state))[:400]))
    if state != after and not wrong:
        again = bench.run(operation, store)
        if again.code != operation.code:
            wrong.append(('stuck', f'the same command again: exit code {again.code}: {again.text()}'))
        else:
            state_again = bench.state(store)
            if operation.loose:  # it may have been left mounted
                state_again['mounts'] = after['mounts']
            if state_again != after:
                wrong.append(('stuck', 'the same command again leads to something else: ' +
                              ' | '.join(rig.difference(after, state_again))[:400]))
            wrong += rig.check_rules(store)
    if bench.go and with_check and (not operation.newest or bench.options.go_release >= 164):
        wrong += go_agrees(bench, operation, store)
    return wrong, ('after' if state == after else 'before' if state == before else 'between')


def reference(bench, operation):
    """States before and after, and how many calls the operation makes."""
    store = bench.fresh(operation, 'before-' + operation.name)
    before = None if operation.breaks else bench.state(store)
    operation.broken = () if operation.breaks else rig.check_rules(store)
    count = f'{store.where}/count'
    log = f'{bench.where}/{operation.name}.log'
    untouched = None if operation.writes else rig.fingerprint(store.where)
    result = bench.run(operation, store, {'CST_FAULT_COUNT': count, 'CST_FAULT_LOG': log,
                                          'CST_FAULT_READS': bench.options.reads if operation.reads else '0'})
    touched = untouched and untouched != rig.fingerprint(store.where, {count})
    if operation.code is None:
        operation.code = result.code
    if 'not supported' in result.text():
        raise NotImplementedError(result.text())
    if result.code != operation.code:
        raise RuntimeError(f'without any fault: exit code {result.code}: {result.text()}')
    after = bench.state(store)
    operation.other_state = other_state(bench, operation) if operation.otherwise else None
    wrong = rig.check_rules(store)
    if touched:
        wrong.append(('escaped', 'it writes nothing, and something was written'))
    total = rig.read_count(count)
    rig.remove(store.where)
    calls = []
    if os.path.exists(log):
        with open(log, encoding='utf-8', errors='replace') as file:
            for line in file:
                number, call, *path = line.rstrip('\n').split(' ', 2)
                calls.append(f'{call} {path[0].replace(store.where + "/", "") if path else ""}')
    if not operation.writes and any(call.split(' ')[0] not in READING for call in calls):
        wrong.append(('escaped', f'it writes nothing, but calls {next(c for c in calls if c.split(" ")[0] not in READING)}'))
    return before, after, total, calls, wrong


def call_name(calls, number):
    return calls[number - 1][:140] if 0 < number <= len(calls) else '?'


# What CST_FAULT_READS adds; sys_openat without O_CREAT and O_TRUNC is called that in the log, too.
READING = ('sys_openat2',)
BENCH = None
TRY = None


def worker(job):
    try:
        return TRY(BENCH, *job)
    except Exception:  # a broken rig must not look like a passed test
        return job[1], [('rig', traceback.format_exc()[-600:])], None


def pool(bench, jobs, attempt):
    global BENCH, TRY
    BENCH, TRY = bench, attempt
    if bench.options.jobs == 1:
        return [worker(job) for job in jobs]
    with multiprocessing.get_context('fork').Pool(bench.options.jobs) as workers:
        return list(workers.imap_unordered(worker, jobs, 1))


def before_owner(calls):
    """The moment at which a directory made in place does not have its owner yet, the one thing that repeating the command
    does not mend: it leaves a directory that is there as it is, as the Go command does."""
    return {n + 1 for n, call in enumerate(calls) if n and call.startswith('sys_fchown ') and calls[n - 1].startswith('sys_mkdirat ')}


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--binary', required=True, help='the command to try, built with -Dfault-injection=true')
    parser.add_argument('--operation', default='', help='operation.c, linked with the library of that build')
    parser.add_argument('--go', default='', help='the Go command that must list the same store afterwards, and whose '
                        '`check`, if it has that, must find nothing')
    parser.add_argument('--check-every', type=int, default=10, help='one point in so many also gets the looks of the Go command')
    parser.add_argument('--prepare', default='', help='the command that prepares the store (default: --binary)')
    parser.add_argument('--mode', default='overlay', help='how the store is laid out: names of operations.py with commas, all, or others')
    parser.add_argument('--limit', type=int, default=0, help='at most so many points of an operation (0: all)')
    parser.add_argument('--only', default='', help='operations of this name; several with commas, shell patterns')
    parser.add_argument('--every', type=int, default=1, help='of the operations, one in so many; others in each mode')
    parser.add_argument('--work', default=os.environ.get('WORK') or os.environ.get('TMPDIR') or '/var/tmp')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--since', type=int, default=164, help='the command knows what release 1.43 (143) or 1.64 (164) does')
    parser.add_argument('--verbose', '-v', action='store_true')
    return parser


def chosen(options, mode, archives):
    """The operations that are asked for."""
    patterns = options.only.split(',') if options.only else ['*']
    first = list(operations.MODES).index(mode.name) % options.every
    return [operation for operation in operations.operations(archives, mode)[first::options.every]
            if any(fnmatch.fnmatch(operation.name, pattern) for pattern in patterns)]


def try_mode(options, mode, summary, case, each):
    summary.mode = mode.name
    bench = Bench(options, mode)
    try:
        if each:
            return each(bench, summary)
        for operation in chosen(options, mode, bench.archives):
            if operation.since > options.since:
                summary.skip(operation.name, 'the command does not have it')
                continue
            if operation.program == 'operation' and not options.operation:
                summary.skip(operation.name, 'no --operation')
                continue
            try:
                case(bench, summary, operation)
            except NotImplementedError as error:
                summary.skip(operation.name, str(error))
            except RuntimeError as error:
                summary.case(operation.name, [('rig', str(error))], 'not tried')
    finally:
        bench.close()


def takes_faults(binary):
    with open(binary, 'rb') as file:
        return b'CST_FAULT_KILL_AT' in file.read()


def main(parser, case, first=None, each=None):
    """Runs `first(summary)`, if any, and in every mode `case(bench, summary, operation)` for every operation, or
    `each(bench, summary)` instead."""
    options = parser.parse_args()
    options.reads = getattr(options, 'reads', '')
    options.binary = os.path.abspath(options.binary)
    if not getattr(options, 'strace', False) and not takes_faults(options.binary):
        parser.error(options.binary + ': built without -Dfault-injection=true')
    options.go_release = release_of(options.go) if options.go else 0
    rig.enter_namespace()
    summary = rig.Summary(options.verbose)
    if first:
        first(summary)
    for mode in operations.modes(options.mode):
        try_mode(options, mode, summary, case, each)
    sys.exit(summary.finish())
