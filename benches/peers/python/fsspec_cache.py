"""fsspec: blocks of remote files kept in sparse local files, which is its `blockcache`."""

import tempfile

import workload
from fsspec import AbstractFileSystem
from fsspec.implementations.cached import CachingFileSystem
from fsspec.spec import AbstractBufferedFile
from workload import is_right, measure, ranges, timed

DATA = open(workload.path("cached.bin"), "rb").read()


class Origin(AbstractFileSystem):
    """One object in memory, read as fsspec reads remote ones: by ranges, which are counted."""

    protocol = "origin"
    fetched = 0

    def _open(self, path, mode="rb", block_size=None, **options):
        return Object(self, path, mode, block_size=block_size or "default", **options)

    def info(self, path, **options):
        return {"name": path, "size": len(DATA), "type": "file"}

    def ukey(self, path):
        return "1"

    def cat_ranges(self, paths, starts, ends, **options):
        Origin.fetched += len(starts)
        return [DATA[start:end] for start, end in zip(starts, ends)]


class Object(AbstractBufferedFile):
    def _fetch_range(self, start, end):
        Origin.fetched += 1
        return DATA[start:end]


def hits(identifier):
    """Reads of what is held; the first one fetches it, by blocks of 64 KiB."""
    if not workload.is_wanted(identifier):
        return
    places = ranges("hit-read_at/4096")
    with tempfile.TemporaryDirectory() as storage:
        files = CachingFileSystem(fs=Origin(), cache_storage=storage)
        with files.open("/object", "rb", block_size=64 << 10) as file:

            def read(offset, length):
                file.seek(offset)
                return file.read(length)

            if not is_right(identifier, file.read(), DATA):
                return
            fetched, expected = Origin.fetched, [DATA[offset : offset + length] for offset, length in places]
            if is_right(identifier, [read(*place) for place in places], expected):
                measure(identifier, lambda: timed(read, places))
            assert fetched > 0 and Origin.fetched == fetched, "these were no hits"


workload.measure_empty_call()
hits("page-cache/hit-read_at/fsspec-blockcache/4096")
