//! Pieces on local disk, beside the system calls they are made of, and caches that others have made.

use crate::bench::row::{Row, row};

const AREA: &str = "page-cache";
/// A hit of 4 KiB, and its copy out of the same memory.
const HIT_IN_TURN: &str = "page-cache/hit-in-turn/ours/4096";
const COPIES_IN_TURN: &[&str] = &["page-cache/hit-in-turn/bare-copies/4096"];

pub(super) const ROWS: &[Row] = &[
    row(AREA, "a hit, 64 B", "page-cache/hit-read_at/ours/64")
        .beside("pread", &["page-cache/hit-read_at/bare/64"])
        .at_most(0.15)
        .headline(),
    row(AREA, "a hit, 4 KiB at random in 1 GiB", "page-cache/hit-in-1GiB/ours/4096")
        .beside("pread", &["page-cache/hit-in-1GiB/bare/4096"])
        .at_most(0.55)
        .headline(),
    row(AREA, "a hit, 4 KiB at random in 32 MiB", "page-cache/hit-read_at/ours/4096")
        .beside("pread", &["page-cache/hit-read_at/bare/4096"])
        .limited_in_turn("the copies alone", HIT_IN_TURN, COPIES_IN_TURN)
        .at_most(0.35),
    row(AREA, "a hit, 64 KiB", "page-cache/hit-read_at/ours/65536")
        .beside("pread", &["page-cache/hit-read_at/bare/65536"])
        .at_most(0.85),
    row(AREA, "a hit, 1 MiB", "page-cache/hit-read_at/ours/1048576")
        .beside("pread", &["page-cache/hit-read_at/bare/1048576"])
        .at_most(0.9),
    row(
        AREA,
        "a hit, 1 MiB of whole pages, into memory 16 B behind a page",
        "page-cache/hit-behind-a-page/ours/1048576",
    )
    .beside("pread", &["page-cache/hit-behind-a-page/bare/1048576"])
    .in_turn()
    .at_most(0.9),
    row(AREA, "a hit as `bytes`, 4 KiB", "page-cache/hit-bytes/ours/4096")
        .beside("pread", &["page-cache/hit-bytes/bare/4096"])
        .at_most(0.65),
    row(AREA, "a hit, 4 KiB, beside pfio", "page-cache/hit-read_at/ours/4096")
        .beside("pfio", &["page-cache/hit-read_at/pfio-sparse/4096"])
        .limited_in_turn("the copies alone", HIT_IN_TURN, COPIES_IN_TURN)
        .at_least(7.0),
    row(AREA, "a hit, 4 KiB, beside pfio for processes", "page-cache/hit-read_at/ours/4096")
        .beside("pfio", &["page-cache/hit-read_at/pfio-processes/4096"])
        .limited_in_turn("the copies alone", HIT_IN_TURN, COPIES_IN_TURN)
        .at_least(7.0),
    row(AREA, "a hit, 4 KiB, beside fsspec", "page-cache/hit-read_at/ours/4096")
        .beside("fsspec", &["page-cache/hit-read_at/fsspec-blockcache/4096"])
        .limited_in_turn("the copies alone", HIT_IN_TURN, COPIES_IN_TURN)
        .at_least(7.0),
    row(AREA, "a hit, 4 KiB, beside foyer from its disk", "page-cache/hit-read_at/ours/4096")
        .beside("foyer", &["page-cache/hit-read_at/foyer-disk/4096"])
        .at_least(20.0),
    row(AREA, "a hit, 4 KiB, beside foyer from its memory", "page-cache/hit-read_at/ours/4096")
        .beside("foyer", &["page-cache/hit-read_at/foyer-memory/4096"]),
    row(AREA, "two threads, hits of 64 B", "page-cache/hit-two-threads/ours/64")
        .beside("sharing nothing", &["page-cache/hit-two-threads/share-nothing/64"])
        .in_turn()
        .at_least(0.85),
    row(AREA, "two threads, hits of 4 KiB", "page-cache/hit-two-threads/ours/4096")
        .beside("sharing nothing", &["page-cache/hit-two-threads/share-nothing/4096"])
        .in_turn()
        .at_least(0.85),
    row(AREA, "two processes, hits of 64 B", "page-cache/hit-two-processes/ours/64")
        .beside("sharing nothing", &["page-cache/hit-two-processes/share-nothing/64"])
        .in_turn()
        .at_least(0.85),
    row(AREA, "two processes, hits of 4 KiB", "page-cache/hit-two-processes/ours/4096")
        .beside("sharing nothing", &["page-cache/hit-two-processes/share-nothing/4096"])
        .in_turn()
        .at_least(0.85),
    row(AREA, "the first touch of a page in a process", "page-cache/first-touch/ours/65536")
        .beside("pread and CRC", &["page-cache/first-touch/bare-with-crc/65536"])
        .at_most(1.3),
    row(AREA, "a hit of 64 B while others are evicted, p99.9", "page-cache/hit-latency-p99.9/evicting/64")
        .beside("quiet", &["page-cache/hit-latency-p99.9/quiet/64"])
        .at_most(5.0),
    row(AREA, "a hit of 4 KiB while others are evicted, p99.9", "page-cache/hit-latency-p99.9/evicting/4096")
        .beside("quiet", &["page-cache/hit-latency-p99.9/quiet/4096"])
        .at_most(5.0),
    row(AREA, "a hit of 64 B while the origin is slow, p99.9", "page-cache/hit-latency-p99.9/slow-origin/64")
        .beside("quiet", &["page-cache/hit-latency-p99.9/slow-quiet/64"])
        .at_most(2.0),
    row(AREA, "a hit of 4 KiB while the origin is slow, p99.9", "page-cache/hit-latency-p99.9/slow-origin/4096")
        .beside("quiet", &["page-cache/hit-latency-p99.9/slow-quiet/4096"])
        .at_most(2.0),
    row(AREA, "a page of 64 KiB filled", "page-cache/fill-a-page/ours/65536")
        .beside("pwrite", &["page-cache/fill-a-page/bare-pwrite/65536"])
        .in_turn()
        .limited_by("all its calls and copies", &["page-cache/fill-a-page/bare-all-calls/65536"])
        .at_most(1.15),
    row(AREA, "a page of 64 KiB filled, beside giving it out too", "page-cache/fill-a-page/ours/65536")
        .beside("memcpy and pwrite", &["page-cache/fill-a-page/bare-copy-and-pwrite/65536"])
        .in_turn(),
    row(AREA, "a local file, cold, by 1 MiB", "page-cache/fill-by-1MiB/ours/16777216")
        .beside("read and write", &["page-cache/fill-by-1MiB/bare/16777216"])
        .in_turn()
        .limited_by("all its calls and checksums", &["page-cache/fill-by-1MiB/bare-all-calls/16777216"])
        .at_least(0.85),
    row(AREA, "the same into memory 16 B behind a page", "page-cache/fill-by-1MiB-behind-a-page/ours/16777216")
        .beside("read and write", &["page-cache/fill-by-1MiB-behind-a-page/bare/16777216"])
        .in_turn()
        .at_least(0.85),
    row(AREA, "1,000 scattered reads of 4 KiB, pages of 64 KiB: fetched", "page-cache/scattered-bytes/ours/65536")
        .beside("asked", &["page-cache/scattered-bytes/asked/65536"])
        .at_most(16.0),
    row(AREA, "1,000 scattered reads of 4 KiB, pages of 4 KiB: fetched", "page-cache/scattered-bytes/ours/4096")
        .beside("asked", &["page-cache/scattered-bytes/asked/4096"])
        .at_most(1.0),
    row(AREA, "each of 1,000 ranges in one call, 20 ms away", "page-cache/cold-1000-ranges-at-20ms/ours-http")
        .beside("nothing but the pauses", &["page-cache/cold-1000-ranges-at-20ms/ideal"])
        .at_most(1.3)
        .headline(),
    row(AREA, "8 processes of 4 threads, one cold file: fetched", "page-cache/fetched-by-8-processes/ours/4")
        .beside("its bytes", &["page-cache/fetched-by-8-processes/bytes/4"])
        .at_most(1.0)
        .headline(),
    row(AREA, "an entry of 1 TiB opened", "page-cache/open/entry/1TiB").within(1e6, "ns"),
    row(AREA, "memory of an open entry of 1 TiB, one page touched", "page-cache/entry-of-1TiB-memory/ours/1")
        .within((4 << 20) as f64, "B"),
    row(AREA, "disk of an entry of 1 TiB, one page touched", "page-cache/entry-of-1TiB-disk/ours/1")
        .within((1 << 20) as f64, "B"),
    row(AREA, "allocated on disk while it is filled, the most seen", "page-cache/allocated/ours/67108864")
        .beside("max_bytes", &["page-cache/allocated/limit/67108864"])
        .at_most(1.0),
    row(AREA, "allocations of a hit", "page-cache/allocations-of-a-hit/ours/4096").within(0.0, "allocations"),
    row(AREA, "system calls of a hit", "page-cache/system-calls-of-a-hit/ours/4096").within(0.0, "calls"),
    row(AREA, "`CachedStore`: a cold read, 20 ms away", "cached-store/cold-get_range/ours")
        .beside("the store alone", &["cached-store/cold-get_range/bare"])
        .at_most(1.05),
    row(AREA, "`CachedStore`: a hit of 4 KiB", "cached-store/hit-get_range/ours/4096")
        .beside("LocalFileSystem", &["cached-store/hit-get_range/bare/4096"])
        .at_least(5.0),
];
