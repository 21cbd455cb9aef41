//! Blocks of indexes in which nothing is any more.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use svf_core::RangeSet;

use crate::directory::retry::Retry;
use crate::sync::Mutex;

/// From so many pairs blocks are given back at once.
const PAIRS_AT_ONCE: usize = 32;

/// What this process has seen of them.
#[derive(Debug)]
pub(super) struct Hollow {
    /// About which they are, by the names of their pairs.
    blocks: Mutex<HashMap<Arc<str>, RangeSet>>,
    /// Attempts to give them back. Each keeps fillers out, also if it comes to nothing.
    pub(super) returns: Retry,
}

impl Default for Hollow {
    fn default() -> Self {
        Self { blocks: Mutex::default(), returns: Retry::new(Duration::from_secs(1), Duration::from_secs(60)) }
    }
}

impl Hollow {
    pub(super) fn note(&self, pair: Arc<str>, blocks: Range<u64>) {
        self.blocks.lock().entry(pair).or_default().insert(blocks);
    }

    pub(super) fn count(&self) -> u64 {
        self.blocks.lock().values().map(RangeSet::num_bytes).sum()
    }

    /// Takes out those of a few pairs.
    pub(super) fn take(&self) -> Vec<(Arc<str>, RangeSet)> {
        let mut blocks = self.blocks.lock();
        let names: Vec<_> = blocks.keys().take(PAIRS_AT_ONCE).cloned().collect();
        names.into_iter().filter_map(|name| blocks.remove_entry(&name)).collect()
    }
}
