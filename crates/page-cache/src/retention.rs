//! What of a file is to stay, and what is to go.

use std::io;
use std::ops::Range;
use std::time::Duration;

use svf_core::RangeSet;

use crate::cache::Cache;
use crate::cached_file::CachedFile;
use crate::directory::{Directory, OpenedPair, Pair, WhenFull};
use crate::error::MaintenanceError;
use crate::pages::overlap;

/// How long these calls wait for a recount.
const PATIENCE: Duration = Duration::from_secs(10);

impl CachedFile {
    /// Has what is stored of a range stay until it is [released](Self::release), however full the cache is: also what
    /// is stored of it later, in other processes, and after a restart or a power cut. Nothing is fetched by this.
    ///
    /// What stays is whole extents of 1 MiB, or of a page if that is longer. The range is clipped at the end. Returns
    /// only when this is on the medium, and with it what is held by then. It is a matter of this version of the object:
    /// when the object changes, its new version has nothing that is to be kept, and the old one goes as any other.
    ///
    /// To take that down costs 4 KiB for each 2 GiB of the object, once. False, and nothing is kept or evicted, if
    /// there is no room for that: with [`WhenFull::Stop`] that is, no free room. False too if this file is not stored
    /// at all (it has no [page size](Self::page_size)).
    ///
    /// Blocks for about as long as it takes to write to the medium what is held and not there yet. A process that is
    /// killed meanwhile may leave a part of the range to be kept.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the files cannot be written, or others count or evict for too long. Then nothing more is
    /// to be kept than before, unless that cannot be written either.
    pub fn keep(&self, range: Range<u64>) -> Result<bool, MaintenanceError> {
        let Some((directory, pair)) = self.stored()? else { return Ok(false) };
        let pages = pair.pages().touching(&(range.start..range.end.min(pair.pages().length)));
        let keep = || {
            check_ready(directory, pair)?;
            let room = directory.stock(self.when_full()).insisting();
            let kept = pages.is_empty() || pair.keep(directory.budget(), &room, &pages)?;
            if kept {
                directory.sync_names(self.key())?;
            }
            Ok(kept)
        };
        keep().map_err(|error| self.cannot("kept", range, error))
    }

    /// Lets what was kept of a range go again, when its time comes. Extents count as in [`keep`](Self::keep), and one
    /// that the range touches is released as a whole.
    ///
    /// # Errors
    ///
    /// As of [`keep`](Self::keep); it may have been done for a part of the range then.
    pub fn release(&self, range: Range<u64>) -> Result<(), MaintenanceError> {
        let Some((directory, pair)) = self.stored()? else { return Ok(()) };
        release(directory, pair, &range).map_err(|error| self.cannot("released", range, error))
    }

    /// What is to be kept, whether it is stored or not, in whole extents.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the index cannot be read.
    pub fn kept(&self) -> Result<RangeSet, MaintenanceError> {
        let Some((_, pair)) = self.stored()? else { return Ok(RangeSet::new()) };
        kept(pair).map_err(|error| self.cannot("listed", 0..self.len(), error))
    }

    /// Gives back what is stored of the pages that lie within a range as a whole, also what is to be kept, and returns
    /// how many bytes less are charged. What others are just fetching stays.
    ///
    /// Blocks for as long as that takes: about a millisecond an extent of 1 MiB. Others fetch, store and count
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the index or the data cannot be written, or others count for too long; what could not be
    /// given back is tried again when somebody needs the room.
    pub fn evict(&self, range: Range<u64>) -> Result<u64, MaintenanceError> {
        let Some((directory, pair)) = self.stored()? else { return Ok(0) };
        evict(directory, pair, &range).map_err(|error| self.cannot("evicted", range, error))
    }
}

impl Cache {
    /// Lets all that was [kept](CachedFile::keep) of the object behind `key` go again, when its time comes; its origin
    /// is neither needed nor asked. False if nothing is known of it.
    ///
    /// # Errors
    ///
    /// As of [`CachedFile::release`].
    pub fn release(&self, key: &str) -> Result<bool, MaintenanceError> {
        let released = self.of_key(key, "released", |directory, pair| release(directory, pair, &(0..u64::MAX)))?;
        Ok(released.is_some())
    }

