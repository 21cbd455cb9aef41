//! How long everything is measured.

use std::time::Duration;

use criterion::Criterion;

/// Whether `SVF_BENCH_QUICK` asks for a look that all results are right, and for times that are good for nothing else.
#[must_use]
pub fn is_quick() -> bool {
    std::env::var_os("SVF_BENCH_QUICK").is_some()
}

/// Whether this is the first of several rounds, which `SVF_BENCH_ROUND` counts from 0: what takes minutes to make ready
/// is measured once.
#[must_use]
pub fn is_first_round() -> bool {
    std::env::var("SVF_BENCH_ROUND").map_or(true, |round| round == "0")
}

/// How often and how long criterion measures a function, which takes some 0.7 seconds each.
///
/// This is for a comparison within one run. For a closer one give criterion's own arguments, such as
/// `--measurement-time=5 --sample-size=100`, which win over these.
#[must_use]
pub fn settings() -> Criterion {
    let [warm_up, measurement] = if is_quick() { [10, 30] } else { [150, 500] }.map(Duration::from_millis);
    let criterion = Criterion::default().sample_size(if is_quick() { 10 } else { 20 }).without_plots();
    criterion.warm_up_time(warm_up).measurement_time(measurement).nresamples(if is_quick() { 1_001 } else { 10_000 })
}
