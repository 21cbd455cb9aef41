//! Opening files, and telling them apart.
//!
//! Nothing here may block or have an effect on what it opens, whatever that is: opening a FIFO
//! waits for a writer, and opening a tape rewinds it. So the path is looked at first
//! ([`kind_at`]), opened in a way that does not wait ([`open`]), and looked at again through the
//! descriptor ([`identify`]), since the path may mean something else by then.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::FileKind;

/// Which file it is, whatever its name: equal for two openings of the same file.
///
/// Device and inode are a file's own only as long as somebody has it open or mapped; then a new file may get them. What
/// tells those two apart is the generation: from the handle by which a file server would know the file, or the time of
/// its birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    generation: u64,
    /// 0 where the others tell files apart, else the number of this opening.
    opening: u64,
}

/// What an open descriptor says about its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) id: FileId,
    /// In bytes.
    pub(crate) len: u64,
    /// When it was last written to.
    pub(crate) modified: Option<SystemTime>,
    /// `None` for a regular file.
    pub(crate) special: Option<FileKind>,
    /// Whether windows of it can be mapped, as far as that is known before it is tried.
    pub(crate) mappable: bool,
    /// Whether another opening would tell whether it is the same file. Else the descriptor must be kept.
    pub(crate) certain: bool,
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
    let id = FileId::of(file, &metadata);
    Ok(Identity {
        id,
        len: metadata.len(),
        modified: metadata.modified().ok(),
        special: FileKind::of(metadata.file_type()),
        mappable: !has_huge_pages(file, &metadata)?,
        certain: id.opening == 0,
    })
}

/// Whether it is of a file system of huge pages: there a mapping is longer than was asked for, and what is no whole
/// number of huge pages cannot be unmapped.
#[cfg(all(target_os = "linux", not(miri)))]
fn has_huge_pages(file: &File, metadata: &Metadata) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    // Its blocks are its pages, so most files need not be asked.
    if metadata.blksize() <= super::granularity().get() {
        return Ok(false);
    }
    // The type of the number differs between processors; the number fits into 32 bits.
    Ok(rustix::fs::fstatfs(file)?.f_type as u32 == libc::HUGETLBFS_MAGIC as u32)
}

#[cfg(any(not(target_os = "linux"), miri))]
fn has_huge_pages(_: &File, _: &Metadata) -> io::Result<bool> {
    Ok(false)
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
    fn of(file: &File, metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let (device, inode) = (metadata.dev(), metadata.ino());
        match generation(file).or_else(|| birth(metadata)) {
            // Some file systems of foreign origin give 0 to every file.
            Some(generation) if inode != 0 => Self { device, inode, generation, opening: 0 },
            _ => Self { device, inode, ..Self::of_this_opening() },
        }
    }

    #[cfg(not(unix))]
    fn of(_: &File, _: &Metadata) -> Self {
        Self::of_this_opening()
    }

    /// Different for every call.
    fn of_this_opening() -> Self {
        static OPENINGS: AtomicU64 = AtomicU64::new(1);
        Self { device: 0, inode: 0, generation: 0, opening: OPENINGS.fetch_add(1, Ordering::Relaxed) }
    }
}

/// When the file came into being, in nanoseconds.
#[cfg(unix)]
fn birth(metadata: &Metadata) -> Option<u64> {
    let birth = metadata.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(birth.as_nanos()).ok().filter(|birth| *birth != 0)
}

/// A digest of the handle by which a file server would know the file, where the file system has such handles: they
/// never mean another file, also not one that gets the same inode.
#[cfg(all(target_os = "linux", not(miri)))]
fn generation(file: &File) -> Option<u64> {
    use std::os::fd::AsRawFd;
    const LARGEST: usize = 128;
    #[repr(C, align(8))]
    struct Handle {
        header: libc::file_handle,
        bytes: [u8; LARGEST],
    }
    #[expect(unsafe_code, reason = "a system call that has no safe interface")]
    // SAFETY: all zeros are a valid header; and the call writes the header and at most as many bytes behind it as the
    // header says there are.
    let handle = unsafe {
        let mut handle: Handle = std::mem::zeroed();
        handle.header.handle_bytes = LARGEST as libc::c_uint;
        let mut mount = 0;
        let place = (&raw mut handle).cast::<libc::file_handle>();
        let empty = c"".as_ptr();
        if libc::name_to_handle_at(file.as_raw_fd(), empty, place, &raw mut mount, libc::AT_EMPTY_PATH) != 0 {
            return None;
        }
        handle
    };
    let len = usize::try_from(handle.header.handle_bytes).ok()?;
    let bytes = handle.bytes.get(..len)?;
    // FNV-1a: what is compared besides are device and inode.
    let digest = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    Some(bytes.iter().fold(0xCBF2_9CE4_8422_2325 ^ handle.header.handle_type as u64, digest))
}

#[cfg(all(unix, any(not(target_os = "linux"), miri)))]
fn generation(_: &File) -> Option<u64> {
    None
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
        // /proc and a file of the disk: where the numbers come from.
        let [proc, disk] =
            ["/proc/self/status", "Cargo.toml"].map(|path| identify(&File::open(path).unwrap()).unwrap().id);
        assert_ne!(proc.device, disk.device);
        assert_ne!(proc, disk);
    }

    /// A file system that gives the inode of a deleted file to the next one still tells the two apart.
    #[test]
    fn a_new_file_is_another_though_its_inode_was_used_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut seen = std::collections::HashSet::new();
        for _ in 0..50 {
            std::fs::write(&path, b"12345").unwrap();
            let identity = identify(&open(&path).unwrap()).unwrap();
            assert!(seen.insert(identity.id), "{identity:?}");
            std::fs::remove_file(&path).unwrap();
        }
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
