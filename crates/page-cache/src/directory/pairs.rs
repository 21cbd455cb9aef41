//! The pairs of a directory: opening them once, making, deleting and setting them aside.

use std::io;
use std::sync::Arc;

use super::budget::Budget;
use super::files::{Files, is_damage};
use super::head::Head;
use super::heads;
use super::open_pairs::{OpenPair, OpenPairs};
use super::own_blocks;
use super::pair::{self, Counted, Object, Pair, Room};
use crate::origin::Stat;

/// The pairs of a directory.
#[derive(Debug)]
pub(crate) struct Pairs {
    open: OpenPairs,
}

/// What came of opening the pair that a head names.
pub(crate) enum OpenedPair {
    Good(OpenPair),
    /// It was not what the head says, and has been set aside.
    Damaged,
}

impl Pairs {
    pub(crate) fn new(max_open: usize) -> Self {
        Self { open: OpenPairs::new(max_open) }
    }

    /// The pair that `head` names, shared with whoever else in this process has it open.
    ///
    /// # Errors
    ///
    /// Only that the system could not give what it takes: descriptors, or reading at all.
    pub(crate) fn open(&self, files: &Files, budget: &Budget, head: &Head) -> io::Result<OpenedPair> {
        if let Some(pair) = self.open.find(&head.pair) {
            return Ok(OpenedPair::Good(pair));
        }
        match pair::open_pair(files, &head.pair, Some(&Object::of(&head.key, &head.stat))) {
            Ok(pair) => Ok(OpenedPair::Good(self.open.insert(pair))),
            Err(error) if is_damage(&error) => {
                // Without an index there is nothing to set aside: somebody is deleting the pair, or was.
                let [_, index] = files.pair(&head.pair);
                if files.disk.file_id(&index).is_ok() {
                    // It stays charged as it was, until it is counted as what it is now. Who counts just now would
                    // miss it on its way.
                    let section = budget.enter_within(SECTION_PATIENCE).ok_or_else(busy)?;
                    files.set_aside_pair(&head.pair, &error.to_string());
                    section.want_recount();
                }
                Ok(OpenedPair::Damaged)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes an empty pair for a version of an object.
    pub(crate) fn create(
        &self,
        files: &Files,
        budget: &Budget,
        room: &dyn Room,
        key: &str,
        stat: &Stat,
        page_size: u64,
    ) -> io::Result<OpenPair> {
        let section = budget.enter_within(SECTION_PATIENCE).ok_or_else(busy)?;
        if !own_blocks::reserve_growth(files, budget, &section, room)? {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the cache's limit leaves no room for another name",
            ));
        }
        let pair = pair::create(files, &section, room, &Object::of(key, stat), page_size, budget.boot_id())?;
        Ok(self.open.insert(pair))
    }

    /// Deletes the files of a pair that no head names and nobody works on, in whatever process; what somebody does work
    /// on is left to a later recount. False only if that may be better at another time.
    pub(crate) fn delete(&self, files: &Files, budget: &Budget, name: &str) -> bool {
        self.close_if_idle(name);
        let Some(section) = budget.enter() else { return false };
        match delete(files, budget, name, |_| !heads::is_named(files, name)) {
            Ok(Some(Counted { charge, .. })) => section.uncharge(charge),
            Ok(None) => {
                tracing::debug!(pair = name, "a pair is in use, and is deleted later");
                return false;
            }
            Err(error) => {
                section.want_recount();
                tracing::warn!(pair = name, %error, "a pair that is not needed cannot be deleted");
            }
        }
        true
    }

    /// Whether there is a pair of this name.
    pub(crate) fn exists(&self, files: &Files, name: &str) -> bool {
        let [_, index] = files.pair(name);
        self.open.peek(name).is_some() || files.disk.file_id(&index).is_ok()
    }

    /// See [`OpenPairs::peek`].
    pub(crate) fn peek(&self, name: &str) -> Option<Arc<Pair>> {
        self.open.peek(name)
    }

    /// See [`OpenPairs::all`].
    pub(crate) fn all_open(&self) -> Vec<Arc<Pair>> {
        self.open.all()
    }

    /// See [`OpenPairs::all_in_use`].
    pub(crate) fn all_in_use(&self) -> Vec<Arc<Pair>> {
        self.open.all_in_use()
    }

    /// See [`OpenPairs::close_if_idle`].
    pub(crate) fn close_if_idle(&self, name: &str) {
        self.open.close_if_idle(name);
    }

    /// Does something that opens files; once more, if there were no descriptors left and some are held by pairs that
    /// nobody uses, which are closed then.
    pub(crate) fn with_descriptors<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        open().or_else(|error| {
            if is_out_of_descriptors(&error) && self.open.close_all_idle() {
                tracing::debug!(%error, "what nobody uses was closed, so that another file can be opened");
                open()
            } else {
                Err(error)
            }
        })
    }
}

/// Whether an error of opening a file says that this process, or the system, has too many of them open.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// How long who makes a pair, or sets one aside, waits for a recount: for longer than a recount waits for others, since
/// an object that cannot be stored when it is opened is not stored for as long as its handle lives.
const SECTION_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "the cache is being counted")
}

/// Deletes the files of a pair if nobody works on it, and tells what a recount would have counted for it. The caller is
/// in a section, or keeps everybody out of them. Whether it is `unwanted` is asked once nobody can work on it any more:
/// who made it has given it its head before letting go.
pub(super) fn delete(
    files: &Files,
    budget: &Budget,
    name: &str,
    unwanted: impl Fn(Option<&Pair>) -> bool,
) -> io::Result<Option<Counted>> {
    let [data, index] = files.pair(name);
    let live = match pair::exclude_live(files, &index) {
        Ok(live) => live.map(Arc::new),
        // It would be in the way for ever.
        Err(error) if is_damage(&error) && unwanted(None) => {
            budget.control().want_recount(true);
            files.set_aside_pair(name, &error.to_string());
            return Ok(Some(Counted::default()));
        }
        Err(error) => return Err(error),
    };
    if live.is_none() && files.disk.file_id(&index).is_ok() {
        return Ok(None);
    }
    let pair = live
        .as_ref()
        .map_or_else(|| Err(io::ErrorKind::NotFound.into()), |live| pair::open_excluded(files, name, live));
    if !unwanted(pair.as_ref().ok()) {
        return Ok(None);
    }
    if live.is_none() && files.disk.file_id(&data).is_err() {
        // Somebody else was faster.
        return Ok(Some(Counted::default()));
    }
    // Only now: until nobody could work on it any more, what it is charged could change.
    let counted = pair.and_then(|pair| {
        let counted = pair.count(budget.boot_id())?;
        pair.free()?;
        Ok(counted)
    });
    let counted = counted.unwrap_or_else(|error: io::Error| {
        tracing::debug!(pair = name, %error, "what was charged for a pair is given back by the next recount");
        budget.control().want_recount(true);
        Counted::default()
    });
    // The index first: without it nothing vouches for the data.
    if files.remove(&index) && files.remove(&data) { Ok(Some(counted)) } else { Err(io::Error::other("it stays")) }
}
