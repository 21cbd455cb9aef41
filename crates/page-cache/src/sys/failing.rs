//! A disk that does what the real one does, until it is told to fail.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::*;
use crate::sync::Mutex;

/// An operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateDir,
    ReadDir,
    SomeOfDir,
    Open,
    /// Behind an opening, so that something can happen then.
    Opened,
    Create,
    Rename,
    Remove,
    Read,
    Write,
    SetLen,
    Allocate,
    Punch,
    Sync,
    Map,
    OpenLock,
    Link,
    Size,
}

type Verdict = dyn FnMut(Operation, &Path) -> Option<io::Error> + Send;

/// What waits at a lock before it is done.
#[derive(Clone)]
struct Gate {
    waits: fn(Operation, &Path) -> bool,
    lock: Arc<RwLock<()>>,
}

/// The real disk, asked through a verdict on each operation and path.
#[derive(Clone)]
pub(crate) struct FailingDisk {
    verdict: Arc<Mutex<Box<Verdict>>>,
    gate: Arc<Mutex<Option<Gate>>>,
    pretended: Arc<Mutex<Pretended>>,
    longest_punch: Arc<AtomicU64>,
}

/// What the disk says of itself that is not so.
#[derive(Debug, Clone, Copy, Default)]
struct Pretended {
    boot_id: Option<BootId>,
    kind: Option<FileSystemKind>,
}

impl Debug for FailingDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FailingDisk")
    }
}

impl FailingDisk {
    /// One on which everything works.
    pub(crate) fn healthy() -> Self {
        Self {
            verdict: Arc::new(Mutex::new(Box::new(|_, _| None))),
            gate: Arc::default(),
            pretended: Arc::default(),
            longest_punch: Arc::default(),
        }
    }

    /// From now on, whatever `verdict` gives an error for fails with it.
    pub(crate) fn fail(&self, verdict: impl FnMut(Operation, &Path) -> Option<io::Error> + Send + 'static) {
        *self.verdict.lock() = Box::new(verdict);
    }

    /// From now on, what `waits` is done once the lock is to be had, which others keep locked for as long as they like.
    #[cfg(feature = "object_store")]
    pub(crate) fn wait(&self, waits: fn(Operation, &Path) -> bool, lock: &Arc<RwLock<()>>) {
        *self.gate.lock() = Some(Gate { waits, lock: Arc::clone(lock) });
    }

    /// The longest range that was punched since the last call, in bytes.
    pub(crate) fn longest_punch(&self) -> u64 {
        self.longest_punch.swap(0, Ordering::Relaxed)
    }

    /// From now on the system was started anew.
    pub(crate) fn reboot(&self, boot_id: BootId) {
        self.pretended.lock().boot_id = Some(boot_id);
    }

    /// From now on the file system is of this kind.
    pub(crate) fn pretend(&self, kind: FileSystemKind) {
        self.pretended.lock().kind = Some(kind);
    }

    fn judge(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate.filter(|gate| (gate.waits)(operation, path)) {
            drop(gate.lock.read());
        }
        (self.verdict.lock())(operation, path).map_or(Ok(()), Err)
    }

    fn wrap(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FailingFile { file, path: path.into(), disk: self.clone() })
    }
}

impl Disk for FailingDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.judge(Operation::CreateDir, path)?;
        LocalDisk.create_dir(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.judge(Operation::ReadDir, path)?;
        LocalDisk.read_dir(path)
    }

    fn some_of_dir(&self, path: &Path, most: usize) -> io::Result<Vec<OsString>> {
        self.judge(Operation::SomeOfDir, path)?;
        LocalDisk.some_of_dir(path, most)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        self.judge(Operation::Open, path)?;
        let file = LocalDisk.open(path, access)?;
        self.judge(Operation::Opened, path)?;
        Ok(self.wrap(path, file))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.judge(Operation::Create, path)?;
        Ok(self.wrap(path, LocalDisk.create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.judge(Operation::Rename, from)?;
        LocalDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.judge(Operation::Remove, path)?;
        LocalDisk.remove_file(path)
    }

    fn remove_all(&self, path: &Path) -> io::Result<()> {
        self.judge(Operation::Remove, path)?;
        LocalDisk.remove_all(path)
    }

    fn open_lock(&self, path: &Path) -> io::Result<LockFile> {
        self.judge(Operation::OpenLock, path)?;
        LocalDisk.open_lock(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.judge(Operation::Link, from)?;
        LocalDisk.link(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.judge(Operation::Sync, path)?;
        LocalDisk.sync_dir(path)
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        LocalDisk.file_id(path)
    }

    fn size(&self, path: &Path) -> io::Result<FileSize> {
        self.judge(Operation::Size, path)?;
        LocalDisk.size(path)
    }

    fn check_writable(&self, path: &Path) -> io::Result<()> {
        self.judge(Operation::Create, path)?;
        LocalDisk.check_writable(path)
    }

    fn file_system(&self, path: &Path) -> io::Result<FileSystem> {
        let real = LocalDisk.file_system(path)?;
        Ok(FileSystem { kind: self.pretended.lock().kind.unwrap_or(real.kind), ..real })
    }

    fn boot_id(&self) -> io::Result<BootId> {
        self.pretended.lock().boot_id.map_or_else(|| LocalDisk.boot_id(), Ok)
    }
}

#[derive(Debug)]
struct FailingFile {
    file: Box<dyn DiskFile>,
    path: std::path::PathBuf,
    disk: FailingDisk,
}

impl DiskFile for FailingFile {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.judge(Operation::Read, &self.path)?;
        self.file.read_exact_at(out, offset)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.disk.judge(Operation::Write, &self.path) {
            // A disk that fills up takes a part of what it is given.
            self.file.write_all_at(&data[..data.len() / 2], offset)?;
            return Err(error);
        }
        self.file.write_all_at(data, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.judge(Operation::SetLen, &self.path)?;
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }

    fn allocated(&self) -> io::Result<u64> {
        self.file.allocated()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.disk.judge(Operation::Read, &self.path)?;
        self.file.next_data(offset)
    }

    fn next_hole(&self, offset: u64) -> io::Result<u64> {
        self.disk.judge(Operation::Read, &self.path)?;
        self.file.next_hole(offset)
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        self.disk.judge(Operation::Allocate, &self.path)?;
        self.file.allocate(range)
    }

    fn punch(&self, range: Range<u64>) -> io::Result<()> {
        self.disk.judge(Operation::Punch, &self.path)?;
        self.disk.longest_punch.fetch_max(range.end - range.start, Ordering::Relaxed);
        self.file.punch(range)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.judge(Operation::Sync, &self.path)?;
        self.file.sync()
    }

    fn map_words(&self, range: Range<u64>) -> io::Result<SharedWords> {
        self.disk.judge(Operation::Map, &self.path)?;
        self.file.map_words(range)
    }

    fn map(&self, range: Range<u64>) -> io::Result<Box<dyn Mapping>> {
        self.disk.judge(Operation::Map, &self.path)?;
        self.file.map(range)
    }
}
