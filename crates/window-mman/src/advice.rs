//! How mapped memory will be used.

use std::io;

use crate::sys::Mapping;

/// How a range of a file will be looked at: a hint to the system about reading ahead.
///
/// It is about pages of one mapping, which everybody shares who looks at the same window; it lasts until the window is
/// unmapped.
///
/// # Examples
///
/// ```
/// use window_mman::Advice;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, vec![7; 100_000])?;
/// let file = window_mman::MapManager::new().open(&path)?;
/// // SAFETY: nobody truncates or writes to this file while this example runs.
/// let view = unsafe { file.assume_stable() }.view(0..100_000)?;
/// view.advise(Advice::Random)?; // an index: read no more than the page that is asked for
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing special.
    Normal,
    /// Here and there: reading ahead is of no use.
    Random,
    /// From the start to the end: read ahead a lot, and keep little behind.
    Sequential,
    /// Soon: read it now.
    WillNeed,
}

impl Advice {
    #[cfg(unix)]
    pub(crate) fn give(self, mapping: &Mapping, place: usize, len: usize) -> io::Result<()> {
        let advice = match self {
            Self::Normal => memmap2::Advice::Normal,
            Self::Random => memmap2::Advice::Random,
            Self::Sequential => memmap2::Advice::Sequential,
            Self::WillNeed => memmap2::Advice::WillNeed,
        };
        mapping.advise(advice, place, len)
    }

    #[cfg(not(unix))]
    pub(crate) fn give(self, _: &Mapping, _: usize, _: usize) -> io::Result<()> {
        Ok(())
    }
}

/// Reads pages in and enters them into the tables of the process; where that is not to be had, at least the first.
#[cfg(target_os = "linux")]
pub(crate) fn populate(mapping: &Mapping, place: usize, len: usize) -> io::Result<()> {
    match mapping.advise(memmap2::Advice::PopulateRead, place, len) {
        // A system that does not know it.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Advice::WillNeed.give(mapping, place, len),
        populated => populated,
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn populate(mapping: &Mapping, place: usize, len: usize) -> io::Result<()> {
    Advice::WillNeed.give(mapping, place, len)
}
