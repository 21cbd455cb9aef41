//! One of each per process: what is opened by file identity, and shared by all who open it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A file or directory by its device and inode.
pub(super) type FileId = (u64, u64);

/// How long a thread waits for another one that is opening or closing the same file.
const PATIENCE: Duration = Duration::from_secs(10);

/// A table of what the process has open, each once.
#[derive(Debug)]
pub(super) struct Shared<T: 'static> {
    /// An entry stands here from before its `T` is opened until after it is closed; it leads nowhere at the edges.
    entries: Mutex<BTreeMap<FileId, Weak<T>>>,
    changed: Condvar,
}

/// The place of a `T` in the table. A `T` keeps it until all else of it is closed.
#[derive(Debug)]
pub(super) struct Registration<T: 'static> {
    id: FileId,
    shared: &'static Shared<T>,
}

impl<T> Shared<T> {
    pub(super) const fn new() -> Self {
        Self { entries: Mutex::new(BTreeMap::new()), changed: Condvar::new() }
    }

    /// The `T` of this identity that is open already, or the one that `open` makes. Nothing is held while it does.
    ///
    /// # Errors
    ///
    /// What `open` says, or `busy` if another thread opens or closes the same for longer than anybody should.
    pub(super) fn get_or_open<E>(
        &'static self,
        id: FileId,
        busy: impl FnOnce() -> E,
        open: impl FnOnce(Registration<T>) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let mut entries = self.entries.lock();
        while let Some(entry) = entries.get(&id) {
            if let Some(open) = entry.upgrade() {
                return Ok(open);
            }
            if self.changed.wait_for(&mut entries, PATIENCE).timed_out() {
                return Err(busy());
            }
        }
        entries.insert(id, Weak::new());
        drop(entries);
        let opened = Arc::new(open(Registration { id, shared: self })?);
        self.entries.lock().insert(id, Arc::downgrade(&opened));
        self.changed.notify_all();
        Ok(opened)
    }
}

impl<T> Drop for Registration<T> {
    fn drop(&mut self) {
        self.shared.entries.lock().remove(&self.id);
        self.shared.changed.notify_all();
    }
}
