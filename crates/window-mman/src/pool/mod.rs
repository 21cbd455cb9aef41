//! Things that are kept for reuse within limits, shared by all who ask, and given up in the order of their last use.
//!
//! Regions are kept in one, open descriptors in another. What is asked for again is found and pinned without a lock;
//! what is not there is made under the one lock of the pool, so that nothing is made twice and the limits are exact.
//! Whatever nobody holds may go, the least recently used first; "used" is the moment when somebody let go.
//!
//! Between two operations this holds: the pool is within its limits, or everything in it is held. So what exceeded a
//! limit because it was held is given up by whoever lets go of it last. What is larger than the limit by itself is
//! given up by whoever lets go of it last, too, and does not count otherwise: nothing that goes would make room for it.
//!
//! Nothing here knows what it keeps, does I/O, or maps: the tests run this code under Miri and a model checker.

mod books;
pub(crate) mod cells;
mod eviction;
mod held;
mod index;
pub(crate) mod recency;
mod released;

use std::fmt;
use std::hash::Hash;

use self::books::Books;
use self::cells::{Cell, Cells};
use self::eviction::{Full, Victim};
pub(crate) use self::held::Held;
use self::index::Index;
use self::recency::Clock;
use self::released::Released;
use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, process_id};

/// No cell.
const NONE: u32 = u32::MAX;

/// What is asked for.
pub(crate) trait Key: Copy + Eq {
    /// What is given up together.
    type Group: Copy + Eq + Hash;

    fn group(&self) -> Self::Group;

    /// Well mixed in its upper bits.
    fn hash(&self) -> u64;
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The sum of sizes.
    pub(crate) bytes: u64,
    pub(crate) count: usize,
    /// Whether it is an error, and nothing is made, if everything is held; else the limits are exceeded.
    pub(crate) strict: bool,
}

impl Limits {
    /// Whether this alone is more than the limit: it goes with its last holder, and nothing goes for it, since that
    /// would not make room enough.
    fn is_beyond(&self, size: u64) -> bool {
        size > self.bytes
    }

    /// What counts of this against the limit.
    fn charge(&self, size: u64) -> u64 {
        if self.is_beyond(size) { 0 } else { size }
    }
}

/// A pool of `T`s by `K`.
pub(crate) struct Pool<K: Key, T> {
    cells: Cells<Entry<K, T>>,
    index: Index,
    clock: Clock,
    released: Released,
    limits: Limits,
    /// Everything was held when somebody looked for what could go. Whoever lets go next looks whether that is so.
    all_held: AtomicBool,
    books: Mutex<Books<K>>,
    /// Who may take the lock: a child may have inherited it locked by a thread that it does not have.
    process: u32,
}

/// Where something is to be looked for: a hint, as the index gives them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail {
    hash: u64,
    first: u32,
}

/// What is in a cell.
#[derive(Debug)]
pub(crate) struct Entry<K, T> {
    pub(crate) key: K,
    pub(crate) size: u64,
    pub(crate) value: T,
}

/// Why something could not be made.
#[derive(Debug)]
pub(crate) enum MakeError<E> {
    /// Everything is held, and the limits are strict.
    Full,
    /// This process has inherited the pool, and may use only what is in it.
    Inherited,
    /// Making failed.
    Failed(E),
}

impl<E> From<Full> for MakeError<E> {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// A failed making.
#[derive(Debug)]
pub(crate) struct Failure<E> {
    pub(crate) error: E,
    /// It may go well once what nobody holds is given up.
    pub(crate) for_want_of_room: bool,
}

/// Room that was reserved, and is not any more when this is dropped.
struct Reserved<'a, K: Key, T> {
    pool: &'a Pool<K, T>,
    size: u64,
}

impl<K: Key, T> Drop for Reserved<'_, K, T> {
    fn drop(&mut self) {
        if let Some(mut books) = self.pool.lock() {
            books.unreserve(self.pool.limits.charge(self.size));
        }
    }
}

/// What is in a pool, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) bytes: u64,
    pub(crate) count: usize,
    /// How often something was made.
    pub(crate) made: u64,
    /// How often something was given up for a limit.
    pub(crate) evicted: u64,
}

/// What a sweep has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) taken: usize,
    pub(crate) taken_bytes: u64,
    pub(crate) held: usize,
    pub(crate) held_bytes: u64,
}

