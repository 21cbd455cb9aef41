"""svfsc: a sparse virtual file in C++, by its class `cSVF`."""

import os
import subprocess
import sys

import svfsc

import workload
from workload import BLOCK, STRIDE, figure, is_right, measure, note, ranges, timed

CHUNK = 4096
MIB = 1 << 20


def new():
    return svfsc.cSVF("f")


def pieces(data, places):
    """The arguments of writes."""
    return [(offset, data[offset : offset + length]) for offset, length in places]


def written(arguments):
    file = new()
    for offset, data in arguments:
        file.write(offset, data)
    return file


def empty_calls():
    """What the binding takes to be called: a write of nothing, and a question about an empty file."""
    file = new()
    of_nothing = [(offset, b"") for offset in range(4096)]
    measure("python/svfsc-write-of-nothing", lambda: timed(file.write, of_nothing))
    questions = [(offset, 64) for offset in range(4096)]
    measure("python/svfsc-query-of-nothing", lambda: timed(file.has_data, questions))


def writes():
    names = ["write-64B-ascending/1000000", "write-64B-shuffled/1000000", "append-4KiB/268435456"]
    names += ["fill-4KiB-shuffled/16384", "append-4B/100000"]
    for name in names:
        operation, parameter = name.split("/")
        identifier = f"svf-core/{operation}/svfsc/{parameter}"
        if not workload.is_wanted(identifier):
            continue
        places = ranges(name)
        data = workload.content(max(offset + length for offset, length in places))
        arguments = pieces(data, places)
        file = written(arguments)
        held = b"".join(file.read(position, length) for position, length in file.blocks())
        expected = b"".join(data[offset : offset + length] for offset, length in sorted(places))
        if is_right(identifier, held, expected):
            measure(identifier, lambda: timed(new().write, arguments))
        del file, held, expected


def prepends():
    """4 KiB before a block that is there: 16 of them, since each copies the block."""
    for length in [1 * MIB, 8 * MIB, 32 * MIB]:
        identifier = f"svf-core/prepend-4KiB-at/svfsc/{length}"
        if not workload.is_wanted(identifier):
            continue
        count = 16
        data = workload.content(count * CHUNK + length)
        arguments = pieces(data, [(number * CHUNK, CHUNK) for number in reversed(range(count))])

        def turn():
            file = new()
            file.write(count * CHUNK, data[count * CHUNK :])
            taken = timed(file.write, arguments)
            turn.file = file
            return taken

        turn()
        if is_right(identifier, turn.file.read(0, len(data)), data):
            measure(identifier, turn)


def gaps(start, length, blocks):
    """What is missing of a range of a file of scattered blocks, as pairs of offset and length."""
    found, end = [], start + length
    for block in range(start // STRIDE, end // STRIDE + 1):
        low = max(start, block * STRIDE + BLOCK if block < blocks else start)
        high = min(end, (block + 1) * STRIDE if block + 1 < blocks else end)
        if low < high:
            found.append((low, high - low))
    return found


def resident():
    """What this process has in memory, in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory():
    """What a million blocks take beyond their bytes, in a process that has freed nothing that they could be in."""
    blocks = 1_000_000
    arguments, before = pieces(workload.content(blocks * STRIDE), ranges("write-64B-shuffled/1000000")), resident()
    file = written(arguments)
    figure("svf-core/resident-beyond-the-data/svfsc/64", (resident() - before - file.num_bytes()) / blocks, "B")


def queries_among_blocks():
    blocks = 1_000_000
    names = ["need/svfsc/1", "need/svfsc/100", f"contains-among-blocks/svfsc/{blocks}", f"evict-one/svfsc/{blocks}"]
    names += [f"read-64B-among-blocks/svfsc/{blocks}"]
    if not any(workload.is_wanted(f"svf-core/{name}") for name in names):
        return
    data = workload.content(blocks * STRIDE)
    file = written(pieces(data, ranges("write-64B-shuffled/1000000")))
    for parameter in ["1", "100"]:
        identifier = f"svf-core/need/svfsc/{parameter}"
        queries = ranges(f"need/{parameter}")
        expected = [gaps(*query, blocks) for query in queries]
        if is_right(identifier, [file.need(*query) for query in queries], expected):
            measure(identifier, lambda: timed(file.need, queries))
    identifier = f"svf-core/contains-among-blocks/svfsc/{blocks}"
    queries = ranges(f"contains-among-blocks/{blocks}")
    expected = [not gaps(*query, blocks) for query in queries]
    if is_right(identifier, [file.has_data(*query) for query in queries], expected):
        measure(identifier, lambda: timed(file.has_data, queries))
    identifier = f"svf-core/read-64B-among-blocks/svfsc/{blocks}"
    queries = ranges(f"read-64B-among-blocks/{blocks}")
    expected = [data[offset : offset + length] for offset, length in queries]
    if is_right(identifier, [file.read(*query) for query in queries], expected):
        measure(identifier, lambda: timed(file.read, queries))

    # Last, since blocks go.
    def evict():
        taken, count = timed(lambda size, _: file.lru_punt(size), [(file.num_bytes() - BLOCK + 1, None)])
        evict.left = file.num_blocks()
        return taken, count

    identifier = f"svf-core/evict-one/svfsc/{blocks}"
    if workload.is_wanted(identifier):
        evict()
        if evict.left < blocks - 2:
            note(identifier, f"a wrong result: {blocks - evict.left} blocks went, and not one")
        else:
            measure(identifier, evict)


def needs_by_blocks():
    for blocks in [1_000, 10_000, 100_000, 1_000_000]:
        identifier = f"scaling/need-by-blocks/svfsc/{blocks}"
        if not workload.is_wanted(identifier):
            continue
        data = workload.content(blocks * STRIDE)
        file = written(pieces(data, [(block * STRIDE, BLOCK) for block in range(blocks)]))
        queries = ranges(f"need-by-blocks/{blocks}")
        expected = [gaps(*query, blocks) for query in queries]
        if is_right(identifier, [file.need(*query) for query in queries], expected):
            measure(identifier, lambda: timed(file.need, queries))


def reads_in_one_block():
    """One block of 64 MiB, which svfsc always keeps as a single buffer."""
    if not any(workload.is_wanted(f"svf-core/read/svfsc/{length}") for length in [64, 4096]):
        return
    data = workload.content(64 * MIB)
    file = written([(0, data)])
    for length in [64, 4096]:
        identifier = f"svf-core/read/svfsc/{length}"
        queries = ranges(f"read/{length}")
        expected = [data[offset : offset + length] for offset, length in queries]
        if is_right(identifier, [file.read(*query) for query in queries], expected):
            measure(identifier, lambda: timed(file.read, queries))


if sys.argv[2:] == ["memory"]:
    memory()
    sys.exit()
if workload.is_wanted("svf-core/resident-beyond-the-data/svfsc/64"):
    subprocess.run([sys.executable, __file__, workload.directory, "memory"], check=True)
workload.measure_empty_call()
# The lowest of all these counts, as it does of what they are taken from.
for group in [writes, prepends, queries_among_blocks, needs_by_blocks, reads_in_one_block]:
    empty_calls()
    group()
