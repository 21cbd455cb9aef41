//! `cargo xtask ci`: everything that must hold before a change lands.

use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use clap::Args;

use crate::process::{Result, cargo, run, tool};
use crate::{bench, demo, licences, model, readme, trees};

/// Check everything that must hold before a change lands
#[derive(Debug, Args)]
pub(crate) struct Ci {
    /// Only the steps whose name contains this
    filter: Option<String>,
}

type Step = (&'static str, fn() -> Result);

const STEPS: [Step; 19] = [
    ("format", || run(&mut cargo(["fmt", "--all", "--check"]))),
    ("clippy", || {
        run(&mut cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))
    }),
    // The features that are on by default elsewhere in the workspace hide what does not build without them.
    ("svf-core alone", || run(&mut cargo(["test", "-p", "svf-core", "--no-default-features"]))),
    ("page-cache alone", || run(&mut cargo(["clippy", "-p", "page-cache", "--all-targets", "--", "-D", "warnings"]))),
    ("page-cache by feature", || {
        for feature in ["object_store", "tokio,parquet,async-tiff", "http", "aws", "gcp", "azure"] {
            run(&mut cargo(["clippy", "-p", "page-cache", "--features", feature, "--", "-D", "warnings"]))?;
        }
        Ok(())
    }),
    ("facade without http", || {
        run(&mut cargo(["clippy", "-p", "svf-facade", "--no-default-features", "--", "-D", "warnings"]))
    }),
    ("docs", || run(cargo(["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"))),
    // The tests of page-cache count the system calls of a hit.
    ("strace", || tool("strace", "strace")),
    ("test", || {
        const FEATURES: &str = "svf-core/serde,svf-facade/aws,svf-facade/gcp,svf-facade/azure,svf-facade/tokio,\
                                svf-facade/parquet,svf-facade/async-tiff";
        let mut tests = cargo(["test", "--workspace", "--features", FEATURES]);
        // What only root may do is then tested, or an error.
        if is_root() {
            tests.env("WINDOW_MMAN_MUST_MOUNT", "1").env("PAGE_CACHE_MUST_MOUNT", "1");
        }
        run(&mut tests)
    }),
    ("trees", trees::check),
    ("licences", licences::check),
    ("models", model::check_all),
    ("demo", demo::check_sample),
    ("demo of a wheel", demo::check_wheel),
    ("readme", readme::check),
    // Each crate as it would be published. Without building it: cargo keeps what it has built of a package by its
    // version, so that a second time in the same place it would be the package of before. Before a release `cargo
    // package` is run in a fresh clone.
    ("packages", || {
        let published = ["package", "--workspace", "--exclude", "svf-benches", "--exclude", "xtask", "--allow-dirty"];
        run(cargo(published).args(["--no-verify", "--quiet"]))
    }),
    // The one example that is a workspace of its own.
    ("datafusion", || {
        let manifest = "crates/page-cache/examples/datafusion/Cargo.toml";
        run(&mut cargo([
            "check",
            "--quiet",
            "--locked",
            "--manifest-path",
            manifest,
            "--target-dir",
            "target/datafusion",
        ]))
    }),
    // The peers in Rust are a workspace of their own too, and are built for a comparison only.
    ("peers", || {
        let manifest = "benches/peers/Cargo.toml";
        let mut metadata =
            cargo(["metadata", "--quiet", "--locked", "--format-version", "1", "--manifest-path", manifest]);
        run(metadata.stdout(std::process::Stdio::null()))
    }),
    // It fails where a result is wrong, and not where something is slow.
    ("benches", bench::quick),
];

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

impl Ci {
    pub(crate) fn run(&self) -> Result {
        let wanted = |name: &str| self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
        let mut done = Vec::new();
        for (name, step) in STEPS.into_iter().filter(|(name, _)| wanted(name)) {
            eprintln!("\n== {name}");
            let start = Instant::now();
            step().map_err(|error| format!("{name} failed: {error}"))?;
            done.push((name, start.elapsed().as_secs_f64()));
        }
        println!();
        for (name, seconds) in &done {
            println!("{seconds:>7.1} s  {name}");
        }
        println!("{} passed, 0 failed", done.len());
        if done.is_empty() { Err("no step has such a name".into()) } else { Ok(()) }
    }
}
