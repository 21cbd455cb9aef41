//! `cargo xtask model`: the protocols of page-cache before a model checker, each of their rules broken on purpose, and
//! the code of page-cache and svf-core in which threads meet.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::Args;
use tempfile::TempDir;

use crate::process::{Result, cargo, output, program, root, run, tool};

/// Check the models of docs/model: no error in a protocol, and an error for each rule that is broken on purpose
#[derive(Debug, Args)]
pub(crate) struct Model {
    /// Only the models whose name contains this; the programs' own code under model checkers is called loom and shuttle
    filter: Option<String>,
}

/// A protocol in the language of spin, and the switches that break a rule of it each.
struct Protocol {
    file: &'static str,
    /// The size at which it is searched completely.
    size: &'static [&'static str],
    breaks: &'static [&'static [&'static str]],
}

const PROTOCOLS: [Protocol; 6] = [
    Protocol {
        file: "page_entry.pml",
        size: &["-DNP=2", "-DOPS=3"],
        breaks: &[
            &["-DNO_RECHECK"],
            &["-DPUNCH_FIRST"],
            &["-DREUSE_GENERATION", "-DOPS=4", "-DCRASHES=0"],
            &["-DEVICT_WITHOUT_LOCK"],
            &["-DUNCHARGE_FIRST"],
            &["-DRECOUNT_LIVE"],
            &["-DNO_CHARGED_STATE"],
        ],
    },
    Protocol {
        file: "sections.pml",
        size: &["-DOPS=2"],
        breaks: &[
            &["-DNO_COUNT"],
            &["-DCONVERTS"],
            &["-DENTER_WHILE_RECOUNTING"],
            &["-DGATE_IN_MEMORY"],
            &["-DNOTE_LATE"],
            &["-DNOTED_OUT_UNLOCKED"],
            &["-DNOTE_CLEARED"],
        ],
    },
    Protocol {
        file: "limit.pml",
        size: &["-DOPS=1"],
        breaks: &[
            &["-DNO_SECOND_LOOK"],
            &["-DSECOND_LOOK_FIRST"],
            &["-DCHARGE_SEEN_FIRST"],
            &["-DNO_LOCK"],
            &["-DNOT_TAKEN_BACK"],
        ],
    },
    Protocol {
        file: "index_blocks.pml",
        size: &["-DOPS=2"],
        breaks: &[
            &["-DMARK_FIRST"],
            &["-DALLOCATE_FIRST"],
            &["-DLOOK_OUTSIDE"],
            &["-DTRUST_MARKS"],
            &["-DGIVE_BACK_IN_SECTION"],
            &["-DUNCHARGE_FIRST"],
            &["-DRETURN_UNSAID"],
            &["-DUNCHARGE_BEFORE_RETURN"],
            &["-DRETURN_IN_USE"],
        ],
    },
    Protocol {
        file: "reconcile.pml",
        size: &["-DOPS=2"],
        breaks: &[
            &["-DBOOT_ID_FIRST"],
            &["-DCOUNTER_NOT_RAISED"],
            &["-DCOUNTER_LAST"],
            &["-DCOUNT_MARKED"],
            &["-DWITHOUT_LOCKS"],
            &["-DUNCHARGE_FIRST"],
            &["-DFIXED_PART_LOST"],
            &["-DALLOCATE_FIRST"],
            &["-DKEEP_LOST_MARK"],
        ],
    },
    Protocol {
        file: "deletion.pml",
        size: &["-DOPS=3"],
        breaks: &[
            &["-DNO_NAME_CHECK"],
            &["-DUNCHARGE_FIRST"],
            &["-DOWN_DESCRIPTOR"],
            &["-DWITHOUT_LIVE"],
            &["-DCOUNT_BEFORE_LIVE"],
            &["-DNOT_FREED"],
            &["-DEMPTY_BEFORE_LIVE"],
            &["-DHEAD_WITHOUT_KEY"],
        ],
    },
];

