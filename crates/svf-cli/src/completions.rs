//! `svf completions`: what a shell needs to complete the command's words.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::exit::Failure;
use crate::output::print;

/// Print what a shell needs to complete the words of this command
#[derive(Debug, Args)]
#[command(after_help = "Example: svf completions bash > ~/.local/share/bash-completion/completions/svf")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "svf", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
