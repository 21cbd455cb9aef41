//! Regions: pieces of files that are mapped, each shared by all who look into it.
//!
//! [`Regions`] is where a region comes from, [`Region`] is one. A region never refers back to
//! `Regions`, only to the table and the counters, so that a view may outlive the manager, and so
//! that what a manager may come to hold itself does not hold the manager.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::error::Name;
use crate::open_file::OpenFile;
use crate::stats::{Counters, Stats};
use crate::sys::{FileId, Mapping, Sys};
use crate::weak_table::WeakTable;
use crate::window::Grid;

/// The mapped regions of one manager.
#[derive(Debug)]
pub(crate) struct Regions {
    grid: Grid,
    sys: Arc<dyn Sys>,
    /// Regions that somebody holds.
    ///
    /// Their holders' promises are what makes it right to hand one out again without looking at
    /// the file. A region kept without a holder would have nobody's promise: whoever keeps such
    /// regions must compare the file with what it was before handing them out.
    table: Arc<Table>,
    counters: Arc<Counters>,
}

type Table = WeakTable<RegionKey, Region>;

/// Why there is no region.
#[derive(Debug)]
pub(crate) enum MapFailure {
    /// It would be longer than a slice can be.
    TooLong,
    /// The file is shorter than it was when it was opened.
    Truncated { now: u64 },
    /// The system said no.
    Io(io::Error),
}

impl Regions {
    pub(crate) fn new(grid: Grid, sys: Arc<dyn Sys>) -> Self {
        Self { grid, sys, table: Arc::new(WeakTable::new()), counters: Arc::default() }
    }

    pub(crate) fn grid(&self) -> &Grid {
        &self.grid
    }

    pub(crate) fn sys(&self) -> &dyn Sys {
        &*self.sys
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// A region that contains `range`, which is not empty and ends at the file's length or before:
    /// the one that is mapped already, or a new one.
    ///
    /// # Safety
    ///
    /// From this call on until the region is dropped, nobody truncates the file below the length
    /// it has now, or changes one of the bytes that it was opened with.
    #[expect(unsafe_code, reason = "hands out memory on a promise about a file")]
    pub(crate) unsafe fn region(&self, file: &OpenFile, range: &Range<u64>) -> Result<Arc<Region>, MapFailure> {
        let region = self.grid.region_for(range, file.len);
        let key = RegionKey { file: file.id, start: region.start, end: region.end };
        if let Some(region) = self.table.get(&key) {
            return Ok(region);
        }
        let len = region
            .end
            .checked_sub(region.start)
            .and_then(|len| isize::try_from(len).ok())
            .and_then(|len| usize::try_from(len).ok())
            .ok_or(MapFailure::TooLong)?;
        // The promise holds from now on, not from the opening, so what happened in between is
        // looked at here. Any shrinking is refused, not only below this region: the file is not
        // the one that was opened.
        let now = self.sys.len(&file.file).map_err(MapFailure::Io)?;
        if now < file.len {
            return Err(MapFailure::Truncated { now });
        }
        // SAFETY: the file has at least `file.len` bytes now, as was just seen, and the grid ends
        // regions there. The caller promises that it stays so and that none of these bytes
        // changes until the region, which owns the mapping and drops it, is dropped.
        let mapping = unsafe { self.sys.map(&file.file, key.start, len) }.map_err(MapFailure::Io)?;
        let region = Arc::new(Region { mapping, record: Record::new(self, key, file.path.clone()) });
        Ok(self.table.share(key, region))
    }
}

/// Which region: the file, and from where to where.
///
/// The end is part of it, since the last window of a file that has grown is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RegionKey {
    file: FileId,
    start: u64,
    end: u64,
}

/// A piece of a file that is mapped as long as this lives.
///
/// The order of the fields is the order in which they are dropped: what is counted as unmapped
/// has been unmapped.
pub(crate) struct Region {
    mapping: Mapping,
    record: Record,
}

impl Region {
    /// All of its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.mapping.bytes()
    }

    /// Where `range` of the file is in [`Region::bytes`]; `None` if it is not all in there.
    pub(crate) fn position_of(&self, range: &Range<u64>) -> Option<Range<usize>> {
        let position = |offset: u64| {
            let position = offset.checked_sub(self.record.key.start)?;
            usize::try_from(position).ok()
        };
        let positions = position(range.start)?..position(range.end)?;
        self.bytes().get(positions.clone()).and(Some(positions))
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("key", &self.record.key).finish_non_exhaustive()
    }
}

/// A region's entry in the table and its share of the counters; dropping it takes both back.
struct Record {
    key: RegionKey,
    path: Option<Arc<Path>>,
    table: Arc<Table>,
    counters: Arc<Counters>,
}

impl Record {
    fn new(regions: &Regions, key: RegionKey, path: Option<Arc<Path>>) -> Self {
        let record = Self { key, path, table: Arc::clone(&regions.table), counters: Arc::clone(&regions.counters) };
        record.counters.mapped(record.len());
        tracing::debug!(
            file = %Name(record.path.as_deref()),
            offset = key.start,
            len = record.len(),
            "mapped a region"
        );
        record
    }

    fn len(&self) -> u64 {
        self.key.end.saturating_sub(self.key.start)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.table.forget_dead(&self.key);
        self.counters.unmapped(self.len());
        tracing::debug!(
            file = %Name(self.path.as_deref()),
            offset = self.key.start,
            len = self.len(),
            "unmapped a region"
        );
    }
}

#[cfg(test)]
impl Regions {
    /// How many entries the table has, dead ones among them.
    pub(crate) fn table_len(&self) -> usize {
        self.table.len()
    }
}
