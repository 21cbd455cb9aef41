//! Pieces in memory, beside svfsc, which is C++ behind a binding for Python.

use crate::bench::row::{Row, row};

const AREA: &str = "svf-core";
/// A write of nothing.
const WRITE: &str = "python/svfsc-write-of-nothing";
/// Whether an empty file has something.
const QUERY: &str = "python/svfsc-query-of-nothing";

pub(super) const ROWS: &[Row] = &[
    row(AREA, "1,000,000 scattered writes of 64 B, ascending", "svf-core/write-64B-ascending/ours/1000000")
        .beside_call("svfsc", &["svf-core/write-64B-ascending/svfsc/1000000"], WRITE)
        .at_least(2.0),
    row(AREA, "1,000,000 scattered writes of 64 B, shuffled", "svf-core/write-64B-shuffled/ours/1000000")
        .beside_call("svfsc", &["svf-core/write-64B-shuffled/svfsc/1000000"], WRITE)
        .at_least(2.5)
        .headline(),
    row(AREA, "4 KiB appended, to 256 MiB, `write_bytes`", "svf-core/append-4KiB-write_bytes/ours/268435456")
        .beside_call("svfsc", &["svf-core/append-4KiB/svfsc/268435456"], WRITE)
        .at_least(60.0),
    row(AREA, "4 KiB appended, to 256 MiB, `write`", "svf-core/append-4KiB-write/ours/268435456")
        .beside_call("svfsc", &["svf-core/append-4KiB/svfsc/268435456"], WRITE)
        .at_least(3.0),
    row(AREA, "4 KiB prepended to a block of 8 MiB", "svf-core/prepend-4KiB-at/ours/8388608")
        .beside_call("svfsc", &["svf-core/prepend-4KiB-at/svfsc/8388608"], WRITE)
        .at_least(5_000.0)
        .headline(),
    row(AREA, "4 KiB prepended to a block of 256 MiB", "svf-core/prepend-4KiB-at/ours/268435456")
        .beside("to one of 8 MiB", &["svf-core/prepend-4KiB-at/ours/8388608"])
        .limited_by("a map of the standard library, which joins nothing", &["svf-core/prepend-4KiB-at/btree/268435456"])
        .at_most(1.5),
    row(
        AREA,
        "16,384 shuffled writes of 4 KiB that end in one block, `write_bytes`",
        "svf-core/fill-4KiB-shuffled/ours-write_bytes/16384",
    )
    .beside_call("svfsc", &["svf-core/fill-4KiB-shuffled/svfsc/16384"], WRITE)
    .at_least(80.0)
    .limited_by(
        "a map of the standard library, which joins nothing",
        &["svf-core/fill-4KiB-shuffled/btree-write_bytes/16384"],
    ),
    row(AREA, "the same, `write`", "svf-core/fill-4KiB-shuffled/ours/16384").beside_call(
        "svfsc",
        &["svf-core/fill-4KiB-shuffled/svfsc/16384"],
        WRITE,
    ),
    row(AREA, "`need` over one gap among 1,000,000 blocks", "svf-core/need/ours/1")
        .beside_call("svfsc", &["svf-core/need/svfsc/1"], QUERY)
        .at_least(4.0),
    row(AREA, "`need` over 100 gaps among 1,000,000 blocks", "svf-core/need/ours/100")
        .beside_call("svfsc", &["svf-core/need/svfsc/100"], QUERY)
        .at_least(6.0),
    row(AREA, "`contains` among 1,000,000 blocks", "svf-core/contains-among-blocks/ours/1000000")
        .beside_call("svfsc", &["svf-core/contains-among-blocks/svfsc/1000000"], QUERY)
        .at_least(4.0)
        .headline(),
    row(AREA, "`contains` over 63 MiB of a run of 16,384 chunks", "svf-core/contains-in-one-block/ours/66060288")
        // A million times as long, so O(log n) allows as many times as a tree of as many chunks is deep.
        .beside("over 64 B of it", &["svf-core/contains-in-one-block/ours/64"])
        .at_most(14.0),
    row(AREA, "64 B read among 1,000,000 blocks", "svf-core/read-64B-among-blocks/ours/1000000")
        .beside_call("svfsc", &["svf-core/read-64B-among-blocks/svfsc/1000000"], QUERY)
        .at_least(3.0)
        .limited_by("a search in an array and a share", &["svf-core/read-64B-among-blocks/sorted-vec/1000000"]),
    row(AREA, "64 B read in one block of 64 MiB of 4 KiB chunks", "svf-core/read/ours/64")
        .beside_call("svfsc", &["svf-core/read/svfsc/64"], QUERY)
        .at_least(1.5),
    row(AREA, "4 KiB read there", "svf-core/read/ours/4096")
        .beside_call("svfsc", &["svf-core/read/svfsc/4096"], QUERY)
        .at_least(0.8)
        .limited_in_turn(
            "a search in an array and the same copies",
            "svf-core/read-in-turn/ours/4096",
            &["svf-core/read-in-turn/sorted-vec/4096"],
        ),
    row(AREA, "`chunks` of 4 KiB there", "svf-core/read/chunks/4096")
        .beside_call("svfsc", &["svf-core/read/svfsc/4096"], QUERY)
        .at_least(2.0),
    row(AREA, "1 MiB read over 4 KiB chunks, written ascending", "svf-core/read-gathered/ours/1048576")
        .beside("memcpy", &["svf-core/read-gathered/bare/1048576"])
        .in_turn()
        .at_least(0.9),
    row(AREA, "one of 1,000,000 evicted", "svf-core/evict-one/ours/1000000").within(2_000.0, "ns"),
    row(AREA, "one of 1,000,000 evicted, beside svfsc", "svf-core/evict-one/ours/1000000")
        .beside("svfsc", &["svf-core/evict-one/svfsc/1000000"]),
    row(AREA, "4 B written behind 4 B", "svf-core/append-4B/ours/100000")
        .beside_call("svfsc", &["svf-core/append-4B/svfsc/100000"], WRITE)
        .at_least(1.5),
    row(
        AREA,
        "1,000,000 scattered writes of 64 B, shuffled, beside the copies",
        "svf-core/write-64B-shuffled/ours/1000000",
    )
    .beside("memcpy into new memory", &["svf-core/write-64B-shuffled/bare/1000000"]),
    row(AREA, "the same, beside a map of the standard library", "svf-core/write-64B-shuffled/ours/1000000")
        .beside("BTreeMap", &["svf-core/write-64B-shuffled/btree/1000000"]),
    row(AREA, "4 KiB appended, to 256 MiB, `write`, beside the copies", "svf-core/append-4KiB-write/ours/268435456")
        .beside("memcpy into new memory", &["svf-core/append-4KiB-write/bare/268435456"]),
    row(AREA, "16,384 shuffled writes of 4 KiB, beside the copies", "svf-core/fill-4KiB-shuffled/ours/16384")
        .beside("memcpy into new memory", &["svf-core/fill-4KiB-shuffled/bare/16384"]),
    row(AREA, "4 B written behind 4 B, beside the copies", "svf-core/append-4B/ours/100000")
        .beside("memcpy into new memory", &["svf-core/append-4B/bare/100000"]),
    row(AREA, "memory beyond the data, a block of 64 B", "svf-core/memory-beyond-the-data/ours/64").within(96.0, "B"),
    row(AREA, "the same, in the process's memory", "svf-core/resident-beyond-the-data/ours/64")
        .beside("svfsc", &["svf-core/resident-beyond-the-data/svfsc/64"]),
    row(AREA, "two reading threads, 1,000,000 blocks", "svf-core/two-threads-read-64B/ours/1000000")
        .beside("sharing nothing", &["svf-core/two-threads-read-64B/share-nothing/1000000"])
        .in_turn()
        .at_least(0.85),
    row(AREA, "two reading threads, 64 hot blocks, `read_into`", "svf-core/two-threads-read-64B/ours-into/64")
        .beside("sharing nothing", &["svf-core/two-threads-read-64B/share-nothing-into/64"])
        .in_turn()
        .at_least(0.75),
    row(AREA, "two reading threads, 64 hot blocks, `read`", "svf-core/two-threads-read-64B/ours/64")
        .beside("sharing nothing", &["svf-core/two-threads-read-64B/share-nothing/64"])
        .in_turn(),
    row(AREA, "allocations of a read of 64 B among blocks", "svf-core/allocations-of-a-read/ours/64")
        .within(0.0, "allocations"),
    row(AREA, "100,000 shuffled ranges into a `RangeSet`", "svf-core/range-set-insert-shuffled/ours/100000")
        .beside("rangemap", &["svf-core/range-set-insert-shuffled/rangemap/100000"]),
    row(AREA, "100 gaps of a `RangeSet`", "svf-core/range-set-gaps/ours/100")
        .beside("rangemap", &["svf-core/range-set-gaps/rangemap/100"]),
];
