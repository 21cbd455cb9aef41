//! Under what conditions something was measured.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::process::{Result, output, program, root};

/// What a figure is nothing without.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conditions {
    pub(crate) machine: Machine,
    /// Of the compiler, and of those that ours is compared with.
    pub(crate) versions: BTreeMap<String, String>,
    /// What was checked out, and whether there was more.
    pub(crate) commit: String,
    pub(crate) date: String,
    pub(crate) method: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// Of the directory in which files are made.
    pub(crate) file_system: String,
    /// The runnable threads of the last minute when it began, ours not among them.
    pub(crate) load: f64,
}

const METHOD: &str = "Each figure is the lowest of all samples of all rounds, and in each round ours, the bare operations \
                      and the peers are measured one after the other, from fixed seeds and after the result was \
                      checked. Where a piece of each is done in turn, the figures are those of one moment of one round: \
                      that in which they took least, each weighed alike. \
                      A ratio is that of two such figures; its spread is the lowest and the highest ratio of a round, \
                      and two runs agree on it if their spreads, each a tenth wider, overlap. \
                      All files are in the system's page cache.";

impl Conditions {
    /// Of this machine, now.
    pub(crate) fn now() -> Result<Self> {
        let git = |arguments: &[&str]| output(&mut program("git", arguments)).map(|text| text.trim().to_owned());
        let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
        let mut versions = BTreeMap::new();
        versions.insert("rustc".to_owned(), output(&mut program("rustc", ["--version"]))?.trim().to_owned());
        let lock = fs::read_to_string(root().join("Cargo.lock"))?;
        for name in ["criterion", "memmap2", "object_store", "rangemap"] {
            versions.extend(version_in(&lock, name).map(|version| (name.to_owned(), version)));
        }
        Ok(Self {
            machine: Machine::this()?,
            versions,
            commit: if changed { format!("{commit} with changes") } else { commit },
            date: output(&mut program("date", ["-u", "+%F"]))?.trim().to_owned(),
            method: METHOD.to_owned(),
        })
    }
}

impl Machine {
    fn this() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?.split(':').nth(1)?;
            Some(line.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo")?, "MemTotal").unwrap_or_default();
        let kib: u64 = memory.split_whitespace().next().unwrap_or_default().parse()?;
        let mut stat = program("stat", ["--file-system", "--format", "%T"]);
        Ok(Self {
            processor: field(&read("/proc/cpuinfo")?, "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: (kib + (1 << 19)) >> 20,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            file_system: output(stat.arg(std::env::temp_dir()))?.trim().to_owned(),
            load: read("/proc/loadavg")?.split_whitespace().next().unwrap_or_default().parse()?,
        })
    }
}

/// The version of a package in a lock file.
pub(crate) fn version_in(lock: &str, name: &str) -> Option<String> {
    let package = lock.split("[[package]]").find(|package| package.contains(&format!("name = \"{name}\"\n")))?;
    Some(package.split("version = \"").nth(1)?.split('"').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor_and_memory() {
        let machine = Machine::this().unwrap();
        assert!(machine.cores > 0 && machine.memory_gib > 0 && !machine.processor.is_empty(), "{machine:?}");
    }

    #[test]
    fn versions_are_found_in_a_lock_file() {
        let lock =
            "[[package]]\nname = \"a-b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.1.0\"\n";
        assert_eq!((version_in(lock, "a").as_deref(), version_in(lock, "b")), (Some("2.1.0"), None));
    }
}
