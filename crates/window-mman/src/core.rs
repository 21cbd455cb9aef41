//! What a manager consists of, and how a region of a file comes out of it.
//!
//! Files, cursors and views refer to this, and not to the manager, which is one more handle to it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use crate::error::Holding;
use crate::fork::Child;
use crate::pool::{Failure, Limits, MakeError, Pool};
use crate::region::{HeldRegion, Region, RegionKey};
use crate::source::{Descriptor, DescriptorError, OwnFile, Source};
use crate::sync::Mutex;
use crate::sys::{self, FileId, Mapping, Sys};
use crate::window::{Grid, Strategy};

/// The same for all processes that come of one.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) grid: Grid,
    pub(crate) strategy: Strategy,
    pub(crate) regions: Limits,
    pub(crate) descriptors: Limits,
    /// Whether faults are recovered from by a handler of the signal.
    pub(crate) fault_recovery: bool,
    pub(crate) sys: Arc<dyn Sys>,
}

/// The tables of a manager, in one process.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) regions: Pool<RegionKey, Region>,
    pub(crate) descriptors: Pool<Descriptor, OwnFile>,
    /// The files that somebody has open. Locked for a few instructions at a time, and never around anything else.
    pub(crate) files: Mutex<HashMap<FileId, Known>>,
    child: Child<Self>,
}

/// A file that somebody has open.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its number in this process; no other file ever has it.
    pub(crate) serial: u64,
    /// How many handles there are.
    pub(crate) handles: usize,
    /// Opened by a path, so that its descriptor can be shared.
    pub(crate) source: Weak<Source>,
}

/// Why there is no region.
#[derive(Debug)]
pub(crate) enum MapFailure {
    /// It would be longer than a slice can be.
    TooLong,
    /// The file ended before its bytes did: how many came, and how long it says that it is.
    Short { given: u64, now: u64 },
    /// Everything is held, and the limits are strict.
    Full { limits: Limits, wanted: u64, held: Vec<Holding> },
    /// There is no descriptor.
    Descriptor(DescriptorError),
    /// The system said no.
    Io(io::Error),
}

