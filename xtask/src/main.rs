//! The project's own commands: `cargo xtask ci`, `cargo xtask bench`, `cargo xtask crash`, `cargo xtask interop`,
//! `cargo xtask model`, `cargo xtask mutations`.

#![forbid(unsafe_code)]

mod bench;
mod ci;
mod crash;
mod demo;
mod interop;
mod licences;
mod model;
mod mutations;
mod process;
mod python;
mod readme;
mod trees;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ci(ci::Ci),
    Bench(bench::Bench),
    Crash(crash::Crash),
    Interop(interop::Interop),
    Model(model::Model),
    Mutations(mutations::Mutations),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Ci(ci) => ci.run(),
        Command::Bench(bench) => bench.run(),
        Command::Crash(crash) => crash.run(),
        Command::Interop(interop) => interop.run(),
        Command::Model(model) => model.run(),
        Command::Mutations(mutations) => mutations.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
