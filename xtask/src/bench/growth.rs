//! What a cost grows by, from the smallest size to the largest.

use serde::{Deserialize, Serialize};

use super::figures::Figures;
use super::row::rounded;
use super::rows::{Growth, Series};

/// A series with what was measured, as it stands in `docs/benchmarks.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesLine {
    pub(crate) area: String,
    pub(crate) operation: String,
    pub(crate) by: String,
    pub(crate) sizes: Vec<String>,
    /// In nanoseconds, one for each size; null where it was not measured.
    pub(crate) ours: Vec<Option<f64>>,
    pub(crate) baseline: Option<String>,
    pub(crate) baseline_values: Vec<Option<f64>>,
    /// The last divided by the first.
    pub(crate) growth: Option<f64>,
    pub(crate) baseline_growth: Option<f64>,
    /// What the growth may be at most; null where nothing is wanted.
    pub(crate) may_grow: Option<f64>,
    /// Null where nothing is wanted, or where it was not measured.
    pub(crate) grows_as_it_should: Option<bool>,
}

impl Series {
    /// The series with what was measured.
    pub(crate) fn line(&self, figures: &Figures) -> SeriesLine {
        let ours = self.values(self.ours, figures);
        let baseline_values = self.baseline.map_or_else(Vec::new, |(_, prefix)| self.values(prefix, figures));
        let (growth, baseline_growth) = (growth(&ours), growth(&baseline_values));
        let may_grow = match self.growth {
            Growth::AtMost(times) => Some(times),
            Growth::OfBaseline(times) => baseline_growth.map(|growth| growth.max(1.0) * times),
            Growth::Free => None,
        };
        SeriesLine {
            area: self.area.to_owned(),
            operation: self.operation.to_owned(),
            by: self.by.to_owned(),
            sizes: self.sizes.iter().map(|&size| size.to_owned()).collect(),
            ours: ours.into_iter().map(|value| value.map(rounded)).collect(),
            baseline: self.baseline.map(|(name, _)| name.to_owned()),
            baseline_values: baseline_values.into_iter().map(|value| value.map(rounded)).collect(),
            growth: growth.map(rounded),
            baseline_growth: baseline_growth.map(rounded),
            may_grow: may_grow.map(rounded),
            grows_as_it_should: growth.zip(may_grow).map(|(growth, most)| growth <= most),
        }
    }

    /// The figures of all sizes of something.
    pub(crate) fn values(&self, prefix: &str, figures: &Figures) -> Vec<Option<f64>> {
        let value = |size: &&str| figures.lowest(&format!("{prefix}/{size}")).map(|figure| figure.value);
        self.sizes.iter().map(value).collect()
    }
}

fn growth(values: &[Option<f64>]) -> Option<f64> {
    let (first, last) = (values.first().copied().flatten()?, values.last().copied().flatten()?);
    (first > 0.0).then_some(last / first)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn growth_is_that_beyond_the_baselines() {
        let (file, mut figures) = (tempfile::NamedTempFile::new().unwrap(), Figures::default());
        let lines = [("o/1", 10), ("o/2", 60), ("b/1", 5), ("b/2", 15)];
        let line = |(id, value)| format!("{{\"id\":\"{id}\",\"value\":{value},\"unit\":\"ns\"}}\n");
        fs::write(file.path(), lines.map(line).concat()).unwrap();
        figures.add_lines(0, file.path()).unwrap();
        let mut series = Series {
            area: "a",
            operation: "b",
            by: "c",
            sizes: &["1", "2"],
            ours: "o",
            baseline: Some(("bare", "b")),
            growth: Growth::OfBaseline(1.5),
            plot: None,
        };
        let line = series.line(&figures);
        assert_eq!((line.growth, line.may_grow, line.grows_as_it_should), (Some(6.0), Some(4.5), Some(false)));
        series.growth = Growth::AtMost(6.0);
        assert_eq!(series.line(&figures).grows_as_it_should, Some(true));
        series.sizes = &["1", "3"];
        assert_eq!(series.line(&figures).grows_as_it_should, None);
    }
}
