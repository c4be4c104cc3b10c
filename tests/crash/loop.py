# SPDX-License-Identifier: Apache-2.0
"""Kill loop and fault loop: one operation, tried again and again on a fresh copy of the prepared store, with one more
of its system calls left out each time; after each try the store must open and be as before or as after."""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback

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
    """The binaries, the archives and the prepared stores; made once, used by every worker."""

    def __init__(self, options):
        self.options = options
        self.binary = options.binary
        self.go, self.chroot = options.go, options.chroot
        self.where = tempfile.mkdtemp(prefix='crash-', dir=options.work)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2g,mode=0755', 'tmpfs', self.where], check=True)
        self.archives = self.where + '/archives'
        rig.make_archives(self.archives)
        self.template = self.where + '/template'
        os.mkdir(self.template)
        store = rig.Store(self.template, options.driver)
        rig.prepare(options.prepare or self.binary, store, self.archives, options.since >= 164)
        self.names = rig.link_names(store, None)

    def run(self, operation, store, extra=None, before=()):
        return rig.run(self.options.operation if operation.program else self.binary, store, operation.arguments, extra,
                       before)

    def state(self, store):
        return rig.state_of(store, self.names)

    def close(self):
        rig.remove(self.where)
        rig.LIBC.umount2(os.fsencode(self.where), rig.MNT_DETACH)
        os.rmdir(self.where)

    def fresh(self, operation, name):
        """A copy of the prepared store, in which the operation's first steps have been made."""
        store = rig.Store(f'{self.where}/{name}', self.options.driver)
        rig.copy_store(self.template, store.where)
        for step in operation.first:
            result = rig.run(self.binary, store, step)
            if result.code != 0:
                raise RuntimeError(f'{operation.name}: {" ".join(step)}: {result.text()}')
        return store


def listing(binary, store, kind):
    """(list of IDs, None) or (None, what went wrong)."""
    result = rig.run(binary, store, [kind, '-j'])
    if result.code != 0 or result.timed_out:
        return None, f'{kind}: exit code {result.code}{" (hangs)" if result.timed_out else ""}: {result.text()}'
    try:
        found = json.loads(result.out) if result.out.strip() else []
    except ValueError:
        return None, f'{kind}: no JSON: {result.text()}'
    if isinstance(found, dict):
        found = list(found.values())
    return sorted(entry['id'] for entry in found or []), None


def open_twice(binary, store, first):
    """Opens the store as any next command does, starting with one kind or another, or with two at the same time."""
    wrong = []
    kinds = rig.JSON_FILES[first % 3:] + rig.JSON_FILES[:first % 3]
    seen = {}
    with concurrent.futures.ThreadPoolExecutor(1 + first % 2) as pool:
        listed = list(pool.map(lambda kind: listing(binary, store, kind), kinds[:2]))
    for kind, (found, error) in zip(kinds + kinds, listed + [(None, None)] * 4):
        if found is None and error is None:
            found, error = listing(binary, store, kind)
        if error:
            return [('unopenable', error)]
        if seen.setdefault(kind, found) != found:
            wrong.append(('corrupt', f'{kind}: listed differently the second time'))
    for kind in kinds:
        there = sorted(record['id'] for record in rig.records(store, kind))
        if there != seen[kind]:
            wrong.append(('corrupt', f'{kind}: listed {len(seen[kind])}, on disk {len(there)}'))
    return wrong


def go_agrees(go, binary, store):
    wrong = []
    for kind in rig.JSON_FILES:
        theirs, error = listing(go, store, kind)
        if error:
            wrong.append(('go', f'the Go command: {error}'))
            continue
        ours = sorted(record['id'] for record in rig.records(store, kind))
        if theirs != ours:
            wrong.append(('go', f'the Go command lists other {kind}'))
    return wrong


def newest_check(chroot, bench, store):
    """`check` of a newer Go release, which lives below a directory of its own."""
    inside = store.where.replace(bench.where, '/mnt', 1)
    script = (f'mount --rbind "{bench.where}" "{chroot}/mnt" && mount -t proc proc "{chroot}/proc" && '
              f'exec chroot "{chroot}" containers-storage -g {inside}/g -R {inside}/r -s {store.driver} check -j')
    done = subprocess.run(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script], capture_output=True,
                          env=rig.clean_environment(), timeout=120, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return [('go', f'check: exit code {done.returncode}: {(done.stderr + done.stdout)[-300:].decode(errors="replace")}')]
    found = [f'{kind} {identity[:8]}: {texts}' for kind, objects in report.items() for identity, texts in objects.items()]
    if found or done.returncode:
        return [('go', f'check: {" | ".join(found)[:300]} {done.stderr[-200:].decode(errors="replace")}')]
    return []


