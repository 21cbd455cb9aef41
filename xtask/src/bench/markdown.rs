//! `docs/benchmarks.md`, and how figures are written for people.

use super::growth::SeriesLine;
use super::instructions::Instructions;
use super::report::Report;
use super::row::{Limit, Line, NOT_MEASURED};
use super::rows::SERIES;

/// All of a report as a page.
pub(crate) fn page(report: &Report) -> String {
    let conditions = &report.conditions;
    let machine = &conditions.machine;
    let mut text = String::from("# Benchmarks\n\n");
    text += "Written by `cargo xtask bench --peers`, and never by hand; [the same as JSON](benchmarks.json).\n\n";
    text += &format!("{}.\n\n", report.targets());
    text += "| | |\n|---|---|\n";
    let memory = format!("{}, {} cores, {} GiB", machine.processor, machine.cores, machine.memory_gib);
    text += &format!("| machine | {memory} |\n");
    text += &format!("| system | Linux {}, {} |\n", machine.kernel, machine.file_system);
    text += &format!("| load when it began | {} |\n", machine.load);
    text += &format!("| commit | {} |\n| date | {} |\n", conditions.commit, conditions.date);
    text += &format!("| rounds | {}{} |\n", report.rounds, if report.quick { ", short ones" } else { "" });
    for (name, version) in &conditions.versions {
        text += &format!("| {name} | {version} |\n");
    }
    text += &format!("\n{}\n", wrapped(&conditions.method));
    let mut areas: Vec<&str> = report.rows.iter().map(|row| &*row.area).collect();
    areas.dedup();
    for area in areas {
        text += &format!("\n## {area}\n\n");
        text += "| operation | ours | beside | it takes | ratio | of a round | target | reached |\n";
        text += "|---|--:|---|--:|--:|---|---|---|\n";
        let rows: Vec<_> = report.rows.iter().filter(|row| row.area == area).collect();
        rows.iter().for_each(|row| text += &table_line(row));
        let notes: Vec<_> = rows.iter().filter_map(|row| Some((&row.operation, row.note.as_ref()?))).collect();
        if !notes.is_empty() {
            text += "\nWhat is missing, and why:\n\n";
            notes.iter().for_each(|(operation, note)| text += &wrapped_item(&format!("{operation}: {note}.")));
        }
    }
    text + &growth(&report.series) + &instructions(&report.instructions)
}

/// What stands in the place of a time that somebody took for something else than was asked.
const WRONG: &str = "a wrong result";

fn table_line(row: &Line) -> String {
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| amount(value, &row.unit));
    let number = |number: Option<f64>| number.map_or_else(String::new, plain);
    let spread = row.spread.map_or_else(String::new, |[least, most]| format!("{} to {}", plain(least), plain(most)));
    let reached = match (row.reached, &row.limit) {
        (Some(true), _) => "yes".to_owned(),
        (Some(false), Some(Limit { name, ratio, kept, .. })) => {
            format!("{}, but {} times {name}", if *kept { "no" } else { "**no**" }, plain(*ratio))
        }
        (Some(false), None) => "**no**".to_owned(),
        (None, _) if row.target.is_some() => "not measured".to_owned(),
        (None, _) => String::new(),
    };
    let baseline_value = match (&row.baseline, row.baseline_value, &row.note) {
        (None, ..) => String::new(),
        (Some(_), None, Some(note)) if note.contains(WRONG) => WRONG.to_owned(),
        (Some(_), None, Some(note)) if !note.contains(NOT_MEASURED) => "cannot run".to_owned(),
        _ => value(row.baseline_value),
    };
    format!(
        "| {} | {} | {} | {baseline_value} | {} | {spread} | {} | {reached} |\n",
        row.operation,
        value(row.ours),
        row.baseline.as_deref().unwrap_or_default(),
        number(row.ratio),
        row.target.as_deref().unwrap_or_default(),
    )
}

