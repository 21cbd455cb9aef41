//! `svf rm`: remote files out of the cache.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cache_options::CacheOptions;
use crate::entries::{existing, key_of, size};
use crate::exit::Failure;
use crate::output::Output;
use crate::printable::printable;

/// Remove all that is held of remote files from the cache, also what was to be kept
#[derive(Debug, Args)]
#[command(after_help = "Example: svf rm https://example.org/huge.tif")]
pub(crate) struct Rm {
    /// URLs
    #[arg(required = true)]
    urls: Vec<String>,
    #[command(flatten)]
    cache: CacheOptions,
}

#[derive(Debug, Serialize)]
struct Removed {
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    url: String,
    /// Bytes of it that were held.
    removed: u64,
}

impl Rm {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let keys = self.urls.iter().map(|url| key_of(url)).collect::<Result<Vec<_>, _>>()?;
        let mut files = Vec::new();
        if let Ok(cache) = existing(&self.cache)? {
            for key in keys {
                let Some(entry) = cache.entry(&key) else { continue };
                cache.remove(&key)?;
                files.push(File { url: key, removed: entry.held.num_bytes() });
            }
        }
        output.show(&Removed { files })
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files.is_empty() {
            return writeln!(f, "nothing was held");
        }
        let mut files = self.files.iter();
        files.try_for_each(|file| writeln!(f, "{}: {} removed", printable(&file.url), size(file.removed)))
    }
}
