//! What a manager holds, and has done.

use std::ops::Range;
use std::path::PathBuf;

/// What a [`MapManager`](crate::MapManager) held at one moment.
///
/// The numbers are exact: a region is counted from its mapping to its unmapping, whoever holds it. Those of regions
/// are of one moment, and those of files of another.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let manager = window_mman::MapManager::new();
/// let file = manager.open(&path)?;
/// file.copy_view(0..5)?;
/// let stats = manager.stats();
/// assert_eq!((stats.open_files, stats.mapped_regions, stats.mapped_bytes), (1, 1, 10));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Files of which there is a [`MappedFile`](crate::MappedFile), counted by device and inode.
    #[doc(alias = "num_open_files")]
    pub open_files: usize,
    /// Descriptors that are open.
    #[doc(alias = "num_file_handles")]
    pub descriptors: usize,
    /// Regions that are mapped: windows, and covers of ranges that cross windows.
    pub mapped_regions: usize,
    /// The bytes of files in these regions. A byte that is mapped by two regions counts twice;
    /// what the system maps behind the end of a file to fill a page does not count.
    #[doc(alias = "mapped_memory_size")]
    pub mapped_bytes: u64,
    /// How many regions have been mapped so far.
    pub maps: u64,
    /// How many regions were unmapped to keep to the limits.
    pub evictions: u64,
    /// How many times a descriptor was opened, the first times among them.
    pub opens: u64,
}

/// A region that is mapped, as [`MapManager::regions`](crate::MapManager::regions) lists it.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let manager = window_mman::MapManager::new();
/// let file = manager.open(&path)?;
/// let _held = file.copy_view(0..5)?;
/// let regions = manager.regions();
/// assert_eq!((regions[0].range.clone(), regions[0].holders), (0..10, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionInfo {
    /// The file, if its name is known.
    pub path: Option<PathBuf>,
    /// The device of the file: with the [inode](Self::inode) this tells files apart that have no name here, as those
    /// that were handed over. 0 for all on systems that do not tell.
    pub device: u64,
    /// The number of the file there.
    pub inode: u64,
    /// How long the file was when it was opened, in bytes.
    #[doc(alias = "file_size")]
    pub file_len: u64,
    /// Which bytes of the file.
    #[doc(alias = "ofs_begin")]
    #[doc(alias = "ofs_end")]
    pub range: Range<u64>,
    /// How many views, cursors and buffers hold it.
    #[doc(alias = "client_count")]
    pub holders: u32,
    /// How often it was asked for since it was mapped.
    #[doc(alias = "usage_count")]
    pub uses: u32,
}

/// What [`collect`](crate::MapManager::collect) or [`unmap_under`](crate::MapManager::unmap_under) has done.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// let manager = window_mman::MapManager::new();
/// let file = manager.open(&path)?;
/// let held = file.copy_view(0..5)?;
/// assert_eq!(manager.collect().held_regions, 1);
/// drop(held);
/// assert_eq!(manager.unmap_under(directory.path()).unmapped_bytes, 10);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Regions that were unmapped.
    pub unmapped_regions: usize,
    /// Their bytes.
    pub unmapped_bytes: u64,
    /// Regions that stay, since somebody holds them.
    pub held_regions: usize,
    /// Their bytes.
    pub held_bytes: u64,
}