impl Core {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            regions: Pool::new(settings.regions),
            descriptors: Pool::new(settings.descriptors),
            files: Mutex::new(HashMap::new()),
            child: Child::none(),
            settings,
        }
    }

    /// The tables of this process, and of its ancestors as far as they go back to this: the eldest first.
    #[inline]
    pub(crate) fn line(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(Some(self), |core| core.child.get())
    }

    /// The tables of this process, whose locks may be taken.
    #[inline]
    pub(crate) fn here(self: &Arc<Self>) -> &Arc<Self> {
        let mut core = self;
        while let Some(child) = core.child.get() {
            core = child;
        }
        if core.child.is_here() { core } else { core.child.get_or_make(|| Self::new(self.settings.clone())) }
    }

    /// Whether these are the tables of this process.
    pub(crate) fn is_here(&self) -> bool {
        self.child.is_here()
    }

    /// Which region has `range` of a file of `len` bytes.
    #[inline]
    pub(crate) fn span_of(&self, range: &Range<u64>, len: u64) -> Range<u64> {
        match self.settings.strategy {
            Strategy::Sliding => self.settings.grid.region_for(range, len),
            Strategy::Static => 0..len,
        }
    }

    /// The region of these bytes, if it is mapped. Takes no lock.
    #[inline]
    pub(crate) fn find(self: &Arc<Self>, key: &RegionKey) -> Option<(&Arc<Self>, HeldRegion<'_>)> {
        self.line().find_map(|core| core.regions.find(key).map(|held| (core, held)))
    }

    /// The region of these bytes, which the caller has not found, among those of this process: mapped, if nobody else
    /// has done it meanwhile.
    pub(crate) fn map(
        self: &Arc<Self>,
        source: &Arc<Source>,
        key: RegionKey,
    ) -> Result<(&Arc<Self>, HeldRegion<'_>), MapFailure> {
        let core = self.here();
        let mut evicting = false;
        let open = source.open(self).map_err(MapFailure::Descriptor)?;
        let Some(file) = open.entry() else { return Err(MapFailure::Descriptor(DescriptorError::Inherited)) };
        let mapped = core.map_file(&file.value, source, key, &mut evicting);
        drop(open);
        let held = mapped.map_err(|error| core.failure_of(error, key))?;
        let len = key.end.saturating_sub(key.start);
        tracing::debug!(file = %source.name(), offset = key.start, len, evicting, "mapped a region");
        Ok((core, held))
    }

    #[inline]
    fn map_file(
        &self,
        file: &File,
        source: &Arc<Source>,
        key: RegionKey,
        evicting: &mut bool,
    ) -> Result<HeldRegion<'_>, MakeError<MapFailure>> {
        let size = key.end.saturating_sub(key.start);
        let len = isize::try_from(size).ok().and_then(|len| usize::try_from(len).ok());
        let Some(len) = len else { return Err(MakeError::Failed(MapFailure::TooLong)) };
        let sys = &*self.settings.sys;
        if source.mappable {
            let mut refused = false;
            let mapped = self.regions.find_or_make(key, size, |victim: &mut Option<Region>| {
                *evicting |= victim.is_some();
                // Only over what is known to be replaced by the next: a file that refuses its first mapping would
                // leave the addresses of the old one to nobody. What is not reused goes behind the lock, and so
                // does the old one's source, which may close a file.
                let was_mapped = source.was_mapped.load(Ordering::Relaxed);
                let old = victim.as_mut().filter(|_| was_mapped);
                let spare = old.and_then(|old| old.take_mapping(len));
                let mapping = sys.map(file, key.start, len, spare).map_err(|error| {
                    refused = cannot_be_mapped(&error);
                    failure(error)
                })?;
                if !was_mapped {
                    source.was_mapped.store(true, Ordering::Relaxed);
                }
                let source = Region::take_source(victim, source).unwrap_or_else(|| Arc::clone(source));
                Ok(Region::new(mapping, len, source))
            });
            if !refused {
                return mapped;
            }
        }
        // It is read, which takes as long as the disk does: nobody else waits for that.
        self.regions.find_or_make_apart(key, size, || {
            Ok(Region::new(copy(sys, file, key.start, len)?, len, Arc::clone(source)))
        })
    }

    #[cold]
    fn failure_of(&self, error: MakeError<MapFailure>, key: RegionKey) -> MapFailure {
        match error {
            MakeError::Full => {
                let wanted = key.end.saturating_sub(key.start);
                MapFailure::Full { limits: self.settings.regions, wanted, held: self.holdings() }
            }
            // `here` has just said that it is not; a fork cannot come between.
            MakeError::Inherited => MapFailure::Io(io::ErrorKind::ResourceBusy.into()),
            MakeError::Failed(failure) => failure,
        }
    }

    /// Who holds how much, the most first.
    fn holdings(&self) -> Vec<Holding> {
        let mut held: HashMap<(u64, Option<PathBuf>), Holding> = HashMap::new();
        self.regions.list(|listed| {
            if listed.holders == 0 {
                return;
            }
            let path = listed.entry.value.source().path.as_deref().map(|path| path.to_path_buf());
            let key = (listed.entry.key.file, path.clone());
            let holding = held.entry(key).or_insert(Holding { path, regions: 0, bytes: 0, holders: 0 });
            holding.regions += 1;
            holding.bytes = holding.bytes.saturating_add(listed.entry.size);
            holding.holders += u64::from(listed.holders);
        });
        let mut held: Vec<Holding> = held.into_values().collect();
        held.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
        held
    }
}

/// A copy of what cannot be mapped.
fn copy(sys: &dyn Sys, file: &File, offset: u64, len: usize) -> Result<Mapping, Failure<MapFailure>> {
    let mut came = len;
    let mapping = Mapping::copied(len, |buffer| {
        came = sys::read_fully(sys, file, buffer, offset)?;
        Ok(())
    })
    .map_err(failure)?;
    if came < len {
        let now = sys.len(file).map_err(failure)?;
        return Err(Failure { error: MapFailure::Short { given: came as u64, now }, for_want_of_room: false });
    }
    Ok(mapping)
}

fn failure(error: io::Error) -> Failure<MapFailure> {
    let for_want_of_room = error.kind() == io::ErrorKind::OutOfMemory;
    Failure { error: MapFailure::Io(error), for_want_of_room }
}

/// Whether the file, or its file system, has no such mappings.
fn cannot_be_mapped(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        // What is asked for is aligned, not empty, shared and only read, of a descriptor that can read: who calls that
        // invalid or forbidden means this file.
        let Some(errno) = Errno::from_io_error(error) else { return false };
        [Errno::NODEV, Errno::OPNOTSUPP, Errno::NOSYS, Errno::ACCESS, Errno::PERM, Errno::INVAL].contains(&errno)
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::Unsupported
    }
}
