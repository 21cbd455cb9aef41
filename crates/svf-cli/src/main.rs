//! `svf`: read pieces of huge remote files, and see what is held of them.

#![forbid(unsafe_code)]

mod arguments;
mod byte_range;
mod cache_options;
mod demo;
mod exit;
mod get;
mod held_map;
mod map;
mod output;
mod prune;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::exit::Failure;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are what was asked for; anything else is a usage error.
        Err(help) if !help.use_stderr() => help.exit(),
        Err(error) => return Failure::usage_of(&error).report(),
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).without_time().init();
    let done = match arguments.command {
        Command::Get(get) => get.run(),
        Command::Map(map) => map.run(),
        Command::Prune(prune) => prune.run(),
        Command::Demo(demo) => demo.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
