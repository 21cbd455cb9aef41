//! Opening files, and telling them apart.
//!
//! Nothing here may block or have an effect on what it opens, whatever that is: opening a FIFO
//! waits for a writer, and opening a tape rewinds it. So the path is looked at first
//! ([`kind_at`]), opened in a way that does not wait ([`open`]), and looked at again through the
//! descriptor ([`identify`]), since the path may mean something else by then.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::FileKind;

/// Which file it is, whatever its name: equal for two openings of the same file.
///
/// It is the file's own only as long as somebody has the file open or mapped; then a new file may
/// get it. Where the system has no number for files it is different for every opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
    /// 0 where device and inode tell files apart, else the number of this opening.
    opening: u64,
}

/// What an open descriptor says about its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) id: FileId,
    /// In bytes.
    pub(crate) len: u64,
    /// `None` for a regular file.
    pub(crate) special: Option<FileKind>,
}

/// What is at `path`, through symbolic links: `None` for a regular file.
pub(crate) fn kind_at(path: &Path) -> io::Result<Option<FileKind>> {
    Ok(FileKind::of(std::fs::metadata(path)?.file_type()))
}

/// Opens what is at `path` for reading, without waiting for a writer and without becoming the
/// controlling terminal's process.
#[cfg(unix)]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.read(true);
    // Miri knows neither flag.
    if cfg!(miri) {
        return options.open(path);
    }
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    match options.custom_flags(flags.bits().cast_signed()).open(path) {
        // A regular file on which somebody has a lease, as file servers do: it will be given back when waited for.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && kind_at(path)?.is_none() => File::open(path),
        opened => opened,
    }
}

/// Opens what is at `path` for reading.
#[cfg(not(unix))]
pub(crate) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// What the descriptor says about its file.
pub(crate) fn identify(file: &File) -> io::Result<Identity> {
    let metadata = file.metadata()?;
    Ok(Identity { id: FileId::of(&metadata), len: metadata.len(), special: FileKind::of(metadata.file_type()) })
}

/// Whether the descriptor was opened for reading.
#[cfg(unix)]
pub(crate) fn can_read(file: &File) -> io::Result<bool> {
    use rustix::fs::OFlags;
    let flags = rustix::fs::fcntl_getfl(file).map_err(io::Error::from)?;
    // A descriptor that stands for a path only has the access mode of reading, and cannot read.
    #[cfg(target_os = "linux")]
    if flags.contains(OFlags::PATH) {
        return Ok(false);
    }
    Ok(flags & OFlags::RWMODE != OFlags::WRONLY)
}

/// Whether the descriptor was opened for reading; where that cannot be asked, the first read tells.
#[cfg(not(unix))]
pub(crate) fn can_read(_: &File) -> io::Result<bool> {
    Ok(true)
}

impl FileId {
    #[cfg(unix)]
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        match (metadata.dev(), metadata.ino()) {
            // Some file systems of foreign origin give 0 to every file.
            (_, 0) => Self::of_this_opening(),
            (device, inode) => Self::of_numbers(device, inode),
        }
    }

    #[cfg(unix)]
    fn of_numbers(device: u64, inode: u64) -> Self {
        Self { device, inode, opening: 0 }
    }

    #[cfg(not(unix))]
    fn of(_: &std::fs::Metadata) -> Self {
        Self::of_this_opening()
    }

    /// Different for every call.
    fn of_this_opening() -> Self {
        static OPENINGS: AtomicU64 = AtomicU64::new(1);
        Self { device: 0, inode: 0, opening: OPENINGS.fetch_add(1, Ordering::Relaxed) }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn files_without_numbers_are_told_apart_by_their_opening() {
        assert_ne!(FileId::of_this_opening(), FileId::of_this_opening());
    }

    #[test]
    fn files_of_two_devices_are_two_files() {
        assert_eq!(FileId::of_numbers(1, 7), FileId::of_numbers(1, 7));
        assert_ne!(FileId::of_numbers(1, 7), FileId::of_numbers(2, 7));
        assert_ne!(FileId::of_numbers(1, 7), FileId::of_numbers(1, 8));
        // /proc and a file of the disk: where the numbers come from.
        let [proc, disk] = ["/proc/self/status", "Cargo.toml"].map(|path| std::fs::metadata(path).unwrap());
        assert_ne!(FileId::of(&proc).device, FileId::of(&disk).device);
    }

    #[test]
    fn one_file_has_one_identity_by_any_name() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b, c) = (directory.path().join("a"), directory.path().join("b"), directory.path().join("c"));
        std::fs::write(&a, b"12345").unwrap();
        std::fs::write(&c, b"12345").unwrap();
        std::fs::hard_link(&a, &b).unwrap();
        let [a, b, c] = [a, b, c].map(|path| identify(&open(&path).unwrap()).unwrap());
        assert_eq!(a.id, b.id);
        assert_ne!(a.id, c.id);
        assert_eq!((a.len, a.special), (5, None));
    }

    /// The path became a FIFO between the first look and the opening.
    #[test]
    #[cfg(not(miri))]
    fn opening_a_fifo_returns_at_once_and_tells() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(status.success());
        let file = open(&path).unwrap();
        assert_eq!(identify(&file).unwrap().special, Some(FileKind::Fifo));
    }

    #[test]
    #[cfg(not(miri))]
    fn descriptors_that_cannot_read_are_known() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let append = File::options().append(true).open(file.path()).unwrap();
        assert!(!can_read(&append).unwrap());
        assert!(can_read(file.as_file()).unwrap(), "read and write");
        assert!(can_read(&open(file.path()).unwrap()).unwrap());
    }
}
