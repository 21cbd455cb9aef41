//! Anything that can be read at a position it is told: a file object, a decompressor, an archive's member.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;

use super::{Origin, OriginError, Stat, Validators};
use crate::sync::Mutex;
use crate::sys::process;

/// An origin over something that is `Read + Seek`, which only one thread at a time can read.
///
/// What names the object and what tells its version cannot be seen in the thing itself, so both are given; without
/// validators that vouch for the bytes ([`Validators::identity`]) nothing is stored. It is dropped, and so closed, with
/// the last handle of the file; an `Arc` of it is an origin too, and keeps it.
///
/// In a child of the process that made it it is refused: a file's position is shared with the parent, and two that move
/// it read each other's bytes.
pub struct SeekOrigin<R> {
    key: String,
    stat: Stat,
    reader: Mutex<R>,
    process: u32,
}

impl<R: Read + Seek> SeekOrigin<R> {
    /// An origin with this key (see [`Origin::key`]) and these validators, as long as `reader` is now.
    ///
    /// # Errors
    ///
    /// [`OriginError::Io`] if its end cannot be found.
    pub fn new(key: impl Into<String>, validators: Validators, mut reader: R) -> Result<Self, OriginError> {
        let key = key.into();
        let end = reader.seek(SeekFrom::End(0));
        let length = end.map_err(|source| OriginError::Io { key: key.clone(), source })?;
        Ok(Self { key, stat: Stat { length, validators }, reader: Mutex::new(reader), process: process() })
    }
}

impl<R: Read + Seek + Send> Origin for SeekOrigin<R> {
    fn key(&self) -> &str {
        &self.key
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        Ok(self.stat.clone())
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        let fail = |source| OriginError::Io { key: self.key.clone(), source };
        if self.process != process() {
            return Err(fail(io::Error::other("its position is shared with the parent process; open it anew")));
        }
        check_version(&self.key, &self.stat, pinned)?;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let mut reader = self.reader.lock();
        reader.seek(SeekFrom::Start(range.start)).and_then(|_| reader.read_exact(&mut bytes)).map_err(fail)?;
        Ok(bytes.into())
    }
}

impl<R> fmt::Debug for SeekOrigin<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeekOrigin").field("key", &self.key).field("stat", &self.stat).finish_non_exhaustive()
    }
}

/// An origin of which ranges are read by a closure.
///
/// The closure is given a range within the object, and gives all of its bytes or says why not; it is called from any
/// thread, by several at once.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use page_cache::{Cache, FnOrigin, Stat, Validators};
///
/// # let directory = tempfile::tempdir()?;
/// let validators = Validators { version: Some("1".into()), ..Validators::default() };
/// let zeros = FnOrigin::new("zeros:", Stat { length: 1 << 40, validators }, |range| {
///     Ok(Bytes::from(vec![0; (range.end - range.start) as usize]))
/// });
/// let file = Cache::builder(directory.path()).open()?.file(zeros)?;
/// assert_eq!(file.bytes(1 << 39..(1 << 39) + 3)?, [0; 3][..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FnOrigin<F> {
    key: String,
    stat: Stat,
    read: F,
}

impl<F> FnOrigin<F>
where
    F: Fn(Range<u64>) -> io::Result<Bytes> + Send + Sync,
{
    /// An origin with this key (see [`Origin::key`]), length and version, whose bytes `read` gives.
    pub fn new(key: impl Into<String>, stat: Stat, read: F) -> Self {
        Self { key: key.into(), stat, read }
    }
}

impl<F> Origin for FnOrigin<F>
where
    F: Fn(Range<u64>) -> io::Result<Bytes> + Send + Sync,
{
    fn key(&self) -> &str {
        &self.key
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        Ok(self.stat.clone())
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        check_version(&self.key, &self.stat, pinned)?;
        (self.read)(range).map_err(|source| OriginError::Io { key: self.key.clone(), source })
    }
}

impl<F> fmt::Debug for FnOrigin<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnOrigin").field("key", &self.key).field("stat", &self.stat).finish_non_exhaustive()
    }
}

/// What is pinned may be an earlier opening's, of another thing under the same key.
fn check_version(key: &str, now: &Stat, pinned: &Stat) -> Result<(), OriginError> {
    if now == pinned || now.same_version(pinned) {
        return Ok(());
    }
    let reason = "it was given with another length or other validators".to_owned();
    Err(OriginError::Changed { key: key.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_was_pinned_by_another_version_is_not_read() {
        let validators = |version: &str| Validators { version: Some(version.to_owned()), ..Validators::default() };
        let stat = |length, version| Stat { length, validators: validators(version) };
        let seek = SeekOrigin::new("a:", validators("1"), Cursor::new(vec![7; 10])).unwrap();
        let closure =
            FnOrigin::new("a:", stat(10, "1"), |range| Ok(vec![7; (range.end - range.start) as usize].into()));
        for origin in [&seek as &dyn Origin, &closure] {
            assert_eq!(origin.read(2..5, &stat(10, "1")).unwrap(), [7; 3][..]);
            for pinned in [stat(10, "2"), stat(11, "1")] {
                let read = origin.read(2..5, &pinned);
                assert!(matches!(read, Err(OriginError::Changed { .. })), "{origin:?} {read:?}");
            }
        }
        // Nothing vouches for it, but it was given with just this.
        let unvalidated = SeekOrigin::new("a:", Validators::default(), Cursor::new(vec![7; 10])).unwrap();
        assert_eq!(unvalidated.read(2..5, &unvalidated.stat().unwrap()).unwrap(), [7; 3][..]);
    }
}
