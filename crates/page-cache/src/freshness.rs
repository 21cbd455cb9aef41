//! When an object that is known already is looked at again, and what is made of it where the origin says too little.

use std::time::Duration;

use crate::origin::Stat;

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

/// What an opening does if it is to ask the origin whether the object has changed, and the origin cannot be reached or
/// is in trouble ([`OriginError::is_transient`](crate::OriginError::is_transient)): that is no sign of a change, and
/// none that there is no such object any more.
///
/// An object of which a read has found that it has changed is never served like this, and an origin that answers, if
/// only that the object is gone or must not be read, has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnreachable {
    /// It opens the version that is held, with a warning in the log; the next opening asks again. What is not held of
    /// it is asked of the origin when it is read, and must be of that version.
    #[default]
    ServeHeld,
    /// It is an error.
    Fail,
}

/// What is stored of an object whose origin gives nothing that vouches for the bytes: no ETag or a weak one, no version
/// and no date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unvalidated {
    /// Nothing: each read asks the origin.
    #[default]
    Never,
    /// As much as of any other. It counts as the same version for as long as the origin says the same length, and the
    /// same weak ETag if there is one. Only for objects that never change at one length: else pieces of two versions
    /// are mixed, and nobody can tell.
    TrustLength,
}

impl Unvalidated {
    /// Whether pieces of such a version may be read on another day.
    pub(crate) fn vouches_for(self, stat: &Stat) -> bool {
        self == Self::TrustLength || stat.validators.identity().is_some()
    }

    /// Whether both are the same version, as far as anything tells, or is trusted to.
    pub(crate) fn same_version(self, one: &Stat, other: &Stat) -> bool {
        let says_nothing = |stat: &Stat| stat.validators.identity().is_none();
        let trusted = self == Self::TrustLength && says_nothing(one) && says_nothing(other);
        one.same_version(other)
            || (trusted && one.length == other.length && one.validators.etag == other.validators.etag)
    }
}
