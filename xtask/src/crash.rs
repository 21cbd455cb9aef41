//! `cargo xtask crash`: page-cache where processes are killed, the power is cut and the disk is full.

mod power;

use clap::Args;

use crate::process::{Result, cargo, run};

/// Kill processes that fill a cache, cut the power under them, or leave them no room, and compare every byte
#[derive(Debug, Args)]
pub(crate) struct Crash {
    /// Cut the power instead, on file systems in images; needs root
    #[arg(long)]
    power: bool,
    /// Fill disks instead that have room for the limit and no more: small file systems in images and in memory; needs
    /// root
    #[arg(long, conflicts_with = "power")]
    enospc: bool,
    /// How often; 1,000 kills or 50 cuts unless told otherwise
    #[arg(long)]
    times: Option<u64>,
    /// How many seconds four processes of four threads read and fill, beside somebody who damages or on each small disk
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl Crash {
    pub(crate) fn run(&self) -> Result {
        if self.power {
            return power::cut(self.times.unwrap_or(50));
        }
        if self.enospc {
            let mut tests =
                cargo(["test", "--package", "page-cache", "--test", "it", "--", "full_disk::", "--nocapture"]);
            tests.env("PAGE_CACHE_MUST_MOUNT", "1").env("PAGE_CACHE_DISK_MIB", "128");
            return run(tests.env("PAGE_CACHE_DISK_SECONDS", self.seconds.to_string()));
        }
        let arguments = [
            "test",
            "--package",
            "page-cache",
            "--features",
            "http",
            "--test",
            "it",
            "--",
            "processes::",
            "killed::",
            "single_flight::",
            "bad_bound::",
            "--nocapture",
        ];
        let mut tests = cargo(arguments);
        tests.env("PAGE_CACHE_KILLS", self.times.unwrap_or(1_000).to_string()).env("PAGE_CACHE_FLIGHT_MIB", "256");
        run(tests.env("PAGE_CACHE_SECONDS", self.seconds.to_string()))
    }
}
