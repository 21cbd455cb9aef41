//! What has kept things from being evicted lately, so that it is not tried again and again, at the cost of who reads.

use std::time::Duration;

use super::extent::Extent;
use crate::directory::retry::Retry;
use crate::sync::Mutex;

/// What this process has found in its way.
#[derive(Debug)]
pub(super) struct Obstacles {
    /// Attempts to punch, once one has failed. What could not be punched is lost for readers, and frees nothing.
    punches: Retry,
    /// What could not be punched: nobody reads it any more, so it goes before anything else does.
    unpunched: Mutex<Vec<Extent>>,
    /// Attempts to find something, once nothing was found that could go.
    searches: Retry,
    /// Searches through all that is stored, which take as long as that takes.
    walks: Retry,
    /// The least, in bytes, for which no room could be made though a great deal has gone for it, and attempts to do so.
    too_large: Mutex<Option<u64>>,
    large: Retry,
}

/// What may be punched now.
#[derive(Debug, PartialEq)]
pub(super) enum Punches {
    Anything,
    /// This again, to see whether it works by now.
    Only(Extent),
    Nothing,
}

impl Default for Obstacles {
    fn default() -> Self {
        Self {
            punches: Retry::new(Duration::from_secs(1), Duration::from_secs(60)),
            unpunched: Mutex::default(),
            searches: Retry::new(Duration::from_millis(10), Duration::from_secs(1)),
            walks: Retry::new(Duration::from_millis(100), Duration::from_secs(5)),
            too_large: Mutex::default(),
            large: Retry::new(Duration::from_secs(5), Duration::from_secs(600)),
        }
    }
}

impl Obstacles {
    pub(super) fn punches(&self) -> Punches {
        let is_well = self.punches.is_well();
        if !is_well && !self.punches.is_due() {
            return Punches::Nothing;
        }
        match self.unpunched.lock().pop() {
            Some(extent) => Punches::Only(extent),
            None => Punches::Anything,
        }
    }

    /// Whether the last punch that was tried has worked.
    pub(super) fn can_punch(&self) -> bool {
        self.punches.is_well()
    }

    pub(super) fn punch_failed(&self, extent: Extent) {
        self.punches.failed();
        let mut unpunched = self.unpunched.lock();
        if !unpunched.contains(&extent) {
            unpunched.push(extent);
        }
    }

    pub(super) fn punched(&self) {
        if !self.punches.is_well() {
            self.punches.succeeded();
        }
    }

    /// Whether it was found a moment ago that nothing can go.
    pub(super) fn can_nothing_go(&self) -> bool {
        !self.searches.is_over()
    }

    pub(super) fn nothing_went(&self) {
        self.searches.failed();
    }

    pub(super) fn something_went(&self) {
        if !self.searches.is_well() {
            self.searches.succeeded();
            self.walks.succeeded();
        }
    }

    /// Whether all that is stored may be searched through now.
    pub(super) fn is_walk_due(&self) -> bool {
        self.walks.is_due()
    }

    pub(super) fn is_too_large(&self, bytes: u64) -> bool {
        !self.large.is_over() && self.too_large.lock().is_some_and(|least| bytes >= least)
    }

    pub(super) fn was_too_large(&self, bytes: u64) {
        self.large.failed();
        let mut least = self.too_large.lock();
        *least = Some(least.map_or(bytes, |least| least.min(bytes)));
    }

    /// So much was found room for.
    pub(super) fn fitted(&self, bytes: u64) {
        let mut least = self.too_large.lock();
        if least.is_some_and(|least| least <= bytes) {
            *least = None;
            self.large.succeeded();
        }
    }
}