/// What costs more where there is more of it.
fn growth(series: &[SeriesLine]) -> String {
    let mut text =
        String::from("\n## Growth\n\nWhat the same costs at several sizes, from the smallest to the largest.\n\n");
    let too_much: Vec<_> = series.iter().filter(|series| series.grows_as_it_should == Some(false)).collect();
    for series in &too_much {
        let (growth, most) = (series.growth.unwrap_or_default(), series.may_grow.unwrap_or_default());
        let name = format!("{}, {} by {}", series.area, series.operation, series.by);
        let grows = format!("grows {} times, where {} would be as it should.", plain(growth), plain(most));
        text += &wrapped_item(&format!("**Grows more than it should**: {name} {grows}"));
    }
    if too_much.is_empty() {
        text += "Nothing that was measured grows more than it should.\n";
    }
    text += "\n| operation | by | sizes | ours | grows | beside | it takes | grows | may grow |\n";
    text += "|---|---|---|---|--:|---|---|--:|--:|\n";
    for line in series {
        let values = |values: &[Option<f64>]| {
            let value = |value: &Option<f64>| value.map_or_else(|| "–".to_owned(), |value| amount(value, "ns"));
            values.iter().map(value).collect::<Vec<_>>().join(", ")
        };
        let number = |number: Option<f64>| number.map_or_else(String::new, plain);
        text += &format!(
            "| {}: {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            line.area,
            line.operation,
            line.by,
            line.sizes.join(", "),
            values(&line.ours),
            number(line.growth),
            line.baseline.as_deref().unwrap_or_default(),
            values(&line.baseline_values),
            number(line.baseline_growth),
            number(line.may_grow),
        );
    }
    for plot in SERIES.iter().filter_map(|series| series.plot.as_ref()) {
        text += &format!("\n![{}](benchmarks/{}.svg)\n", plot.title, plot.file);
    }
    text
}

fn instructions(counts: &[Instructions]) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n## Instructions\n\nOf one operation, as callgrind counts them.\n\n");
    text += "| operation | instructions |\n|---|--:|\n";
    counts.iter().for_each(|count| text += &format!("| {} | {} |\n", count.operation, count.instructions));
    text
}

/// A figure with its unit, in three digits.
pub(crate) fn amount(value: f64, unit: &str) -> String {
    match unit {
        "ns" if value >= 1e9 => format!("{} s", plain(value / 1e9)),
        "ns" if value >= 1e6 => format!("{} ms", plain(value / 1e6)),
        "ns" if value >= 1e3 => format!("{} µs", plain(value / 1e3)),
        "B" if value >= f64::from(1 << 20) => format!("{} MiB", plain(value / f64::from(1 << 20))),
        "B" if value >= f64::from(1 << 10) => format!("{} KiB", plain(value / f64::from(1 << 10))),
        _ => format!("{} {unit}", plain(value)),
    }
}

/// A number in three digits, and in thousands.
pub(crate) fn plain(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        ..0.1 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let rest = rest.trim_end_matches('0');
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 && digit.is_ascii_digit() && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() { grouped } else { format!("{grouped}.{rest}") }
}

/// Text in lines of a length that people read.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 118) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn wrapped_item(text: &str) -> String {
    format!("* {}\n", wrapped(text).replace('\n', "\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Figures;
    use crate::bench::machine::Conditions;

    #[test]
    fn figures_are_written_as_people_read_them() {
        let times = [0.654_3, 12.34, 999.9, 12_340.0, 2.5e6, 3e9].map(|value| amount(value, "ns"));
        assert_eq!(times, ["0.65 ns", "12.3 ns", "1,000 ns", "12.3 µs", "2.5 ms", "3 s"]);
        assert_eq!([plain(1_234_567.0), plain(0.0), plain(5_000.0), plain(0.06)], ["1,234,567", "0", "5,000", "0.06"]);
        assert_eq!([amount(0.0, "calls"), amount(3_145_728.0, "B")], ["0 calls", "3 MiB"]);
    }

    #[test]
    fn a_page_has_all_rows_and_says_what_is_missing() {
        let mut report = Report::new(Conditions::default(), &Figures::default(), 3, false, Vec::new());
        let row = &mut report.rows[0];
        (row.ours, row.ratio, row.reached, row.note) = (Some(12.0), Some(2.5), Some(false), None);
        let page = page(&report);
        assert!(report.rows.iter().all(|row| page.contains(&format!("| {} |", row.operation))));
        assert!(page.contains("| 12 ns |") && page.contains("| **no** |") && page.contains("not measured in this run"));
        report.rows[1].note = Some("svfsc: a wrong result: 3 of 4".to_owned());
        report.rows[2].note = Some("svfsc: not installed".to_owned());
        assert!(self::page(&report).contains("| a wrong result |") && self::page(&report).contains("| cannot run |"));
        assert!(page.contains("Nothing that was measured grows") && page.contains("benchmarks/prepend.svg"));
        assert!(page.lines().all(|line| line.starts_with('|') || line.chars().count() <= 120));
    }
}
