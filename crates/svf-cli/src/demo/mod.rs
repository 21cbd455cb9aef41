//! `svf demo`: a parser reads a few pieces of a huge file behind a URL, twice.
//!
//! The file is served on a loopback port by a server that counts what it is asked for, so that the figures are the
//! server's and not the client's opinion of itself.

mod big_tiff;
mod recorder;
mod report;
mod served;
mod subject;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use svf::Stack;

use self::recorder::Recorder;
use self::report::{Report, Run};
use self::served::Served;
use self::subject::Subject;
use crate::cache_options::CacheOptions;
use crate::exit::Failure;
use crate::held_map::HeldMap;
use crate::output::{Output, print};

/// See the main job done: a parser reads pieces of a huge file behind a URL, and reads them again for free
///
/// The file is served on this machine by a server that counts requests and bytes. It is opened by its URL and handed
/// to a parser, which reads the directory and one part in the middle; then the same is done once more.
#[derive(Debug, Args)]
#[command(after_help = "Example: svf demo some-archive.zip")]
pub(crate) struct Demo {
    /// A TIFF or a ZIP, told by its first bytes [default: a BigTIFF of more than 2 GiB, made once as a sparse file]
    file: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheOptions,
}

impl Demo {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let stack = self.cache.stack();
        // Kept until the end: the directory, with what is beside it, is this process's for as long.
        let cache = stack.cache()?;
        // The sample and the port are kept beside the cache, so that a second process finds the same URL.
        let beside = beside(cache.dir())?;
        let path = match &self.file {
            Some(path) => path.clone(),
            None => big_tiff::make_once(&beside)?,
        };
        let subject = Subject::of(&path)?;
        let served = Served::start(&path, &beside)?;

        let mut runs = Vec::new();
        for _ in 0..2 {
            runs.push(run(&stack, &served, subject)?);
        }
        let report = Report::new(&served, &runs);
        if output.json {
            return output.show(&report);
        }
        print(&match cache.entry(served.url()) {
            Some(entry) => format!("{report}\n{}", HeldMap::new(&entry)),
            None => format!("{report}\nnothing could be kept: see the warnings above\n"),
        })
    }
}

/// One parse in a fresh handle.
fn run(stack: &Stack, served: &Served, subject: Subject) -> Result<Run, Failure> {
    served.reset_counters();
    let start = Instant::now();
    let file = stack.open(served.url())?;
    let object_bytes = file.len();
    let recorder = Recorder::new(file);
    let recording = recorder.recording();
    let part = subject.read(recorder, served.path())?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Run::new(object_bytes, &recording, served.counters(), seconds, part))
}

/// The directory beside the cache's, made if it is missing.
fn beside(cache: &Path) -> Result<PathBuf, Failure> {
    // One cache has one directory beside it, by whatever path it is called.
    let cache = cache.canonicalize().map_err(Failure::io(format!("cannot find {}", cache.display())))?;
    let mut name = cache.file_name().unwrap_or_default().to_os_string();
    name.push("-demo");
    let beside = cache.with_file_name(name);
    std::fs::create_dir_all(&beside).map_err(Failure::io(format!("cannot make {}", beside.display())))?;
    Ok(beside)
}
