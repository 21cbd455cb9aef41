//! The options of a manager.

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::core::Settings;
use crate::error::BuildError;
use crate::manager::MapManager;
use crate::pool::Limits;
use crate::sys::{Os, Sys, descriptor_limit, granularity};
use crate::window::{DEFAULT_WINDOW_SIZE, Grid, Strategy};

/// What is mapped at most. On 64 bit a five-hundredth of the address space of most processors: the tables that the
/// system keeps for it take up half a gigabyte if every page of it was looked at. On 32 bit a quarter of all addresses,
/// which leaves room for a heap and for fragmentation.
const DEFAULT_MAX_MAPPED_BYTES: u64 = if usize::BITS >= 64 { 256 << 30 } else { 1 << 30 };

/// A quarter of what Linux allows a process (65,530), so that the rest of the program has its mappings too.
const DEFAULT_MAX_REGIONS: usize = 16_384;

/// A quarter of what the process may have, and no more than that; a descriptor is opened again in a few microseconds.
const DEFAULT_MAX_OPEN_FILES: u64 = 1024;

/// What is done when a limit is reached, and everything is held.
///
/// # Examples
///
/// ```
/// use window_mman::{LimitPolicy, MapManager, ViewError};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, b"0123456789")?;
/// # std::fs::write(&path, vec![0; 2 << 20])?;
/// let builder = MapManager::builder().max_regions(1).when_limit_is_held(LimitPolicy::Error);
/// let file = builder.build()?.open(&path)?;
/// let held = file.copy_view(0..1)?;
/// assert!(matches!(file.copy_view(1 << 20..2 << 20), Err(ViewError::LimitReached { .. })));
/// drop(held);
/// assert!(file.copy_view(1 << 20..2 << 20).is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitPolicy {
    /// The limit is exceeded, until enough is let go of: what then is too much is unmapped at once.
    ///
    /// One range that is larger than the limit in bytes by itself is mapped beside everything else: nothing is unmapped
    /// for it, since that would not make room enough, and it is unmapped as soon as nobody holds it.
    #[default]
    Exceed,
    /// It is an error ([`ViewError::LimitReached`](crate::ViewError::LimitReached)), which says who holds how much.
    Error,
}

/// Options of a [`MapManager`].
///
/// # Examples
///
/// ```
/// use window_mman::{LimitPolicy, MapManager};
///
/// # fn main() -> Result<(), window_mman::Error> {
/// let manager = MapManager::builder()
///     .window_size(4 << 20)
///     .max_mapped_bytes(1 << 30)
///     .max_open_files(64)
///     .when_limit_is_held(LimitPolicy::Error)
///     .build()?;
/// assert_eq!(manager.max_open_files(), 64);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `build`"]
pub struct MapManagerBuilder {
    window_size: u64,
    strategy: Strategy,
    max_mapped_bytes: Option<u64>,
    max_regions: usize,
    max_open_files: usize,
    policy: LimitPolicy,
    fault_recovery: bool,
}

impl MapManagerBuilder {
    pub(crate) fn new() -> Self {
        let open_files = descriptor_limit().map_or(DEFAULT_MAX_OPEN_FILES, |limit| limit / 4);
        Self {
            window_size: DEFAULT_WINDOW_SIZE,
            strategy: Strategy::default(),
            max_mapped_bytes: None,
            max_regions: DEFAULT_MAX_REGIONS,
            max_open_files: open_files.clamp(1, DEFAULT_MAX_OPEN_FILES) as usize,
            policy: LimitPolicy::default(),
            fault_recovery: true,
        }
    }

    /// The size of windows in bytes; 1 MiB if this is not called.
    ///
    /// It is rounded up to what the system is able to map: whole pages (4 KiB, 16 KiB or 64 KiB,
    /// depending on the machine), on Windows units of 64 KiB. Refusing other sizes would mean that
    /// a program that runs on one machine fails on the next.
    ///
    /// Large windows cost address space and little else, and are the better choice for reading in
    /// order; small ones leave less mapped by a view that is held long. The default is large enough that a parser's
    /// structures seldom cross from one window to the next, and small enough that a thousand scattered looks are a
    /// gigabyte of addresses. It is the same on 32 bit.
    pub fn window_size(mut self, bytes: u64) -> Self {
        self.window_size = bytes;
        self
    }

