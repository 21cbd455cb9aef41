//! The figures in the README, which are those of `docs/benchmarks.json`.

use std::fs;

use super::markdown::{amount, plain};
use super::report::Report;
use crate::process::{Result, root};

const BEGIN: &str = "<!-- figures: written by cargo xtask bench -->\n";
const END: &str = "<!-- end of figures -->\n";
const README: &str = "README.md";

/// Puts the figures of the report into the README.
pub(crate) fn write(report: &Report) -> Result {
    let path = root().join(README);
    let text = fs::read_to_string(&path)?;
    Ok(fs::write(path, replaced(&text, report)?)?)
}

/// An error where the README has no place for figures, before anything is measured for it.
pub(crate) fn has_a_place() -> Result {
    around(&fs::read_to_string(root().join(README))?).map(drop)
}

/// What stands before the figures, and what behind them.
fn around(text: &str) -> Result<(&str, &str)> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    Ok(parts.ok_or_else(|| format!("{README} has no place for figures, between {BEGIN} and {END}"))?)
}

fn replaced(text: &str, report: &Report) -> Result<String> {
    let (before, after) = around(text)?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", table(report)))
}

fn table(report: &Report) -> String {
    let mut text = String::from("| | here | beside | there | times |\n|---|--:|---|--:|--:|\n");
    for row in report.rows.iter().filter(|row| row.headline) {
        let value =
            |value: Option<f64>| value.map_or_else(|| "not measured".to_owned(), |value| amount(value, &row.unit));
        let both = row.ours.zip(row.baseline_value).filter(|(ours, _)| *ours > 0.0);
        text += &format!(
            "| {}: {} | {} | {} | {} | {} |\n",
            row.area,
            row.operation,
            value(row.ours),
            row.baseline.as_deref().unwrap_or_default(),
            value(row.baseline_value),
            both.map_or_else(String::new, |(ours, baseline)| plain(baseline / ours)),
        );
    }
    let conditions = &report.conditions;
    let machine = &conditions.machine;
    text += &format!(
        "\nThe lowest of {} round{} on {} cores of {}, {}; all figures, and how they come about: [benchmarks](docs/benchmarks.md).\n",
        report.rounds,
        if report.rounds == 1 { "" } else { "s" },
        machine.cores,
        machine.processor,
        conditions.date
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Figures;
    use crate::bench::machine::Conditions;

    #[test]
    fn the_figures_are_those_of_the_json() {
        let report = Report::read(&root().join("docs/benchmarks.json")).unwrap();
        let text = fs::read_to_string(root().join(README)).unwrap();
        assert!(replaced(&text, &report).unwrap() == text, "run cargo xtask bench --readme");
    }

    #[test]
    fn only_what_stands_between_the_marks_is_written() {
        let mut report = Report::new(Conditions::default(), &Figures::default(), 3, false, Vec::new());
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let first = replaced(&text, &report).unwrap();
        assert!(first.starts_with("before\n") && first.ends_with("after\n") && !first.contains("\nold\n"));
        assert_eq!(replaced(&first, &report).unwrap(), first);
        let row = report.rows.iter_mut().find(|row| row.headline).unwrap();
        (row.ours, row.baseline_value) = (Some(2.0), Some(9.0));
        assert_ne!(replaced(&first, &report).unwrap(), first, "another figure");
        assert!(replaced(&first, &report).unwrap().contains("| 4.5 |"));
        replaced("no marks", &report).unwrap_err();
    }
}
