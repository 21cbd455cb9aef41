//! What is compared, done in turn.

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId};

/// Does one piece of its work, and tells how long that took.
pub type Turn<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// Measures several ways to do the same, a piece of each in turn, and each alone by the clock, under these names.
///
/// So each finds what the others have left of the processor's caches, as in a program that does something else between,
/// and has its share of the quiet moments. A look at the clock is part of each piece, some 25 ns.
pub fn in_turn(group: &mut BenchmarkGroup<'_, WallTime>, parameter: u64, turns: &mut [(&str, Turn<'_>)]) {
    let names: Vec<String> = turns.iter().map(|(name, _)| (*name).to_owned()).collect();
    for (number, name) in names.iter().enumerate() {
        group.bench_function(BenchmarkId::new(name, parameter), |bencher| {
            bencher.iter_custom(|times| {
                let mut elapsed = Duration::ZERO;
                for _ in 0..times {
                    for (other, (_, turn)) in turns.iter_mut().enumerate() {
                        let took = turn();
                        elapsed += if other == number { took } else { Duration::ZERO };
                    }
                }
                elapsed
            });
        });
    }
}

/// How long this takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let done = work();
    let elapsed = start.elapsed();
    drop(done);
    elapsed
}