/// One thing in a pool, as a listing shows it.
#[derive(Debug)]
pub(crate) struct Listed<'a, K, T> {
    pub(crate) entry: &'a Entry<K, T>,
    pub(crate) holders: u32,
    pub(crate) uses: u32,
}

impl<K: Key, T> Pool<K, T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            cells: Cells::new(),
            index: Index::new(),
            clock: Clock::new(),
            released: Released::new(),
            limits,
            all_held: AtomicBool::new(false),
            books: Mutex::new(Books::new()),
            process: process_id(),
        }
    }

    /// What has this key, held, if it is there. Takes no lock, and may miss what somebody is just moving.
    #[inline]
    pub(crate) fn find(&self, key: &K) -> Option<Held<'_, K, T>> {
        self.find_along(self.trail(key), key)
    }

    /// The first half of [`find`](Self::find): where to look, which the processor begins to fetch. The look costs less
    /// if something else is done between, where another thread has used the same before.
    #[inline]
    pub(crate) fn trail(&self, key: &K) -> Trail {
        let hash = key.hash();
        let first = self.index.first(hash);
        if let Some(cell) = self.cells.get(first) {
            cell.prefetch();
        }
        Trail { hash, first }
    }

    /// The second half: what has this key, held, if it is there.
    #[inline]
    pub(crate) fn find_along(&self, trail: Trail, key: &K) -> Option<Held<'_, K, T>> {
        let mut candidates = Index::candidates(&self.cells, trail.first, trail.hash);
        candidates.find(|cell| self.pin_if(cell, key)).map(|cell| Held { pool: self, cell })
    }

    /// What has this key, held, if it is in this cell. Takes no lock, and may miss what somebody is just moving.
    #[inline]
    pub(crate) fn find_at(&self, number: u32, key: &K) -> Option<Held<'_, K, T>> {
        let cell = self.cells.get(number)?;
        // As with what the index says, what is obviously something else is not pinned.
        let found = cell.hash.load(Ordering::Relaxed) == key.hash() && self.pin_if(cell, key);
        found.then(|| Held { pool: self, cell })
    }

    /// What has this key, held: what is there, or what `make` makes, of the given size.
    ///
    /// `make` is shown what was given up for it, if anything was, and may take of it what it reuses; the rest is
    /// dropped behind the lock. It runs under the lock, must not come back here, and should take no longer than a
    /// system call that waits for nothing; what takes longer is made by
    /// [`find_or_make_apart`](Self::find_or_make_apart). (Who is likely to find it asks [`find`](Self::find) first.) If
    /// it fails for want of room, everything that nobody holds is given up, and it is asked once more.
    #[inline]
    pub(crate) fn find_or_make<E>(
        &self,
        key: K,
        size: u64,
        mut make: impl FnMut(&mut Option<T>) -> Result<T, Failure<E>>,
    ) -> Result<Held<'_, K, T>, MakeError<E>> {
        let hash = key.hash();
        let mut again = true;
        loop {
            // What goes is dropped behind the lock: closing and unmapping are nobody's to wait for.
            let mut gone = Vec::new();
            let mut victim;
            let mut books = self.lock().ok_or(MakeError::Inherited)?;
            // Somebody else may have made it meanwhile.
            if let Some(found) = self.find_locked(&books, &key, hash) {
                return Ok(found);
            }
            let mut room = self.make_room(&mut books, size, &mut gone)?;
            let evicted = room.as_mut().and_then(|room| self.empty(&mut books, room.seized()));
            let group = evicted.as_ref().map(|entry| entry.key.group());
            victim = evicted.map(|entry| entry.value);
            let failure = match make(&mut victim) {
                Ok(value) => {
                    let room = room.zip(group);
                    return self.keep(&mut books, room, Entry { key, size, value }, hash).ok_or(MakeError::Full);
                }
                Err(failure) => failure,
            };
            room.into_iter().for_each(|room| books.free(room.unlisted().0.number));
            if !(failure.for_want_of_room && std::mem::take(&mut again)) {
                return Err(MakeError::Failed(failure.error));
            }
            let swept = self.sweep_locked(&mut books, |_| true, &mut gone);
            if swept.taken == 0 && gone.is_empty() && victim.is_none() {
                return Err(MakeError::Failed(failure.error));
            }
        }
    }

    /// The same for what may take long to make: `make` runs without the lock, behind the drop of what had to go for it,
    /// with the room reserved. If somebody else is faster, what he has made is returned, and the other is dropped.
    pub(crate) fn find_or_make_apart<E>(
        &self,
        key: K,
        size: u64,
        mut make: impl FnMut() -> Result<T, Failure<E>>,
    ) -> Result<Held<'_, K, T>, MakeError<E>> {
        let hash = key.hash();
        let mut gone = Vec::new();
        let mut books = self.lock().ok_or(MakeError::Inherited)?;
        if let Some(found) = self.find_locked(&books, &key, hash) {
            return Ok(found);
        }
        let room = self.make_room(&mut books, size, &mut gone)?;
        let victim = room.and_then(|room| self.take_seized(&mut books, room.unlisted()));
        books.reserve(self.limits.charge(size));
        drop(books);
        drop((victim, gone));
        let reserved = Reserved { pool: self, size };
        let value = match make() {
            Err(failure) if failure.for_want_of_room && self.sweep(|_| true).taken > 0 => make(),
            made => made,
        }
        .map_err(|failure| MakeError::Failed(failure.error))?;
        let mut books = self.lock().ok_or(MakeError::Inherited)?;
        books.unreserve(self.limits.charge(size));
        std::mem::forget(reserved);
        match self.find_locked(&books, &key, hash) {
            None => self.keep(&mut books, None, Entry { key, size, value }, hash).ok_or(MakeError::Full),
            Some(found) => {
                drop(books);
                drop(value);
                Ok(found)
            }
        }
    }

    /// The content of a cell.
    ///
    /// # Safety
    ///
    /// The caller has pinned this cell, and keeps the pin for as long as the reference is used.
    #[expect(unsafe_code, reason = "the pin that makes it right is the caller's")]
    #[inline]
    pub(crate) unsafe fn get(&self, number: u32) -> Option<&Entry<K, T>> {
        // SAFETY: the caller has the pin.
        self.cells.get(number).and_then(|cell| unsafe { cell.slot.get() })
    }

    /// Pins once more what the caller has pinned.
    pub(crate) fn pin_again(&self, number: u32) {
        if let Some(cell) = self.cells.get(number) {
            cell.slot.repin();
        }
    }

    /// Lets go of what the caller has pinned: this is the moment of its last use.
    #[inline]
    pub(crate) fn release(&self, number: u32) {
        if let Some(cell) = self.cells.get(number) {
            self.release_cell(cell);
        }
    }

    #[inline]
    fn release_cell(&self, cell: &Cell<Entry<K, T>>) {
        cell.stamp.store(self.clock.now(), Ordering::Relaxed);
        self.let_go(cell);
    }

    /// Has what the caller has pinned given up when it is let go of, if it was made for the caller, and nobody else
    /// holds it or has ever found it.
    pub(crate) fn dismiss_own(&self, number: u32) {
        if let Some(cell) = self.cells.get(number) {
            let look = cell.slot.look();
            // Making it counts as a use.
            if look.pins == 1 && look.uses == 1 {
                cell.slot.dismiss();
            }
        }
    }

    /// Gives up all of a group: at once what nobody holds, and the rest when it is let go of.
    pub(crate) fn dismiss(&self, group: K::Group) {
        let mut gone = Vec::new();
        let Some(mut books) = self.lock() else { return };
        for number in books.group(&group) {
            if let Some(cell) = self.cells.get(number).filter(|cell| cell.slot.dismiss()) {
                gone.extend(self.take(&mut books, cell));
            }
        }
        drop(books);
    }

    /// Gives up whatever `chosen` chooses and nobody holds, and counts what is held.
    pub(crate) fn sweep(&self, chosen: impl FnMut(&Entry<K, T>) -> bool) -> Swept {
        let mut gone = Vec::new();
        let Some(mut books) = self.lock() else { return Swept::default() };
        let swept = self.sweep_locked(&mut books, chosen, &mut gone);
        drop(books);
        swept
    }

    /// Shows everything that is in it at one moment. `show` must not come back here.
    pub(crate) fn list(&self, mut show: impl FnMut(Listed<'_, K, T>)) {
        let Some(books) = self.lock() else { return };
        for cell in (0..books.cells()).filter_map(|number| self.cells.get(number)) {
            let look = cell.slot.look();
            if let Some(entry) = Self::peek(&books, cell) {
                show(Listed { entry, holders: look.pins, uses: look.uses });
            }
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.lock().map_or_else(Tally::default, |books| books.tally)
    }

    /// Pins a cell if it has this key.
    #[inline]
    fn pin_if(&self, cell: &Cell<Entry<K, T>>, key: &K) -> bool {
        if !cell.slot.pin() {
            return false;
        }
        #[expect(unsafe_code, reason = "reads what was just pinned")]
        // SAFETY: pinned above, and let go of below or by the caller.
        let found = unsafe { cell.slot.get() }.is_some_and(|entry| entry.key == *key);
        if !found {
            // It was reused between the look at its hash and the pin.
            self.let_go(cell);
        }
        found
    }

    /// What has this key, held, by who has the lock: exact, and never a pin on anything else.
    #[inline]
    fn find_locked(&self, books: &Books<K>, key: &K, hash: u64) -> Option<Held<'_, K, T>> {
        let mut candidates = Index::candidates(&self.cells, self.index.first(hash), hash);
        let found = candidates.find(|cell| Self::peek(books, cell).is_some_and(|entry| entry.key == *key))?;
        found.slot.pin().then(|| Held { pool: self, cell: found })
    }

    /// What is in a cell, if anything is, for who has the lock. No pin is needed, and none taken: it would keep who
    /// lets go meanwhile from being the last.
    fn peek<'a>(_lock: &'a Books<K>, cell: &'a Cell<Entry<K, T>>) -> Option<&'a Entry<K, T>> {
        #[expect(unsafe_code, reason = "the lock is as good as a pin")]
        // SAFETY: slots are filled and emptied only by `keep` and `empty`, which need the books, behind the lock,
        // as `&mut`; they are borrowed for as long as the reference lives.
        unsafe {
            cell.slot.get()
        }
    }

    #[inline]
    fn let_go(&self, cell: &Cell<Entry<K, T>>) {
        let released = cell.slot.unpin();
        if !released.last {
            return;
        }
        self.released.list(cell);
        if released.dismissed || self.all_held.load(Ordering::SeqCst) {
            self.settle(cell);
        }
    }

    /// Puts something into a cell, held: into one that was emptied for it of something of some group, or a free one.
    #[inline]
    fn keep<'a>(
        &'a self,
        books: &mut Books<K>,
        room: Option<(Victim<'a, K, T>, K::Group)>,
        entry: Entry<K, T>,
        hash: u64,
    ) -> Option<Held<'a, K, T>> {
        let (group, size) = (entry.key.group(), entry.size);
        let (cell, seized) = match room {
            Some((room, before)) => {
                let seized = room.listed();
                // Who made the room has entered the latest before this.
                debug_assert_eq!(books.latest, NONE, "a cell that is listed, and in no list");
                books.latest = seized.0.number;
                if before != group {
                    books.join_group(seized.0.number, group);
                }
                seized
            }
            None => {
                let cell = self.cells.get_or_make(books.free_cell())?;
                // A free cell is empty: it was emptied before it was freed, and only this fills it, under the lock.
                let seized = cell.slot.seize_empty()?;
                books.join_group(cell.number, group);
                (cell, seized)
            }
        };
        seized.fill(entry);
        if self.limits.is_beyond(size) {
            cell.slot.dismiss();
        }
        cell.stamp.store(self.clock.advance(), Ordering::Relaxed);
        if self.index.is_outgrown(books.tally.count + 1) {
            let others = (0..books.cells()).filter(|other| *other != cell.number);
            let others = others.filter_map(|other| self.cells.get(other));
            self.index.grow(others.filter(|cell| cell.slot.look().full));
        }
        self.index.link(cell, hash);
        books.add(size, self.limits.charge(size));
        Some(Held { pool: self, cell })
    }

    /// At how many cells evictions have looked.
    #[cfg(test)]
    pub(crate) fn looks(&self) -> usize {
        self.lock().map_or(0, |books| books.order.looks)
    }

    #[cfg(test)]
    pub(crate) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn is_unlocked(&self) -> bool {
        self.books.try_lock().is_some()
    }

    /// The books; none in a process that is not the one that made this pool.
    fn lock(&self) -> Option<MutexGuard<'_, Books<K>>> {
        (process_id() == self.process).then(|| self.books.lock())
    }
}

impl<K: Key, T> fmt::Debug for Pool<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("limits", &self.limits).finish_non_exhaustive()
    }
}
