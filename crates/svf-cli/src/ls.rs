//! `svf ls`: what is in the cache.

use std::fmt;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cache_options::CacheOptions;
use crate::entries::{Object, ago, existing, percent, size};
use crate::exit::Failure;
use crate::output::Output;
use crate::printable::printable;

/// List the remote files of which something is held, without asking their servers
#[derive(Debug, Args)]
#[command(after_help = "Example: svf ls --sort held")]
pub(crate) struct Ls {
    /// What comes first
    #[arg(long, value_enum, default_value_t = Order::Url)]
    sort: Order,
    #[command(flatten)]
    cache: CacheOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// In the order of their URLs
    Url,
    /// What most is held of
    Held,
    /// What was used last
    Used,
}

#[derive(Debug, Serialize)]
struct Listing {
    files: Vec<Object>,
}

impl Ls {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let entries = existing(&self.cache)?.map_or_else(|_| Vec::new(), |cache| cache.entries());
        let mut files: Vec<_> = entries.iter().map(Object::of).collect();
        files.sort_by(|one, other| one.url.cmp(&other.url));
        match self.sort {
            Order::Url => {}
            Order::Held => files.sort_by_key(|file| std::cmp::Reverse(file.held)),
            Order::Used => files.sort_by_key(|file| std::cmp::Reverse(file.last_used)),
        }
        output.show(&Listing { files })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.files.is_empty() {
            return writeln!(f, "nothing is held");
        }
        writeln!(f, "{:>12} {:>9} {:>12}  {:<16} URL", "HELD", "SHARE", "LENGTH", "LAST USED")?;
        for file in &self.files {
            let used = file.last_used.map_or("-".to_owned(), ago);
            let (held, length) = (size(file.held), size(file.length));
            let share = percent(file.held, file.length);
            writeln!(f, "{held:>12} {share:>9} {length:>12}  {used:<16} {}", printable(&file.url))?;
        }
        Ok(())
    }
}
