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
}

impl State {
    pub(super) fn new(map: BlockMap, version: Option<Version>) -> Self {
        Self { map, version, generation: 0, membership: None, written: Stats::default() }
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
                self.written.last_write = Some(SystemTime::now());
            }
            Err(_) => self.written.writes_refused += 1,
        }
        result
    }

    pub(super) fn clear(&mut self) {
        self.written.bytes_removed += self.map.num_bytes();
        self.change(BlockMap::clear);
    }

    /// Any change of what is held, by the clock of the file system and accounted to it.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut BlockMap) -> R) -> R {
        let Some(membership) = &self.membership else {
            return change(&mut self.map);
        };
        self.map.set_epoch(membership.now());
        let before = self.map.num_bytes();
        let result = change(&mut self.map);
        membership.changed(before, &self.map);
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
            let empty = BlockMap::with_options(self.state.map.options());
            let broken = mem::replace(&mut self.state.map, empty);
            if let Some(membership) = &self.state.membership {
                membership.forget(&broken);
            }
            // Another of its destructors may panic as well, which would end the process.
            mem::forget(broken);
        }
    }
}
