//! A row of the report: what is measured, beside what, and what is wanted of it.

use serde::{Deserialize, Serialize};

use super::figures::Figures;

/// One line of the tables in `rows`.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) area: &'static str,
    pub(crate) operation: &'static str,
    /// What ours is called: `group/function/parameter`.
    ours: &'static str,
    baseline: Option<Baseline>,
    target: Target,
    limit: Option<Baseline>,
    /// Whether all of it is measured in turn, so that its figures are those of one round.
    is_in_turn: bool,
    /// What ours is called where it is measured in turn with the limit, and not with the baseline.
    ours_in_turn: Option<&'static str>,
    /// Whether it stands in the README.
    pub(crate) headline: bool,
}

/// What ours is compared with.
#[derive(Debug, Clone)]
struct Baseline {
    name: &'static str,
    /// Of more than one the lowest counts.
    ids: &'static [&'static str],
    /// What a call costs that does nothing, where that is no cost of the work itself.
    overhead: Option<&'static str>,
}

/// How much longer than the least that its work can take something may take that misses its target: within that, it is
/// the system that misses it.
const OF_LIMIT: f64 = 1.1;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// At most so many times what the baseline takes.
    AtMost(f64),
    /// At least so many times as fast as the baseline.
    AtLeast(f64),
    /// At most so much, in this unit.
    Within(f64, &'static str),
    /// Nothing: the figure is for who wants to know.
    None,
}

/// A row with what was measured, as it stands in `docs/benchmarks.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) area: String,
    pub(crate) operation: String,
    /// The lowest of all rounds, or of that in which all that is measured in turn took least; null where it was not
    /// measured.
    pub(crate) ours: Option<f64>,
    /// Of `ours` and of `baseline_value`.
    pub(crate) unit: String,
    pub(crate) baseline: Option<String>,
    pub(crate) baseline_value: Option<f64>,
    /// What was subtracted from the baseline's figure: an empty call.
    pub(crate) overhead: Option<f64>,
    /// Ours divided by the baseline; the other way round where the target is to be faster.
    pub(crate) ratio: Option<f64>,
    /// The lowest and the highest ratio of a round.
    pub(crate) spread: Option<[f64; 2]>,
    pub(crate) target: Option<String>,
    /// Null where nothing is wanted, or where it was not measured.
    pub(crate) reached: Option<bool>,
    /// The least that the work can take, where that is what keeps the target from being reached.
    pub(crate) limit: Option<Limit>,
    /// Why a figure is missing.
    pub(crate) note: Option<String>,
    pub(crate) headline: bool,
}

/// The least that the work of a row can take: the same system calls and copies in the same run, and nothing around
/// them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// Ours divided by it.
    pub(crate) ratio: f64,
    /// Whether ours is as good as that.
    pub(crate) kept: bool,
}

/// A row without a baseline and a target.
pub(crate) const fn row(area: &'static str, operation: &'static str, ours: &'static str) -> Row {
    Row {
        area,
        operation,
        ours,
        baseline: None,
        target: Target::None,
        limit: None,
        is_in_turn: false,
        ours_in_turn: None,
        headline: false,
    }
}

impl Row {
    /// Is compared with the lowest of these.
    pub(crate) const fn beside(mut self, name: &'static str, ids: &'static [&'static str]) -> Self {
        self.baseline = Some(Baseline { name, ids, overhead: None });
        self
    }

    /// Is compared with a call through a binding, of which an empty call is not the peer's fault.
    pub(crate) const fn beside_call(
        mut self,
        name: &'static str,
        ids: &'static [&'static str],
        empty: &'static str,
    ) -> Self {
        self.baseline = Some(Baseline { name, ids, overhead: Some(empty) });
        self
    }

    pub(crate) const fn at_most(mut self, times: f64) -> Self {
        self.target = Target::AtMost(times);
        self
    }

    pub(crate) const fn at_least(mut self, times: f64) -> Self {
        self.target = Target::AtLeast(times);
        self
    }

    pub(crate) const fn within(mut self, most: f64, unit: &'static str) -> Self {
        self.target = Target::Within(most, unit);
        self
    }

