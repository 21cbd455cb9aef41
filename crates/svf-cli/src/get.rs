//! `svf get`: bytes of a file to standard output or into a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::byte_range::ByteRange;
use crate::cache_options::CacheOptions;
use crate::exit::Failure;

/// How much is read and written at once: a few requests' worth, and little memory.
const STEP: u64 = 8 << 20;

/// Write bytes of a file to standard output
///
/// Only what is not held yet is fetched from the server.
#[derive(Debug, Args)]
#[command(after_help = "Example: svf get https://example.org/huge.tif --range 0-1023 | xxd")]
pub(crate) struct Get {
    /// A URL (http, https), or the path of a local file
    url: String,
    /// The bytes to write, both ends included, as in HTTP: A-B, A- (to the end) or -N (the last N) [default: all]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Option<String>,
    /// Write into this file instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheOptions,
}

impl Get {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let asked = self.range.as_deref().map(str::parse::<ByteRange>).transpose().map_err(Failure::Usage)?;
        let file = self.cache.stack().open(&self.url)?;
        let range = match asked {
            None => 0..file.len(),
            Some(asked) => asked.resolve(file.len()).ok_or_else(|| Failure::NoSuchBytes {
                source_name: file.as_cached().map_or(self.url.as_str(), |cached| cached.key()).to_owned(),
                len: file.len(),
                range: asked.to_string(),
            })?,
        };
        // The output is touched only when it is known that there is something to write.
        let (mut output, name): (Box<dyn Write>, _) = match &self.output {
            None => (Box::new(io::stdout().lock()), "standard output".to_owned()),
            Some(path) => {
                let name = path.display().to_string();
                (Box::new(File::create(path).map_err(Failure::io(format!("cannot write {name}")))?), name)
            }
        };
        let mut start = range.start;
        while start < range.end {
            let bytes = file.read_range(start..range.end.min(start + STEP))?;
            output.write_all(&bytes).map_err(Failure::io(format!("cannot write {name}")))?;
            start += bytes.len() as u64;
        }
        output.flush().map_err(Failure::io(format!("cannot write {name}")))
    }
}
