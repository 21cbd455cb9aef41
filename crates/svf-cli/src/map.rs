//! `svf map`: which parts of a file are held.

use clap::Args;
use svf::page_cache::{Origin, UrlOrigin};

use crate::cache_options::CacheOptions;
use crate::exit::Failure;
use crate::held_map::HeldMap;
use crate::output::print;

/// Show which parts of a remote file are held, without asking its server
#[derive(Debug, Args)]
#[command(after_help = "Example: svf map https://example.org/huge.tif")]
pub(crate) struct Map {
    /// A URL (http, https)
    url: String,
    #[command(flatten)]
    cache: CacheOptions,
}

impl Map {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if svf::is_local(&self.url) {
            let message = format!("{:?} is a local path, of which nothing is kept; give a URL", self.url);
            return Err(Failure::Usage(message));
        }
        let origin = UrlOrigin::new(&self.url).map_err(svf::Error::from)?;
        let stack = self.cache.stack();
        // A cache that is not there is not made by looking at it.
        let dir = stack.cache_dir().ok_or(svf::Error::NoCacheDir)?;
        let entry = if dir.exists() { stack.cache()?.entry(origin.key()) } else { None };
        match entry {
            Some(entry) => print(&HeldMap::new(&entry).to_string()),
            None => print(&format!("{}: nothing is held in {}\n", origin.key(), dir.display())),
        }
    }
}
