//! What is compared, done in turn.

use std::time::{Duration, Instant};

use crate::figures::{is_wanted, record};
use crate::timing::is_quick;

/// Does one piece of its work, and tells how long that took.
pub type Turn<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// Measures several ways to do the same, a piece of each in turn, and each alone by the clock; records how long a piece
/// takes, as `group/function/parameter`.
///
/// So each finds what the others have left of the processor's caches, as in a program that does something else between;
/// and of a moment in which the machine is slow all have a share, where one after the other each would have its own.
/// Of some thirty averages those of the moment count in which they took least, each weighed alike: had each its own,
/// that of one could be a moment in which the machine was faster. Each is done once before, which does not count. A
/// look at the clock is part of each piece, some 25 ns. What criterion is told on the command line is not heard here,
/// but for the names that are wanted.
pub fn in_turn(group: &str, parameter: u64, turns: &mut [(&str, Turn<'_>)]) {
    in_turn_of(1, group, parameter, turns);
}

/// The same for pieces that do something so many times, of which one time is recorded.
pub fn in_turn_of(times: usize, group: &str, parameter: u64, turns: &mut [(&str, Turn<'_>)]) {
    let ids: Vec<String> = turns.iter().map(|(name, _)| format!("{group}/{name}/{parameter}")).collect();
    if !ids.iter().any(|id| is_wanted(id)) {
        return;
    }
    turns.iter_mut().for_each(|(_, turn)| _ = turn());
    let [sample, all] = if is_quick() { [3, 30] } else { [60, 1_800] }.map(Duration::from_millis);
    let (mut least, mut best) = (f64::INFINITY, Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < all {
        let (since, mut pieces, mut took) = (Instant::now(), 0_u32, vec![Duration::ZERO; turns.len()]);
        while since.elapsed() < sample {
            turns.iter_mut().zip(&mut took).for_each(|((_, turn), took)| *took += turn());
            pieces += 1;
        }
        let averages: Vec<_> = took.iter().map(|took| took.as_secs_f64() * 1e9 / f64::from(pieces)).collect();
        let together = averages.iter().map(|average| average.ln()).sum();
        if together < least {
            (least, best) = (together, averages);
        }
    }
    ids.iter().zip(best).for_each(|(id, best)| record(id, best / times as f64, "ns"));
}

/// How long this takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let done = work();
    let elapsed = start.elapsed();
    drop(done);
    elapsed
}
