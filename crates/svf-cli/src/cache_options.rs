//! The options by which every subcommand finds the cache.

use std::path::PathBuf;

use clap::Args;

/// Where pieces are kept.
#[derive(Debug, Args)]
pub(crate) struct CacheOptions {
    /// Where pieces of remote files are kept [default: $XDG_CACHE_HOME/svf, or ~/.cache/svf]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

impl CacheOptions {
    pub(crate) fn stack(&self) -> svf::Stack {
        self.builder().build()
    }

    /// A stack with this cache, and with more options.
    pub(crate) fn builder(&self) -> svf::StackBuilder {
        let builder = svf::Stack::builder();
        match &self.cache_dir {
            Some(dir) => builder.cache_dir(dir),
            None => builder,
        }
    }
}
