"""What the peers in Python share: the workloads, a clock, and the figures.

The workloads are written by `cargo run --release --package svf-benches --example workloads`: of each a file of
`offset length` lines, so that every language does the same work. A figure is the time of one operation, in nanoseconds,
the lowest of several turns; the loop around it is Python's, and what an empty call costs in the same loop is a figure of
its own.
"""

import gc
import json
import math
import os
import sys
import time

#: The length of a scattered block, and from the start of one to that of the next.
BLOCK, STRIDE = 64, 128
WINDOW = 1 << 20

directory = sys.argv[1]


def ranges(name):
    """The pairs of offset and length of a workload."""
    with open(os.path.join(directory, name.replace("/", "-"))) as lines:
        return [tuple(map(int, line.split())) for line in lines]


def path(name):
    return os.path.join(directory, name)


def content(length):
    """The first bytes of the file that all are about."""
    with open(path("content.bin"), "rb") as file:
        return file.read(length)


def is_wanted(identifier):
    """Whether a figure is asked for: an empty call always is, since others stand upon it."""
    return identifier.startswith("python/") or os.environ.get("SVF_BENCH_FILTER", "") in identifier


def _write(line):
    print(json.dumps(line), flush=True)
    if "SVF_BENCH_FIGURES" in os.environ:
        with open(os.environ["SVF_BENCH_FIGURES"], "a") as figures:
            figures.write(json.dumps(line) + "\n")


def figure(identifier, value, unit="ns"):
    _write({"id": identifier, "value": value, "unit": unit})


def note(identifier, text):
    """Says why there is no figure."""
    _write({"id": identifier, "note": text})


def measure(identifier, turn):
    """The shortest of several turns; each says how many nanoseconds it took, and how many operations that were."""
    if not is_wanted(identifier):
        return
    gc.collect()
    gc.disable()
    lowest, turns, start = math.inf, 0, time.perf_counter()
    try:
        # As long as each of ours is measured: a processor is not always as fast.
        while turns < 2 or time.perf_counter() - start < 0.5:
            taken, count = turn()
            lowest, turns = min(lowest, taken / count), turns + 1
        figure(identifier, lowest)
    finally:
        gc.enable()


def timed(call, arguments):
    """How long it takes to call with each of these pairs in turn, and how many calls that were."""
    start = time.perf_counter_ns()
    for one, other in arguments:
        call(one, other)
    return time.perf_counter_ns() - start, len(arguments)


def measure_empty_call():
    """What a call of a function that does nothing costs, in the same loop."""

    def nothing(one, other):
        pass

    arguments = [(number, 64) for number in range(4096)]
    measure("python/empty-call", lambda: timed(nothing, arguments))


def is_right(identifier, found, expected):
    """Whether a result is right; where it is not, that is said in the place of a time."""
    if found == expected:
        return True
    if is_wanted(identifier):
        wrong = [place for place, (one, other) in enumerate(zip(found, expected)) if one != other]
        where = f", the first of {len(wrong)} at {wrong[0]}" if wrong else ""
        note(identifier, f"a wrong result: {len(found)} of {len(expected)}{where}")
    return False