def judge(bench, operation, store, result, before, after, number, with_check):
    """What is wrong with the store that the interrupted command left behind."""
    wrong = open_twice(bench.binary, store, number)
    if wrong and wrong[0][0] == 'unopenable':
        return wrong, None
    wrong += rig.check_rules(store)
    try:
        state = bench.state(store)
    except (OSError, ValueError, KeyError) as error:
        return wrong + [('corrupt', f'the state cannot be read: {error!r}')], None
    verdict = rig.allowed(operation, state, before, after)
    if verdict:
        wrong.append(verdict)
    reported = result.code == operation.code or (operation.prints and result.code == -9 and rig.ID['new'].encode() in
                                                 result.out)
    if reported and state != after:
        wrong.append(('lost', 'success was reported, but: ' + ' | '.join(rig.difference(after, state))[:400]))
    if state != after and not wrong:
        again = bench.run(operation, store)
        if again.code != operation.code:
            wrong.append(('stuck', f'the same command again: exit code {again.code}: {again.text()}'))
        else:
            state_again = bench.state(store)
            if state_again != after:
                wrong.append(('stuck', 'the same command again leads to something else: ' +
                              ' | '.join(rig.difference(after, state_again))[:400]))
            wrong += rig.check_rules(store)
    if bench.go and with_check and not operation.newest:
        wrong += go_agrees(bench.go, bench.binary, store)
    if with_check and bench.chroot:
        wrong += newest_check(bench.chroot, bench, store)
    return wrong, ('after' if state == after else 'before' if state == before else 'between')


def reference(bench, operation):
    """States before and after, and how many calls the operation makes."""
    store = bench.fresh(operation, 'before-' + operation.name)
    before = bench.state(store)
    count = f'{store.where}/count'
    log = f'{bench.where}/{operation.name}.log'
    result = bench.run(operation, store, {'CST_FAULT_COUNT': count, 'CST_FAULT_LOG': log,
                                          'CST_FAULT_READS': bench.options.reads})
    if operation.code is None:
        operation.code = result.code
    if 'not supported' in result.text():
        raise NotImplementedError(result.text())
    if result.code != operation.code:
        raise RuntimeError(f'without any fault: exit code {result.code}: {result.text()}')
    after = bench.state(store)
    wrong = rig.check_rules(store)
    total = rig.read_count(count)
    rig.remove(store.where)
    calls = []
    if os.path.exists(log):
        with open(log, encoding='utf-8', errors='replace') as file:
            for line in file:
                number, call, *path = line.rstrip('\n').split(' ', 2)
                calls.append(f'{call} {path[0].replace(store.where + "/", "") if path else ""}')
    return before, after, total, calls, wrong


def call_name(calls, number):
    return calls[number - 1][:140] if 0 < number <= len(calls) else '?'


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


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--binary', required=True, help='the command to try, built with -Dfault-injection=true')
    parser.add_argument('--operation', default='', help='operation.c, linked with the library of that build')
    parser.add_argument('--go', default='', help='the Go command that must list the same store afterwards')
    parser.add_argument('--chroot', default='', help='a tree with a newer Go command, whose `check` must find nothing')
    parser.add_argument('--check-every', type=int, default=10, help='one point in so many also gets the looks of the Go commands')
    parser.add_argument('--prepare', default='', help='the command that prepares the store (default: --binary)')
    parser.add_argument('--driver', default='overlay')
    parser.add_argument('--limit', type=int, default=0, help='at most so many points of an operation (0: all)')
    parser.add_argument('--only', default='', help='operations whose name contains this')
    parser.add_argument('--work', default=os.environ.get('WORK') or os.environ.get('TMPDIR') or '/var/tmp')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('--since', type=int, default=164, help='the command knows what release 1.43 (143) or 1.64 (164) does')
    parser.add_argument('--verbose', '-v', action='store_true')
    return parser


def main(parser, case, first=None, each=None):
    """Runs `first(summary)`, if any, and `case(bench, summary, operation)` for every operation, or `each(bench, summary)`
    instead."""
    options = parser.parse_args()
    options.reads = getattr(options, 'reads', '')
    options.binary = os.path.abspath(options.binary)
    rig.enter_namespace()
    summary = rig.Summary(options.verbose)
    if first:
        first(summary)
    bench = Bench(options)
    try:
        if each:
            each(bench, summary)
        for operation in [] if each else rig.operations(bench.archives, options.driver):
            if options.only not in operation.name:
                continue
            if operation.since > options.since:
                summary.skip(operation.name, 'the command does not have it')
                continue
            if operation.program and not options.operation:
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
    sys.exit(summary.finish())
