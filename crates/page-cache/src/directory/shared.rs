//! The directories that this process has open, so that all its caches over one directory share its lock and pairs.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Directory;
use crate::error::OpenError;

/// A directory by its device and inode.
pub(super) type DirectoryId = (u64, u64);

#[derive(Default)]
struct Table {
    /// An entry stands here from before the directory's lock is taken until after it is given back; it leads nowhere
    /// while the directory is being opened or closed.
    directories: Mutex<HashMap<DirectoryId, Weak<Directory>>>,
    changed: Condvar,
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::default);

/// How long a thread waits for another one that is opening or closing the same directory.
const PATIENCE: Duration = Duration::from_secs(10);

/// The directory's place in the table, which it keeps until its lock is given back.
#[derive(Debug)]
pub(super) struct Registration(DirectoryId);

impl Drop for Registration {
    fn drop(&mut self) {
        TABLE.directories.lock().remove(&self.0);
        TABLE.changed.notify_all();
    }
}

/// The directory of this identity that is open already, or the one that `open` makes.
pub(super) fn get_or_open(
    id: DirectoryId,
    in_use: impl FnOnce() -> OpenError,
    open: impl FnOnce(Registration) -> Result<Directory, OpenError>,
) -> Result<Arc<Directory>, OpenError> {
    let mut directories = TABLE.directories.lock();
    while let Some(entry) = directories.get(&id) {
        if let Some(directory) = entry.upgrade() {
            return Ok(directory);
        }
        if TABLE
            .changed
            .wait_for(&mut directories, PATIENCE)
            .timed_out()
        {
            return Err(in_use());
        }
    }
    directories.insert(id, Weak::new());
    drop(directories);
    let directory = Arc::new(open(Registration(id))?);
    TABLE
        .directories
        .lock()
        .insert(id, Arc::downgrade(&directory));
    TABLE.changed.notify_all();
    Ok(directory)
}
