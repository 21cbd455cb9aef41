//! The report: what was measured, on what, and whether it is what was wanted.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::figures::Figures;
use super::growth::SeriesLine;
use super::instructions::Instructions;
use super::machine::Conditions;
use super::row::Line;
use super::rows::{self, SERIES};
use crate::process::Result;

/// `docs/benchmarks.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) conditions: Conditions,
    /// How many rounds each figure is the lowest of.
    pub(crate) rounds: usize,
    /// Whether everything was measured as shortly as can be.
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Line>,
    pub(crate) series: Vec<SeriesLine>,
    pub(crate) instructions: Vec<Instructions>,
}

impl Report {
    pub(crate) fn new(
        conditions: Conditions,
        figures: &Figures,
        rounds: usize,
        quick: bool,
        instructions: Vec<Instructions>,
    ) -> Self {
        let rows = rows::all().map(|row| row.line(figures, rounds)).collect();
        let series = SERIES.iter().map(|series| series.line(figures)).collect();
        Self { conditions, rounds, quick, rows, series, instructions }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    pub(crate) fn write(&self, path: &Path) -> Result {
        Ok(fs::write(path, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// How many of the targets are reached, and what became of the others.
    pub(crate) fn targets(&self) -> String {
        let wanted = || self.rows.iter().filter(|row| row.target.is_some());
        let [reached, missed, unknown] =
            [Some(true), Some(false), None].map(|reached| wanted().filter(|row| row.reached == reached).count());
        let limited = wanted().filter(|row| row.is_at_its_limit()).count();
        let missed = missed - limited;
        format!(
            "{reached} targets reached, {limited} within 1.1 times of what their work takes at least, {missed} missed, \
             {unknown} not measured"
        )
    }
}

/// How much further than the rounds of one run those of the next may lie: a ratio depends on where memory happens to
/// be, which stays the same for as long as a process runs.
const BEYOND: f64 = 1.1;

/// How each row differs from the same row of another report, and whether the ratios agree.
pub(crate) fn compare(old: &Report, new: &Report) -> String {
    let mut text = format!("{:>9} {:>9} {:>7}   {:>9} {:>9}\n", "was", "is", "times", "ratio was", "is");
    let (mut agree, mut differ) = (0, Vec::new());
    for row in &new.rows {
        let same = |other: &&Line| (&other.area, &other.operation) == (&row.area, &row.operation);
        let Some((was, (before, now))) =
            old.rows.iter().find(same).and_then(|was| Some((was, was.ours.zip(row.ours)?)))
        else {
            continue;
        };
        let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        text += &format!(
            "{before:>9} {now:>9} {:>7.3}   {:>9} {:>9}   {}, {} ({})\n",
            if now == before { 1.0 } else { now / before },
            ratio(was.ratio),
            ratio(row.ratio),
            row.area,
            row.operation,
            row.unit
        );
        match was.spread.zip(row.spread) {
            Some(spreads) if overlap(spreads) => agree += 1,
            Some(([least, most], [from, to])) => differ
                .push(format!("differs: {}, {}: {least} to {most}, and now {from} to {to}\n", row.area, row.operation)),
            None => {}
        }
    }
    let count = differ.len();
    text + &differ.concat() + &format!("the spreads of {agree} ratios agree with those of before, {count} do not\n")
}

/// Whether two spreads have something in common, each of them a tenth wider.
fn overlap(([least, most], [from, to]): ([f64; 2], [f64; 2])) -> bool {
    from <= most * BEYOND * BEYOND && least <= to * BEYOND * BEYOND
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_and_every_series_has_a_name_of_its_own() {
        let names: Vec<_> = rows::all().map(|row| (row.area, row.operation)).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let names: Vec<_> = SERIES.iter().map(|series| (series.area, series.operation, series.by)).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let report = Report::new(Conditions::default(), &Figures::default(), 3, false, Vec::new());
        report.write(file.path()).unwrap();
        assert_eq!(Report::read(file.path()).unwrap(), report);
        let targets = report.targets();
        assert!(targets.starts_with("0 targets reached, 0 within"), "nothing was measured: {targets}");
        let unknown = targets.split(" missed, ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(unknown.parse::<usize>().unwrap() > 60, "{targets}");
    }

    #[test]
    fn reports_are_compared_row_by_row() {
        let mut old = Report::new(Conditions::default(), &Figures::default(), 3, false, Vec::new());
        let mut new = old.clone();
        assert_eq!(compare(&old, &new).lines().count(), 2, "nothing was measured");
        (old.rows[0].ours, new.rows[0].ours) = (Some(10.0), Some(5.0));
        let text = compare(&old, &new);
        assert!(
            text.lines().count() == 3 && text.contains(" 0.500 ") && text.contains(&new.rows[0].operation),
            "{text}"
        );
    }

    #[test]
    fn ratios_agree_where_their_spreads_touch_but_for_a_tenth_of_each() {
        let of = |spread| {
            let mut report = Report::new(Conditions::default(), &Figures::default(), 3, false, Vec::new());
            (report.rows[0].ours, report.rows[0].spread) = (Some(1.0), Some(spread));
            report
        };
        for (now, agrees) in [([1.5, 3.0], true), ([2.4, 3.0], true), ([2.5, 3.0], false), ([0.1, 0.8], false)] {
            for (old, new) in [([1.0, 2.0], now), (now, [1.0, 2.0])] {
                let text = compare(&of(old), &of(new));
                assert_eq!(text.contains("\ndiffers: "), !agrees, "{text}");
                let counts = if agrees { "of 1 ratios agree with those of before, 0 do" } else { "of 0 ratios agree" };
                assert!(text.contains(counts), "{text}");
            }
        }
    }
}
