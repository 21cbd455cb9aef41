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

    /// Whether [`read_into`](Self::read_into) does without memory of its own, so that the cache saves a copy by it
    /// where a read wants just what is asked for, in memory to which a system copies as fast as to any. Default: it
    /// does not, and is never called.
    fn reads_into(&self) -> bool {
        false
    }

    /// Fills `out`, which is not empty, with the bytes from `start` on, of the very version that `pinned` describes, as
    /// [`read`](Self::read) gives them; all of them are within `pinned.length`.
    ///
    /// `Ok` says that every byte of `out` was written: the cache hands it out and stores it, and has no way to see what
    /// is missing. The default copies what `read` gives.
    ///
    /// # Errors
    ///
    /// As for `read`, and for what breaks off, which is no `Ok` here; what is in `out` then is nobody's concern. What
    /// may pass is asked for again by `read`.
    fn read_into(&self, start: u64, out: &mut [u8], pinned: &Stat) -> Result<(), OriginError> {
        let request = start..start + out.len() as u64;
        let bytes = self.read(request.clone(), pinned)?;
        if bytes.len() != out.len() {
            let (request, received) = (format!("bytes {}..{}", request.start, request.end), bytes.len() as u64);
            return Err(OriginError::Incomplete { key: self.key().to_owned(), request, received, attempts: 1 });
        }
        out.copy_from_slice(&bytes);
        Ok(())
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

    fn reads_into(&self) -> bool {
        (**self).reads_into()
    }

    fn read_into(&self, start: u64, out: &mut [u8], pinned: &Stat) -> Result<(), OriginError> {
        (**self).read_into(start, out, pinned)
    }

    fn is_near(&self) -> bool {
        (**self).is_near()
    }
}
