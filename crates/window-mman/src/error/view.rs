//! Ranges that cannot be viewed, and who holds what stands in the way.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::Name;
use super::file_state::ReopenError;

/// Why a range of a file could not be viewed.
///
/// # Examples
///
/// ```
/// use window_mman::{MapManager, ViewError};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let file = MapManager::new().open(&path)?;
/// assert!(matches!(file.copy_view(11..12), Err(ViewError::StartsPastEnd { len: 10, .. })));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "RegionCollectionError")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The range ends before it starts.
    #[error("cannot view {range:?} of {}: the range ends before it starts", Name(.path.as_deref()))]
    Reversed {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
    },
    /// The range starts past the end of the file.
    #[error(
        "cannot view {range:?} of {}: it had {len} bytes when it was opened; \
         start at {len} or before, or open it again if it has grown",
        Name(.path.as_deref())
    )]
    StartsPastEnd {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// The length of the file when it was opened, in bytes.
        len: u64,
    },
    /// The range is longer than memory can be.
    #[error(
        "cannot view {range:?} of {}: no slice of this system is that long; \
         view it in smaller pieces",
        Name(.path.as_deref())
    )]
    TooLong {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
    },
    /// The file was made shorter after it was opened, so it may not be mapped any more.
    #[error(
        "cannot view {range:?} of {}: it had {opened_with} bytes when it was opened and now has \
         {now}; somebody truncated it, so it is not stable: open it again, or read it by copies",
        Name(.path.as_deref())
    )]
    Truncated {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// The length of the file when it was opened, in bytes.
        opened_with: u64,
        /// The length of the file now, in bytes.
        now: u64,
    },
    /// The file cannot be mapped and was read, and ends before its length, which is the same as when it was opened.
    #[error(
        "cannot view {range:?} of {}: what was read for it gave only {given} bytes, though the length of the file is \
         {len}; if somebody has truncated it and written it again, view it again; if its length is not true, as in \
         /sys, read what it has by copies",
        Name(.path.as_deref())
    )]
    Short {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// How many bytes came, from the start of the region on in which the range lies.
        given: u64,
        /// The length of the file, in bytes, as the system tells it.
        len: u64,
    },
    /// The descriptor had been closed, and the file could not be opened again.
    #[error("cannot view {range:?} of {}: {source}", Name(.path.as_deref()))]
    Reopen {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// Why.
        source: ReopenError,
    },
    /// The limits are reached by what is held, or by this request alone, and the manager was told to keep to them.
    /// Nothing was unmapped for it.
    #[error(
        "cannot view {range:?} of {}: {}",
        Name(.path.as_deref()), why_not_within(*.wanted, *.max_mapped_bytes, *.max_regions, .held)
    )]
    LimitReached {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// How many bytes would have been mapped for it.
        wanted: u64,
        /// The limit in bytes.
        max_mapped_bytes: u64,
        /// The limit in regions.
        max_regions: usize,
        /// Who holds how much, the most first.
        held: Vec<Holding>,
    },
    /// The system failed to map; [`source`](std::error::Error::source) has its reason.
    #[error(
        "cannot view {range:?} of {}: the system failed to map it ({source}); {}",
        Name(.path.as_deref()), why_not_map(.source)
    )]
    Map {
        /// The file, if its name is known.
        path: Option<PathBuf>,
        /// The range asked for, in bytes.
        range: Range<u64>,
        /// What the system said.
        source: io::Error,
    },
}

fn why_not_within(wanted: u64, max_mapped_bytes: u64, max_regions: usize, held: &[Holding]) -> String {
    if wanted > max_mapped_bytes {
        return format!(
            "the {wanted} bytes to be mapped for it are alone more than the limit of {max_mapped_bytes}; view it in \
             smaller pieces, raise `max_mapped_bytes`, or let it be exceeded (LimitPolicy::Exceed)"
        );
    }
    format!(
        "{wanted} more bytes would exceed the limits of {max_mapped_bytes} bytes and {max_regions} regions, and what \
         is mapped is held: {}; drop views and cursors, raise the limits, or let them be exceeded \
         (LimitPolicy::Exceed)",
        Holdings(held)
    )
}

fn why_not_map(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::OutOfMemory => {
            "drop views that are not needed, or raise the limits of the system \
             (on Linux vm.max_map_count, or the address space: ulimit -v)"
        }
        _ => "its file system may not support mappings: read it by copies instead",
    }
}

impl ViewError {
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Reversed { .. } | Self::StartsPastEnd { .. } | Self::TooLong { .. } => io::ErrorKind::InvalidInput,
            Self::Truncated { .. } | Self::Short { .. } => io::ErrorKind::UnexpectedEof,
            Self::LimitReached { .. } => io::ErrorKind::QuotaExceeded,
            Self::Reopen { source, .. } => source.kind(),
            Self::Map { source, .. } => source.kind(),
        }
    }
}

/// What is held of a file.
///
/// # Examples
///
/// ```
/// use window_mman::{LimitPolicy, MapManager, ViewError};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let builder = MapManager::builder().max_regions(1).when_limit_is_held(LimitPolicy::Error);
/// let manager = builder.build()?;
/// let held = manager.open(&path)?.copy_view(0..10)?;
/// # let other = directory.path().join("other");
/// # std::fs::write(&other, b"x")?;
/// let refused = manager.open(&other)?.copy_view(0..1);
/// let Err(ViewError::LimitReached { held: holdings, .. }) = refused else { panic!("there is one region") };
/// assert_eq!((holdings[0].bytes, holdings[0].holders), (10, 1));
/// # drop(held);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holding {
    /// The file, if its name is known.
    pub path: Option<PathBuf>,
    /// How many of its regions somebody holds.
    pub regions: usize,
    /// The bytes of these regions.
    pub bytes: u64,
    /// How many views and cursors hold them.
    pub holders: u64,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, regions, bytes, holders } = self;
        let name = Name(path.as_deref());
        write!(f, "{bytes} bytes in {regions} regions of {name} by {holders} views and cursors")
    }
}

/// The first few, and how many more there are.
struct Holdings<'a>(&'a [Holding]);

impl fmt::Display for Holdings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (position, holding) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{holding}", if position == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, ", and of {more} more files"),
        }
    }
}
