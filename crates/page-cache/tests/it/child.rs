//! Processes of this very program, which run one of its ignored tests.

use std::process::{Command, Stdio};

/// A process that runs the ignored test whose name ends so.
pub(crate) fn command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "--test-threads=1", test]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}
