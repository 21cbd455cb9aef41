//! `svf export`: what is held of a file, as a sparse file.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cache_options::CacheOptions;
use crate::entries::{existing, key_of, percent, size};
use crate::exit::Failure;
use crate::output::Output;

/// Copy what is held of a remote file into a sparse file, without asking its server
///
/// The file is as long as the remote one, with holes where nothing is held. Beside it, at FILE.svf-pages, is the list
/// of what is held.
#[derive(Debug, Args)]
#[command(after_help = "Example: svf export https://example.org/huge.tif huge.tif")]
pub(crate) struct Export {
    /// A URL
    url: String,
    /// A path of which there is no file yet
    file: PathBuf,
    #[command(flatten)]
    cache: CacheOptions,
}

#[derive(Debug, Serialize)]
struct Exported {
    url: String,
    path: String,
    length: u64,
    exported: u64,
}

impl Export {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let key = key_of(&self.url)?;
        if existing(&self.cache)?.ok().and_then(|cache| cache.entry(&key)).is_none() {
            return Err(Failure::NothingHeld { url: key });
        }
        let file = self.cache.builder().offline(true).build().open(&self.url)?;
        let Some(cached) = file.as_cached() else {
            return Err(Failure::Usage(format!("{:?} is a local path; give a URL", self.url)));
        };
        let exported = cached.export(&self.file)?;
        output.show(&Exported {
            url: cached.key().to_owned(),
            path: self.file.display().to_string(),
            length: cached.len(),
            exported: exported.num_bytes(),
        })
    }
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = percent(self.exported, self.length);
        writeln!(f, "{}: {} of {} ({share})", self.path, size(self.exported), size(self.length))
    }
}
