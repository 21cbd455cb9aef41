//! How long everything is measured.

use std::time::Duration;

use criterion::Criterion;

/// Settings under which all benchmarks together take about two minutes.
///
/// They are for a look and for a comparison within one run. For a closer one give criterion's own arguments, such as
/// `--measurement-time 5 --sample-size 100`, which win over these.
#[must_use]
pub fn quick() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_000))
        .without_plots()
}
