//! What stands at a path: content and the headers that describe it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::Error;
use crate::content::Content;

/// Something an [`Origin`](crate::Origin) serves: bytes, and the validators that go with them.
///
/// A clone is cheap: it shares the bytes or the open file.
///
/// ```
/// use loopback_origin::Object;
///
/// let object = Object::from_bytes("hello").with_etag("\"v1\"");
/// assert_eq!(object.len(), 5);
/// assert_eq!(object.etag(), Some("\"v1\""));
/// ```
#[derive(Debug, Clone)]
pub struct Object {
    content: Content,
    etag: Option<String>,
    last_modified: Option<SystemTime>,
    content_type: String,
}

impl Object {
    /// An object held in memory.
    ///
    /// Its ETag is strong and made of the length and a hash of the content, so that equal content
    /// has an equal ETag in every run, and other content another one. It has no last-modified time.
    /// Cost: one pass over the bytes; no copy.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Object {
        let bytes = bytes.into();
        let etag = format!("\"{:x}-{:016x}\"", bytes.len(), content_hash(&bytes));
        Object {
            content: Content::Memory(bytes),
            etag: Some(etag),
            last_modified: None,
            content_type: "application/octet-stream".to_owned(),
        }
    }

    /// An object read from a regular file, which stays open and is never loaded as a whole.
    ///
    /// Length and modification time are those the file has now: bytes appended later are not
    /// served, and where the file shrinks, bodies end early and their connection is closed. The
    /// ETag is strong and made of the length and the modification time in nanoseconds; so a file
    /// rewritten in place keeps the old ETag until it is added again.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it cannot be opened or is not a regular file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Object, Error> {
        let path = path.as_ref();
        let in_error = |source| Error::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(in_error)?;
        let metadata = file.metadata().map_err(in_error)?;
        if !metadata.is_file() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(in_error(source));
        }
        let modified = metadata.modified().ok();
        // A time before 1970 has a sign of its own, so it cannot be mistaken for one after.
        let stamp = match modified.map(|time| time.duration_since(UNIX_EPOCH)) {
            Some(Ok(after)) => format!("{:x}", after.as_nanos()),
            Some(Err(before)) => format!("m{:x}", before.duration().as_nanos()),
            None => "0".to_owned(),
        };
        Ok(Object {
            etag: Some(format!("\"{:x}-{stamp}\"", metadata.len())),
            content: Content::File { file: Arc::new(file), len: metadata.len() },
            last_modified: modified,
            content_type: "application/octet-stream".to_owned(),
        })
    }

    /// Sets the ETag to this header value, written as it is: quotes and, for a weak one, the `W/`
    /// are the caller's. It must not contain line breaks.
    #[must_use = "this takes the object and gives it back changed"]
    pub fn with_etag(mut self, literal: impl Into<String>) -> Object {
        self.etag = Some(literal.into());
        self
    }

    /// Takes the ETag away: no response carries one, and no `If-Match` but `*` holds.
    #[must_use = "this takes the object and gives it back changed"]
    pub fn without_etag(mut self) -> Object {
        self.etag = None;
        self
    }

    /// Sets the last-modified time. HTTP rounds it down to seconds, and does not know times before
    /// 1970 or after the year 9999: an object with such a time is served without the header.
    #[must_use = "this takes the object and gives it back changed"]
    pub fn with_last_modified(mut self, time: SystemTime) -> Object {
        self.last_modified = Some(time);
        self
    }

    /// Takes the last-modified time away.
    #[must_use = "this takes the object and gives it back changed"]
    pub fn without_last_modified(mut self) -> Object {
        self.last_modified = None;
        self
    }

    /// Sets the `Content-Type`, by default `application/octet-stream`. It must not contain line
    /// breaks.
    #[must_use = "this takes the object and gives it back changed"]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Object {
        self.content_type = content_type.into();
        self
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.content.len()
    }

    /// Whether the length is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ETag as the header has it, quotes included.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// The last-modified time, not yet rounded to seconds.
    #[must_use]
    pub fn last_modified(&self) -> Option<SystemTime> {
        self.last_modified
    }

    /// The `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }
}

/// A 64-bit hash of the content that is the same in every run and release; the standard hashers do
/// not promise that. It is a multiply-rotate hash over little-endian words with the finaliser of
/// MurmurHash3 (Appleby); each step is a bijection of the state, so one changed word always shows.
fn content_hash(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |state: u64, word: u64| (state.rotate_left(23) ^ word).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = words.iter().fold(bytes.len() as u64, |state, word| step(state, u64::from_le_bytes(*word)));
    state = rest.iter().fold(state, |state, byte| step(state, u64::from(*byte)));
    state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ (state >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 33)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn equal_bytes_have_an_equal_etag_and_others_another() {
        let etag = |bytes: &[u8]| Object::from_bytes(bytes.to_vec()).etag().unwrap().to_owned();
        assert_eq!(etag(b"some content"), etag(b"some content"));
        assert_ne!(etag(b"some content"), etag(b"some Content"));
        assert_ne!(etag(b"some content"), etag(b"some contenT"));
        assert_ne!(etag(&[0; 8]), etag(&[0; 16]));
        // Over restarts and releases too: the value is written down, as computed elsewhere.
        assert_eq!(etag(b"some content"), "\"c-dda981254c1eb110\"");
    }

    #[test]
    fn a_file_has_an_etag_of_length_and_time() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"12345").unwrap();
        let first = Object::from_file(file.path()).unwrap();
        let again = Object::from_file(file.path()).unwrap();
        assert_eq!(first.etag(), again.etag());
        assert_eq!(first.len(), 5);
        assert!(first.last_modified().is_some());

        let later = first.last_modified().unwrap() + std::time::Duration::from_nanos(1000);
        file.as_file().set_modified(later).unwrap();
        assert_ne!(first.etag(), Object::from_file(file.path()).unwrap().etag());
    }

    #[test]
    fn what_is_not_a_file_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = Object::from_file(folder.path()).unwrap_err();
        assert!(error.to_string().contains(folder.path().to_str().unwrap()));
        let error = Object::from_file(folder.path().join("missing")).unwrap_err();
        assert!(error.to_string().contains("missing"));
    }
}
