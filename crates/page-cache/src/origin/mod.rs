//! Where the bytes come from: the minimal trait of an origin, and the origins that are provided.
//!
//! An origin is asked by one blocking engine, which owns all concurrency; it must never store anything itself.

#[cfg(feature = "_client")]
mod client;
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
mod cloud;
mod error;
#[cfg(feature = "http")]
mod http;
mod local_file;
#[cfg(feature = "object_store")]
mod object_store;
mod secrets;
mod sequential;
mod url;
mod validators;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use error::OriginError;
#[cfg(feature = "http")]
pub use http::HttpOrigin;
pub use local_file::LocalFile;
#[cfg(feature = "object_store")]
pub(crate) use object_store::{Answer, Attempt, Begun, Failure, UNVERSIONED, looked_at};
#[cfg(feature = "object_store")]
pub use object_store::{ObjectStoreOrigin, Timeouts};
pub use sequential::{FnOrigin, SeekOrigin};
pub use url::UrlOrigin;
pub use validators::{Stat, Validators};

/// One remote object, of which pieces can be read.
///
/// # Examples
///
/// An object in memory that never changes:
///
/// ```
/// use std::ops::Range;
/// use bytes::Bytes;
/// use page_cache::{Origin, OriginError, Stat, Validators};
///
/// #[derive(Debug)]
/// struct InMemory(Bytes);
///
/// impl Origin for InMemory {
///     fn key(&self) -> &str {
///         "memory:example"
///     }
///     fn stat(&self) -> Result<Stat, OriginError> {
///         let validators = Validators { etag: Some("\"1\"".into()), ..Validators::default() };
///         Ok(Stat { length: self.0.len() as u64, validators })
///     }
///     fn read(&self, range: Range<u64>, _pinned: &Stat) -> Result<Bytes, OriginError> {
///         Ok(self.0.slice(range.start as usize..range.end as usize))
///     }
/// }
/// ```
pub trait Origin: Debug + Send + Sync {
    /// What names the object, the same in every process and on every day: a URL without credentials and signatures,
    /// or a namespace and a path. It stands in files and in messages, so it must hold no secret.
    fn key(&self) -> &str;

    /// The object's length and validators as they are now. Blocks for one request, or for a few that ask for the same
    /// in different ways; what is transient is tried again by the cache.
    ///
    /// # Errors
    ///
    /// An [`OriginError`] that names the key and says what to do.
    fn stat(&self) -> Result<Stat, OriginError>;

    /// The bytes of `range`, of the very version that `pinned` describes. Blocks for one request, which is to be given
    /// up when nothing comes any more. Nothing is to be tried again here: the cache does that, and counts
    /// ([`RetryPolicy`](crate::RetryPolicy)).
    ///
    /// `range` is not empty and ends at or before `pinned.length`. The request is to be conditional on the pinned
    /// validators where the protocol can express it, and the response is to be checked against them: status, range,
    /// total length, validators, encoding.
    ///
    /// If the response breaks off, what came of it may be returned, as long as that is not empty: the first bytes of
    /// the range. The cache asks for the rest, of the same version.
    ///
    /// # Errors
    ///
    /// [`OriginError::Changed`] if the object is no longer the one that is pinned; else what went wrong, with
    /// [`OriginError::Unreachable`] if not a byte came. Never bytes of another version, and never more than asked for:
    /// that, and no bytes without an error, is [`OriginError::InvalidResponse`] to the cache.
    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError>;

    /// The same straight into `out`, all of it: the bytes of the range that begins at `start` and is as long. It saves
    /// the cache a copy of them, where one read wants just what is asked for. `None`, which is the default, if they
    /// come in memory of their own, and [`read`](Self::read) is as good.
    ///
    /// # Errors
    ///
    /// As for `read`; what is in `out` then is nobody's concern. The cache asks `read` for the same, so that a part of
    /// it, or a pause, may still help.
    fn read_into(&self, start: u64, out: &mut [u8], pinned: &Stat) -> Option<Result<(), OriginError>> {
        let _ = (start, out, pinned);
        None
    }

    /// Whether a request takes hardly longer than its bytes do, as of a file on this machine: then nothing is read
    /// ahead of who reads on, which would only make the data cold in the processor's caches. Default: it is not.
    fn is_near(&self) -> bool {
        false
    }
}

impl<O: Origin + ?Sized> Origin for Arc<O> {
    fn key(&self) -> &str {
        (**self).key()
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        (**self).stat()
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        (**self).read(range, pinned)
    }

    fn read_into(&self, start: u64, out: &mut [u8], pinned: &Stat) -> Option<Result<(), OriginError>> {
        (**self).read_into(start, out, pinned)
    }

    fn is_near(&self) -> bool {
        (**self).is_near()
    }
}
