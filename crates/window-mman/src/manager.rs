//! Where everything starts: the manager of an application's mapped files.

use std::fmt;
use std::fs::File;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use crate::error::{BuildError, OpenError};
use crate::mapped_file::MappedFile;
use crate::open_file::OpenFile;
use crate::region::Regions;
use crate::stats::Stats;
use crate::sys::{Os, Sys, granularity};
use crate::window::{DEFAULT_WINDOW_SIZE, Grid};

/// Opens files, and keeps what is mapped of them shared and counted.
///
/// One is enough for an application, and one is best: two managers share nothing. Clones are
/// cheap and are the same manager. It needs no thread and no shutting down; what it has opened and
/// mapped stays usable when it is dropped, and goes with its last user.
///
/// # Examples
///
/// ```
/// use window_mman::MapManager;
///
/// # fn main() -> Result<(), window_mman::Error> {
/// let manager = MapManager::builder().window_size(16 << 20).build()?;
/// assert_eq!(manager.window_size(), 16 << 20);
/// assert_eq!(manager.stats().mapped_bytes, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MapManager {
    regions: Arc<Regions>,
}

impl MapManager {
    /// A manager with windows of 1 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_sys(Grid::with_default_window(granularity()), Arc::new(Os))
    }

    /// A manager with options.
    pub fn builder() -> MapManagerBuilder {
        MapManagerBuilder { window_size: DEFAULT_WINDOW_SIZE }
    }

    /// Opens the file at `path`, through symbolic links, for reading.
    ///
    /// On Unix two openings of the same file, by whatever names, share what is mapped of it;
    /// elsewhere use clones of one [`MappedFile`] for that. Each opening remembers the length that
    /// the file has at that time.
    ///
    /// Never waits for a writer: what is not a regular file is refused without being opened.
    ///
    /// # Errors
    ///
    /// What the system reports; and for directories, FIFOs, devices and whatever else is not a
    /// regular file, what it is and what to do.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<MappedFile, OpenError> {
        Ok(self.manage(OpenFile::open(path.as_ref())?))
    }

    /// Takes over a file that is open for reading.
    ///
    /// The file needs no name any more. It is kept open, with whatever locks it has, until the
    /// last clone of the returned [`MappedFile`] is dropped. Its position is not looked at.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open); and if it was opened for writing only.
    pub fn open_file(&self, file: File) -> Result<MappedFile, OpenError> {
        Ok(self.manage(OpenFile::adopt(file)?))
    }

    /// The size of windows in bytes: what was asked for, rounded up.
    #[must_use]
    pub fn window_size(&self) -> u64 {
        self.regions.grid().window_size()
    }

    /// What is open and mapped at this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.regions.stats()
    }

    fn manage(&self, open: OpenFile) -> MappedFile {
        tracing::debug!(file = %open.name(), len = open.len, "opened a file");
        MappedFile::new(open, Arc::clone(&self.regions))
    }

    /// A manager over any system; tests bring their own.
    fn with_sys(grid: Grid, sys: Arc<dyn Sys>) -> Self {
        Self { regions: Arc::new(Regions::new(grid, sys)) }
    }
}

impl Default for MapManager {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MapManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapManager")
            .field("window_size", &self.window_size())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Options of a [`MapManager`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `build`"]
pub struct MapManagerBuilder {
    window_size: u64,
}

impl MapManagerBuilder {
    /// The size of windows in bytes; 1 MiB if this is not called.
    ///
    /// It is rounded up to what the system is able to map: whole pages (4 KiB, 16 KiB or 64 KiB,
    /// depending on the machine), on Windows units of 64 KiB. Refusing other sizes would mean that
    /// a program that runs on one machine fails on the next.
    ///
    /// Large windows cost address space and little else, and are the better choice for reading in
    /// order; small ones leave less mapped by a view that is held long.
    pub fn window_size(mut self, bytes: u64) -> Self {
        self.window_size = bytes;
        self
    }

    /// The manager.
    ///
    /// # Errors
    ///
    /// A window size of 0, which is more likely a mistake than a wish; or one that is, rounded up,
    /// more than `isize::MAX`.
    pub fn build(self) -> Result<MapManager, BuildError> {
        let window_size = NonZeroU64::new(self.window_size).ok_or(BuildError::WindowIsEmpty)?;
        let grid = Grid::new(window_size, granularity())
            .ok_or(BuildError::WindowTooLarge { requested: self.window_size, largest: Grid::LARGEST_WINDOW })?;
        Ok(MapManager::with_sys(grid, Arc::new(Os)))
    }
}

#[cfg(test)]
mod tests;
