"""smmap: windows of mapped memory, by its `SlidingWindowMapManager`."""

import time

import smmap

import workload
from workload import WINDOW, is_right, measure, ranges

#: The length of the file of windows.
LENGTH = 1 << 30


def manager(windows):
    return smmap.SlidingWindowMapManager(window_size=WINDOW, max_memory_size=windows * WINDOW)


def expected(places):
    """What the file of windows has: a pattern, and the number of the window in its first word."""
    with open(workload.path("windowed.bin"), "rb") as file:
        found = []
        for offset, length in places:
            file.seek(offset)
            found.append(file.read(length))
        return found


def look(cursor, offset, length):
    """The bytes at an offset, copied, as smmap's documentation reads them."""
    cursor.use_region(offset, length)
    begin = cursor.ofs_begin()
    start = offset - begin
    assert cursor.is_valid() and cursor.size() >= length and start == 0
    return bytes(cursor.buffer()[:length])


def through_cursor(identifier, name, windows):
    """A cursor moved to each place of a workload, and its memory taken; all within the windows of a manager."""
    places = ranges(name)
    cursor = manager(windows).make_cursor(workload.path("windowed.bin"))
    if not is_right(identifier, [look(cursor, *place) for place in places], expected(places)):
        return

    def turn():
        use, start = cursor.use_region, time.perf_counter_ns()
        for offset, length in places:
            use(offset, length).buffer()
        return time.perf_counter_ns() - start, len(places)

    measure(identifier, turn)


def copies(identifier, name, windows):
    """64 B copied from anywhere, of which most lie in a window that is not mapped."""
    places = ranges(name)
    cursor = manager(windows).make_cursor(workload.path("windowed.bin"))
    if not is_right(identifier, [look(cursor, *place) for place in places], expected(places)):
        return

    def turn():
        start = time.perf_counter_ns()
        for offset, length in places:
            bytes(cursor.use_region(offset, length).buffer()[:length])
        return time.perf_counter_ns() - start, len(places)

    measure(identifier, turn)


workload.measure_empty_call()
through_cursor("window-mman/cursor-hit/smmap/64", "cursor-hit/64", LENGTH // WINDOW)
through_cursor("window-mman/window-change/smmap/1024", "window-change/1024", LENGTH // WINDOW)
copies("window-mman/random-copy/smmap/64", "random-copy/64", 64)
