//! `svf map`: which parts of a file are held.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cache_options::CacheOptions;
use crate::entries::{Object, existing, key_of};
use crate::exit::Failure;
use crate::held_map::HeldMap;
use crate::held_svg::HeldSvg;
use crate::output::{Output, print};
use crate::printable::printable;

/// Show which parts of a remote file are held, without asking its server
#[derive(Debug, Args)]
#[command(after_help = "Example: svf map https://example.org/huge.tif --svg > huge.svg")]
pub(crate) struct Map {
    /// A URL
    url: String,
    /// Print a picture in SVG
    #[arg(long, conflicts_with = "json")]
    svg: bool,
    #[command(flatten)]
    cache: CacheOptions,
}

/// Of a file nothing is held.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Nothing {
    file: Option<Object>,
    #[serde(skip)]
    url: String,
    #[serde(skip)]
    dir: String,
}

impl Map {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let url = key_of(&self.url)?;
        let (entry, dir) = match existing(&self.cache)? {
            Ok(cache) => (cache.entry(&url), cache.dir().display().to_string()),
            Err(dir) => (None, dir),
        };
        match entry {
            Some(entry) if self.svg => print(&HeldSvg::new(&entry).to_string()),
            Some(entry) => output.show(&HeldMap::new(&entry)),
            None => output.show(&Nothing { file: None, url, dir }),
        }
    }
}

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: nothing is held in {}", printable(&self.url), self.dir)
    }
}
