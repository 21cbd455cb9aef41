//! The pairs of a directory: opening them once, making, deleting and setting them aside.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::budget::Budget;
use super::files::{Files, is_damage};
use super::head::Head;
use super::pair::{self, Counted, Object, Pair};
use crate::origin::Stat;
use crate::sync::Mutex;

/// The pairs that this process has open, by name, so that all who read one share what it knows and fetches.
///
/// One that nobody has a handle of any more stays open until more than [`max_open`](Self::new) are.
#[derive(Debug)]
pub(crate) struct Pairs {
    open: Mutex<Open>,
    max_open: usize,
}

#[derive(Debug, Default)]
struct Open {
    pairs: HashMap<String, (Arc<Pair>, u64)>,
    /// Counts openings, so that it is known which was longest ago.
    clock: u64,
}

/// What came of opening the pair that a head names.
pub(crate) enum OpenedPair {
    Good(Arc<Pair>),
    /// It was not what the head says, and has been set aside.
    Damaged,
}

impl Pairs {
    pub(crate) fn new(max_open: usize) -> Self {
        Self { open: Mutex::default(), max_open }
    }

    /// The pair that `head` names, shared with whoever else in this process has it open.
    ///
    /// # Errors
    ///
    /// Only that the system could not give what it takes: descriptors, or reading at all.
    pub(crate) fn open(&self, files: &Files, budget: &Budget, head: &Head) -> io::Result<OpenedPair> {
        if let Some(pair) = self.find(&head.pair) {
            return Ok(OpenedPair::Good(pair));
        }
        match pair::open_pair(files, &head.pair, Some(&Object::of(&head.key, &head.stat))) {
            Ok(pair) => Ok(OpenedPair::Good(self.share(pair))),
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
        key: &str,
        stat: &Stat,
        page_size: u64,
    ) -> io::Result<Arc<Pair>> {
        let section = budget.enter_within(SECTION_PATIENCE).ok_or_else(busy)?;
        let pair = pair::create(files, &section, &Object::of(key, stat), page_size, budget.boot_id())?;
        Ok(self.share(pair))
    }

    /// Deletes the files of a pair that nobody works on, in whatever process; what somebody does work on is left to a
    /// later recount.
    pub(crate) fn delete(&self, files: &Files, budget: &Budget, name: &str) {
        self.close_if_idle(name);
        let Some(section) = budget.enter() else { return };
        match delete(files, budget, name, || true) {
            Ok(Some(Counted { charge, .. })) => section.uncharge(charge),
            Ok(None) => tracing::debug!(pair = name, "a pair is in use, and is deleted later"),
            Err(error) => {
                section.want_recount();
                tracing::warn!(pair = name, %error, "a pair that is not needed cannot be deleted");
            }
        }
    }

    fn find(&self, name: &str) -> Option<Arc<Pair>> {
        let mut open = self.open.lock();
        let now = open.tick();
        let (pair, opened) = open.pairs.get_mut(name)?;
        *opened = now;
        Some(Arc::clone(pair))
    }

    /// Makes a pair findable, and closes idle ones if too many are open.
    fn share(&self, pair: Pair) -> Arc<Pair> {
        let mut open = self.open.lock();
        let now = open.tick();
        // Another thread may have been as fast.
        if let Some((first, _)) = open.pairs.get(pair.name()) {
            let first = Arc::clone(first);
            drop(open);
            return first;
        }
        let pair = Arc::new(pair);
        open.pairs.insert(pair.name().to_owned(), (Arc::clone(&pair), now));
        drop(open);
        self.close_idle();
        pair
    }

    /// Closes pairs that nobody in this process has a handle of, those that were opened the longest ago first, until
    /// no more are open than may be.
    pub(crate) fn close_idle(&self) {
        let mut closed = Vec::new();
        let mut open = self.open.lock();
        while open.pairs.len() > self.max_open {
            let idle = open.pairs.iter().filter(|(_, (pair, _))| Arc::strong_count(pair) == 1);
            let Some(name) = idle.min_by_key(|(_, (_, opened))| *opened).map(|(name, _)| name.clone()) else { break };
            closed.extend(open.pairs.remove(&name));
        }
        drop(open);
        // What is unmapped and closed is so without keeping others from opening.
        drop(closed);
    }

    /// Closes a pair that nobody in this process has a handle of, so that this process does not keep it live.
    pub(crate) fn close_if_idle(&self, name: &str) {
        let mut open = self.open.lock();
        let idle = open.pairs.get(name).is_some_and(|(pair, _)| Arc::strong_count(pair) == 1);
        let closed = if idle { open.pairs.remove(name) } else { None };
        drop(open);
        drop(closed);
    }
}

impl Open {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

/// How long who makes a pair, or sets one aside, waits for a recount.
const SECTION_PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

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
    unwanted: impl Fn() -> bool,
) -> io::Result<Option<Counted>> {
    let [data, index] = files.pair(name);
    let live = match pair::exclude_live(files, &index) {
        Ok(live) => live.map(Arc::new),
        // It would be in the way for ever.
        Err(error) if is_damage(&error) && unwanted() => {
            budget.control().want_recount(true);
            files.set_aside_pair(name, &error.to_string());
            return Ok(Some(Counted::default()));
        }
        Err(error) => return Err(error),
    };
    if (live.is_none() && files.disk.file_id(&index).is_ok()) || !unwanted() {
        return Ok(None);
    }
    if live.is_none() && files.disk.file_id(&data).is_err() {
        // Somebody else was faster.
        return Ok(Some(Counted::default()));
    }
    // Only now: until nobody could work on it any more, what it is charged could change.
    let counted = live.as_ref().map_or_else(
        || Err(io::ErrorKind::NotFound.into()),
        |live| {
            let pair = pair::open_excluded(files, name, live)?;
            let counted = pair.count(budget.boot_id())?;
            pair.free()?;
            Ok(counted)
        },
    );
    let counted = counted.unwrap_or_else(|error: io::Error| {
        tracing::debug!(pair = name, %error, "what was charged for a pair is given back by the next recount");
        budget.control().want_recount(true);
        Counted::default()
    });
    // The index first: without it nothing vouches for the data.
    if files.remove(&index) && files.remove(&data) { Ok(Some(counted)) } else { Err(io::Error::other("it stays")) }
}
