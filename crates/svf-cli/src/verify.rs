//! `svf verify`: whether what is held is what was stored.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cache_options::CacheOptions;
use crate::entries::{Inclusive, existing, inclusive, key_of, size};
use crate::exit::Failure;
use crate::output::Output;
use crate::printable::printable;

/// Read all that is held and check it, as a first read of each page would
///
/// What is damaged is held no more afterwards, and is fetched again by who reads it.
#[derive(Debug, Args)]
#[command(after_help = "Example: svf verify https://example.org/huge.tif")]
pub(crate) struct Verify {
    /// A URL [default: all files]
    url: Option<String>,
    #[command(flatten)]
    cache: CacheOptions,
}

#[derive(Debug, Serialize)]
struct Verified {
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    url: String,
    /// Bytes that were checked and are good.
    good: u64,
    damaged: Vec<Inclusive>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Verify {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let key = self.url.as_deref().map(key_of).transpose()?;
        let Ok(cache) = existing(&self.cache)? else { return output.show(&Verified { files: Vec::new() }) };
        let mut files = Vec::new();
        let verified = match key {
            None => cache.verify()?,
            Some(key) => match cache.verify_entry(&key).transpose() {
                Some(verified) => vec![(key, verified)],
                None => Vec::new(),
            },
        };
        for (url, verified) in verified {
            let (good, damaged, error) = match verified {
                Ok(found) => {
                    let damaged: Vec<_> = found.damaged.iter().chain(found.still_held.iter()).collect();
                    (found.good.num_bytes(), inclusive(&damaged), None)
                }
                Err(error) => (0, Vec::new(), Some(error.to_string())),
            };
            files.push(File { url, good, damaged, error });
        }
        files.sort_by(|one, other| one.url.cmp(&other.url));
        let failed = files.iter().find_map(|file| file.error.clone());
        let damaged = files.iter().filter(|file| !file.damaged.is_empty()).count();
        output.show(&Verified { files })?;
        match (failed, damaged) {
            (Some(error), _) => Err(Failure::Unreadable(error)),
            (None, 0) => Ok(()),
            (None, files) => Err(Failure::Damaged { files }),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files.is_empty() {
            return writeln!(f, "nothing is held");
        }
        for file in &self.files {
            let url = printable(&file.url);
            match (&file.error, file.damaged.as_slice()) {
                (Some(_), _) => writeln!(f, "{url}: could not be read")?,
                (None, []) => writeln!(f, "{url}: {} are good", size(file.good))?,
                (None, damaged) => {
                    writeln!(f, "{url}: {} are good, damaged were:", size(file.good))?;
                    damaged.iter().try_for_each(|range| writeln!(f, "  {}-{}", range.first, range.last))?;
                }
            }
        }
        Ok(())
    }
}