    /// How files are divided into regions: [`Strategy::Sliding`] if this is not called.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many bytes of files are kept mapped; 256 GiB if this is not called, on 32 bit 1 GiB.
    ///
    /// This is about addresses, and not about memory: the system keeps of what is mapped as much in memory as it has
    /// room for, and takes it back when it needs it. The default on 64 bit bounds the system's own tables, which take
    /// up a five-hundredth of what was looked at; on 32 bit a quarter of all addresses.
    #[doc(alias = "max_memory_size")]
    pub fn max_mapped_bytes(mut self, bytes: u64) -> Self {
        self.max_mapped_bytes = Some(bytes);
        self
    }

    /// How many regions are kept mapped; 16,384 if this is not called.
    ///
    /// Linux allows a process 65,530 mappings (`vm.max_map_count`), those of its libraries and threads among them.
    pub fn max_regions(mut self, count: usize) -> Self {
        self.max_regions = count;
        self
    }

    /// How many descriptors are kept open; if this is not called a quarter of what the process may have (`ulimit -n`),
    /// and at most 1,024.
    ///
    /// A file needs its descriptor only while something is mapped or copied. The one that was not used for the longest
    /// time is closed when another is needed, and opened again by its path, where the same file must be.
    #[doc(alias = "max_open_handles")]
    pub fn max_open_files(mut self, count: usize) -> Self {
        self.max_open_files = count;
        self
    }

    /// What is done when a limit is reached and everything is held: [`LimitPolicy::Exceed`] if this is not called.
    pub fn when_limit_is_held(mut self, policy: LimitPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether copies out of mappings recover from faults by a handler of SIGBUS; they do if this is not called.
    ///
    /// Without it the handler is not installed on behalf of this manager, and whatever would copy out of a mapping
    /// reads by `pread` instead, which is safe as well, and slower where little is copied. The page of this crate tells
    /// [what such a handler means](crate#a-signal-handler-in-a-library).
    pub fn fault_recovery(mut self, wanted: bool) -> Self {
        self.fault_recovery = wanted;
        self
    }

    /// The manager.
    ///
    /// # Errors
    ///
    /// A window size of 0, which is more likely a mistake than a wish, or one that is, rounded up, more than
    /// `isize::MAX`; a limit of 0, or of fewer bytes than one window has.
    pub fn build(self) -> Result<MapManager, BuildError> {
        self.build_over(granularity(), Arc::new(Os))
    }

    /// A manager over any system; tests bring their own.
    pub(crate) fn build_over(self, granularity: NonZeroU64, sys: Arc<dyn Sys>) -> Result<MapManager, BuildError> {
        let window_size = NonZeroU64::new(self.window_size).ok_or(BuildError::WindowIsEmpty)?;
        let grid = Grid::new(window_size, granularity)
            .ok_or(BuildError::WindowTooLarge { requested: self.window_size, largest: Grid::LARGEST_WINDOW })?;
        for (limit, count) in [("max_regions", self.max_regions), ("max_open_files", self.max_open_files)] {
            if count == 0 {
                return Err(BuildError::LimitIsZero { limit });
            }
        }
        if let Some(limit) = self.max_mapped_bytes.filter(|limit| *limit < grid.window_size()) {
            return Err(BuildError::LimitBelowWindow { limit, window_size: grid.window_size() });
        }
        Ok(MapManager::with_settings(self.settings(grid, sys)))
    }

    /// What a manager has without options.
    pub(crate) fn defaults(self) -> Settings {
        self.settings(Grid::with_default_window(granularity()), Arc::new(Os))
    }

    fn settings(self, grid: Grid, sys: Arc<dyn Sys>) -> Settings {
        // A window that was asked for is never above a limit that was not.
        let bytes = self.max_mapped_bytes.unwrap_or(DEFAULT_MAX_MAPPED_BYTES.max(grid.window_size()));
        Settings {
            grid,
            strategy: self.strategy,
            regions: Limits { bytes, count: self.max_regions, strict: self.policy == LimitPolicy::Error },
            descriptors: Limits { bytes: u64::MAX, count: self.max_open_files, strict: false },
            fault_recovery: self.fault_recovery,
            sys,
        }
    }
}
