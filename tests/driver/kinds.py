# SPDX-License-Identifier: Apache-2.0
"""The kinds of store that the tests are run on: a driver, a file system below it, and how the driver is to work there. A
further one is a line of the table."""

import os
import shutil
import subprocess


class Kind:
    """`quick`: a part of `make test`. `mounts`: the driver mounts a layer to show it. `sizes`: it can limit what a layer holds.
    `alone`: no other store's layers can be a part of one. `options`: of the driver, for every command. `environment`: the same.
    `program`: it makes the mounts."""

    def __init__(self, driver, filesystem, quick=False, mounts=False, sizes=False, alone=False, options=(), environment=None, program=None):
        self.driver, self.filesystem, self.quick = driver, filesystem, quick
        self.mounts, self.sizes, self.alone = mounts, sizes, alone
        self.options, self.environment = options, environment or {}
        self.program = program
        if program:
            self.options = (*options, f'{driver}.mount_program={shutil.which(program)}')

    def lacks(self):
        if self.program and not (shutil.which(self.program) and os.access('/dev/fuse', os.W_OK)):
            return f'no {self.program} or /dev/fuse'
        if self.filesystem == 'zfs' and not os.path.exists('/dev/zfs'):
            return 'no /dev/zfs (tests/vm/zfs has one)'
        return None


KINDS = {
    'overlay-ext4': Kind('overlay', 'ext4', mounts=True),
    'overlay-tmpfs': Kind('overlay', 'tmpfs', mounts=True, quick=True),
    'overlay-xfs': Kind('overlay', 'xfs', mounts=True),
    'overlay-btrfs': Kind('overlay', 'btrfs', mounts=True),
    'overlay-copies': Kind('overlay', 'ext4', mounts=True, environment={'_CONTAINERS_OVERLAY_DISABLE_IDMAP': 'yes'}),
    'overlay-fuse': Kind('overlay', 'tmpfs', mounts=True, quick=True, program='fuse-overlayfs'),
    'overlay-fuse-ext4': Kind('overlay', 'ext4', mounts=True, program='fuse-overlayfs'),
    'vfs-ext4': Kind('vfs', 'ext4'),
    'vfs-xfs': Kind('vfs', 'xfs'),
    'vfs-btrfs': Kind('vfs', 'btrfs'),
    'vfs-tmpfs': Kind('vfs', 'tmpfs', quick=True),
    'btrfs': Kind('btrfs', 'btrfs', sizes=True, quick=True),
    'zfs': Kind('zfs', 'zfs', mounts=True, sizes=True, alone=True),
    'btrfs-quota': Kind('btrfs', 'btrfs', sizes=True, options=('btrfs.min_space=1M',)),
    'vfs-here': Kind('vfs', 'here'), # only if asked for: on the file system of the scratch folder, as a user cannot mount another one
    'btrfs-here': Kind('btrfs', 'here'),
}
MKFS = {'ext4': ['mkfs.ext4', '-q', '-F'], 'xfs': ['mkfs.xfs', '-q', '-f'], 'btrfs': ['mkfs.btrfs', '-q', '-f'], 'zfs': ['zpool', 'create', '-f']}
ROOM = '2G'  # an image file with holes


def pool_of(where):
    return 'cst-' + os.path.basename(where)


def folder(kind, where):
    """Makes the folder of a store. On zfs it is a dataset of its own, since two stores in one dataset would share their layers."""
    if kind.filesystem != 'zfs':
        os.makedirs(where)
        return
    disk, name = os.path.split(where)
    subprocess.run(['zfs', 'create', f'{pool_of(disk)}/{name}'], check=True)


def mount(kind, where):
    """Mounts a new file system of the kind at `where`. What is lacking for it, or None."""
    os.makedirs(where)
    if kind.lacks():
        return kind.lacks()
    if kind.filesystem == 'here':
        return None
    if kind.filesystem == 'tmpfs':
        return said(['mount', '-t', 'tmpfs', '-o', f'size={ROOM}', 'tmpfs', where])
    program = MKFS[kind.filesystem][0]
    if not shutil.which(program):
        return f'no {program}'
    image = where + '.image'
    subprocess.run(['truncate', '-s', ROOM, image], check=True)
    if kind.filesystem == 'zfs':
        return said([*MKFS['zfs'], '-O', f'mountpoint={where}', pool_of(where), image])
    return said([*MKFS[kind.filesystem], image]) or said(['mount', '-o', 'loop', image, where])


def unmount(where):
    if shutil.which('zpool'):
        subprocess.run(['zpool', 'destroy', '-f', pool_of(where)], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(['umount', '-R', '-l', where], stderr=subprocess.DEVNULL, check=False)
    if os.path.exists(where + '.image'):
        os.unlink(where + '.image')


def said(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f'{command[0]} fails: {done.stderr.strip()}' if done.returncode else None
