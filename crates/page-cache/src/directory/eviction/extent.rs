//! An extent of which something is stored: what may go.

use std::sync::{Arc, Weak};

use crate::directory::pair::Pair;

/// An extent of a pair.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    pub(super) pair: Arc<str>,
    pub(super) number: u64,
    /// Whether the object has no other extent.
    pub(super) is_all: bool,
    /// The pair, as long as anybody has it open: then its stamps can be looked at for nothing.
    pub(super) open: Weak<Pair>,
}

impl PartialEq for Extent {
    fn eq(&self, other: &Self) -> bool {
        (self.number, &self.pair) == (other.number, &other.pair)
    }
}
