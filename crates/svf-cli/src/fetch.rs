//! `svf fetch`: pieces of a file into the cache.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
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
        let file = self.cache.stack().open(&self.url)?;
        let Some(cached) = file.as_cached() else {
            return Err(Failure::Usage(format!("{:?} is a local path, and needs no fetch; give a URL", self.url)));
        };
        let ranges = ByteRange::resolve_all(&asked, cached.len(), cached.key())?;
        // Nothing is drawn where nobody looks.
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::no_length().with_style(style()?) };
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

fn style() -> Result<ProgressStyle, Failure> {
    let template = "{bar:32} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";
    ProgressStyle::with_template(template).map_err(|error| Failure::Unreadable(format!("no progress bar: {error}")))
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, fetched, requests, held, .. } = self;
        let share = percent(*held, *length);
        writeln!(f, "{} fetched by {requests} requests; {} are held now ({share})", size(*fetched), size(*held))
    }
}