impl Model {
    pub(crate) fn run(&self) -> Result {
        tool("spin", "spin")?;
        let wanted = |file: &str| self.filter.as_ref().is_none_or(|filter| file.contains(filter.as_str()));
        let protocols: Vec<_> = PROTOCOLS.iter().filter(|protocol| wanted(protocol.file)).collect();
        let mut checked = check_protocols(&protocols)?;
        for (name, check) in [("loom", check_words as fn() -> Result), ("shuttle", check_flights)] {
            if wanted(name) {
                check()?;
                checked += 1;
            }
        }
        println!("{checked} searches, each with the result that it must have");
        if checked == 0 { Err("no model has such a name".into()) } else { Ok(()) }
    }
}

pub(crate) fn check_all() -> Result {
    Model { filter: None }.run()
}

/// Has loom try every order of the steps by which the program itself publishes, withdraws and reads pages, on memory as
/// weak as the language allows; with breaks of its own.
fn check_words() -> Result {
    let mut tests = cargo(["test", "--package", "page-cache", "--lib", "--target-dir", "target/loom", "loom_"]);
    run(tests.env("RUSTFLAGS", "--cfg page_cache_loom"))
}

/// Has shuttle run the reads through files of svf-core under many schedules of their threads.
fn check_flights() -> Result {
    let mut tests = cargo(["test", "--package", "svf-core", "--test", "shuttle", "--target-dir", "target/shuttle"]);
    run(tests.env("RUSTFLAGS", "--cfg shuttle"))
}

/// Searches protocols and all their breaks, one on each processor; how many searches that were.
fn check_protocols(protocols: &[&Protocol]) -> Result<usize> {
    // Those without an error take longest. Each is a program of its own to translate and to run.
    let whole = protocols.iter().map(|protocol| (*protocol, None));
    let broken =
        protocols.iter().flat_map(|protocol| protocol.breaks.iter().map(|defines| (*protocol, Some(*defines))));
    let searches: Vec<_> = whole.chain(broken).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((protocol, broken)) = searches.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = root().join("docs/model").join(protocol.file);
            let searched = require(&file, protocol.size, broken.unwrap_or_default(), u64::from(broken.is_some()));
            if let Err(error) = searched {
                next.store(searches.len(), Ordering::Relaxed);
                return Err(error.to_string());
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..thread::available_parallelism().map_or(1, usize::from)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a search died")?)
    })?;
    Ok(searches.len())
}

fn require(file: &Path, size: &[&str], defines: &[&str], errors: u64) -> Result {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let Verdict { found, complete, states } = search(file, size, defines)?;
    println!("{name} {}: {found} errors in {states} states", defines.join(" "));
    if found != errors {
        return Err(format!("{name} {}: {found} errors, where there must be {errors}", defines.join(" ")).into());
    }
    if errors == 0 && !complete {
        return Err(format!("{name}: the search was cut off before its end").into());
    }
    Ok(())
}

/// What a search came to.
struct Verdict {
    found: u64,
    complete: bool,
    states: String,
}

/// Has spin write the search, translates it and runs it. A later definition of a name wins over an earlier one.
fn search(file: &Path, size: &[&str], defines: &[&str]) -> Result<Verdict> {
    let directory = TempDir::new()?;
    let name = |define: &str| define.split('=').next().unwrap_or_default().to_owned();
    let sizes = size.iter().filter(|size| defines.iter().all(|define| name(define) != name(size)));
    let arguments = ["-a"].iter().chain(sizes).chain(defines).map(OsString::from).chain([file.into()]);
    output(program("spin", arguments).current_dir(directory.path()))?;
    let compile = ["-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"];
    output(program("cc", compile).current_dir(directory.path()))?;
    let text = output(program(directory.path().join("pan"), ["-m200000", "-w25"]).current_dir(directory.path()))?;
    let found = text.split("errors:").nth(1).and_then(|rest| rest.split_whitespace().next());
    let states = text.lines().find(|line| line.contains("states, stored")).unwrap_or_default();
    let states = states.split_whitespace().next().unwrap_or("?").to_owned();
    let complete = !text.contains("max search depth too small") && !text.contains("Search not completed");
    let found = found.ok_or_else(|| format!("the search said nothing of errors:\n{text}"))?.parse()?;
    Ok(Verdict { found, complete, states })
}
