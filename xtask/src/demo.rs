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
    touched_64k_bytes: u64,
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

/// The SHA-256 of the tile in the middle of the sample.
const RINGS: &str = "5bc7fe746c0020b21c02cc812ab638538ee1d5204252240fdecb202df2c0bc9d";

/// The sample of more than 2 GiB: what is fetched, by how many requests, and that a second process needs no data.
pub(crate) fn check_sample() -> Result {
    let directory = TempDir::new()?;
    let report = demo(directory.path(), None)?;
    check_cold(&report, 2 << 30)?;
    let first = &report.runs[0];
    // The rings in the tile in the middle, of 512 x 512 bytes; every other tile is a hole.
    let part = (first.part.name.as_str(), first.part.bytes, first.part.sha256.as_str());
    require(part == ("tile 4656", 262_144, RINGS), format!("{part:?} is not the tile in the middle"))?;
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
        cold.touched_64k_bytes,
        cold.fetched_bytes,
        cold.requests,
        warm.fetched_bytes,
        warm.requests
    );
    require(report.object_bytes > least_bytes, "the object is smaller than this check is meant for")?;
    require(cold.asked_bytes > 0 && cold.fetched_bytes > 0 && cold.requests > 1, "the first run read nothing")?;
    require(
        cold.fetched_bytes <= cold.touched_64k_bytes,
        "more was fetched than the pieces of 64 KiB that were touched",
    )?;
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

/// A wheel of some tens of megabytes, downloaded once, and known by its hash.
fn wheel() -> Result<PathBuf> {
    const REQUIREMENT: &str =
        "scipy==1.14.1 --hash=sha256:fef8c87f8abfb884dac04e97824b61299880c43f4ce675dd2cbeadd3c9b466d2";
    let wheels = root().join("target/wheels");
    fs::create_dir_all(&wheels)?;
    let kept = wheels.join("scipy-1.14.1.whl");
    if !kept.exists() {
        // Beside it, so that what an interrupted download leaves is never taken for the wheel.
        let directory = TempDir::new_in(&wheels)?;
        let requirements = directory.path().join("requirements.txt");
        fs::write(&requirements, REQUIREMENT)?;
        // The platform is named, so that the same file is fetched whatever machine this is.
        let arguments = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"];
        let platform = ["--platform", "manylinux2014_x86_64", "--python-version", "3.11"];
        let mut download = program("python3", arguments.iter().chain(&platform));
        run(download.arg("--dest").arg(directory.path()).arg("--requirement").arg(&requirements))?;
        let mut files = fs::read_dir(directory.path())?.collect::<std::io::Result<Vec<_>>>()?.into_iter();
        let wheel = files.find(|file| file.file_name().to_string_lossy().ends_with(".whl"));
        fs::rename(wheel.ok_or("pip left no wheel")?.path(), &kept)?;
    }
    Ok(kept)
}
