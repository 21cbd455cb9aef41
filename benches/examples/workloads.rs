//! Writes the workloads into a directory, for peers in other languages: of each a file of `offset length` lines, and
//! the files that they are about.
//!
//! ```text
//! cargo run --release --package svf-benches --example workloads -- DIRECTORY
//! ```

#![expect(clippy::unwrap_used, reason = "a workload that cannot be written is none")]

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use svf_benches::{CACHED_LEN, SEED, pattern, workloads, write_windowed};

/// The longest file of which pieces are kept in memory.
const CONTENT_LEN: usize = 256 << 20;

fn main() {
    let directory = PathBuf::from(std::env::args_os().nth(1).unwrap());
    fs::create_dir_all(&directory).unwrap();
    for workload in workloads() {
        let mut lines = String::new();
        for range in workload.ranges {
            writeln!(lines, "{} {}", range.start, range.end - range.start).unwrap();
        }
        fs::write(directory.join(workload.name.replace('/', "-")), lines).unwrap();
    }
    let content = pattern(CONTENT_LEN, SEED);
    fs::write(directory.join("content.bin"), &content).unwrap();
    // A shorter pattern is the beginning of a longer one.
    fs::write(directory.join("cached.bin"), &content[..CACHED_LEN as usize]).unwrap();
    write_windowed(&directory.join("windowed.bin")).unwrap();
}
