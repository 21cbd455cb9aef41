//! `svf map`: which parts of a file are held.

use clap::Args;
use svf::page_cache::{HttpOrigin, Origin};

use crate::cache_options::CacheOptions;
use crate::exit::Failure;
use crate::held_map::HeldMap;

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
        if !self.url.contains("://") {
            let message = format!("{} is a local file, of which nothing is kept; give a URL", self.url);
            return Err(Failure::Usage(message));
        }
        let origin = HttpOrigin::new(&self.url).map_err(svf::Error::from)?;
        let cache = self.cache.stack().cache()?;
        match cache.entry(origin.key()) {
            Some(entry) => print!("{}", HeldMap::new(&entry)),
            None => println!("{}: nothing is held in {}", origin.key(), cache.dir().display()),
        }
        Ok(())
    }
}
