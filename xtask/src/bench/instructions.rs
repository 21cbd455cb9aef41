//! How many instructions the hot paths take, which callgrind counts exactly.

use serde::{Deserialize, Serialize};

use crate::process::{Result, built, cargo, program, run, tool};

/// The instructions of one operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instructions {
    pub(crate) operation: String,
    pub(crate) instructions: f64,
}

/// What `benches/examples/hot_paths.rs` can do.
const OPERATIONS: [(&str, &str); 13] = [
    ("append-4B", "svf-core: 4 B written behind 4 B"),
    ("write_bytes-4KiB-shuffled", "svf-core: 4 KiB handed over, among 10,000 chunks"),
    ("write-64B-shuffled", "svf-core: 64 B written among 100,000 blocks"),
    ("contains", "svf-core: `contains` among 100,000 blocks"),
    ("need", "svf-core: `need` over one gap among 100,000 blocks"),
    ("read-64B", "svf-core: 64 B read among 100,000 blocks"),
    ("cursor-hit", "window-mman: a cursor's hit"),
    ("window-change", "window-mman: to another mapped window"),
    ("window-miss", "window-mman: to a window that is not mapped, outside of the system"),
    ("read_at-64B", "window-mman: 64 B copied by a read, outside of the system"),
    ("hit-64B", "page-cache: a hit of 64 B"),
    ("hit-4KiB", "page-cache: a hit of 4 KiB"),
    ("fill-4KiB", "page-cache: a page of 4 KiB filled, outside of the system"),
];
/// How often each is done: the difference is what so many of them take.
const TIMES: [u64; 2] = [2_000, 12_000];

/// Counts all of them.
pub(crate) fn count() -> Result<Vec<Instructions>> {
    tool("valgrind", "valgrind")?;
    run(&mut cargo(["build", "--release", "--package", "svf-benches", "--example", "hot_paths"]))?;
    OPERATIONS.iter().map(|(name, operation)| count_one(name, operation)).collect()
}

fn count_one(name: &str, operation: &str) -> Result<Instructions> {
    let [few, many] = TIMES.map(|times| collected(name, times));
    let each = (many? - few?) / (TIMES[1] - TIMES[0]) as f64;
    Ok(Instructions { operation: operation.to_owned(), instructions: (each * 10.0).round() / 10.0 })
}

/// The instructions of a whole run.
fn collected(name: &str, times: u64) -> Result<f64> {
    let path = built().join("release/examples/hot_paths");
    let mut command = program("valgrind", ["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = command.arg(path).args([name, &times.to_string()]).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind of {name}: {}\n{complaint}", output.status).into());
    }
    let line = complaint.lines().find_map(|line| line.split("Collected :").nth(1));
    Ok(line.ok_or_else(|| format!("valgrind of {name} counted nothing:\n{complaint}"))?.trim().parse()?)
}