    /// Cannot take less than the lowest of these, whatever is wanted.
    pub(crate) const fn limited_by(mut self, name: &'static str, ids: &'static [&'static str]) -> Self {
        self.limit = Some(Baseline { name, ids, overhead: None });
        self
    }

    /// Ours, the baseline and the limit are measured in turn.
    pub(crate) const fn in_turn(mut self) -> Self {
        self.is_in_turn = true;
        self
    }

    /// The same where one after the other is done of ours and of the least, since what can be begun before the last is
    /// done costs less than its work.
    pub(crate) const fn limited_in_turn(
        mut self,
        name: &'static str,
        ours: &'static str,
        ids: &'static [&'static str],
    ) -> Self {
        self.ours_in_turn = Some(ours);
        self.limited_by(name, ids)
    }

    pub(crate) const fn headline(mut self) -> Self {
        self.headline = true;
        self
    }

    /// The row with what was measured in so many rounds.
    pub(crate) fn line(&self, figures: &Figures, rounds: usize) -> Line {
        let round = self.is_in_turn.then(|| figures.best_round(&self.ids())).flatten();
        let ours = figures.figure(self.ours, round);
        let overhead = self.overhead(figures);
        let baseline_value = self.baseline.as_ref().and_then(|baseline| baseline.value(figures, round));
        let limit = self.limit.as_ref().and_then(|limit| {
            let (ours, round) = match self.ours_in_turn {
                Some(ours) => (ours, figures.best_round(&[&[ours], limit.ids].concat())),
                None => (self.ours, round),
            };
            let (ours, value) = (figures.figure(ours, round)?.value, limit.value(figures, round)?);
            let ratio = ours / value;
            let (name, kept) = (limit.name.to_owned(), ratio <= OF_LIMIT);
            Some(Limit { name, value: rounded(value), ratio: rounded(ratio), kept })
        });
        let ratio = ours.as_ref().zip(baseline_value).map(|(ours, baseline)| self.ratio(ours.value, baseline));
        let ratios: Vec<f64> = (0..rounds).filter_map(|round| self.ratio_of(figures, round)).collect();
        let spread = ratios.iter().copied().reduce(f64::min).zip(ratios.iter().copied().reduce(f64::max));
        let reached = match self.target {
            Target::AtMost(most) => ratio.map(|ratio| ratio <= most),
            Target::AtLeast(least) => ratio.map(|ratio| ratio >= least),
            Target::Within(most, _) => ours.as_ref().map(|ours| ours.value <= most),
            Target::None => None,
        };
        Line {
            area: self.area.to_owned(),
            operation: self.operation.to_owned(),
            unit: ours.as_ref().map_or_else(|| "ns".to_owned(), |ours| ours.unit.clone()),
            ours: ours.map(|ours| rounded(ours.value)),
            baseline: self.baseline.as_ref().map(|baseline| baseline.name.to_owned()),
            baseline_value: baseline_value.map(rounded),
            overhead: baseline_value.and(overhead).map(rounded),
            ratio: ratio.map(rounded),
            spread: spread.map(|(least, most)| [rounded(least), rounded(most)]),
            target: self.target_text(),
            reached,
            limit,
            note: self.note(figures),
            headline: self.headline,
        }
    }

