//! The options by which every subcommand finds the cache.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

/// Where pieces are kept.
#[derive(Debug, Args)]
pub(crate) struct CacheOptions {
    /// Where pieces of remote files are kept [default: $XDG_CACHE_HOME/svf, or ~/.cache/svf]
    #[arg(long, value_name = "DIR", env = "SVF_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// How much of the disk they may take, such as 500MB or 5GiB, from now on and for all who use the directory; with less
    /// than they take now, what can best be done without goes first [default: what was set before, or 10GiB]
    #[arg(long, value_name = "SIZE", env = "SVF_CACHE_MAX")]
    cache_max: Option<ByteSize>,
}

impl CacheOptions {
    pub(crate) fn stack(&self) -> svf::Stack {
        self.builder().build()
    }

    /// A stack with this cache, and with more options.
    pub(crate) fn builder(&self) -> svf::StackBuilder {
        let builder = svf::Stack::builder();
        let builder = match &self.cache_dir {
            Some(dir) => builder.cache_dir(dir),
            None => builder,
        };
        match self.cache_max {
            Some(ByteSize(bytes)) => builder.max_bytes(bytes),
            None => builder,
        }
    }
}
