//! A local file as an origin: for slow mounts whose pieces are worth keeping on a fast disk, and for tests.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::secrets::without_secrets;
use super::{Origin, OriginError, Stat, Validators};

const NOT_IN_A_KEY: &AsciiSet = &CONTROLS.add(b'%');

/// An origin that reads a local file by its path.
///
/// The version is told by inode, length and time of modification, looked at before and after every read: a file that
/// is replaced, or rewritten so that its time changes, is [`OriginError::Changed`]. Let no one write to it in the
/// moment that it is opened: two writes within one tick of the file system's clock have one time.
#[derive(Debug, Clone)]
pub struct LocalFile {
    path: PathBuf,
    key: String,
}

impl LocalFile {
    /// The file at `path`, which must exist; symbolic links are followed now, once.
    ///
    /// # Errors
    ///
    /// [`OriginError::NotFound`] or [`OriginError::Io`], with the path.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, OriginError> {
        let given = path.as_ref();
        let path = given.canonicalize().map_err(|error| io_error(&given.display().to_string(), error))?;
        // Every byte that is not plain text is written as %XX, so that no two paths have one key.
        let key = format!("file://{}", percent_encode(path.as_os_str().as_bytes(), NOT_IN_A_KEY));
        Ok(Self { path, key })
    }

    /// The file that a `file:///path` URL names.
    ///
    /// # Errors
    ///
    /// [`OriginError::InvalidUrl`] if it names another host or says more than a path; else as [`new`](Self::new).
    pub fn from_url(url: &str) -> Result<Self, OriginError> {
        let invalid = |reason: &str| OriginError::InvalidUrl { url: without_secrets(url), reason: reason.to_owned() };
        let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("file://"));
        let rest = scheme.and_then(|_| url.get(7..)).ok_or_else(|| invalid("give a URL like file:///path"))?;
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        if !path.starts_with('/') {
            return Err(invalid("a file of another host cannot be read; give a URL like file:///path"));
        }
        if path.contains(['?', '#']) {
            return Err(invalid("it has a query or a fragment; write %3F for ? and %23 for # in a path"));
        }
        let path: Vec<u8> = percent_decode_str(path).collect();
        Self::new(Path::new(OsStr::from_bytes(&path)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<(File, Stat), OriginError> {
        // A FIFO would block the open itself, so the kind is looked at by name first.
        if !self.path.metadata().map_err(|error| io_error(&self.key, error))?.is_file() {
            let reason = "it is not a regular file; give the path of one".to_owned();
            return Err(OriginError::InvalidUrl { url: self.key.clone(), reason });
        }
        let file = File::open(&self.path).map_err(|error| io_error(&self.key, error))?;
        let stat = stat_of(&file.metadata().map_err(|error| io_error(&self.key, error))?);
        Ok((file, stat))
    }

    fn check(&self, now: &Stat, pinned: &Stat) -> Result<(), OriginError> {
        if now.same_version(pinned) {
            return Ok(());
        }
        let reason = if now.length == pinned.length {
            "it was replaced or written to".to_owned()
        } else {
            format!("its length was {} and is {}", pinned.length, now.length)
        };
        Err(OriginError::Changed { key: self.key.clone(), reason })
    }
}

impl Origin for LocalFile {
    fn is_near(&self) -> bool {
        true
    }

    fn key(&self) -> &str {
        &self.key
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        Ok(self.open()?.1)
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        self.read_by(pinned, |file| read_exact(file, &range))
    }

    fn reads_into(&self) -> bool {
        true
    }

    fn read_into(&self, start: u64, out: &mut [u8], pinned: &Stat) -> Result<(), OriginError> {
        self.read_by(pinned, |file| file.read_exact_at(out, start))
    }
}

impl LocalFile {
    /// What `read` gives of the pinned version, which it is before and behind that.
    fn read_by<T>(&self, pinned: &Stat, read: impl FnOnce(&File) -> io::Result<T>) -> Result<T, OriginError> {
        let (file, stat) = self.open()?;
        self.check(&stat, pinned)?;
        let read = read(&file);
        // A change is the better reason for what the read said.
        self.check(&stat_of(&file.metadata().map_err(|error| io_error(&self.key, error))?), pinned)?;
        read.map_err(|error| io_error(&self.key, error))
    }
}

/// The cache lines of memory and file coincide where an address and an offset are the same but for a multiple of this.
const LINE: usize = 64;

/// Reads a range into memory that was not filled with zeros first, which would take a tenth of the time, and whose
/// cache lines are those of the file, so that the kernel copies line by line, to here and on to another file.
fn read_exact(file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    let len = (range.end - range.start) as usize;
    let mut bytes = Vec::<u8>::with_capacity(len.saturating_add(LINE));
    let before = (range.start as usize).wrapping_sub(bytes.as_ptr().addr()) % LINE;
    bytes.resize(before, 0);
    // Nothing more is read than was asked for, which could be another page of a slow disk.
    bytes.shrink_to(before + len);
    let len = before + len;
    while bytes.len() < len {
        let offset = range.start + (bytes.len() - before) as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // There may be room for more than was asked for.
    bytes.truncate(len);
    let mut bytes = Bytes::from(bytes);
    bytes.advance(before);
    Ok(bytes)
}

fn stat_of(metadata: &Metadata) -> Stat {
    let etag = format!("\"{:x}-{:x}.{:x}\"", metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
    let validators = Validators { etag: Some(etag), last_modified: metadata.modified().ok(), ..Validators::default() };
    Stat { length: metadata.len(), validators }
}

fn io_error(key: &str, source: io::Error) -> OriginError {
    let key = key.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => OriginError::NotFound { key },
        _ => OriginError::Io { key, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_or_is_replaced_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"one version").unwrap();
        let origin = LocalFile::new(&path).unwrap();
        let stat = origin.stat().unwrap();
        assert_eq!(origin.read(4..11, &stat).unwrap(), "version");

        std::fs::write(&path, b"one longer version").unwrap();
        assert!(matches!(origin.read(4..11, &stat), Err(OriginError::Changed { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(origin.read(4..11, &stat), Err(OriginError::NotFound { .. })));
        let other = directory.path().join("other");
        std::fs::write(&other, b"one version").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(matches!(origin.read(4..11, &stat), Err(OriginError::Changed { .. })));
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"one version").unwrap();
        let origin = LocalFile::new(&path).unwrap();
        let stat = origin.stat().unwrap();
        for result in [Ok(Bytes::from_static(b"mixed")), Err(io::ErrorKind::UnexpectedEof.into())] {
            std::fs::write(&path, b"one version").unwrap();
            File::open(&path).unwrap().set_modified(stat.validators.last_modified.unwrap()).unwrap();
            let read = origin.read_by(&stat, |_| {
                std::fs::write(&path, b"one longer version").unwrap();
                result
            });
            assert!(matches!(read, Err(OriginError::Changed { .. })), "{read:?}");
        }
    }

    #[test]
    fn what_is_read_has_the_cache_lines_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let content: Vec<u8> = (0..300_000_u32).map(|i| (i * 7 + i / 256) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let origin = LocalFile::new(&path).unwrap();
        let stat = origin.stat().unwrap();
        for range in [0..1, 0..300_000, 63..65, 64..64, 4096..200_000, 100_001..299_999] {
            let bytes = origin.read(range.clone(), &stat).unwrap();
            assert!(bytes == content[range.start as usize..range.end as usize], "{range:?}");
            assert!(bytes.is_empty() || bytes.as_ptr().addr() % LINE == range.start as usize % LINE, "{range:?}");
        }
    }

    #[test]
    fn no_two_paths_have_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let keys: std::collections::HashSet<String> =
            [&b"f\xff"[..], b"f\xfe", b"f%FF", b"f\xef\xbf\xbd", "fö".as_bytes()]
                .into_iter()
                .map(|name| {
                    let path = directory.path().join(std::ffi::OsStr::from_bytes(name));
                    std::fs::write(&path, name).unwrap();
                    LocalFile::new(&path).unwrap().key().to_owned()
                })
                .collect();
        assert_eq!(keys.len(), 5, "{keys:?}");
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(LocalFile::new(directory.path().join("absent")), Err(OriginError::NotFound { .. })));
        let origin = LocalFile::new(directory.path()).unwrap();
        assert!(matches!(origin.stat(), Err(OriginError::InvalidUrl { .. })));
    }
}
