//! `cargo xtask bench`: measures everything, beside what others have made, and writes what came of it.
//!
//! The benchmarks themselves are in `benches`: those by criterion leave files, of which `figures` takes the shortest
//! time, and the others write lines. `rows` says what belongs beside what, and what is wanted; `report` is all of it,
//! `markdown`, `plots` and `readme` show it.

mod figures;
mod growth;
mod instructions;
mod machine;
mod markdown;
mod peers;
mod plots;
mod readme;
mod report;
mod row;
mod rows;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use clap::Args;

use self::figures::Figures;
use self::machine::Conditions;
use self::peers::Peers;
use self::report::Report;
use crate::process::{Result, cargo, root, run};

/// Measure everything; with peers, write docs/benchmarks.md and docs/benchmarks.json
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Only the benchmarks whose name contains this; the report is then written below target, as it is without peers
    filter: Option<String>,
    /// One short round without peers, and the report below target
    #[arg(long, conflicts_with_all = ["peers", "rounds"])]
    quick: bool,
    /// Install those that others have made, and measure them too
    #[arg(long)]
    peers: bool,
    /// How often everything is measured
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Count the instructions of the hot paths too, as it is done with peers
    #[arg(long)]
    instructions: bool,
    /// Keep the report under this name below target
    #[arg(long)]
    save: Option<String>,
    /// Show what differs from the report that was kept under this name
    #[arg(long)]
    compare: Option<String>,
    /// Only write docs/benchmarks.md and the figures in the README anew, from docs/benchmarks.json
    #[arg(long, exclusive = true)]
    readme: bool,
}

/// The one short round of `cargo xtask ci`.
pub(crate) fn quick() -> Result {
    Bench {
        filter: None,
        quick: true,
        peers: false,
        rounds: 1,
        instructions: false,
        save: None,
        compare: None,
        readme: false,
    }
    .run()
}

impl Bench {
    pub(crate) fn run(&self) -> Result {
        if self.readme {
            let report = Report::read(&root().join(JSON))?;
            fs::write(root().join(PAGE), markdown::page(&report))?;
            return readme::write(&report);
        }
        // What cannot be compared is not measured first.
        let old = self.compare.as_deref().map(|name| Report::read(&saved(name))).transpose()?;
        if self.is_whole() {
            readme::has_a_place()?;
        }
        let mut conditions = Conditions::now()?;
        let mut figures = Figures::default();
        run(benchmarks().arg("--no-run"))?;
        let peers = self.peers.then(|| Peers::prepare(&mut conditions.versions, &mut figures)).transpose()?;
        // What may fail comes before what takes an hour.
        let counted = self.instructions || self.is_whole();
        let instructions = if counted { instructions::count()? } else { Vec::new() };
        let rounds = if self.quick { 1 } else { usize::from(self.rounds) };
        let (start, mut failed) = (Instant::now(), None);
        for round in 0..rounds {
            eprintln!("\n== round {} of {rounds}", round + 1);
            let directory = Round::new(round)?;
            // One that fails does not make worthless what the others take an hour for; but it is no report for docs.
            failed = self.measure(&directory).err().or(failed);
            if let Some(peers) = &peers {
                peers.measure(&directory, self.filter.as_deref(), &mut figures);
            }
            figures.add_criterion(round, &directory.criterion())?;
            figures.add_lines(round, &directory.lines())?;
        }
        eprintln!("\n{} figures in {:.1} minutes", figures.len(), start.elapsed().as_secs_f64() / 60.0);
        let report = Report::new(conditions, &figures, rounds, self.quick, instructions);
        self.write(&report, &figures, self.is_whole() && failed.is_none())?;
        if let Some(name) = &self.save {
            let path = saved(name);
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            report.write(&path)?;
        }
        if let Some(old) = old {
            print!("{}", report::compare(&old, &report));
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether the report goes where people read it: not of less than everything.
    fn is_whole(&self) -> bool {
        self.peers && self.filter.is_none()
    }

    fn measure(&self, round: &Round) -> Result {
        let mut command = benchmarks();
        command.env("CRITERION_HOME", round.criterion()).env("SVF_BENCH_FIGURES", round.lines());
        command.env("SVF_BENCH_ROUND", round.number.to_string());
        if self.quick {
            command.env("SVF_BENCH_QUICK", "1");
        }
        run(command.args(self.filter.iter().flat_map(|filter| ["--", filter])))
    }

    /// Writes all of the report, either where people read it or below target.
    fn write(&self, report: &Report, figures: &Figures, for_people: bool) -> Result {
        let directory = if for_people { root().join("docs") } else { home() };
        plots::write(&directory.join("benchmarks"), figures)?;
        report.write(&directory.join("benchmarks.json"))?;
        fs::write(directory.join("benchmarks.md"), markdown::page(report))?;
        if for_people {
            readme::write(report)?;
        }
        println!("{}: {}", report.targets(), directory.display());
        for row in report.rows.iter().filter(|row| row.reached == Some(false)) {
            let (ratio, target) =
                (row.ratio.or(row.ours).unwrap_or_default(), row.target.as_deref().unwrap_or_default());
            let limit =
                row.limit.as_ref().map(|limit| format!("; {} times {}", markdown::plain(limit.ratio), limit.name));
            let limit = limit.unwrap_or_default();
            println!("missed: {}, {}: {}, not {target}{limit}", row.area, row.operation, markdown::plain(ratio));
        }
        Ok(())
    }
}

const JSON: &str = "docs/benchmarks.json";
const PAGE: &str = "docs/benchmarks.md";

/// The benchmarks of this workspace.
fn benchmarks() -> Command {
    cargo(["bench", "--package", "svf-benches", "--benches", "--no-fail-fast"])
}

fn home() -> PathBuf {
    root().join("target/bench")
}

fn saved(name: &str) -> PathBuf {
    home().join("saved").join(name).with_extension("json")
}

/// Where a round leaves its figures.
#[derive(Debug)]
struct Round {
    /// Counted from 0.
    number: usize,
    directory: PathBuf,
}

impl Round {
    /// An empty place: a figure of another run is none of this one.
    fn new(number: usize) -> Result<Self> {
        let directory = home().join(format!("round-{number}"));
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        Ok(Self { number, directory })
    }

    fn criterion(&self) -> PathBuf {
        self.directory.join("criterion")
    }

    fn lines(&self) -> PathBuf {
        self.directory.join("figures.jsonl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_that_of_the_json() {
        let page = markdown::page(&Report::read(&root().join(JSON)).unwrap());
        assert!(fs::read_to_string(root().join(PAGE)).unwrap() == page, "run cargo xtask bench --readme");
    }
}
