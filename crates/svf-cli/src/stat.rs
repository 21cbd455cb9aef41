//! `svf stat`: what is known of a remote file, or of the whole cache.

use std::fmt;

use clap::Args;
use serde::Serialize;
use svf::page_cache::Cache;

use crate::cache_options::CacheOptions;
use crate::entries::{Object, ago, existing, key_of, percent, size};
use crate::exit::Failure;
use crate::output::Output;
use crate::printable::printable;

/// Show what is known of a remote file, or of the whole cache, without asking a server
#[derive(Debug, Args)]
#[command(after_help = "Example: svf stat https://example.org/huge.tif")]
pub(crate) struct Stat {
    /// A URL [default: the whole cache]
    url: Option<String>,
    #[command(flatten)]
    cache: CacheOptions,
}

/// What is known of one file; nothing if nothing is.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Known(Option<Object>);

#[derive(Debug, Serialize)]
struct Whole {
    dir: String,
    files: usize,
    /// Bytes of files, without what is kept about them.
    held: u64,
    /// Bytes of the disk that are accounted for.
    used: u64,
    /// The limit.
    max: u64,
}

impl Stat {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let key = self.url.as_deref().map(key_of).transpose()?;
        match (existing(&self.cache)?, key) {
            (Err(dir), None) => output.show(&Whole { dir, files: 0, held: 0, used: 0, max: 0 }),
            (Ok(cache), None) => output.show(&whole(&cache)),
            (Err(_), Some(_)) => output.show(&Known(None)),
            (Ok(cache), Some(key)) => {
                let entry = cache.entry(&key);
                output.show(&Known(entry.map(|entry| Object::of(&entry).with_ranges(&entry.held))))
            }
        }
    }
}

fn whole(cache: &Cache) -> Whole {
    let (entries, usage) = (cache.entries(), cache.usage());
    Whole {
        dir: cache.dir().display().to_string(),
        files: entries.len(),
        held: entries.iter().map(|entry| entry.held.num_bytes()).sum(),
        used: usage.charged,
        max: usage.max_bytes,
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.max == 0 {
            return writeln!(f, "{}: there is no cache", self.dir);
        }
        writeln!(f, "{}", self.dir)?;
        writeln!(f, "files      {}", self.files)?;
        writeln!(f, "held       {}", size(self.held))?;
        writeln!(f, "disk used  {} of at most {} ({})", size(self.used), size(self.max), percent(self.used, self.max))
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(file) = &self.0 else { return writeln!(f, "nothing is held of it") };
        writeln!(f, "{}", printable(&file.url))?;
        writeln!(f, "length         {} bytes ({})", file.length, size(file.length))?;
        let ranges = file.ranges.as_ref().map_or(0, Vec::len);
        let share = percent(file.held, file.length);
        writeln!(f, "held           {} bytes ({share}), in {ranges} ranges", file.held)?;
        writeln!(f, "page size      {} bytes", file.page_size)?;
        for (name, value) in [("ETag", &file.etag), ("version", &file.version)] {
            if let Some(value) = value {
                writeln!(f, "{name:<14} {}", printable(value))?;
            }
        }
        let times =
            [("last modified", file.last_modified), ("checked", Some(file.checked)), ("last used", file.last_used)];
        for (name, time) in times {
            if let Some(time) = time {
                writeln!(f, "{name:<14} {}", ago(time))?;
            }
        }
        Ok(())
    }
}
