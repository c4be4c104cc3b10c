# SPDX-License-Identifier: Apache-2.0
"""What dm-log-writes wrote down of a disk (Documentation/admin-guide/device-mapper/log-writes.rst of Linux), the points at
which the power may go, and what is on the disk then.

Between two flushes a disk may have kept every subset of the writes that it was given, and of the last one a part. The log
has writes where the next flush was asked for, in the order in which they were done; writes that are safe by themselves
(FUA) and marks where they were done. So the writes between two flushes stand behind the marks and the safe writes that
came between the same two flushes, some of them in truth after them: at these every write of the interval counts as lost,
and at the writes every mark counts as made."""

import os
import random
import struct

MAGIC, SECTOR = 0x6a736677736872, 512
FLUSH, FUA, DISCARD, MARK, METADATA = 1, 2, 4, 8, 16


class Write:
    """One entry of the log; `data`: where in the log."""

    def __init__(self, sector, sectors, flags, data, mark):
        self.sector, self.sectors, self.flags, self.data, self.mark = sector, sectors, flags, data, mark

    def overlaps(self, other):
        return self.sector < other.sector + other.sectors and other.sector < self.sector + self.sectors


def read_log(path):
    writes = []
    with open(path, 'rb') as file:
        magic, version, count, sector_size = struct.unpack('<QQQI', file.read(28))
        if magic != MAGIC or version != 1 or sector_size != SECTOR:
            raise RuntimeError(f'{path} is no log of writes')
        at = SECTOR
        for _ in range(count):
            file.seek(at)
            entry = file.read(SECTOR)
            sector, sectors, flags, size = struct.unpack('<QQQQ', entry[:32])
            mark = entry[32:32 + size].rstrip(b'\0').decode() if flags & MARK else None
            at += SECTOR
            writes.append(Write(sector, sectors, flags, at, mark))
            if not flags & (MARK | DISCARD):
                at += sectors * SECTOR
    return writes


class Point:
    """The power goes: what is safe is everything of the log before `safe`, and of what comes then, `kept` (numbers of
    writes), the last sector of `torn` not; `done`: so many marks were made."""

    def __init__(self, kind, safe, kept, torn, done):
        self.kind, self.safe, self.kept, self.torn, self.done = kind, safe, kept, torn, done

    def __str__(self):
        torn = '' if self.torn is None else f', the last sector of {self.torn} torn'
        return f'{self.kind} after entry {self.safe}, {len(self.kept)} unflushed writes kept{torn}'


class Interval:
    """Of the log between two flushes: `loose` the writes, from `safe` on, that may get lost."""

    def __init__(self, safe, loose, done):
        self.safe, self.loose, self.done = safe, loose, done


def intervals(writes):
    found, loose, safe, done = [], [], 0, 0
    for number, write in enumerate(writes):
        if write.mark == 'dm-log-writes-end':
            break
        if write.flags & FLUSH:
            found.append(Interval(safe, loose, done))
            loose, safe = [], number + (write.sectors == 0)
        if write.flags & (MARK | FUA) and loose:
            raise RuntimeError(f'entry {number} of the log comes too early')
        if write.flags & MARK:
            done, safe = done + write.mark.startswith('done'), number + 1
        elif write.flags & FUA and write.sectors:
            found.append(Interval(number, [number], done))
            safe = number + 1
        elif write.sectors:
            loose.append(number)
    found.append(Interval(safe, loose, done))
    return [interval for interval in found if interval.loose]


def can_be_torn(write, filesystem):
    """Outside of its log (which alone is written with FUA), xfs relies on disks that write its metadata whole."""
    return filesystem != 'xfs' or not write.flags & METADATA or write.flags & FUA


def points(writes, limit, seed, filesystem):
    """Of all prefixes (those of all writes of an interval are the shortest ones of the next), and as many with writes
    dropped, or with the last sector of one torn."""
    chance = random.Random(seed)
    prefixes, choices = [], []
    for interval in intervals(writes):
        prefixes += [Point('prefix', interval.safe, interval.loose[:n], None, interval.done) for n in range(len(interval.loose))]
        choices += [interval] * len(interval.loose)
    prefixes.append(Point('prefix', len(writes), [], None, sum(write.mark is not None and write.mark.startswith('done')
                                                               for write in writes)))
    wanted = min(len(prefixes), (limit + 1) // 2)
    chosen = [prefixes[(i + 1) * len(prefixes) // wanted - 1] for i in range(wanted)]
    while len(chosen) < limit:
        interval = chance.choice(choices)
        share = chance.choice((0.2, 0.5, 0.8, 1))
        kept = [number for number in interval.loose if chance.random() < share]
        tearable = [number for number in kept if can_be_torn(writes[number], filesystem)]
        torn = chance.choice(tearable) if tearable and chance.random() < 0.5 else None
        chosen.append(Point('torn' if torn is not None else 'dropped', interval.safe, kept, torn, interval.done))
    return sorted(chosen, key=lambda point: point.safe), len(prefixes)


class Replay:
    """A disk image that goes forward through the log."""

    def __init__(self, log, writes, image):
        self.writes, self.at = writes, 0
        self.log, self.image = os.open(log, os.O_RDONLY), os.open(image, os.O_RDWR)

    def close(self):
        os.close(self.log)
        os.close(self.image)

    def apply(self, image, number, torn=False):
        write = self.writes[number]
        size = (write.sectors - torn) * SECTOR
        if write.flags & MARK or not size:
            return
        data = bytes(size) if write.flags & DISCARD else os.pread(self.log, size, write.data)
        if os.pwrite(image, data, write.sector * SECTOR) != size:
            raise RuntimeError('the log is cut short, or the disk is full')

    def go_to(self, number):
        while self.at < number:
            self.apply(self.image, self.at)
            self.at += 1

    def keep(self, point, image):
        """`image` is the path of a copy of ours at point.safe."""
        with open(image, 'r+b') as file:
            for number in point.kept:
                self.apply(file.fileno(), number, number == point.torn)
