//! One of each per process: what is opened by file identity, and shared by all who open it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};
use crate::sys::{FileId, PerProcess, process};

/// How long a thread waits for another one that is opening or closing the same file.
const PATIENCE: Duration = Duration::from_secs(30);

/// A table of what the process has open, each once. A child of the process has a table of its own.
#[derive(Debug)]
pub(super) struct Shared<T: 'static> {
    table: PerProcess<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    /// An entry stands here from before its `T` is opened until after it is closed; it leads nowhere at the edges.
    entries: Mutex<BTreeMap<FileId, Weak<T>>>,
    changed: Condvar,
}

/// The place of a `T` in the table. A `T` keeps it until all else of it is closed.
#[derive(Debug)]
pub(super) struct Registration<T: 'static> {
    id: FileId,
    shared: &'static Shared<T>,
    process: u32,
}

impl<T> Shared<T> {
    pub(super) const fn new() -> Self {
        Self { table: PerProcess::empty() }
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
        let table = self.table();
        let start = Instant::now();
        let mut entries = table.entries.lock();
        while let Some(entry) = entries.get(&id) {
            if let Some(open) = entry.upgrade() {
                return Ok(open);
            }
            let Some(rest) = PATIENCE.checked_sub(start.elapsed()) else { return Err(busy()) };
            entries = table.changed.wait_for(entries, rest);
        }
        entries.insert(id, Weak::new());
        drop(entries);
        let opened = Arc::new(open(Registration { id, shared: self, process: process() })?);
        table.entries.lock().insert(id, Arc::downgrade(&opened));
        table.changed.notify_all();
        Ok(opened)
    }

    fn table(&self) -> &Table<T> {
        self.table.get(|| Table { entries: Mutex::default(), changed: Condvar::new() })
    }
}

impl<T> Drop for Registration<T> {
    fn drop(&mut self) {
        if self.process == process() {
            let table = self.shared.table();
            table.entries.lock().remove(&self.id);
            table.changed.notify_all();
        }
    }
}