    /// All that is measured in turn.
    fn ids(&self) -> Vec<&'static str> {
        let beside = self.baseline.iter().chain(&self.limit).flat_map(|beside| beside.ids);
        std::iter::once(&self.ours).chain(beside).copied().collect()
    }

    fn ratio(&self, ours: f64, baseline: f64) -> f64 {
        if matches!(self.target, Target::AtLeast(_)) { baseline / ours } else { ours / baseline }
    }

    fn ratio_of(&self, figures: &Figures, round: usize) -> Option<f64> {
        let ids = self.baseline.as_ref()?.ids.iter();
        let value = |id| Some(figures.figure(id, Some(round))?.value);
        let baseline = ids.filter_map(|id| value(id)).reduce(f64::min)?;
        let baseline = baseline - self.overhead(figures).unwrap_or_default();
        (baseline > 0.0).then_some(self.ratio(value(self.ours)?, baseline))
    }

    fn overhead(&self, figures: &Figures) -> Option<f64> {
        self.baseline.as_ref()?.overhead(figures)
    }

    fn target_text(&self) -> Option<String> {
        match self.target {
            Target::AtMost(most) => Some(format!("at most {most} times")),
            Target::AtLeast(least) => Some(format!("at least {least} times as fast")),
            Target::Within(most, unit) => Some(format!("at most {most} {unit}")),
            Target::None => None,
        }
    }

    fn note(&self, figures: &Figures) -> Option<String> {
        if figures.lowest(self.ours).is_none() {
            return Some(figures.why_not(self.ours).unwrap_or(NOT_MEASURED).to_owned());
        }
        let baseline = self.baseline.as_ref()?;
        let why = baseline.ids.iter().find_map(|id| figures.why_not(id));
        if baseline.value(figures, None).is_some() && why.is_none() {
            return None;
        }
        Some(format!("{}: {}", baseline.name, why.unwrap_or(NOT_MEASURED)))
    }
}

impl Baseline {
    fn overhead(&self, figures: &Figures) -> Option<f64> {
        Some(figures.lowest(self.overhead?)?.value)
    }

    /// None where an empty call takes as long, so that nothing can be said of the rest.
    fn value(&self, figures: &Figures, round: Option<usize>) -> Option<f64> {
        let all = self.ids.iter().filter_map(|id| figures.figure(id, round));
        let lowest = all.map(|figure| figure.value).reduce(f64::min)?;
        let value = lowest - self.overhead(figures).unwrap_or_default();
        (value > 0.0 || lowest <= 0.0).then_some(value)
    }
}

impl Line {
    /// Whether the target is missed, and the system is the reason.
    pub(crate) fn is_at_its_limit(&self) -> bool {
        self.reached == Some(false) && self.limit.as_ref().is_some_and(|limit| limit.kept)
    }
}

pub(crate) const NOT_MEASURED: &str = "not measured in this run";

