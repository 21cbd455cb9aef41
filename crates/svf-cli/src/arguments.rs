//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::demo::Demo;
use crate::exit::EXIT_CODES;
use crate::get::Get;
use crate::map::Map;

/// Read pieces of huge remote files. What was read once is kept on local disk.
#[derive(Debug, Parser)]
#[command(name = "svf", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Get(Get),
    Map(Map),
    Demo(Demo),
}

/// Where pieces are kept; an option of every subcommand.
#[derive(Debug, Args)]
pub(crate) struct CacheOptions {
    /// Where pieces of remote files are kept [default: $XDG_CACHE_HOME/svf, or ~/.cache/svf]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

impl CacheOptions {
    pub(crate) fn stack(&self) -> svf::Stack {
        let builder = svf::Stack::builder();
        match &self.cache_dir {
            Some(dir) => builder.cache_dir(dir).build(),
            None => builder.build(),
        }
    }
}
