//! What a handle of a file consists of, how it comes out of a descriptor, and what goes with it.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::core::{Core, Known};
use crate::pool::{Failure, Held, MakeError};
use crate::source::{Descriptor, OwnFile, Source};
use crate::sys::{self, Identity};

/// One opening of a file.
pub(crate) struct Handle {
    pub(crate) core: Arc<Core>,
    pub(crate) source: Arc<Source>,
    /// As it was given.
    pub(crate) path: Option<PathBuf>,
    /// The same, absolute: by this it may be opened again as long as this lives.
    pub(crate) name: Option<Arc<Path>>,
    /// In bytes; as it was opened or refreshed.
    pub(crate) len: AtomicU64,
    /// When it was last written to, in nanoseconds; as it was opened or refreshed.
    pub(crate) modified: AtomicU64,
    /// The cell of a descriptor that must not be closed before this is dropped.
    pub(crate) kept: Option<u32>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Self { core, source, kept, .. } = self;
        if let Some(cell) = kept {
            core.descriptors.release(*cell);
            core.descriptors.dismiss(source.number);
        }
        if !core.is_here() {
            // Inherited: the lock may be nobody's any more, so nobody can tell how many handles are left here. What
            // this process has mapped goes with the first of them; who still has another one maps it again.
            core.line().for_each(|core| core.regions.dismiss(source.serial));
            return;
        }
        let sources = {
            let mut files = core.files.lock();
            let Some(known) = files.get_mut(&source.id) else { return };
            known.handles = known.handles.saturating_sub(1);
            if known.handles > 0 {
                // If this was the last user of its source, that closes the descriptor when it is dropped.
                return;
            }
            files.remove(&source.id).and_then(|known| known.source.upgrade())
        };
        core.regions.dismiss(source.serial);
        // What is still held keeps its source, but needs no descriptor.
        for source in sources.iter().chain([&*source]) {
            core.descriptors.dismiss(source.number);
        }
    }
}

/// A descriptor that was just opened, before it is known of which file.
pub(crate) struct Opening<'a> {
    core: &'a Arc<Core>,
    number: u64,
    cell: u32,
    /// Whether a source has taken over the descriptor; else it is closed.
    in_use: Cell<bool>,
}

impl<'a> Opening<'a> {
    pub(crate) fn new(
        core: &'a Arc<Core>,
        mut open: impl FnMut() -> Result<File, Failure<io::Error>>,
    ) -> Result<Self, io::Error> {
        let number = next_number();
        // Apart, since opening waits for whoever has a lease on the file.
        let made = core.descriptors.find_or_make_apart(Descriptor(number), 0, || open().map(OwnFile::new));
        let made = made.map(Held::into_number);
        match made {
            Ok(cell) => Ok(Self { core, number, cell, in_use: Cell::new(false) }),
            Err(MakeError::Failed(error)) => Err(error),
            Err(MakeError::Full | MakeError::Inherited) => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    pub(crate) fn identify(&self) -> io::Result<Identity> {
        #[expect(unsafe_code, reason = "reads what is pinned")]
        // SAFETY: the cell was pinned for us, and our drop lets go of it.
        let entry = unsafe { self.core.descriptors.get(self.cell) };
        entry.map_or(Err(io::ErrorKind::NotFound.into()), |entry| sys::identify(&entry.value))
    }

    /// A handle of the file, beside those that there are.
    pub(crate) fn into_handle(
        self,
        identity: &Identity,
        path: Option<PathBuf>,
        given: Option<PathBuf>,
        keep: bool,
    ) -> Handle {
        let core = Arc::clone(self.core);
        let named = path.is_some() && !keep;
        let absolute: Option<Arc<Path>> = path.map(Into::into);
        let (source, name) = {
            let mut files = core.files.lock();
            let fresh = || Known { serial: next_number(), handles: 0, source: std::sync::Weak::new() };
            let known = files.entry(identity.id).or_insert_with(fresh);
            known.handles += 1;
            let shared = if named { known.source.upgrade() } else { None };
            let source = shared.unwrap_or_else(|| {
                // A copy of the path, since the other one tells by its holders whether it is still a name.
                let first = absolute.as_deref().map(Arc::from);
                let source = Source::new(&core, self.number, known.serial, identity, first);
                let source = Arc::new(source);
                if named {
                    known.source = Arc::downgrade(&source);
                }
                source
            });
            let name = absolute.map(|path| source.add_name(&path));
            (source, name)
        };
        tracing::debug!(file = %source.name(), len = identity.len, "opened a file");
        // One pin for the handle; that of the opening is let go of by its drop.
        let kept = keep.then(|| {
            core.descriptors.pin_again(self.cell);
            self.cell
        });
        self.in_use.set(source.number == self.number);
        Handle {
            core,
            source,
            path: given,
            name,
            len: AtomicU64::new(identity.len),
            modified: AtomicU64::new(nanoseconds(identity.modified)),
            kept,
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.core.descriptors.release(self.cell);
        if !self.in_use.get() {
            self.core.descriptors.dismiss(self.number);
        }
    }
}

/// Of sources and files: never used twice.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn nanoseconds(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}
