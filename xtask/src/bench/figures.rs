//! What was measured: criterion's own files, and the lines of those that measure without criterion.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::process::Result;

/// What the benchmarks of a run measured, each known by `group/function/parameter`.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    measured: BTreeMap<String, Measured>,
    notes: BTreeMap<String, String>,
}

/// A figure of each round in which it was measured.
#[derive(Debug, Default)]
struct Measured {
    unit: String,
    rounds: BTreeMap<usize, f64>,
}

/// The lowest figure of all rounds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) unit: String,
}

impl Figures {
    /// Adds what criterion left in its directory: of each function the time of its fastest sample.
    pub(crate) fn add_criterion(&mut self, round: usize, home: &Path) -> Result {
        let mut directories = vec![home.to_owned()];
        while let Some(directory) = directories.pop() {
            if !directory.is_dir() {
                continue;
            }
            if directory.file_name().is_some_and(|name| name == "new") {
                let (id, time) = fastest_sample(&directory)?;
                self.add(round, id, time, "ns");
                continue;
            }
            for entry in fs::read_dir(&directory)? {
                directories.push(entry?.path());
            }
        }
        Ok(())
    }

    /// Adds what others wrote, one figure a line. Of a figure that stands there twice the lower one counts.
    pub(crate) fn add_lines(&mut self, round: usize, path: &Path) -> Result {
        if !path.exists() {
            return Ok(());
        }
        for line in fs::read_to_string(path)?.lines() {
            let line: Line =
                serde_json::from_str(line).map_err(|error| format!("{}: {line}: {error}", path.display()))?;
            match line {
                Line::Figure { id, value, unit } => self.add(round, id, value, &unit),
                Line::Note { id, note } => _ = self.notes.insert(id, note),
            }
        }
        Ok(())
    }

    /// Says of a figure, or of all whose names have a part like `/peer/`, why there is none.
    pub(crate) fn note(&mut self, id: &str, note: &str) {
        self.notes.insert(id.to_owned(), note.to_owned());
    }

    fn add(&mut self, round: usize, id: String, value: f64, unit: &str) {
        let measured = self.measured.entry(id).or_default();
        unit.clone_into(&mut measured.unit);
        measured.rounds.entry(round).and_modify(|lowest| *lowest = lowest.min(value)).or_insert(value);
    }

    /// The lowest figure of all rounds.
    pub(crate) fn lowest(&self, id: &str) -> Option<Figure> {
        let measured = self.measured.get(id)?;
        let value = measured.rounds.values().copied().reduce(f64::min)?;
        Some(Figure { value, unit: measured.unit.clone() })
    }

    /// The figure of one round, or the lowest of all.
    pub(crate) fn figure(&self, id: &str, round: Option<usize>) -> Option<Figure> {
        let Some(round) = round else { return self.lowest(id) };
        let measured = self.measured.get(id)?;
        Some(Figure { value: *measured.rounds.get(&round)?, unit: measured.unit.clone() })
    }

    /// The round in which these took least, each weighed alike; none if there is no round that has them all.
    pub(crate) fn best_round(&self, ids: &[&str]) -> Option<usize> {
        let rounds = self.measured.get(*ids.first()?)?.rounds.keys();
        let together = |&round: &usize| {
            let values = ids.iter().map(|id| self.measured.get(*id)?.rounds.get(&round));
            values.map(|value| value.map(|value| value.ln())).sum::<Option<f64>>().map(|sum| (sum, round))
        };
        rounds.filter_map(together).min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, round)| round)
    }

    /// Why there is no such figure, or why it does not count.
    pub(crate) fn why_not(&self, id: &str) -> Option<&str> {
        let names_part = |key: &str| key.starts_with('/') && id.contains(key);
        let of_part = || self.notes.iter().find(|(key, _)| names_part(key)).map(|(_, note)| note);
        self.notes.get(id).or_else(of_part).map(String::as_str)
    }

    pub(crate) fn len(&self) -> usize {
        self.measured.len()
    }
}

/// A line of who measures without criterion.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Figure { id: String, value: f64, unit: String },
    Note { id: String, note: String },
}

/// `benchmark.json`, as far as it is read.
#[derive(Debug, Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Option<BTreeMap<String, f64>>,
}

/// `sample.json`, as far as it is read.
#[derive(Debug, Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// The name of a benchmark and its shortest time, in nanoseconds: of an element, where it says how many it has, and of
/// an iteration where it does not.
fn fastest_sample(directory: &Path) -> Result<(String, f64)> {
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let benchmark: Benchmark = serde_json::from_str(&read("benchmark.json")?)?;
    let sample: Sample = serde_json::from_str(&read("sample.json")?)?;
    let times = sample.iters.iter().zip(&sample.times).map(|(iterations, time)| time / iterations);
    let fastest = times.reduce(f64::min).ok_or_else(|| format!("{}: no samples", benchmark.full_id))?;
    let elements = benchmark.throughput.and_then(|throughput| throughput.get("Elements").copied()).unwrap_or(1.0);
    Ok((benchmark.full_id, fastest / elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criterion(home: &Path, name: &str, throughput: &str, times: &str) {
        let directory = home.join(name).join("new");
        fs::create_dir_all(&directory).unwrap();
        let benchmark = format!(r#"{{"full_id":"{name}","throughput":{throughput},"group_id":"g"}}"#);
        fs::write(directory.join("benchmark.json"), benchmark).unwrap();
        let sample = format!(r#"{{"sampling_mode":"Flat","iters":[1,2],"times":{times}}}"#);
        fs::write(directory.join("sample.json"), sample).unwrap();
    }

    #[test]
    fn the_fastest_sample_of_all_rounds_counts() {
        let home = tempfile::tempdir().unwrap();
        let mut figures = Figures::default();
        criterion(home.path(), "a/ours/1", r#"{"Elements":10}"#, "[100,160]");
        criterion(home.path(), "a/bare/1", r#"{"Bytes":10}"#, "[100,220]");
        figures.add_criterion(0, home.path()).unwrap();
        criterion(home.path(), "a/ours/1", r#"{"Elements":10}"#, "[70,160]");
        figures.add_criterion(1, home.path()).unwrap();
        assert_eq!(figures.lowest("a/ours/1"), Some(Figure { value: 7.0, unit: "ns".into() }));
        let of_rounds = [0, 1, 2].map(|round| figures.figure("a/ours/1", Some(round)).map(|figure| figure.value));
        assert_eq!(of_rounds, [Some(8.0), Some(7.0), None]);
        assert_eq!(figures.lowest("a/bare/1").unwrap().value, 100.0, "an iteration, whatever bytes it moves");
        assert_eq!(figures.lowest("a/other/1"), None);
    }

    #[test]
    fn lines_are_figures_or_say_why_there_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = "{\"id\":\"a/b\",\"value\":3,\"unit\":\"requests\"}\n{\"id\":\"a/c\",\"note\":\"wrong bytes\"}\n";
        fs::write(file.path(), lines).unwrap();
        let mut figures = Figures::default();
        figures.add_lines(0, file.path()).unwrap();
        figures.note("/peer/", "it does not start");
        assert_eq!(figures.lowest("a/b"), Some(Figure { value: 3.0, unit: "requests".into() }));
        assert_eq!(figures.why_not("a/c"), Some("wrong bytes"));
        assert_eq!(figures.why_not("a/peer/1"), Some("it does not start"));
        assert_eq!(figures.why_not("a/b"), None);
        fs::write(file.path(), "nonsense").unwrap();
        figures.add_lines(1, file.path()).unwrap_err();
    }
}
