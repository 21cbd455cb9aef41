//! What is read of a file, by the parser for its format.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tiff::TiffError;
use tiff::decoder::{ChunkType, Decoder};
use zip::ZipArchive;
use zip::result::{ZipError, ZipResult};

use crate::exit::Failure;
use crate::printable::printable;

/// A format, told by a file's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Tiff,
    Zip,
}

/// What the parser found, and a digest of the one part that it read.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    format: &'static str,
    /// What the directory says about the whole file.
    summary: String,
    name: String,
    bytes: u64,
    sha256: String,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, summary, name, bytes, sha256 } = self;
        write!(f, "{format}, {summary}; {}: {bytes} bytes, SHA-256 {}...", printable(name), &sha256[..16])
    }
}

impl Subject {
    /// The format of a local file.
    pub(crate) fn of(path: &Path) -> Result<Self, Failure> {
        let cannot = || Failure::io(format!("cannot read {}", path.display()));
        // A FIFO would keep its opener waiting for a writer.
        if !path.metadata().map_err(cannot())?.is_file() {
            return Err(Failure::Usage(format!("{} is not a regular file; give a TIFF or a ZIP", path.display())));
        }
        let mut magic = Vec::new();
        File::open(path).map_err(cannot())?.take(4).read_to_end(&mut magic).map_err(cannot())?;
        match &magic[..] {
            b"II*\0" | b"MM\0*" | b"II+\0" | b"MM\0+" => Ok(Self::Tiff),
            b"PK\x03\x04" | b"PK\x05\x06" => Ok(Self::Zip),
            _ => Err(Failure::Usage(format!("{} is neither a TIFF nor a ZIP; give one of these", path.display()))),
        }
    }

    /// Reads the file's directory and one part in its middle; `path` is what an error calls it.
    pub(crate) fn read(self, file: impl Read + Seek, path: &Path) -> Result<Part, Failure> {
        let unreadable = |format, error: &dyn fmt::Display| {
            Failure::Unreadable(format!("{} cannot be read as a {format}: {error}; give an intact one", path.display()))
        };
        match self {
            Self::Tiff => read_tiff(file).map_err(|error| match error {
                TiffError::IoError(io) => Failure::of_parser(&io, || unreadable("TIFF", &io).to_string()),
                error => unreadable("TIFF", &error),
            }),
            Self::Zip => read_zip(file).map_err(|error| match error {
                ZipError::Io(io) => Failure::of_parser(&io, || unreadable("ZIP", &io).to_string()),
                ZipError::FileNotFound => unreadable("ZIP", &"it has no file that is not empty"),
                error => unreadable("ZIP", &error),
            }),
        }
    }
}

/// The dimensions, all tags, and the tile or strip in the middle.
fn read_tiff(file: impl Read + Seek) -> tiff::TiffResult<Part> {
    let mut decoder = Decoder::new(file)?;
    let (width, height) = decoder.dimensions()?;
    let mut tags = 0;
    for tag in decoder.tag_iter() {
        match tag {
            Ok(_) => tags += 1,
            // A tag of a kind that the parser does not know is no reason to stop; bytes that cannot be had are.
            Err(TiffError::IoError(error)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    let (chunk_width, chunk_height) = decoder.chunk_dimensions();
    let (columns, rows) = (width.div_ceil(chunk_width), height.div_ceil(chunk_height));
    let chunk = (rows / 2) * columns + columns / 2;
    let name = match decoder.get_chunk_type() {
        ChunkType::Tile => format!("tile {chunk}"),
        ChunkType::Strip => format!("strip {chunk}"),
    };
    let mut pixels = decoder.read_chunk(chunk)?;
    let pixels = pixels.as_buffer(0);
    Ok(Part {
        format: "TIFF",
        summary: format!("{width} x {height}, {tags} tags, {} chunks", u64::from(columns) * u64::from(rows)),
        name,
        bytes: pixels.byte_len() as u64,
        sha256: hex(&Sha256::digest(pixels.as_bytes())),
    })
}

/// The central directory, and the file nearest to the middle of the archive.
fn read_zip(file: impl Read + Seek) -> ZipResult<Part> {
    let mut archive = ZipArchive::new(file)?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index)?;
        if entry.is_file() && entry.size() > 0 {
            files.push((entry.header_start(), index));
        }
    }
    let middle = files.iter().map(|&(start, _)| start).max().unwrap_or(0) / 2;
    let &(_, index) = files.iter().min_by_key(|(start, _)| start.abs_diff(middle)).ok_or(ZipError::FileNotFound)?;
    let summary = format!("{} members", archive.len());
    let mut member = archive.by_index(index)?;
    let name = member.name()?.into_owned();
    // In pieces: a member may be larger than memory.
    let (mut digest, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        let count = member.read(&mut piece)?;
        if count == 0 {
            break;
        }
        digest.update(&piece[..count]);
        bytes += count as u64;
    }
    Ok(Part { format: "ZIP", summary, name, bytes, sha256: hex(&digest.finalize()) })
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
