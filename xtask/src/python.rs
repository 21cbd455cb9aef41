//! Programs and libraries of Python, each set in an environment of its own below `target`.

use std::path::PathBuf;
use std::process::Command;

use crate::process::{Result, program, root, run};

/// An environment that has what was asked for.
#[derive(Debug)]
pub(crate) struct Python {
    directory: PathBuf,
}

impl Python {
    /// Makes the environment of this name where it is missing, and installs these packages, with their versions.
    pub(crate) fn with(name: &str, packages: &[&str]) -> Result<Self> {
        let python = Self { directory: root().join("target").join(name).join("venv") };
        let pip = python.path("pip");
        if !pip.exists() {
            run(program("python3", ["-m", "venv"]).arg(&python.directory))?;
        }
        run(program(&pip, ["install", "--quiet"]).args(packages))?;
        Ok(python)
    }

    /// A program of it, with its arguments.
    pub(crate) fn program<'a>(&self, name: &str, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        program(self.path(name), arguments)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }
}
