//! `svf prune`: makes the cache smaller.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use svf::page_cache::Usage;

use crate::cache_options::CacheOptions;
use crate::exit::Failure;
use crate::output::print;

/// How long others are waited for that store something just now.
const PATIENCE: Duration = Duration::from_secs(10);

/// Remove from the cache what nobody needs, what was not used for long, or as much as has to go
///
/// Without options only what is of no use to anybody goes: old versions of files, and what dead processes left.
#[derive(Debug, Args)]
#[command(after_help = "Example: svf prune --older-than 30days --to 5GiB")]
pub(crate) struct Prune {
    /// Remove all files of which nothing was read for so long, such as 90min, 36h or 30days
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Remove what can best be done without until the cache takes no more than this, such as 500MB, 5GiB or 0
    #[arg(long, value_name = "SIZE")]
    to: Option<ByteSize>,
    #[command(flatten)]
    cache: CacheOptions,
}

impl Prune {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let stack = self.cache.stack();
        let dir = stack.cache_dir().ok_or(svf::Error::NoCacheDir)?;
        // A cache that is not there is not made by making it smaller.
        if !dir.exists() {
            return print(&format!("{}: there is no cache\n", dir.display()));
        }
        let cache = stack.cache()?;
        let before = cache.usage();
        if let Some(age) = self.older_than {
            cache.evict_older_than(age)?;
        }
        if let Some(ByteSize(bytes)) = self.to {
            cache.evict_to(bytes)?;
        }
        let counted = cache.recount(PATIENCE)?.is_some();
        print(&report(&dir.display().to_string(), before, cache.usage(), counted))?;
        match self.to {
            // An empty directory takes something as well.
            Some(ByteSize(bytes)) if cache.usage().charged > bytes.max(EMPTY) => Err(Failure::InUse {
                dir: dir.display().to_string(),
                left: ByteSize(cache.usage().charged).to_string(),
                wanted: ByteSize(bytes).to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// What a cache takes that holds nothing, in bytes.
const EMPTY: u64 = 64 << 10;

fn report(dir: &str, before: Usage, now: Usage, counted: bool) -> String {
    let [before, now, limit] = [before.charged, now.charged, now.max_bytes].map(ByteSize);
    let not_counted = if counted { "" } else { "; others are at work, and what nobody needs was left" };
    format!("{dir}: {now} are used, {before} before, of at most {limit}{not_counted}\n")
}
