//! What one more byte, block, window, object or thread costs: the same figure at several sizes.

/// The same operation at several sizes.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) area: &'static str,
    pub(crate) operation: &'static str,
    /// What the sizes count.
    pub(crate) by: &'static str,
    pub(crate) sizes: &'static [&'static str],
    /// What ours is called, before the size.
    pub(crate) ours: &'static str,
    /// The same for what does the same work without us, or shares nothing.
    pub(crate) baseline: Option<(&'static str, &'static str)>,
    pub(crate) growth: Growth,
    pub(crate) plot: Option<Plot>,
}

/// How much more it may cost at the largest size than at the smallest.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Growth {
    /// So many times.
    AtMost(f64),
    /// So many times what the baseline grows.
    OfBaseline(f64),
    /// It does more, so nothing is said.
    Free,
}

/// A picture of a series, with more lines than ours.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    /// Names, and what is measured, before the size.
    pub(crate) lines: &'static [(&'static str, &'static str)],
}

const BLOCKS: &[&str] = &["1000", "10000", "100000", "1000000"];
const WINDOWS: &[&str] = &["4", "64", "512", "4096"];
const OBJECTS: &[&str] = &["10", "2000", "100000"];
const LENGTHS: &[&str] = &["1GiB", "32GiB", "1TiB"];
const THREADS: &[&str] = &["1", "2", "4", "8"];

