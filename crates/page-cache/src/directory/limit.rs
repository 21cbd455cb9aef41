//! The limit of a directory, and how it is changed: by one opener at a time, who evicts what is beyond it.

use std::io;
use std::time::Duration;

use super::Directory;
use super::budget::within;
use super::control;
use super::eviction::{WhenFull, others_are_at_work, roster};
use super::files::is_damage;
use super::pair::{self, KeptOf};
use crate::error::OpenError;
use crate::sys::{Lock, LockFile};

/// The limit of a directory for which nobody has set one, in bytes.
const DEFAULT_MAX_BYTES: u64 = 10 << 30;

impl Directory {
    /// The last opener's limit holds, from when this returns: what is beyond it has gone by then. Whether it was
    /// `tried` just now to count what is charged: then it is not tried again.
    ///
    /// While a smaller limit makes room it stands in control already, so that nobody fills what was just evicted. If
    /// the room cannot be made it is taken back; who is killed before that leaves it, and whoever sets a limit next
    /// replaces it.
    pub(super) fn set_limit(&self, max_bytes: Option<u64>, tried: bool) -> Result<(), OpenError> {
        let control = self.budget.control();
        if max_bytes.is_none() && control.max_bytes().is_some() {
            return Ok(());
        }
        let unusable = |source| OpenError::Unusable { path: self.files.root.clone(), source };
        let _lock = self.lock_limit().map_err(unusable)?;
        let _lock = _lock.ok_or_else(|| OpenError::InUse { path: self.files.root.clone() })?;
        let before = control.max_bytes();
        if max_bytes.is_none() && before.is_some() {
            return Ok(());
        }
        // 0 would mean that nobody has set one.
        let limit = max_bytes.unwrap_or(DEFAULT_MAX_BYTES).max(1);
        // What a smaller limit leaves room for is not known before all is counted, however long that takes.
        let is_smaller = before.is_none_or(|before| limit < before);
        if !self.budget.is_counted() && is_smaller && !tried {
            self.tidy_up();
        }
        if !self.budget.is_counted() {
            if max_bytes.is_some() && is_smaller {
                return Err(OpenError::NotCounted { path: self.files.root.clone(), max_bytes: limit });
            }
            // What is beyond it goes when it has been counted: until then nothing more is stored.
            control.set_max_bytes(limit);
            return Ok(());
        }
        // What a directory without anything in it is charged cannot go.
        let goal = limit.max(self.budget.fixed());
        let held = |kept: KeptOf| {
            let charged = self.budget.used();
            OpenError::Held { path: self.files.root.clone(), max_bytes: limit, charged, kept: kept.bytes }
        };
        if self.budget.used() > goal {
            // Nothing goes in vain.
            let kept = self.kept().map_err(unusable)?;
            if kept.charge.saturating_add(self.budget.fixed()) > goal {
                return Err(held(kept));
            }
        }
        control.set_max_bytes(limit);
        let restore = || control.restore_max_bytes(limit, before.unwrap_or(DEFAULT_MAX_BYTES));
        match self.evict_to(goal, self.patience) {
            Ok(true) => Ok(()),
            Ok(false) => {
                restore();
                Err(held(self.kept().map_err(unusable)?))
            }
            Err(source) => {
                restore();
                Err(match source.kind() {
                    io::ErrorKind::TimedOut => OpenError::InUse { path: self.files.root.clone() },
                    _ => unusable(source),
                })
            }
        }
    }

    /// Evicts until no more than this is charged; whether it came so far. What is to be kept stays.
    ///
    /// Should it not come so far, everything is counted before it gives up: blocks of indexes in which nothing is any
    /// more are given back by that.
    ///
    /// # Errors
    ///
    /// That it did not come so far, and something could not be looked at, or others kept it from counting for longer
    /// than `patience`: then the error's kind is `TimedOut`.
    pub(crate) fn evict_to(&self, bytes: u64, patience: Duration) -> io::Result<bool> {
        let goal = bytes.max(self.budget.fixed());
        if self.stock(WhenFull::Evict).evict_to(bytes)? || self.budget.used() <= goal {
            return Ok(self.budget.used() <= bytes);
        }
        self.recount(patience)?.ok_or_else(others_are_at_work)?;
        Ok(self.budget.used() <= bytes)
    }

    /// Makes this opener, in any process, the only one that changes the limit; none if another one is at it for too
    /// long.
    fn lock_limit(&self) -> io::Result<Option<LockFile>> {
        // On a descriptor of its own: the locks of one do not exclude the threads that share it.
        let lock = self.with_descriptors(|| self.files.disk.open_lock(&self.files.control()))?;
        let locked = within(self.patience, || {
            lock.try_lock(control::LIMIT, Lock::Exclusive).map(|ok| ok.then_some(())).transpose()
        });
        Ok(locked.transpose()?.map(|()| lock))
    }

    /// What is stored and to be kept: that cannot go. O(objects).
    fn kept(&self) -> io::Result<KeptOf> {
        let mut sum = KeptOf::default();
        for name in roster::names(&self.files)? {
            let kept = self.with_descriptors(|| {
                pair::look_at(&self.files, &name).and_then(|index| index.kept_of(self.allocation_unit()))
            });
            match kept {
                Ok(kept) => {
                    sum.bytes = sum.bytes.saturating_add(kept.bytes);
                    sum.charge = sum.charge.saturating_add(kept.charge);
                }
                // It is gone by now, or whoever opens the object finds out what is wrong with it.
                Err(error) if is_damage(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    }
}
