//! Windows of mapped memory, beside the system calls they are made of, and smmap, which is Python.

use crate::bench::row::{Row, row};

const AREA: &str = "window-mman";

pub(super) const ROWS: &[Row] = &[
    row(AREA, "a cursor's hit, 64 B", "window-mman/cursor-hit/ours/64")
        .beside("a checked slice", &["window-mman/cursor-hit/bare/64"])
        .at_most(2.0),
    row(AREA, "a cursor's hit, 64 B, beside smmap", "window-mman/cursor-hit/ours/64")
        .beside("smmap", &["window-mman/cursor-hit/smmap/64"])
        .at_least(150.0)
        .headline(),
    row(AREA, "to another mapped window of 1,024", "window-mman/window-change/ours/1024")
        .beside("smmap", &["window-mman/window-change/smmap/1024"])
        .at_least(40.0),
    row(AREA, "the same, two threads", "window-mman/window-change/two-threads/1024")
        .beside("sharing nothing", &["window-mman/window-change/two-threads-share-nothing/1024"])
        .in_turn()
        .at_least(0.7),
    row(AREA, "a miss, untouched, 4 windows", "window-mman/miss/ours/4")
        .beside("mmap and munmap", &["window-mman/miss/bare/4"])
        .at_most(0.8)
        .limited_by("one mmap over another and a map of what is mapped", &["window-mman/miss/bare-over/4"]),
    row(AREA, "a miss, untouched, 64 windows", "window-mman/miss/ours/64")
        .beside("mmap and munmap", &["window-mman/miss/bare/64"])
        .at_most(0.8)
        .limited_by("one mmap over another and a map of what is mapped", &["window-mman/miss/bare-over/64"]),
    row(AREA, "a miss, untouched, 512 windows", "window-mman/miss/ours/512")
        .beside("mmap and munmap", &["window-mman/miss/bare/512"])
        .at_most(0.8)
        .limited_by("one mmap over another and a map of what is mapped", &["window-mman/miss/bare-over/512"]),
    row(AREA, "a miss, untouched, 4,096 windows", "window-mman/miss/ours/4096")
        .beside("mmap and munmap", &["window-mman/miss/bare/4096"])
        .at_most(0.8)
        .limited_by("one mmap over another and a map of what is mapped", &["window-mman/miss/bare-over/4096"]),
    row(AREA, "a miss, one byte touched, 64 windows", "window-mman/miss-touch/ours/64")
        .beside("mmap and munmap", &["window-mman/miss-touch/bare/64"])
        .at_most(0.95),
    row(AREA, "64 B at random of 1 GiB, 64 MiB mapped", "window-mman/read_at/ours/64")
        .beside("pread", &["window-mman/read_at/bare/64"])
        .in_turn()
        .at_most(1.1),
    row(AREA, "64 B at random of 1 GiB, beside smmap", "window-mman/read_at/ours/64")
        .beside("smmap", &["window-mman/random-copy/smmap/64"]),
    row(AREA, "a scan of 256 MiB through `buffer`", "window-mman/scan/ours-bufread/268435456")
        .beside(
            "pread or windows",
            &["window-mman/scan/bare-pread/268435456", "window-mman/scan/bare-windows/268435456"],
        )
        .at_least(0.95),
    row(AREA, "a scan of 256 MiB through `Read`", "window-mman/scan/ours-read/268435456")
        .beside(
            "pread or windows",
            &["window-mman/scan/bare-pread/268435456", "window-mman/scan/bare-windows/268435456"],
        )
        .at_least(0.95)
        .limited_by(
            "pread, or copies of windows",
            &["window-mman/scan/bare-pread/268435456", "window-mman/scan/bare-windows-copied/268435456"],
        ),
    row(AREA, "a copy that survives a fault, 64 B", "window-mman/try_copy_to/ours-view/64").within(12.0, "ns"),
    row(AREA, "a copy that survives a fault, 64 KiB", "window-mman/try_copy_to/ours-view/65536")
        .beside("memcpy", &["window-mman/try_copy_to/bare/65536"])
        .at_least(0.9),
    row(AREA, "`PagedFile`: a byte in turn", "window-mman/paged-sequential/ours/4194304")
        .beside("a slice", &["window-mman/paged-sequential/bare/4194304"])
        .at_most(2.0),
    row(AREA, "`PagedFile`: a byte at random", "window-mman/paged-random/ours/1")
        .beside("pread of a page", &["window-mman/paged-random/bare/1"])
        .at_most(1.1),
    row(AREA, "maps of a trace", "window-mman/maps-of-a-trace/ours/64")
        .beside("a true LRU", &["window-mman/maps-of-a-trace/lru/64"])
        .at_most(1.0),
];
