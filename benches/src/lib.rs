//! The workloads of the benchmarks: named, seeded, sized, and each with an oracle.
//!
//! The benchmarks themselves are one file a layer:
//!
//! ```text
//! benches/svf_core.rs      pieces in memory            beside copies without an index, a sorted array, rangemap
//! benches/window_mman.rs   windows of mapped memory    beside mmap, munmap and pread
//! benches/page_cache       pieces on local disk        beside pread, and a copy of the file
//! benches/page_cache_bound.rs  a disk that is full     beside pwrite, and giving back as much
//! benches/page_cache_cold.rs   an origin that is far   beside as many pauses
//! benches/cached_store.rs  an object store             beside the store alone, and LocalFileSystem
//! benches/stack.rs         all of it over HTTP         beside the same requests on a plain socket
//! benches/scaling.rs       more blocks, threads, bytes beside the same without us, or sharing nothing
//! benches/hit_latency.rs   hits one by one             beside hits when nothing else happens
//! benches/formats.rs       parsers, 20 ms away       beside as many pauses, and the file itself
//! benches/traces.rs        what such readers ask for beside pread of the same
//! benches/counters.rs      what is counted, not timed: requests, bytes, maps, allocations, system calls
//! ```
//!
//! In all of them a group is named `crate/operation`, a function is an implementation, and a parameter is a size in
//! bytes or a count. `ours` is this project; `bare` is the system call or memory operation that does the same work
//! with nothing around it. Everything random comes from a seed that stands in the file, so that two runs do the same
//! work; and every benchmark checks its result against a model before the first measurement, so that a fast wrong
//! answer is a panic and not a figure.
//!
//! Times on shared machines lie. Compare `ours` with `bare` of the same run, never with a figure of another day, and
//! trust the lowest of several runs more than one.
//!
//! # The workloads
//!
//! * [`pattern`]: content in which a byte in the wrong place shows.
//! * [`block_offsets`]: where the writes of a scattered file go, in an [`Order`].
//! * [`random_reads`]: which ranges are read.
//! * [`DenseFile`]: the oracle, simple and slow.
//! * [`SortedRanges`]: a peer, not an oracle: the fastest search that needs no clever idea.
//! * [`workloads`]: those that peers in other languages run too, by name.
//! * [`traces`]: what readers of well-known formats asked for.
//! * [`settings`]: how long everything is measured.
//! * [`page_aligned`]: memory to read into, that is as fast for all.
//! * [`in_turn`], [`in_turn_of`]: ways to do the same, a piece of each in turn.
//! * [`in_threads`], [`Worker`]: the same work in several threads or processes at once.
//! * [`record`]: figures of what criterion does not measure.

#![forbid(unsafe_code)]

mod content;
mod dense_file;
mod figures;
mod memory;
mod offsets;
mod parallel;
mod random;
mod sorted_ranges;
mod timing;
mod trace;
mod turns;
mod workloads;

pub use content::pattern;
pub use dense_file::DenseFile;
pub use figures::{is_wanted, record};
pub use memory::page_aligned;
pub use offsets::{Order, block_offsets, random_reads};
pub use parallel::{TURN, Worker, in_threads, work_in_turn};
pub use random::Random;
pub use sorted_ranges::SortedRanges;
pub use timing::{is_first_round, is_quick, settings};
pub use trace::{Trace, traces};
pub use turns::{Turn, in_turn, in_turn_of, timed};
pub use workloads::{
    BLOCK, CACHED_LEN, CHUNK, QUERIES, SEED, STRIDE, WINDOW, WINDOWED_LEN, Workload, workloads, write_windowed,
};
