//! The command line.

use clap::{Parser, Subcommand};

use crate::demo::Demo;
use crate::exit::EXIT_CODES;
use crate::get::Get;
use crate::map::Map;
use crate::prune::Prune;

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
    Prune(Prune),
    Demo(Demo),
}
