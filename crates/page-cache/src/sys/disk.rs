//! The file system itself.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Access as Permission, FallocateFlags, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::process::Resource;

use super::{
    Access, BootId, Disk, DiskFile, FileId, FileSize, FileSystem, FileSystemKind, LockFile, Mapping, SharedWords,
    mapping,
};

/// The file system itself.
#[derive(Debug)]
pub(crate) struct LocalDisk;

impl Disk for LocalDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.some_of_dir(path, usize::MAX)
    }

    fn some_of_dir(&self, path: &Path, most: usize) -> io::Result<Vec<OsString>> {
        path.read_dir()?.take(most).map(|entry| Ok(entry?.file_name())).collect()
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(open_regular(path, access)?))
    }

    fn open_lock(&self, path: &Path) -> io::Result<LockFile> {
        // An exclusive lock needs a descriptor that may write.
        LockFile::open(|| open_regular(path, Access::ReadWrite))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        // A read-only file system says that it is one, also of a file that is not there.
        std::fs::remove_file(path).map_err(|error| match path.symlink_metadata() {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => absent,
            _ => error,
        })
    }

    fn remove_all(&self, path: &Path) -> io::Result<()> {
        if path.symlink_metadata()?.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        let metadata = path.symlink_metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn size(&self, path: &Path) -> io::Result<FileSize> {
        match path.symlink_metadata() {
            Ok(metadata) => Ok(FileSize { len: metadata.len(), allocated: allocated(&metadata) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FileSize::default()),
            Err(error) => Err(error),
        }
    }

    fn check_writable(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::access(path, Permission::WRITE_OK | Permission::EXEC_OK)?)
    }

    fn file_system(&self, path: &Path) -> io::Result<FileSystem> {
        let found = rustix::fs::statfs(path)?;
        Ok(FileSystem { unit: found.f_bsize.unsigned_abs(), kind: kind_of(found.f_type as u64 & 0xFFFF_FFFF) })
    }

    fn boot_id(&self) -> io::Result<BootId> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        parse_boot_id(&text).ok_or_else(|| io::Error::other(format!("the system's boot id is {text:?}")))
    }
}

fn open_regular(path: &Path, access: Access) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(access == Access::ReadWrite)
        // A FIFO in the place of a file must not keep its opener waiting.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    Ok(file)
}

fn allocated(metadata: &Metadata) -> u64 {
    // In units of 512 bytes, whatever the file system's are.
    metadata.blocks().saturating_mul(512)
}

