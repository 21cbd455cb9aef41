//! `svf get`: bytes of a file to standard output or into a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use svf::page_cache::RetryPolicy;

use crate::byte_range::ByteRange;
use crate::cache_options::CacheOptions;
use crate::exit::Failure;

/// How much is read and written at once: a few requests' worth, and little memory.
const STEP: u64 = 8 << 20;

/// Write bytes of a file to standard output
///
/// Only what is not held yet is fetched from the server.
#[derive(Debug, Args)]
#[command(after_help = "Example: svf get https://example.org/huge.tif --range 0-1023 | xxd")]
pub(crate) struct Get {
    /// A URL (http, https), or the path of a local file
    url: String,
    /// The bytes to write, both ends included, as in HTTP: A-B, A- (to the end) or -N (the last N) [default: all]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Option<String>,
    /// Write into this file instead of to standard output; it appears, or is replaced, when all of it is there
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// For how long a request to a server in trouble is tried again, such as 10s or 5min; 0s for not at all
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "2min")]
    retry_for: Duration,
    #[command(flatten)]
    cache: CacheOptions,
}

impl Get {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let asked = self.range.as_deref().map(str::parse::<ByteRange>).transpose().map_err(Failure::Usage)?;
        let retry = RetryPolicy { deadline: self.retry_for, ..RetryPolicy::default() };
        let stack = self.cache.builder().retry(retry).build();
        let file = stack.open(&self.url)?;
        if file.as_cached().is_some() {
            CacheOptions::ensure_counted(&stack)?;
        }
        let name = file.as_cached().map_or(self.url.as_str(), |cached| cached.key());
        let range = asked.map_or(Ok(0..file.len()), |asked| asked.resolve_in(file.len(), name))?;
        match &self.output {
            None => copy(&file, range, &mut io::stdout().lock(), "standard output"),
            Some(path) => write_file(&file, range, path),
        }
    }
}

/// Writes a range to what already is open.
fn copy(file: &svf::File, range: Range<u64>, output: &mut dyn Write, name: &str) -> Result<(), Failure> {
    let cannot = || Failure::io(format!("cannot write {name}"));
    let mut start = range.start;
    while start < range.end {
        // Steps end on a grid, so that none ends in the middle of a page that the next one begins in.
        let end = range.end.min((start / STEP + 1).saturating_mul(STEP));
        let bytes = file.read_range(start..end)?;
        output.write_all(&bytes).map_err(cannot())?;
        start += bytes.len() as u64;
    }
    output.flush().map_err(cannot())
}

/// Writes a range into a file, which gets its name only when all of it is there: whatever goes wrong before, a file
/// of that name stays as it was, also if it is the very file that is read.
fn write_file(file: &svf::File, range: Range<u64>, path: &Path) -> Result<(), Failure> {
    let name = path.display().to_string();
    let cannot = || Failure::io(format!("cannot write {name}"));
    // A device or a pipe cannot be replaced, and has nothing to lose.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return copy(file, range, &mut File::create(path).map_err(cannot())?, &name);
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = Path::new(&temporary);
    let written = match unnamed_beside(path) {
        // Who is interrupted leaves nothing: it has no name before it is whole.
        Some(mut output) => {
            copy(file, range, &mut output, &name).and_then(|()| give_name(&output, temporary).map_err(cannot()))
        }
        None => {
            File::create_new(temporary).map_err(cannot()).and_then(|mut output| copy(file, range, &mut output, &name))
        }
    };
    let written = written.and_then(|()| fs::rename(temporary, path).map_err(cannot()));
    if written.is_err() {
        // What is left of it is nobody's; the error that is reported is the one that matters.
        _ = fs::remove_file(temporary);
    }
    written
}

/// A new file in the directory of `path` that has no name; none where the file system has no such files.
fn unnamed_beside(path: &Path) -> Option<File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    rustix::fs::open(directory, flags, mode).ok().map(File::from)
}

fn give_name(file: &File, path: &Path) -> io::Result<()> {
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, itself, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}