/// Four digits that count: no machine gives more. What is counted is whole, and stays as it is.
pub(crate) fn rounded(value: f64) -> f64 {
    if value.fract() == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(3 - value.abs().log10().floor() as i32);
    let rounded = (value * scale).round() / scale;
    // Large numbers are whole.
    if rounded.abs() >= 1e4 { rounded.round() } else { rounded }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn figures(lines: &[&[(&str, f64)]]) -> Figures {
        let (file, mut figures) = (tempfile::NamedTempFile::new().unwrap(), Figures::default());
        for (round, lines) in lines.iter().enumerate() {
            let line = |(id, value): &(&str, f64)| format!("{{\"id\":\"{id}\",\"value\":{value},\"unit\":\"ns\"}}\n");
            fs::write(file.path(), lines.iter().map(line).collect::<String>()).unwrap();
            figures.add_lines(round, file.path()).unwrap();
        }
        figures
    }

    #[test]
    fn a_ratio_is_that_of_the_lowest_figures_and_its_spread_that_of_the_rounds() {
        let figures = figures(&[&[("ours", 20.0), ("bare", 100.0)], &[("ours", 30.0), ("bare", 60.0)]]);
        let line = row("a", "b", "ours").beside("bare", &["bare"]).at_most(0.3).line(&figures, 2);
        assert_eq!((line.ours, line.baseline_value), (Some(20.0), Some(60.0)));
        assert_eq!((line.ratio, line.spread), (Some(0.3333), Some([0.2, 0.5])));
        assert_eq!((line.reached, line.note), (Some(false), None));
        let faster = row("a", "b", "ours").beside("bare", &["bare"]).at_least(2.5).line(&figures, 2);
        assert_eq!((faster.ratio, faster.reached), (Some(3.0), Some(true)));
    }

    #[test]
    fn what_misses_its_target_may_be_as_good_as_its_work_lets_it_be() {
        let figures = figures(&[&[("ours", 20.0), ("bare", 10.0), ("least", 19.0), ("less", 15.0)]]);
        let missed = row("a", "b", "ours").beside("bare", &["bare"]).at_most(1.5);
        let line = missed.clone().limited_by("all calls", &["least"]).line(&figures, 1);
        assert_eq!((line.reached, line.limit.as_ref().map(|limit| limit.kept)), (Some(false), Some(true)));
        assert!(line.is_at_its_limit());
        assert!(!missed.clone().limited_by("all calls", &["less"]).line(&figures, 1).is_at_its_limit());
        assert!(!missed.clone().limited_in_turn("all calls", "least", &["less"]).line(&figures, 1).is_at_its_limit());
        assert!(missed.clone().limited_in_turn("all calls", "less", &["less"]).line(&figures, 1).is_at_its_limit());
        assert!(!missed.limited_by("all calls", &["none"]).line(&figures, 1).is_at_its_limit());
    }

    #[test]
    fn what_is_measured_in_turn_has_the_figures_of_one_round() {
        let rounds: [&[(&str, f64)]; 3] = [
            &[("ours", 30.0), ("bare", 40.0), ("least", 20.0)],
            &[("ours", 20.0), ("bare", 50.0), ("least", 19.0)],
            &[("ours", 10.0), ("bare", 500.0), ("least", 18.0)],
        ];
        let missed = row("a", "b", "ours").beside("bare", &["bare"]).limited_by("all calls", &["least"]).at_most(0.3);
        let line = missed.clone().in_turn().line(&figures(&rounds), 3);
        assert_eq!((line.ours, line.baseline_value, line.ratio), (Some(20.0), Some(50.0), Some(0.4)));
        assert_eq!((line.spread, line.limit.unwrap().value), (Some([0.02, 0.75]), 19.0));
        assert_eq!(missed.line(&figures(&rounds), 3).ratio, Some(0.25), "each of its own");
        let row = row("a", "b", "bare").at_most(0.3).beside("least", &["least"]);
        let line = row.limited_in_turn("calls", "ours", &["least"]).line(&figures(&rounds[..2]), 2);
        assert_eq!((line.ours, line.limit.unwrap().ratio), (Some(40.0), 1.053));
        // Of what was not measured together in any round each has its own.
        let line = missed.in_turn().line(&figures(&[&rounds[0][..2], &rounds[1][1..]]), 2);
        assert_eq!((line.ours, line.baseline_value), (Some(30.0), Some(40.0)));
    }

    #[test]
    fn an_empty_call_is_no_cost_of_the_work() {
        let figures = figures(&[&[("ours", 20.0), ("peer", 100.0), ("slower", 150.0), ("empty", 60.0)]]);
        let peer = row("a", "b", "ours").beside_call("peer", &["slower", "peer"], "empty").at_least(2.5);
        let line = peer.line(&figures, 1);
        assert_eq!((line.baseline_value, line.overhead, line.ratio), (Some(40.0), Some(60.0), Some(2.0)));
        assert_eq!((line.spread, line.reached), (Some([2.0, 2.0]), Some(false)));
    }

    #[test]
    fn what_was_not_measured_is_said() {
        let mut figures = figures(&[&[("ours", 20.0)]]);
        let line = row("a", "b", "ours").beside("peer", &["peer"]).at_least(2.0).line(&figures, 1);
        assert_eq!((line.ours, line.ratio, line.reached), (Some(20.0), None, None));
        assert_eq!(line.note.as_deref(), Some("peer: not measured in this run"));
        figures.note("peer", "wrong bytes");
        let line = row("a", "b", "ours").beside("peer", &["peer"]).at_least(2.0).line(&figures, 1);
        assert_eq!(line.note.as_deref(), Some("peer: wrong bytes"));
        let line = row("a", "b", "other").within(3.0, "ns").line(&figures, 1);
        assert_eq!((line.note.as_deref(), line.reached), (Some("not measured in this run"), None));
        let line = row("a", "b", "ours").within(30.0, "ns").line(&figures, 1);
        assert_eq!((line.reached, line.target.as_deref()), (Some(true), Some("at most 30 ns")));
    }

    #[test]
    fn figures_have_four_digits() {
        assert_eq!([0.123_456, 1_234.56, 123_456.7, 123_456.0].map(rounded), [0.1235, 1_235.0, 123_500.0, 123_456.0]);
    }
}
