//! `svf fetch`: pieces of a file into the cache.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use console::Term;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;

use crate::byte_range::ByteRange;
use crate::cache_options::CacheOptions;
use crate::entries::{percent, size};
use crate::exit::Failure;
use crate::output::Output;

/// Fetch pieces of a remote file into the cache, so that reading them later sends no request
///
/// On a terminal a bar shows the progress. It may be interrupted at any time: what has come is held, and the next fetch
/// goes on behind it.
#[derive(Debug, Args)]
#[command(after_help = "Example: svf fetch https://example.org/huge.tif --range 0-16777215")]
pub(crate) struct Fetch {
    /// A URL
    url: String,
    /// Bytes to fetch, both ends included: A-B, A- or -N; may be given several times [default: all]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Vec<String>,
    /// Show no progress, also on a terminal
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    cache: CacheOptions,
}

#[derive(Debug, Serialize)]
struct Fetched {
    url: String,
    length: u64,
    /// Bytes that were fetched now.
    fetched: u64,
    requests: u64,
    /// Bytes of the file that are held now.
    held: u64,
}

impl Fetch {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let asked = ByteRange::parse_all(&self.range)?;
        let stack = self.cache.stack();
        let file = stack.open(&self.url)?;
        let Some(cached) = file.as_cached() else {
            return Err(Failure::Usage(format!("{:?} is a local path, and needs no fetch; give a URL", self.url)));
        };
        CacheOptions::ensure_counted(&stack)?;
        let ranges = ByteRange::resolve_all(&asked, cached.len(), cached.key())?;
        // Nothing is drawn where nobody looks.
        let total = cached.need(&ranges).iter().map(|request| request.end - request.start).sum();
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::new(total).with_style(style()?) };
        bar.enable_steady_tick(Duration::from_millis(200));
        let fetched = cached.prefetch(&ranges, |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            ControlFlow::Continue(())
        });
        bar.finish_and_clear();
        fetched?;
        let (stats, held) = (cached.stats(), cached.held().num_bytes());
        output.show(&Fetched {
            url: cached.key().to_owned(),
            length: cached.len(),
            fetched: stats.origin_bytes,
            requests: stats.requests,
            held,
        })
    }
}

/// One line, however wide the terminal is: what does not fit is left out.
fn style() -> Result<ProgressStyle, Failure> {
    let template = match Term::stderr().size().1 {
        70.. => "{wide_bar} {percent:>3} %  {bytes:>10} of {total_bytes}  {bytes_per_sec:>12}  {left:>11}",
        40.. => "{wide_bar} {percent:>3} %  {bytes_per_sec:>12}  {left:>11}",
        _ => "{percent:>3} %  {left}",
    };
    let style = ProgressStyle::with_template(template)
        .map_err(|error| Failure::Unreadable(format!("no progress bar: {error}")))?;
    Ok(style.with_key("left", |state: &ProgressState, out: &mut dyn fmt::Write| {
        // Before anything has come nobody can tell.
        let left = Duration::from_secs(state.eta().as_secs());
        // What cannot be drawn is not there: the bar is no result.
        _ = if state.pos() == 0 { Ok(()) } else { write!(out, "{} left", humantime::format_duration(left)) };
    }))
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, fetched, requests, held, .. } = self;
        let share = percent(*held, *length);
        writeln!(f, "{} fetched by {requests} requests; {} are held now ({share})", size(*fetched), size(*held))
    }
}
