//! The examples, run as processes: what they print, and what they cost a server that counts.
//!
//! `cargo test -p svf-facade` builds them; with `--test examples` alone they are those that were built last.

#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;

use loopback_origin::Origin;

/// An example with its arguments, with a directory in which the usual cache is.
fn run(example: &str, url: Option<&str>, home: &Path) -> String {
    let test = std::env::current_exe().unwrap();
    let examples = test.parent().and_then(Path::parent).unwrap().join("examples");
    let program = examples.join(example);
    assert!(program.exists(), "{} is missing; cargo test -p svf-facade builds it", program.display());
    let output = Command::new(program).args(url).env("XDG_CACHE_HOME", home).output().unwrap();
    assert!(output.status.success(), "{example}: {output:?}");
    assert!(output.stderr.is_empty(), "{example}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// An example over the file that it makes, of which it takes less than this part; what is said must be among what it
/// prints.
fn by_itself(example: &str, said: &[&str], part: f64) {
    let home = tempfile::tempdir().unwrap();
    let printed = run(example, None, home.path());
    for words in said {
        assert!(printed.contains(words), "{example} says nothing of {words:?}: {printed}");
    }
    let cost = printed.lines().find(|line| line.contains(" requests for ")).unwrap();
    let figures: Vec<u64> = cost.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [requests, fetched, length] = figures[..] else { panic!("{example}: {cost}") };
    assert!(requests > 0 && fetched > 0 && fetched as f64 <= part * length as f64, "{example}: {cost}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "{example} leaves nothing behind");
}

#[test]
fn a_member_of_a_zip() {
    by_itself("zip_member", &["member 0\n", "member 20\n", "read member 10: 100000 bytes"], 0.2);
}

#[test]
fn a_tile_of_a_cog() {
    by_itself("cog_tile", &["2048 x 2048 pixels", "tile 36: 65536 samples, the first is 36"], 0.1);
}

#[cfg(feature = "parquet")]
#[test]
fn a_column_of_a_parquet() {
    by_itself("parquet_column", &["columns: id, text", "read 100000 rows"], 0.5);
}

#[test]
fn a_dataset_of_an_hdf5() {
    by_itself("hdf5_dataset", &["shape [500, 400]", "read 200000 values, their mean is 1013.0"], 0.4);
}

#[test]
fn a_viewer_with_little_memory() {
    by_itself("viewer", &["by pages: 320000 lines", "262144 bytes of memory", "by windows: 320000 lines"], 1.0);
    let home = tempfile::tempdir().unwrap();
    let printed = run("viewer", None, home.path());
    let windows = printed.lines().find(|line| line.contains("bytes mapped")).unwrap();
    let most: u64 = windows.split_whitespace().rev().nth(2).unwrap().parse().unwrap();
    assert!((1..=1 << 20).contains(&most), "{windows}");
}

#[test]
fn many_processes_fetch_each_byte_once() {
    let server = Origin::builder().serve_bytes("/huge.bin", vec![7; 20_000_000]).start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let printed = run("many_processes", Some(&server.url("/huge.bin")), home.path());
    assert_eq!(printed.matches("a process: read 20000000 bytes").count(), 4, "{printed}");
    assert!(printed.contains("requests for 20000000 bytes\n"), "{printed}");
    assert_eq!(server.counters().body_bytes, 20_000_000, "{printed}");
}

/// With a URL an example reads that, through the usual cache, which the next run finds.
#[test]
fn an_example_takes_a_url() {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("a file", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(b"with something in it").unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let server = Origin::builder().serve_bytes("/my.zip", archive).start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let first = run("zip_member", Some(&server.url("/my.zip")), home.path());
    assert!(first.contains("read a file: 20 bytes"), "{first}");
    let requests = server.counters().requests;
    assert!(requests > 0);
    let again = run("zip_member", Some(&server.url("/my.zip")), home.path());
    assert!(again.contains("read a file: 20 bytes\n0 requests for 0 of"), "{again}");
    assert_eq!(server.counters().requests, requests);
}
