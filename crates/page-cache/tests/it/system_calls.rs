//! Counting the system calls of a piece of a test: the test starts itself again under strace.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The system calls that a test of this program, started again, makes between its marks; none without strace.
pub(crate) fn calls_between_marks(test: &str) -> Option<Vec<String>> {
    if Command::new("strace").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("strace is not installed, so system calls are not counted here; cargo xtask ci installs it");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let traced = Command::new("strace")
        .args(["-f", "-o", log.to_str().unwrap(), "--"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--test-threads=1"])
        .env(TRACED, directory.path().join("cache"))
        .output()
        .unwrap();
    assert!(traced.status.success(), "{traced:?}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(BEGIN) && log.contains(END), "the marks are not there");
    let mut from_mark = log.lines().skip_while(|line| !line.contains(BEGIN));
    // Of the thread that reads: that of the directory wakes up now and then.
    let thread = from_mark.next().and_then(|mark| mark.split_whitespace().next()).unwrap().to_owned();
    // A call during which another thread made one stands there twice.
    let to_mark = from_mark.take_while(|line| !line.contains(END)).filter(|line| !line.contains(" resumed>"));
    Some(to_mark.filter(|line| line.split_whitespace().next() == Some(&thread)).map(str::to_owned).collect())
}

/// Set in the process that is traced: where its cache is.
const TRACED: &str = "PAGE_CACHE_TEST_TRACED";
const BEGIN: &str = "/no such file: it begins";
const END: &str = "/no such file: it ends";

/// Where the cache of a test is that is being traced, and so is to do what is counted.
pub(crate) fn dir_if_traced() -> Option<PathBuf> {
    std::env::var_os(TRACED).map(PathBuf::from)
}

/// From here on system calls of this thread are counted.
pub(crate) fn mark_begin() {
    // Looking for a file that is not there is a system call that shows in the log.
    _ = Path::new(BEGIN).exists();
}

/// And to here.
pub(crate) fn mark_end() {
    _ = Path::new(END).exists();
}
