//! What a file holds, behind its lock.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::SystemTime;

use bytes::Bytes;

use super::membership::Membership;
use crate::block_map::{BlockMap, Written};
use crate::error::WriteError;
use crate::stats::Stats;
use crate::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use crate::version::Version;

/// Everything of a file that changes together.
#[derive(Debug)]
pub(super) struct State {
    pub(super) map: BlockMap,
    pub(super) version: Option<Version>,
    /// How often the file was reset: bytes of different generations are never mixed.
    pub(super) generation: u64,
    /// The file system that the file is in.
    pub(super) membership: Option<Membership>,
    /// What writers count; what readers count is 0 here.
    pub(super) written: Stats,
    /// Whether the time of the last write is kept.
    times: bool,
}

impl State {
    pub(super) fn new(map: BlockMap, version: Option<Version>, times: bool) -> Self {
        Self { map, version, generation: 0, membership: None, written: Stats::default(), times }
    }

    /// Writes, and counts.
    pub(super) fn write(&mut self, offset: u64, data: Data<'_>) -> Result<Written, WriteError> {
        let len = data.len() as u64;
        let result = self.change(|map| match data {
            Data::Borrowed(data) => map.write(offset, data),
            Data::Owned(data) => map.write_bytes(offset, data),
        });
        match &result {
            Ok(_) if len == 0 => {}
            Ok(written) => {
                self.written.writes += 1;
                self.written.bytes_written += len;
                self.written.bytes_overlapping += written.overlapping;
                if self.times {
                    self.written.last_write = Some(SystemTime::now());
                }
            }
            Err(_) => self.written.writes_refused += 1,
        }
        result
    }

    /// Takes everything out; to be dropped when nothing is locked, since there may be a lot of it.
    #[must_use = "what is taken out is to be dropped when nothing is locked"]
    pub(super) fn take_all(&mut self) -> BlockMap {
        self.removed(self.map.num_bytes());
        self.change(BlockMap::take)
    }

    /// What it takes on the heap.
    pub(super) fn memory_size(&self) -> usize {
        let etag = self.version.as_ref().and_then(|version| version.etag.as_ref()).map_or(0, String::capacity);
        self.map.memory_size() + etag
    }

    pub(super) fn removed(&mut self, bytes: u64) {
        self.written.removals += u64::from(0 < bytes);
        self.written.bytes_removed += bytes;
    }

    /// Any change of what is held, by the clock of the file system and accounted to it.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut BlockMap) -> R) -> R {
        if let Some(membership) = &self.membership {
            self.map.set_epoch(membership.now());
        }
        let result = change(&mut self.map);
        if let Some(membership) = &mut self.membership {
            membership.changed(&self.map);
        }
        result
    }
}

/// The data of a write.
#[derive(Debug)]
pub(super) enum Data<'a> {
    Borrowed(&'a [u8]),
    Owned(Bytes),
}

impl Data<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Borrowed(data) => data.len(),
            Self::Owned(data) => data.len(),
        }
    }
}

/// The lock: readers on different threads write to different cache lines.
#[derive(Debug)]
pub(super) struct Shared(ShardedLock<State>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(ShardedLock::new(state))
    }

    pub(super) fn read(&self) -> ShardedLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> Writing<'_> {
        let was_panicking = std::thread::panicking();
        Writing { state: self.0.write().unwrap_or_else(PoisonError::into_inner), was_panicking }
    }
}

/// The lock taken for a change.
///
/// The only foreign code that can run meanwhile is the destructor of memory that was handed over as `Bytes`. If that
/// panics, a change may be half done; then everything is dropped, so that what is held is right again.
pub(super) struct Writing<'a> {
    state: ShardedLockWriteGuard<'a, State>,
    was_panicking: bool,
}

impl Deref for Writing<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.was_panicking {
            // Another of its destructors may panic as well, which would end the process.
            mem::forget(self.state.map.take());
            let State { map, membership, .. } = &mut **self;
            if let Some(membership) = membership {
                membership.changed(map);
            }
        }
    }
}
