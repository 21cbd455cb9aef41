//! What a subcommand says: as text for people or as JSON for programs, written and flushed, with every error reported.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Where results go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints a result: what it shows of itself, or one line of JSON.
    pub(crate) fn show(self, result: &(impl Serialize + Display)) -> Result<(), Failure> {
        if !self.json {
            return print(&result.to_string());
        }
        let json = serde_json::to_string(result);
        let json = json.map_err(|error| Failure::Unreadable(format!("cannot write the result as JSON: {error}")))?;
        print(&format!("{json}\n"))
    }
}

/// Writes all of `text` to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(Failure::io("cannot write to standard output"))
}
