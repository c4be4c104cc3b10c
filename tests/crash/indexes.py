# SPDX-License-Identifier: Apache-2.0
"""The index of a set of records (docs/format/index.md) may be lost, damaged or replaced at any moment: whatever is looked up in
the store is answered as if there were none. Done to stores of modes that are `indexed`."""

import glob
import os
import random
import struct

import rig

MASK = (1 << 64) - 1
HEADER, BLOCK = 360, 4096
NO_INDEX = {'CST_INDEX_FROM': str(1 << 40)}


# ---- an index with false answers and true checksums, which only its owner or its mode gives away ----

def sum64(start, data):
    def mix(s, word):
        product = (s ^ word) * 0x9e3779b97f4a7c15
        return (product ^ product >> 64) & MASK
    total = mix(start, len(data))
    data += bytes(8 - len(data) % 8)
    for (word,) in struct.iter_unpack('<Q', data):
        total = mix(total, word)
    return total


def is_whole(content):
    return len(content) >= HEADER and struct.unpack_from('<Q', content, 352)[0] == sum64(0, content[:352])


def forged(content):
    """The same, but no record is found by any key. What is damaged already stays as it is."""
    if not is_whole(content):
        return content
    secret, other = struct.unpack_from('<2Q', content, 32)
    entries, keys, places = struct.unpack_from('<3Q', content, 48)
    size = entries * 40 + keys * 8 + places * 16
    blocks = (size + BLOCK - 1) // BLOCK
    at = (HEADER + blocks * 8 + BLOCK - 1) // BLOCK * BLOCK
    body = bytearray(content[at:])
    body[entries * 40:entries * 40 + keys * 8] = b''.join(struct.pack('<2I', MASK >> 32, number) for number in range(keys))
    sums = struct.pack(f'<{blocks}Q', *(sum64(secret ^ n, bytes(body[n * BLOCK:(n + 1) * BLOCK])) for n in range(blocks)))
    head = content[:344] + struct.pack('<Q', sum64(other, sums))
    head += struct.pack('<Q', sum64(0, head))
    return (head + sums).ljust(at, b'\0') + bytes(body)


# ---- what happens to it ----

def put(path, content, mode=0o600):
    os.unlink(path)
    with open(path, 'wb') as file:
        file.write(content)
    os.chmod(path, mode)


class Happening:
    """What happens to the indexes of a store at one moment. `others`: {kind: content} of those of another store."""

    def __init__(self, store, others, chance):
        self.content = contents(store)
        self.paths = list(self.content)
        self.older, self.others, self.chance = store.older, others, chance

    def left_alone(self, path):
        pass

    def deleted(self, path):
        os.unlink(path)

    def truncated(self, path):
        os.truncate(path, self.chance.randrange(len(self.content[path]) or 1))

    def flipped(self, path):
        """Bits of bytes that mean something: most of a small index is padding."""
        changed = bytearray(self.content[path])
        for at in self.chance.choices([n for n, byte in enumerate(changed) if byte], k=3) if any(changed) else ():
            changed[at] ^= 1 << self.chance.randrange(8)
        put(path, changed)

    def older_one(self, path):
        put(path, self.older.get(path, b''))

    def of_another_store(self, path):
        kind = os.path.basename(path).split('-')[0]
        put(path, self.others.get(kind, b''))

    def of_another_kind(self, path):
        put(path, self.chance.choice([content for other, content in self.older.items() if other != path] or [b'']))

    def forged_by_another_user(self, path):
        put(path, forged(self.content[path]))
        os.chown(path, 65534, 0)

    def forged_where_others_may_write(self, path):
        put(path, forged(self.content[path]), self.chance.choice((0o620, 0o602, 0o666)))

    def forged_behind_a_link(self, path):
        os.rename(path, path + '.elsewhere')
        put(path + '.elsewhere', forged(self.content[path]))
        os.symlink(path + '.elsewhere', path)


KINDS = [what for name, what in vars(Happening).items() if not name.startswith('_')]


def files(store):
    return sorted(path for path in glob.glob(f'{store.run}/cstorage/*.index') if not os.path.islink(path))


def contents(store):
    return {path: rig.read(path) for path in files(store)}


def taken(store):
    """{kind: content}; the store is left without."""
    found = {os.path.basename(path).split('-')[0]: content for path, content in contents(store).items()}
    for path in files(store):
        os.unlink(path)
    return found


def happen(store, others, chance, kind=None):
    """Something, or this, happens to all indexes of the store; says what."""
    kind = kind or chance.choice(KINDS)
    happening = Happening(store, others, chance)
    for path in happening.paths:
        kind(happening, path)
    return kind.__name__.replace('_', ' ')


# ---- the look-ups ----

def words(store):
    """Everything that could be asked for, and what there is not."""
    found = {'no-such-name', 'sha256:' + '0' * 64, *store.asked}
    for kind in rig.JSON_FILES:
        for record in rig.records(store, kind) + rig.foreign_records(store, kind):
            found.update((record['id'], record['id'][:10], *(record.get('names') or [])))
            found.update(record.get(key) or '' for key in ('compressed-diff-digest', 'diff-digest', 'toc-digest', 'digest'))
            found.update((record.get('big-data-digests') or {}).values())
    return sorted(found - {''})


def answers(program, store, asked, environment):
    result = rig.run(program, store, ['answers', *asked], environment)
    return result.out.decode(errors='replace').splitlines(), result.code, result.err


def make(program, store):
    """All sets of the store get an index, which is kept as the older one; what can be asked now is remembered."""
    answers(program, store, [], {})
    store.older, store.asked = contents(store), words(store)


def wrong_answers(program, store, others, seed, environment, first=None):
    """Something, at first `first`, happens to the indexes, and the store is asked; twice, since the first who is asked makes new ones."""
    wrong, chance = [], random.Random(seed)
    for this in (first, None):
        kind = happen(store, others, chance, this)
        asked = words(store)
        got = answers(program, store, asked, environment)
        wanted = answers(program, store, asked, {**environment, **NO_INDEX})
        if got != wanted:
            differ = [f'{one} instead of {other}' for one, other in zip(got[0], wanted[0]) if one != other]
            wrong.append(('index', f'{kind}: {len(differ)} answers differ: {(differ or [got[2]])[0][:200]}'))
    happen(store, others, chance)
    return wrong
