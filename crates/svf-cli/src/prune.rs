//! `svf prune`: makes the cache smaller.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;
use svf::page_cache::Cache;

use crate::cache_options::CacheOptions;
use crate::entries::is_empty;
use crate::exit::Failure;
use crate::output::Output;

/// How long others are waited for that store something just now.
const PATIENCE: Duration = Duration::from_secs(10);

/// Remove from the cache what nobody needs, what was not used for long, or as much as has to go
///
/// First everything is counted anew, and what is of no use to anybody goes: old versions of files, what dead processes
/// left, and blocks of indexes with nothing in them. Without options that is all. It takes about a second for each
/// 10,000 files; reads go on meanwhile, and nothing is stored.
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
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let stack = self.cache.stack();
        let dir = stack.cache_dir().ok_or(svf::Error::NoCacheDir)?;
        // A cache that is not there is not made by making it smaller.
        if is_empty(&dir).map_err(Failure::io(format!("cannot read {}", dir.display())))? {
            return output.show(&Pruned { dir: dir.display().to_string(), ..Pruned::default() });
        }
        let cache = stack.cache()?;
        let (before, held_before) = (cache.usage(), held(&cache));
        let counted = cache.recount(PATIENCE)?.is_some();
        if let Some(age) = self.older_than {
            cache.evict_older_than(age)?;
        }
        if let Some(ByteSize(bytes)) = self.to {
            cache.evict_to(bytes)?;
        }
        let went = Went::between(&held_before, &held(&cache));
        let now = cache.usage();
        output.show(&Pruned {
            dir: dir.display().to_string(),
            whole: went.whole,
            in_part: went.in_part,
            bytes: went.bytes,
            before: before.charged,
            used: now.charged,
            max: now.max_bytes,
            counted,
        })?;
        match self.to {
            // An empty directory takes something as well.
            Some(ByteSize(bytes)) if cache.usage().charged > bytes.max(cache.usage().fixed) => Err(Failure::InUse {
                dir: dir.display().to_string(),
                left: ByteSize(cache.usage().charged).to_string(),
                wanted: ByteSize(bytes).to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// How many bytes are held of each file.
fn held(cache: &Cache) -> HashMap<String, u64> {
    cache.entries().into_iter().map(|entry| (entry.key, entry.held.num_bytes())).collect()
}

/// What is held no more.
struct Went {
    whole: usize,
    in_part: usize,
    bytes: u64,
}

impl Went {
    fn between(before: &HashMap<String, u64>, now: &HashMap<String, u64>) -> Self {
        let mut went = Self { whole: 0, in_part: 0, bytes: 0 };
        for (key, &held) in before {
            let left = now.get(key).copied();
            went.bytes += held.saturating_sub(left.unwrap_or_default());
            match left {
                None => went.whole += 1,
                Some(left) => went.in_part += usize::from(left < held),
            }
        }
        went
    }
}

/// What became of a cache, in bytes.
#[derive(Debug, Default, Serialize)]
struct Pruned {
    dir: String,
    /// Files of which nothing is held any more.
    whole: usize,
    /// Files of which less is held.
    in_part: usize,
    /// Bytes that are held no more.
    bytes: u64,
    /// Of the disk, before and now.
    before: u64,
    used: u64,
    /// The limit; 0 if there is no cache.
    max: u64,
    /// Whether everything was counted anew.
    counted: bool,
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dir, whole, in_part, counted, .. } = self;
        if self.max == 0 {
            return writeln!(f, "{dir}: there is no cache");
        }
        let [bytes, before, used, max] = [self.bytes, self.before, self.used, self.max].map(ByteSize);
        let not_counted = if *counted { "" } else { "; others are at work, and what nobody needs was left" };
        writeln!(
            f,
            "{dir}: {bytes} went, of {whole} files all and of {in_part} a part; {used} are used, {before} before, of at \
             most {max}{not_counted}"
        )
    }
}
