//! Figures of what measures without criterion: counts, times one by one, and in turn.

use std::fs::File;
use std::io::Write;

/// Whether a figure of this name is asked for: all are, unless the first argument of the program is a part of its name.
#[must_use]
pub fn is_wanted(id: &str) -> bool {
    std::env::args().skip(1).find(|argument| !argument.starts_with('-')).is_none_or(|filter| id.contains(&filter))
}

/// Prints a figure, and adds it as a line of JSON to the file that `SVF_BENCH_FIGURES` names, where it does.
///
/// The name is `group/function/parameter`, as criterion's are. Of figures of one name the lowest counts.
///
/// # Panics
///
/// If the file cannot be written: a figure that is missing would look like one that nobody measured.
#[expect(clippy::expect_used, reason = "a measurement that cannot be kept has no figures")]
pub fn record(id: &str, value: f64, unit: &str) {
    println!("{id:<60} {value} {unit}");
    if let Some(path) = std::env::var_os("SVF_BENCH_FIGURES") {
        let mut file = File::options().append(true).create(true).open(path).expect("the file of figures opens");
        let line = format!("{{\"id\":\"{id}\",\"value\":{value},\"unit\":\"{unit}\"}}\n");
        file.write_all(line.as_bytes()).expect("the file of figures takes a line");
    }
}
