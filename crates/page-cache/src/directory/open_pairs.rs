//! The pairs that this process has open, each once, so that all who read one share what it knows and fetches.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use super::pair::Pair;
use crate::sync::Mutex;
use crate::sys::process;

/// The open pairs by name. One that nobody uses any more stays open, until more than so many are.
///
/// What is done to it costs the same however many are open: those that nobody uses stand in a queue of their own.
#[derive(Debug)]
pub(super) struct OpenPairs {
    table: Arc<Table>,
}

#[derive(Debug)]
struct Table {
    state: Mutex<State>,
    max_open: usize,
    process: u32,
}

#[derive(Debug, Default)]
struct State {
    pairs: HashMap<Arc<str>, Entry>,
    /// Those that nobody uses, by when they were given back.
    idle: BTreeMap<u64, Arc<str>>,
    /// Counts what was given back.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    pair: Arc<Pair>,
    users: usize,
    /// Its place in the queue, if nobody uses it.
    idle_since: Option<u64>,
}

/// An open pair in use. It is not closed before this drops.
#[derive(Debug)]
pub(crate) struct OpenPair {
    pair: Arc<Pair>,
    table: Arc<Table>,
}

impl OpenPairs {
    pub(super) fn new(max_open: usize) -> Self {
        Self { table: Arc::new(Table { state: Mutex::default(), max_open, process: process() }) }
    }

    /// The pair of this name, if it is open.
    pub(super) fn find(&self, name: &str) -> Option<OpenPair> {
        let pair = self.table.state.lock().take_up(name)?;
        Some(OpenPair { pair, table: Arc::clone(&self.table) })
    }

    /// The pair of this name, if it is open, without being one who uses it: it may be closed by all others meanwhile.
    pub(super) fn peek(&self, name: &str) -> Option<Arc<Pair>> {
        self.table.state.lock().pairs.get(name).map(|entry| Arc::clone(&entry.pair))
    }

    /// All that are open, as [`peek`](Self::peek).
    pub(super) fn all(&self) -> Vec<Arc<Pair>> {
        self.table.state.lock().pairs.values().map(|entry| Arc::clone(&entry.pair)).collect()
    }

    /// Those of them that somebody in this process uses.
    pub(super) fn all_in_use(&self) -> Vec<Arc<Pair>> {
        let state = self.table.state.lock();
        state.pairs.values().filter(|entry| entry.users > 0).map(|entry| Arc::clone(&entry.pair)).collect()
    }

    /// Makes a pair findable; the one that another thread has opened meanwhile, if there is one. Closes others if too
    /// many are open.
    pub(super) fn insert(&self, pair: Pair) -> OpenPair {
        let mut state = self.table.state.lock();
        let pair = state.take_up(pair.name()).unwrap_or_else(|| {
            let pair = Arc::new(pair);
            let entry = Entry { pair: Arc::clone(&pair), users: 1, idle_since: None };
            state.pairs.insert(pair.name().into(), entry);
            pair
        });
        let closed = state.close_idle(self.table.max_open);
        drop(state);
        // What is unmapped and closed is so without keeping others from opening.
        drop(closed);
        OpenPair { pair, table: Arc::clone(&self.table) }
    }

    /// Closes all pairs that nobody in this process uses; whether there were any.
    pub(super) fn close_all_idle(&self) -> bool {
        let closed = self.table.state.lock().close_idle(0);
        !closed.is_empty()
    }

    /// Closes a pair if nobody in this process uses it, so that this process does not keep it live.
    pub(super) fn close_if_idle(&self, name: &str) {
        let mut state = self.table.state.lock();
        let Some(since) = state.pairs.get(name).and_then(|entry| entry.idle_since) else { return };
        state.idle.remove(&since);
        let closed = state.pairs.remove(name);
        drop(state);
        drop(closed);
    }
}

impl State {
    /// A pair with one more user.
    fn take_up(&mut self, name: &str) -> Option<Arc<Pair>> {
        let entry = self.pairs.get_mut(name)?;
        if let Some(since) = entry.idle_since.take() {
            self.idle.remove(&since);
        }
        entry.users += 1;
        Some(Arc::clone(&entry.pair))
    }

    /// Notes that a pair has one user less.
    fn give_back(&mut self, name: &str) {
        let Some((key, _)) = self.pairs.get_key_value(name) else { return };
        let key = Arc::clone(key);
        let Some(entry) = self.pairs.get_mut(name) else { return };
        entry.users -= 1;
        if entry.users == 0 {
            self.clock += 1;
            entry.idle_since = Some(self.clock);
            self.idle.insert(self.clock, key);
        }
    }

    /// Takes pairs that nobody uses out of the table, those that were given back the longest ago first, until no more
    /// are open than may be. They are closed when the result drops.
    fn close_idle(&mut self, max_open: usize) -> Vec<Entry> {
        let mut closed = Vec::new();
        while self.pairs.len() > max_open {
            let Some((_, name)) = self.idle.pop_first() else { break };
            closed.extend(self.pairs.remove(&name));
        }
        closed
    }
}

impl Deref for OpenPair {
    type Target = Pair;

    #[inline]
    fn deref(&self) -> &Pair {
        &self.pair
    }
}

impl Drop for OpenPair {
    fn drop(&mut self) {
        // A parent's mutex may be locked for ever.
        if self.table.process != process() {
            return;
        }
        let mut state = self.table.state.lock();
        state.give_back(self.pair.name());
        let closed = state.close_idle(self.table.max_open);
        drop(state);
        drop(closed);
    }
}
