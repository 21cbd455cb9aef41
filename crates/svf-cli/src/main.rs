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

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    // A usage error ends the process here, with clap's message and exit code 2.
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).without_time().init();
    let done = match arguments.command {
        Command::Get(get) => get.run(),
        Command::Map(map) => map.run(),
        Command::Demo(demo) => demo.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
