//! The demo, run as a newcomer does, and its figures.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::TempDir;

use crate::process::{Result, cargo, output, program, root, run};

/// What `svf demo --json` prints, as far as it is checked.
#[derive(Debug, Deserialize)]
struct Report {
    object_bytes: u64,
    runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    asked_bytes: u64,
    touched_page_bytes: u64,
    fetched_bytes: u64,
    requests: u64,
    part: Part,
}

#[derive(Debug, Deserialize)]
struct Part {
    name: String,
    bytes: u64,
    sha256: String,
}

/// The sample of more than 2 GiB: what is fetched, by how many requests, and that a second process needs no data.
pub(crate) fn check_sample() -> Result {
    let directory = TempDir::new()?;
    let report = demo(directory.path(), None)?;
    check_cold(&report, 2 << 30)?;
    let first = &report.runs[0];
    require(first.requests <= 12, format!("{} requests in the first run, not at most 12", first.requests))?;

    let again = demo(directory.path(), None)?;
    for run in &again.runs {
        require(run.fetched_bytes == 0, format!("{} bytes fetched in the second process", run.fetched_bytes))?;
        require(run.requests == 0, format!("{} requests in the second process, within a minute", run.requests))?;
        require(run.part.sha256 == first.part.sha256, "the second process read other bytes")?;
    }
    Ok(())
}

/// A real file that nobody here made: a large wheel, of which the member that is read equals what Python reads.
pub(crate) fn check_wheel() -> Result {
    let wheel = wheel()?;
    let directory = TempDir::new()?;
    let report = demo(directory.path(), Some(&wheel))?;
    check_cold(&report, 10 << 20)?;
    let part = &report.runs[0].part;
    const READ: &str = "import hashlib, sys, zipfile\n\
                        data = zipfile.ZipFile(sys.argv[1]).read(sys.argv[2])\n\
                        print(len(data), hashlib.sha256(data).hexdigest())";
    let read = output(program("python3", ["-c", READ]).arg(&wheel).arg(&part.name))?;
    let ours = format!("{} {}", part.bytes, part.sha256);
    require(read.trim() == ours, format!("{}: Python reads {}, the demo read {ours}", part.name, read.trim()))?;
    println!("{}: {} bytes, equal to what Python reads", part.name, part.bytes);
    Ok(())
}

fn check_cold(report: &Report, least_bytes: u64) -> Result {
    let [cold, warm] = &report.runs[..] else {
        return Err(format!("{} runs, not 2", report.runs.len()).into());
    };
    println!(
        "{} bytes: asked {}, on pages of {}, fetched {} by {} requests, then {} by {}",
        report.object_bytes,
        cold.asked_bytes,
        cold.touched_page_bytes,
        cold.fetched_bytes,
        cold.requests,
        warm.fetched_bytes,
        warm.requests
    );
    require(report.object_bytes > least_bytes, "the object is smaller than this check is meant for")?;
    require(cold.asked_bytes > 0 && cold.fetched_bytes > 0 && cold.requests > 1, "the first run read nothing")?;
    require(cold.fetched_bytes <= cold.touched_page_bytes, "more was fetched than the pages that were touched")?;
    require((warm.requests, warm.fetched_bytes) == (0, 0), "the second run sent requests")?;
    require(warm.part.sha256 == cold.part.sha256, "the second run read other bytes")
}

fn require(holds: bool, otherwise: impl Into<String>) -> Result {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}

fn demo(directory: &Path, file: Option<&Path>) -> Result<Report> {
    let mut command = cargo(["run", "--release", "--quiet", "--package", "svf-cli", "--", "demo", "--json"]);
    command.arg("--cache-dir").arg(directory.join("cache")).args(file);
    Ok(serde_json::from_str(&output(&mut command)?)?)
}

/// A wheel of some tens of megabytes, downloaded once.
fn wheel() -> Result<PathBuf> {
    let directory = root().join("target/wheels");
    fs::create_dir_all(&directory)?;
    let find = || -> Result<Option<PathBuf>> {
        let mut paths = fs::read_dir(&directory)?.collect::<std::io::Result<Vec<_>>>()?.into_iter();
        Ok(paths.find(|entry| entry.file_name().to_string_lossy().ends_with(".whl")).map(|entry| entry.path()))
    };
    if find()?.is_none() {
        // The platform is named, so that the same file is fetched whatever machine this is.
        let arguments = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"];
        let platform = ["--platform", "manylinux2014_x86_64", "--python-version", "3.11", "scipy==1.14.1", "--dest"];
        run(program("python3", arguments.iter().chain(&platform)).arg(&directory))?;
    }
    find()?.ok_or_else(|| format!("pip left no wheel in {}", directory.display()).into())
}
