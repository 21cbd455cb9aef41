//! The options by which every subcommand finds the cache.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use crate::exit::Failure;

/// How long who fetches waits for others that count, or do not let anybody count.
const COUNT_PATIENCE: Duration = Duration::from_secs(60);

/// Where pieces are kept.
#[derive(Debug, Args)]
pub(crate) struct CacheOptions {
    /// Where pieces of remote files are kept [default: $XDG_CACHE_HOME/svf, or ~/.cache/svf]
    #[arg(long, value_name = "DIR", env = "SVF_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// How much of the disk they may take, such as 500MB or 5GiB, from now on and for all who use the directory; with
    /// less than they take now, what can best be done without goes first [default: what was set before, or 10GiB]
    #[arg(long, value_name = "SIZE", env = "SVF_CACHE_MAX")]
    cache_max: Option<ByteSize>,
}

impl CacheOptions {
    pub(crate) fn stack(&self) -> svf::Stack {
        self.builder().build()
    }

    /// Sees to it that what is fetched can be kept: a large cache is counted once after each start of the system, and
    /// the command may well end before that is done beside it.
    pub(crate) fn ensure_counted(stack: &svf::Stack) -> Result<(), Failure> {
        if !stack.cache()?.ensure_counted(COUNT_PATIENCE)? {
            tracing::warn!("others are at work in the cache, and nothing is kept until it has been counted");
        }
        Ok(())
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
