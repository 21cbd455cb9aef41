//! `svf need`: which requests a read would send.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::byte_range::ByteRange;
use crate::cache_options::CacheOptions;
use crate::entries::{Inclusive, inclusive, size};
use crate::exit::Failure;
use crate::output::Output;

/// Show which requests reading ranges of a remote file would send to its server now
///
/// What is held needs none. The server may be asked for the file's length and version.
#[derive(Debug, Args)]
#[command(after_help = "Example: svf need https://example.org/huge.tif --range 0-1023 --range -65536")]
pub(crate) struct Need {
    /// A URL
    url: String,
    /// Bytes to be read, both ends included: A-B, A- or -N; may be given several times [default: all]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Vec<String>,
    #[command(flatten)]
    cache: CacheOptions,
}

#[derive(Debug, Serialize)]
struct Needed {
    bytes: u64,
    requests: Vec<Inclusive>,
}

impl Need {
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let asked = ByteRange::parse_all(&self.range)?;
        let file = self.cache.stack().open(&self.url)?;
        let Some(cached) = file.as_cached() else {
            return Err(Failure::Usage(format!("{:?} is a local path, and needs no request; give a URL", self.url)));
        };
        let ranges = ByteRange::resolve_all(&asked, cached.len(), cached.key())?;
        let requests = cached.need(&ranges);
        let bytes = requests.iter().map(|request| request.end - request.start).sum();
        output.show(&Needed { bytes, requests: inclusive(&requests) })
    }
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Inclusive { first, last } in &self.requests {
            writeln!(f, "{first}-{last}  {} bytes", last - first + 1)?;
        }
        let requests = self.requests.len();
        writeln!(f, "{requests} request{}, {}", if requests == 1 { "" } else { "s" }, size(self.bytes))
    }
}
