//! What the examples share: the URL that was given or else a small file behind a server on this machine, and what
//! reading it cost.

use std::error::Error;

use loopback_origin::Origin;
use svf::Stack;
use tempfile::TempDir;

/// A file behind a URL, and where pieces of it are kept.
pub(crate) struct Sample {
    pub(crate) url: String,
    pub(crate) stack: Stack,
    /// Of a file that was made here: its server, and a directory that is gone at the end.
    _made: Option<(Origin, TempDir)>,
}

impl Sample {
    /// The URL in the first argument with the usual cache; without one, what `make` makes with a cache of its own.
    pub(crate) fn from_arguments(
        name: &str,
        make: fn() -> Result<Vec<u8>, Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        if let Some(url) = std::env::args().nth(1) {
            return Ok(Self { url, stack: Stack::default(), _made: None });
        }
        let server = Origin::builder().serve_bytes(name, make()?).start()?;
        let directory = TempDir::new()?;
        let stack = Stack::builder().cache_dir(directory.path().join("cache")).build();
        Ok(Self { url: server.url(name), stack, _made: Some((server, directory)) })
    }
}

/// What a file cost, beside the question for its version that opening it may ask.
pub(crate) fn cost(file: &svf::page_cache::CachedFile) -> String {
    let stats = file.stats();
    format!("{} requests for {} of {} bytes", stats.requests, stats.origin_bytes, file.len())
}
