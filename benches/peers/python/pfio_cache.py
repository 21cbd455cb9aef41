"""pfio: what it keeps of remote files in local sparse files, by its `SparseFileCache`, and the one for several processes."""

import io
import tempfile

import workload
from pfio.cache import MultiprocessSparseFileCache, SparseFileCache
from workload import is_right, measure, ranges, timed


def hits(identifier, wrapper, **options):
    """Reads of what is held; the first one fetches it."""
    if not workload.is_wanted(identifier):
        return
    places, data = ranges("hit-read_at/4096"), open(workload.path("cached.bin"), "rb").read()
    with tempfile.TemporaryDirectory() as cache:
        origin = io.BytesIO(data)
        with wrapper(origin, len(data), cachedir=cache, **options) as file:

            def read(offset, length):
                file.seek(offset)
                return file.read(length)

            if not is_right(identifier, file.read(len(data)), data):
                return
            # What has been read is held: the origin has other bytes now.
            origin.getbuffer()[:] = bytes(len(data))
            expected = [data[offset : offset + length] for offset, length in places]
            if is_right(identifier, [read(*place) for place in places], expected):
                measure(identifier, lambda: timed(read, places))


workload.measure_empty_call()
hits("page-cache/hit-read_at/pfio-sparse/4096", SparseFileCache, pagesize=64 << 10)
hits("page-cache/hit-read_at/pfio-processes/4096", MultiprocessSparseFileCache, pagesize=64 << 10)
