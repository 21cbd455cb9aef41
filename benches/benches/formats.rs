//! A part of a large file, by a parser that knows of no cache: a tile of a TIFF, a member of a ZIP and a row group of a
//! Parquet file, over an origin that is 20 ms away, cold, warm in another process, and warm in the same.
//!
//! Beside a cold read stand as many pauses as it sends requests, one after the other, and beside the warm ones the same
//! parser on the file itself. All open the object and the format anew.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot do its work has nothing to measure")]

#[path = "../formats/mod.rs"]
mod formats;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use formats::{FORMATS, Format};
use loopback_origin::{Object, Origin as Server};
use page_cache::{Cache, CachedFile, HttpOrigin};
use svf_benches::{is_quick, is_wanted, record};

const DELAY: Duration = Duration::from_millis(20);
/// Set in a process that reads once, and prints how long that took in nanoseconds: the format, and where it is.
const CHILD: &str = "SVF_BENCH_FORMAT";

fn open(directory: &Path, url: &str) -> CachedFile {
    Cache::builder(directory).open().unwrap().file(HttpOrigin::new(url).unwrap()).unwrap()
}

/// How long it takes to open a file and to read the part of it.
fn timed(read: impl FnOnce()) -> u64 {
    let start = Instant::now();
    read();
    start.elapsed().as_nanos() as u64
}

fn child(name: &str) {
    let format = FORMATS.iter().find(|format| format.name == name).unwrap();
    let (directory, url) = (PathBuf::from(std::env::var_os("DIRECTORY").unwrap()), std::env::var("URL").unwrap());
    println!("{}", timed(|| format.read(open(&directory, &url).reader())));
}

fn in_another_process(format: &Format, directory: &Path, url: &str) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.env(CHILD, format.name).env("DIRECTORY", directory).env("URL", url);
    let output = child.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn main() {
    if let Ok(name) = std::env::var(CHILD) {
        return child(&name);
    }
    let rounds = if is_quick() { 1 } else { 10 };
    for format in &FORMATS {
        let id = |case: &str, name: &str| format!("stack/{}-{case}/{name}", format.name);
        if !["cold", "other-process", "warm"].iter().any(|case| is_wanted(&id(case, "ours"))) {
            continue;
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("object");
        format.write(&path);
        let object = Object::from_file(&path).unwrap();
        let server = Server::builder().serve("/object", object).delay(DELAY).start().unwrap();
        let url = server.url("/object");
        for round in 0..rounds {
            let directory = root.path().join(round.to_string());
            server.reset_counters();
            record(&id("cold", "ours"), timed(|| format.read(open(&directory, &url).reader())) as f64, "ns");
            let counters = server.counters();
            let pauses = DELAY.as_nanos() as f64 * counters.requests as f64;
            record(&id("cold", "pauses"), pauses, "ns");
            record(&id("cold", "requests"), counters.requests as f64, "requests");
            record(&id("cold", "bytes"), counters.body_bytes as f64, "B");
            server.reset_counters();
            record(&id("other-process", "ours"), in_another_process(format, &directory, &url) as f64, "ns");
            // What this process has checked it need not check again, while the file is open.
            let kept = open(&directory, &url);
            format.read(kept.reader());
            record(&id("warm", "ours"), timed(|| format.read(open(&directory, &url).reader())) as f64, "ns");
            record(&id("warm", "bare"), timed(|| format.read(File::open(&path).unwrap())) as f64, "ns");
            assert_eq!(server.counters().requests, 0, "all of it was held");
        }
    }
}
