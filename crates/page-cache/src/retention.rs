//! What of a file is to stay, and what is to go.

use std::io;
use std::ops::Range;

use svf_core::RangeSet;

use crate::cached_file::CachedFile;
use crate::directory::WhenFull;
use crate::error::MaintenanceError;

/// How long these calls wait for a recount.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

impl CachedFile {
    /// Has what is stored of a range stay until it is [released](Self::release), however full the cache is: also what is
    /// stored of it later, in other processes, and after a restart. Nothing is fetched by this.
    ///
    /// What stays is whole extents of 1 MiB, or of a page if that is longer. The range is clipped at the end. Returns
    /// only when this is on the medium. False if nothing of this file is stored, or if there is no room for what has to
    /// be written down.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the index cannot be written, or is being counted for too long.
    pub fn keep(&self, range: Range<u64>) -> Result<bool, MaintenanceError> {
        self.set_kept(range, true, "kept")
    }

    /// Lets what was kept of a range go again, when its time comes. Extents count as in [`keep`](Self::keep), and one that
    /// the range touches is released as a whole.
    ///
    /// # Errors
    ///
    /// As of [`keep`](Self::keep).
    pub fn release(&self, range: Range<u64>) -> Result<(), MaintenanceError> {
        self.set_kept(range, false, "released").map(|_| ())
    }

    /// What is to be kept, whether it is stored or not, in whole extents.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the index cannot be read.
    pub fn kept(&self) -> Result<RangeSet, MaintenanceError> {
        let Some((_, pair)) = self.stored()? else { return Ok(RangeSet::new()) };
        let kept = pair.kept().map_err(|error| self.cannot("listed", 0..self.len(), error))?;
        Ok(kept.iter().map(|pages| pair.pages().bytes_of_run(pages)).collect())
    }

    /// Gives back what is stored of the pages that lie within a range as a whole, also what is to be kept, and returns how
    /// many bytes less are charged. What others are just fetching stays.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the index or the data cannot be written; what could not be given back is tried again when
    /// somebody needs the room.
    pub fn evict(&self, range: Range<u64>) -> Result<u64, MaintenanceError> {
        let Some((directory, pair)) = self.stored()? else { return Ok(0) };
        let pages = pair.pages();
        let start = range.start.div_ceil(pages.page_size);
        let end = if range.end >= pages.length { pages.count() } else { range.end / pages.page_size };
        if start >= end || !pair.may_be_filled(directory.budget()) {
            return Ok(0);
        }
        let section = directory.budget().enter_within(PATIENCE).ok_or_else(|| io::ErrorKind::ResourceBusy.into());
        section
            .and_then(|section| pair.evict(&section, start..end))
            .map_err(|error| self.cannot("evicted", range, error))
    }

    fn set_kept(&self, range: Range<u64>, kept: bool, operation: &'static str) -> Result<bool, MaintenanceError> {
        let Some((directory, pair)) = self.stored()? else { return Ok(false) };
        let range = range.start..range.end.min(pair.pages().length);
        if range.is_empty() {
            return Ok(true);
        }
        if !pair.may_be_filled(directory.budget()) {
            return Ok(false);
        }
        let budget = directory.budget();
        let section = budget.enter_within(PATIENCE).ok_or_else(|| io::ErrorKind::ResourceBusy.into());
        let (room, pages) = (directory.stock(WhenFull::Evict), pair.pages().touching(&range));
        section
            .and_then(|section| pair.keep(&section, &room, &pages, kept, budget.now()))
            .map_err(|error| self.cannot(operation, range, error))
    }
}
