//! `cargo xtask bench`: the criterion benchmarks of all crates.

use clap::Args;

use crate::process::{Result, cargo, run};

/// Run the criterion benchmarks
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Only the benchmarks whose name contains this
    filter: Option<String>,
}

impl Bench {
    pub(crate) fn run(&self) -> Result {
        let filter = self.filter.as_deref().into_iter().flat_map(|filter| ["--", filter]);
        run(&mut cargo(["bench", "--package", "svf-benches", "--benches"].into_iter().chain(filter)))
    }
}
