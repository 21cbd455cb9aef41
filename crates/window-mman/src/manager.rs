//! Where everything starts: the manager of an application's mapped files.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::builder::MapManagerBuilder;
use crate::core::{Core, Settings};
use crate::error::OpenError;
use crate::mapped_file::MappedFile;
use crate::source::Source;
use crate::stats::{Collected, RegionInfo, Stats};
use crate::window::{Grid, Strategy};

/// Opens files, and keeps what is mapped of them shared, counted, and within limits.
///
/// One is enough for an application, and one is best: two managers share nothing, and each keeps to its limits alone.
/// Clones are cheap and are the same manager. It needs no thread and no shutting down; what it has opened and mapped
/// stays usable when it is dropped, and goes with its last user.
///
/// What is mapped stays mapped for the next one who asks, until a limit is reached: then the region goes that nobody
/// holds and that was used the longest ago, of whichever file. All that is left of a file goes when the last
/// [`MappedFile`] of it is dropped.
///
/// After a fork a child may go on using everything: what it has inherited mapped and open it uses, and what it maps
/// and opens itself is counted on its own.
///
/// # Examples
///
/// ```
/// use window_mman::MapManager;
///
/// # fn main() -> Result<(), window_mman::Error> {
/// let manager = MapManager::builder().window_size(16 << 20).max_mapped_bytes(1 << 30).build()?;
/// assert_eq!(manager.window_size(), 16 << 20);
/// assert_eq!(manager.stats().mapped_bytes, 0);
/// # Ok(())
/// # }
/// ```
#[doc(alias = "StaticWindowMapManager")]
#[doc(alias = "SlidingWindowMapManager")]
#[derive(Clone)]
pub struct MapManager {
    core: Arc<Core>,
}

impl MapManager {
    /// A manager with the defaults of the [builder](Self::builder).
    #[must_use]
    pub fn new() -> Self {
        Self::with_settings(MapManagerBuilder::new().defaults())
    }

    /// A manager with options.
    pub fn builder() -> MapManagerBuilder {
        MapManagerBuilder::new()
    }

    pub(crate) fn with_settings(settings: Settings) -> Self {
        Self { core: Arc::new(Core::new(settings)) }
    }

    /// Opens the file at `path`, through symbolic links, for reading.
    ///
    /// On Unix two openings of the same file, by whatever names, share what is mapped of it, and one descriptor;
    /// elsewhere use clones of one [`MappedFile`] for that. Each opening remembers the length that the file has at
    /// that time.
    ///
    /// The descriptor is closed when others are needed, and opened again when it is: see
    /// [`max_open_files`](MapManagerBuilder::max_open_files). Never waits for a writer: what is not a regular file is
    /// refused without being opened.
    ///
    /// # Errors
    ///
    /// What the system reports; and for directories, FIFOs, devices and whatever else is not a
    /// regular file, what it is and what to do.
    #[doc(alias = "make_cursor")]
    pub fn open(&self, path: impl AsRef<Path>) -> Result<MappedFile, OpenError> {
        MappedFile::open(self.core.here(), path.as_ref())
    }

    /// Takes over a file that is open for reading, with whatever flags it was opened.
    ///
    /// The file needs no name any more, and is never closed and opened again: it is kept open, with whatever locks it
    /// has, until the last clone of the returned [`MappedFile`] is dropped. Its position is not looked at.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open); and if it was opened for writing only.
    #[doc(alias = "make_cursor")]
    #[doc(alias = "fd")]
    #[doc(alias = "flags")]
    pub fn open_file(&self, file: File) -> Result<MappedFile, OpenError> {
        MappedFile::adopt(self.core.here(), file)
    }

    /// The size of windows in bytes: what was asked for, rounded up.
    #[must_use]
    pub fn window_size(&self) -> u64 {
        self.core.settings.grid.window_size()
    }

    /// The arithmetic of the windows.
    #[must_use]
    pub fn grid(&self) -> Grid {
        self.core.settings.grid
    }

    /// How files are divided.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.core.settings.strategy
    }

    /// As many bytes are kept mapped, if no more than that are held.
    #[doc(alias = "max_mapped_memory_size")]
    #[must_use]
    pub fn max_mapped_bytes(&self) -> u64 {
        self.core.settings.regions.bytes
    }

    /// As many regions are kept mapped, if no more than that are held.
    #[must_use]
    pub fn max_regions(&self) -> usize {
        self.core.settings.regions.count
    }

    /// As many descriptors are kept open, if no more than that are in use.
    #[doc(alias = "max_file_handles")]
    #[must_use]
    pub fn max_open_files(&self) -> usize {
        self.core.settings.descriptors.count
    }

    /// What is open and mapped at this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let core = self.core.here();
        let (regions, descriptors) = (core.regions.tally(), core.descriptors.tally());
        Stats {
            open_files: core.files.lock().len(),
            descriptors: descriptors.count,
            mapped_regions: regions.count,
            mapped_bytes: regions.bytes,
            maps: regions.made,
            evictions: regions.evicted,
            opens: descriptors.made,
        }
    }

    /// All that is mapped, in the order of files and offsets.
    #[doc(alias = "MapRegionList")]
    #[must_use]
    pub fn regions(&self) -> Vec<RegionInfo> {
        let mut regions = Vec::new();
        self.core.here().regions.list(|listed| {
            let (key, source) = (listed.entry.key, listed.entry.value.source());
            let info = RegionInfo {
                path: source.paths().first().map(|path| path.to_path_buf()),
                device: source.opened.device,
                inode: source.opened.inode,
                file_len: source.opened.len,
                range: key.start..key.end,
                holders: listed.holders,
                uses: listed.uses,
            };
            regions.push((key.file, info));
        });
        regions.sort_by_key(|(file, info)| (*file, info.range.start, info.range.end));
        regions.into_iter().map(|(_, info)| info).collect()
    }

    /// Unmaps all that nobody holds, and tells how much is held.
    pub fn collect(&self) -> Collected {
        self.sweep(|_| true)
    }

    /// Unmaps all that nobody holds of files at or below `path`, and tells how much is held.
    ///
    /// For systems that refuse to delete or replace what is mapped. Paths are compared as they were given, made
    /// absolute, and of a file that is open by several names each counts; a file that was handed over open has none.
    #[doc(alias = "force_map_handle_removal_win")]
    pub fn unmap_under(&self, path: impl AsRef<Path>) -> Collected {
        let path = path.as_ref();
        let base = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let under = |source: &Source| source.paths().iter().any(|path| path.starts_with(&base));
        // What is mapped of a file may have come by another opening of it.
        let open: Vec<Arc<Source>> = {
            let files = self.core.here().files.lock();
            files.values().filter_map(|known| known.source.upgrade()).collect()
        };
        let chosen: HashSet<u64> = open.iter().filter(|source| under(source)).map(|source| source.serial).collect();
        self.sweep(|source| chosen.contains(&source.serial) || under(source))
    }

    fn sweep(&self, mut chosen: impl FnMut(&Source) -> bool) -> Collected {
        let swept = self.core.here().regions.sweep(|entry| chosen(entry.value.source()));
        Collected {
            unmapped_regions: swept.taken,
            unmapped_bytes: swept.taken_bytes,
            held_regions: swept.held,
            held_bytes: swept.held_bytes,
        }
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

#[cfg(test)]
mod tests;
