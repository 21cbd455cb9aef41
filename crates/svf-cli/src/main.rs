//! `svf`: read pieces of huge remote files, and see what is held of them.

#![forbid(unsafe_code)]

mod arguments;
mod byte_range;
mod cache_options;
mod completions;
mod demo;
mod entries;
mod exit;
mod export;
mod fetch;
mod get;
mod held_map;
mod held_svg;
mod ls;
mod map;
mod need;
mod output;
mod printable;
mod prune;
mod rm;
mod stat;
mod verify;
mod warnings;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::exit::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are what was asked for; anything else is a usage error.
        Err(help) if !help.use_stderr() => help.exit(),
        Err(error) => return Failure::usage_of(&error).report(),
    };
    warnings::show();
    let output = Output { json: arguments.json };
    let done = match arguments.command {
        Command::Get(get) => get.run(),
        Command::Fetch(fetch) => fetch.run(output),
        Command::Need(need) => need.run(output),
        Command::Map(map) => map.run(output),
        Command::Ls(ls) => ls.run(output),
        Command::Stat(stat) => stat.run(output),
        Command::Verify(verify) => verify.run(output),
        Command::Prune(prune) => prune.run(output),
        Command::Rm(rm) => rm.run(output),
        Command::Export(export) => export.run(output),
        Command::Demo(demo) => demo.run(output),
        Command::Completions(completions) => completions.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