    /// Gives back all that is stored of the object behind `key`, also what is to be kept, and returns how many bytes
    /// less are charged; its origin is neither needed nor asked. What others are just fetching stays, and so does what
    /// is known of the object.
    ///
    /// # Errors
    ///
    /// As of [`CachedFile::evict`].
    pub fn evict(&self, key: &str) -> Result<u64, MaintenanceError> {
        let freed = self.of_key(key, "evicted", |directory, pair| evict(directory, pair, &(0..u64::MAX)))?;
        Ok(freed.unwrap_or_default())
    }

    /// Removes the object behind `key`: what is stored of it, also what is to be kept, and what is known of it. Its
    /// origin is neither needed nor asked. False if somebody has it open, in any process, for longer than the half
    /// second that this waits: then nothing of it is stored or to be kept any more, and the rest stays. True also if
    /// nothing was known of it.
    ///
    /// # Errors
    ///
    /// As of [`CachedFile::evict`].
    pub fn remove(&self, key: &str) -> Result<bool, MaintenanceError> {
        let directory = self.directory()?;
        let name = self.of_key(key, "removed", |directory, pair| {
            release(directory, pair, &(0..u64::MAX))?;
            evict(directory, pair, &(0..u64::MAX))?;
            Ok(pair.name().to_owned())
        })?;
        let removed = match name {
            Some(name) => directory.delete_object(key, &name),
            None => directory.forget(key),
        };
        removed.map_err(|source| self.cannot_of(key, "removed", source))
    }

    /// Does something to the pair of a key; none if there is none.
    fn of_key<T>(
        &self,
        key: &str,
        operation: &'static str,
        change: impl FnOnce(&Directory, &Pair) -> io::Result<T>,
    ) -> Result<Option<T>, MaintenanceError> {
        let directory = self.directory()?;
        let Some(head) = directory.peek_head(key) else { return Ok(None) };
        let changed = directory.open_pair(&head).and_then(|opened| match opened {
            OpenedPair::Good(pair) => change(directory, &pair).map(Some),
            OpenedPair::Damaged => Ok(None),
        });
        changed.map_err(|source| self.cannot_of(key, operation, source))
    }

    fn cannot_of(&self, key: &str, operation: &'static str, source: io::Error) -> MaintenanceError {
        MaintenanceError::Object { key: key.to_owned(), range: 0..u64::MAX, operation, source }
    }
}

/// See [`CachedFile::kept`].
pub(crate) fn kept(pair: &Pair) -> io::Result<RangeSet> {
    Ok(pair.kept()?.iter().map(|pages| pair.pages().bytes_of_run(pages)).collect())
}

/// See [`CachedFile::release`].
pub(crate) fn release(directory: &Directory, pair: &Pair, range: &Range<u64>) -> io::Result<()> {
    check_ready(directory, pair)?;
    let pages = pair.pages().touching(&(range.start..range.end.min(pair.pages().length)));
    pair.release(directory.budget(), &pages)
}

/// See [`CachedFile::evict`]. Each extent is a section and a claim of its own, so that nobody waits for all of them.
pub(crate) fn evict(directory: &Directory, pair: &Pair, range: &Range<u64>) -> io::Result<u64> {
    let pages = pair.pages();
    let start = range.start.div_ceil(pages.page_size);
    let end = if range.end >= pages.length { pages.count() } else { range.end / pages.page_size };
    if start >= end {
        return Ok(0);
    }
    check_ready(directory, pair)?;
    let mut freed = 0;
    for extent in pair.extents()? {
        let part = overlap(&pair.pages_of_extent(extent), &(start..end));
        if part.is_empty() {
            continue;
        }
        let section = directory.budget().enter_within(PATIENCE).ok_or(io::ErrorKind::ResourceBusy)?;
        freed += pair.evict(&section, part)?;
    }
    directory.stock(WhenFull::Evict).note_hollow(pair.name(), &pair.hollow_blocks_of(&(start..end))?);
    Ok(freed)
}

/// Only a pair that agrees with itself can be changed.
fn check_ready(directory: &Directory, pair: &Pair) -> io::Result<()> {
    if pair.may_be_filled(directory.budget()) {
        return Ok(());
    }
    let what = "it could not be made to agree with itself since the system was started, as others are at work";
    Err(io::Error::new(io::ErrorKind::ResourceBusy, what))
}
