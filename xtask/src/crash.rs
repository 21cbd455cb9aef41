//! `cargo xtask crash`: page-cache where processes are killed and the power is cut.

mod power;

use clap::Args;

use crate::process::{Result, cargo, run};

/// Kill processes that fill a cache, or cut the power under them, and compare every byte afterwards
#[derive(Debug, Args)]
pub(crate) struct Crash {
    /// Cut the power instead, on file systems in images; needs root
    #[arg(long)]
    power: bool,
    /// How often; 1,000 kills or 50 cuts unless told otherwise
    #[arg(long)]
    times: Option<u64>,
    /// How many seconds four processes of four threads read and fill beside somebody who damages
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl Crash {
    pub(crate) fn run(&self) -> Result {
        if self.power {
            return power::cut(self.times.unwrap_or(50));
        }
        let arguments =
            ["test", "--package", "page-cache", "--test", "it", "--", "processes::", "killed::", "--nocapture"];
        let mut tests = cargo(arguments);
        tests.env("PAGE_CACHE_KILLS", self.times.unwrap_or(1_000).to_string());
        run(tests.env("PAGE_CACHE_SECONDS", self.seconds.to_string()))
    }
}
