//! When an object that is known already is looked at again.

use std::time::Duration;

/// How far the cache relies on what the origin said earlier, when a file is opened.
///
/// An open file never changes its version: it is pinned to the one it was opened with. Once a read has found that the
/// object is no longer that one, the next opening asks the origin under every policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Objects never change: what was seen once is never asked for again.
    Immutable,
    /// The origin is asked, by one request without data, if that was last done longer ago.
    Revalidate {
        /// How old the last answer may be.
        max_age: Duration,
    },
    /// The origin is asked at every opening.
    Always,
}

impl Freshness {
    /// Whether an answer of this age still counts. No age means that the clock was set back.
    pub(crate) fn accepts(self, age: Option<Duration>) -> bool {
        match self {
            Self::Immutable => true,
            Self::Revalidate { max_age } => age.is_some_and(|age| age <= max_age),
            Self::Always => false,
        }
    }
}

impl Default for Freshness {
    /// One minute: a parser that opens a file again and again asks once, and a change is seen soon.
    fn default() -> Self {
        Self::Revalidate { max_age: Duration::from_secs(60) }
    }
}