/// By the numbers of statfs(2).
fn kind_of(magic: u64) -> FileSystemKind {
    match magic {
        0x0102_1994 | 0x8584_58F6 => FileSystemKind::Memory,
        0x6969 => FileSystemKind::Remote("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => FileSystemKind::Remote("SMB"),
        0x6573_5546 => FileSystemKind::Remote("FUSE"),
        0x0102_1997 => FileSystemKind::Remote("9P"),
        0x00C3_6400 => FileSystemKind::Remote("Ceph"),
        0x5346_414F | 0x6B41_4653 => FileSystemKind::Remote("AFS"),
        0x7375_7245 => FileSystemKind::Remote("Coda"),
        0x0BD0_0BD0 => FileSystemKind::Remote("Lustre"),
        0x0116_1970 => FileSystemKind::Remote("GFS2"),
        0x7461_636F => FileSystemKind::Remote("OCFS2"),
        0x4750_4653 => FileSystemKind::Remote("GPFS"),
        0x786F_4256 => FileSystemKind::Remote("vboxsf"),
        0xBACB_ACBC => FileSystemKind::Remote("vmhgfs"),
        0x1983_0326 => FileSystemKind::Remote("BeeGFS"),
        0x2003_0528 => FileSystemKind::Remote("OrangeFS"),
        0x4D44 => FileSystemKind::WithoutHoles("vfat"),
        0x2011_BAB0 => FileSystemKind::WithoutHoles("exFAT"),
        0x9123_683E => FileSystemKind::CopyOnWrite("btrfs"),
        0x2FC1_2FC1 => FileSystemKind::CopyOnWrite("ZFS"),
        _ => FileSystemKind::Local,
    }
}

fn parse_boot_id(text: &str) -> Option<BootId> {
    let digits: String = text.trim().chars().filter(|&character| character != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|&number| number != 0 && digits.len() == 32)?;
    Some([(number >> 64) as u64, number as u64])
}

impl DiskFile for File {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, out, offset)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, data, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        check_size_limit(len)?;
        File::set_len(self, len)
    }

    fn len(&self) -> io::Result<u64> {
        // A tenth of what it takes to ask for all that is known of the file, and asked twice for each page that is
        // stored. It moves the descriptor's position, which nobody here uses.
        Ok(rustix::fs::seek(self, SeekFrom::End(0))?)
    }

    fn id(&self) -> io::Result<FileId> {
        let metadata = self.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn allocated(&self) -> io::Result<u64> {
        Ok(allocated(&self.metadata()?))
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        // It moves the descriptor's position, which nobody here uses.
        match rustix::fs::seek(self, SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn next_hole(&self, offset: u64) -> io::Result<u64> {
        Ok(rustix::fs::seek(self, SeekFrom::Hole(offset))?)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        Ok(rustix::fs::fallocate(self, FallocateFlags::KEEP_SIZE, range.start, range.end - range.start)?)
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(self, flags, range.start, range.end - range.start)?)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn map_words(&self, range: Range<u64>) -> io::Result<SharedWords> {
        SharedWords::map(self, range)
    }

    fn map(&self, range: Range<u64>) -> io::Result<Box<dyn Mapping>> {
        mapping::map(self, range)
    }
}

/// Whether this process may write a file that is so long. The system tells it by a signal that ends the process, so
/// this is asked before each write that is not of a length that was set.
pub(crate) fn check_size_limit(len: u64) -> io::Result<()> {
    match rustix::process::getrlimit(Resource::Fsize).current {
        Some(limit) if len > limit => Err(Errno::FBIG.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        let remote =
            [0x6969, 0x517B, 0xFF53_4D42, 0x6573_5546, 0x0102_1997, 0x786F_4256, 0xBACB_ACBC, 0x1983_0326, 0x2003_0528];
        for magic in remote {
            assert!(matches!(kind_of(magic), FileSystemKind::Remote(_)), "{magic:#x}");
        }
        for magic in [0x4D44, 0x2011_BAB0] {
            assert!(matches!(kind_of(magic), FileSystemKind::WithoutHoles(_)), "{magic:#x}");
        }
        for magic in [0x9123_683E, 0x2FC1_2FC1] {
            assert!(matches!(kind_of(magic), FileSystemKind::CopyOnWrite(_)), "{magic:#x}");
        }
        for magic in [0xEF53, 0x5846_5342, 0x794C_7630] {
            assert_eq!(kind_of(magic), FileSystemKind::Local, "{magic:#x}");
        }
    }

    #[test]
    fn a_boot_id_is_sixteen_bytes() {
        assert_eq!(parse_boot_id("00000000-0000-0001-0000-000000000002\n"), Some([1, 2]));
        for text in ["", "x", "00000000-0000-0000-0000-000000000000", "1-2"] {
            assert_eq!(parse_boot_id(text), None, "{text}");
        }
        assert_eq!(LocalDisk.boot_id().unwrap(), LocalDisk.boot_id().unwrap());
    }

    #[test]
    fn blocks_are_taken_and_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = LocalDisk.create(&directory.path().join("file")).unwrap();
        file.set_len(1 << 20).unwrap();
        assert_eq!(file.allocated().unwrap(), 0);
        file.allocate(0..65_536).unwrap();
        assert_eq!((file.allocated().unwrap(), file.len().unwrap()), (65_536, 1 << 20));
        file.punch(4096..8192).unwrap();
        assert_eq!((file.allocated().unwrap(), file.len().unwrap()), (61_440, 1 << 20));
        file.write_all_at(&[1; 10], 500_000).unwrap();
        assert_eq!(file.next_data(100_000).unwrap(), Some(500_000 / 4096 * 4096));
        assert_eq!(file.next_hole(500_000).unwrap(), (500_000 / 4096 + 1) * 4096);
        assert_eq!(file.next_data(600_000).unwrap(), None);
    }
}