pub(crate) const SERIES: &[Series] = &[
    Series {
        area: "svf-core",
        operation: "4 KiB prepended",
        by: "bytes of the block",
        sizes: &["1048576", "8388608", "33554432", "134217728", "268435456"],
        ours: "svf-core/prepend-4KiB-at/ours",
        baseline: None,
        growth: Growth::AtMost(1.5),
        plot: Some(Plot {
            file: "prepend",
            title: "4 KiB written before a block",
            lines: &[
                ("svfsc", "svf-core/prepend-4KiB-at/svfsc"),
                ("svf-core", "svf-core/prepend-4KiB-at/ours"),
                ("memcpy into a new buffer", "svf-core/prepend-4KiB-at/bare"),
            ],
        }),
    },
    Series {
        area: "svf-core",
        operation: "`need` over one gap",
        by: "blocks",
        sizes: BLOCKS,
        ours: "scaling/need-by-blocks/ours",
        baseline: Some(("a sorted array", "scaling/need-by-blocks/sorted-vec")),
        growth: Growth::OfBaseline(1.5),
        plot: Some(Plot {
            file: "need",
            title: "What is missing of a range over one gap",
            lines: &[
                ("svfsc", "scaling/need-by-blocks/svfsc"),
                ("svf-core", "scaling/need-by-blocks/ours"),
                ("a sorted array", "scaling/need-by-blocks/sorted-vec"),
            ],
        }),
    },
    Series {
        area: "svf-core",
        operation: "`contains`",
        by: "blocks",
        sizes: BLOCKS,
        ours: "scaling/contains-by-blocks/ours",
        baseline: Some(("a sorted array", "scaling/contains-by-blocks/sorted-vec")),
        growth: Growth::OfBaseline(1.5),
        plot: None,
    },
    Series {
        area: "svf-core",
        operation: "a shuffled write of 64 B",
        by: "blocks",
        sizes: BLOCKS,
        ours: "scaling/write-by-blocks/ours",
        baseline: Some(("a B-tree map", "scaling/write-by-blocks/btree")),
        growth: Growth::OfBaseline(1.5),
        plot: None,
    },
    Series {
        area: "svf-core",
        operation: "64 B read",
        by: "blocks",
        sizes: BLOCKS,
        ours: "scaling/read-by-blocks/ours",
        baseline: Some(("a B-tree map", "scaling/read-by-blocks/btree")),
        growth: Growth::OfBaseline(1.5),
        plot: None,
    },
    Series {
        area: "svf-core",
        operation: "64 B read, each thread",
        by: "threads",
        sizes: THREADS,
        ours: "scaling/svf-core-threads/ours",
        baseline: Some(("sharing nothing", "scaling/svf-core-threads/share-nothing")),
        growth: Growth::OfBaseline(1.3),
        plot: None,
    },
    Series {
        area: "window-mman",
        operation: "a miss, untouched",
        by: "windows",
        sizes: WINDOWS,
        ours: "window-mman/miss/ours",
        baseline: Some(("mmap and munmap", "window-mman/miss/bare")),
        growth: Growth::AtMost(1.5),
        plot: Some(Plot {
            file: "miss",
            title: "A window that is not mapped, untouched",
            lines: &[("mmap and munmap", "window-mman/miss/bare"), ("window-mman", "window-mman/miss/ours")],
        }),
    },
    Series {
        area: "window-mman",
        operation: "a miss, one byte touched",
        by: "windows",
        sizes: WINDOWS,
        ours: "window-mman/miss-touch/ours",
        baseline: Some(("mmap and munmap", "window-mman/miss-touch/bare")),
        growth: Growth::OfBaseline(1.3),
        plot: None,
    },
    Series {
        area: "window-mman",
        operation: "to another mapped window, each thread",
        by: "threads",
        sizes: THREADS,
        ours: "scaling/window-threads/ours",
        baseline: Some(("sharing nothing", "scaling/window-threads/share-nothing")),
        growth: Growth::OfBaseline(1.45),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "a hit of 4 KiB, each thread",
        by: "threads",
        sizes: THREADS,
        ours: "scaling/hit-threads/ours",
        baseline: Some(("sharing nothing", "scaling/hit-threads/share-nothing")),
        growth: Growth::OfBaseline(1.2),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "a hit of 4 KiB, each process",
        by: "processes",
        sizes: THREADS,
        ours: "scaling/hit-processes/ours",
        baseline: Some(("sharing nothing", "scaling/hit-processes/share-nothing")),
        growth: Growth::OfBaseline(1.2),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "an entry opened, by the object's length",
        by: "bytes",
        sizes: LENGTHS,
        ours: "scaling/open-by-length/ours",
        baseline: None,
        growth: Growth::AtMost(1.5),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "a hit of 4 KiB, by the object's length",
        by: "bytes",
        sizes: LENGTHS,
        ours: "scaling/hit-by-length/ours",
        baseline: None,
        growth: Growth::AtMost(1.5),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "a page filled, by the object's length",
        by: "bytes",
        sizes: LENGTHS,
        ours: "scaling/fill-by-length/ours",
        baseline: None,
        growth: Growth::AtMost(1.5),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "a directory opened",
        by: "objects",
        sizes: &["10", "100000"],
        ours: "page-cache/open/directory",
        baseline: None,
        growth: Growth::AtMost(2.0),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "an entry opened",
        by: "objects",
        sizes: OBJECTS,
        ours: "page-cache/open-an-object/ours",
        baseline: None,
        growth: Growth::AtMost(2.0),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "a small object stored in a full cache",
        by: "objects",
        sizes: OBJECTS,
        ours: "page-cache/new-object-when-full/ours",
        baseline: Some(("three files each", "page-cache/new-object-when-full/bare")),
        growth: Growth::OfBaseline(1.5),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "a small object evicted",
        by: "objects",
        sizes: OBJECTS,
        ours: "page-cache/evict-an-object/ours",
        baseline: Some(("three files each", "page-cache/evict-an-object/bare")),
        growth: Growth::OfBaseline(1.5),
        plot: None,
    },
    Series {
        area: "page-cache",
        operation: "a hit while others are evicted, p99.9",
        by: "bytes read",
        sizes: &["64", "4096", "65536"],
        ours: "page-cache/hit-latency-p99.9/evicting",
        baseline: Some(("quiet", "page-cache/hit-latency-p99.9/quiet")),
        growth: Growth::Free,
        plot: Some(Plot {
            file: "hit-latency",
            title: "Hits, p99.9 and p50",
            lines: &[
                ("p99.9 while others are evicted", "page-cache/hit-latency-p99.9/evicting"),
                ("p99.9 while the origin is slow", "page-cache/hit-latency-p99.9/slow-origin"),
                ("p99.9, quiet", "page-cache/hit-latency-p99.9/quiet"),
                ("p50 while others are evicted", "page-cache/hit-latency-p50/evicting"),
                ("p50, quiet", "page-cache/hit-latency-p50/quiet"),
            ],
        }),
    },
];
