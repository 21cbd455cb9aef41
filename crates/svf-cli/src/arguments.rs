//! The command line.

use clap::{Parser, Subcommand};

use crate::completions::Completions;
use crate::demo::Demo;
use crate::exit::EXIT_CODES;
use crate::export::Export;
use crate::fetch::Fetch;
use crate::get::Get;
use crate::ls::Ls;
use crate::map::Map;
use crate::need::Need;
use crate::prune::Prune;
use crate::rm::Rm;
use crate::stat::Stat;
use crate::verify::Verify;

/// Read pieces of huge remote files. What was read once is kept on local disk.
#[derive(Debug, Parser)]
#[command(name = "svf", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Print results as one line of JSON: offsets and sizes in bytes, times in seconds since 1970
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Get(Get),
    Fetch(Fetch),
    Need(Need),
    Map(Map),
    Ls(Ls),
    Stat(Stat),
    Verify(Verify),
    Prune(Prune),
    Rm(Rm),
    Export(Export),
    Demo(Demo),
    Completions(Completions),
}
