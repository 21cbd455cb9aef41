//! What goes, and when: for what needs room, because it was dismissed, or because somebody sweeps.

use super::super::slot::Seized;
use super::super::sync::Ordering;
use super::books::Books;
use super::cells::Cell;
use super::{Entry, Key, NONE, Pool, Swept};

/// Everything is held, and the limits are strict.
pub(super) struct Full;

/// A cell whose content nobody can pin until it is taken or left where it is.
pub(super) type SeizedCell<'a, K, T> = (&'a Cell<Entry<K, T>>, Seized<'a, Entry<K, T>>);

/// A cell that was seized as the next in the order. It is still listed, though in no list.
pub(super) struct Victim<'a, K: Key, T>(SeizedCell<'a, K, T>);

impl<'a, K: Key, T> Victim<'a, K, T> {
    pub(super) fn seized(&mut self) -> &mut SeizedCell<'a, K, T> {
        &mut self.0
    }

    /// The cell, listed no more: to be freed, or given back.
    pub(super) fn unlisted(self) -> SeizedCell<'a, K, T> {
        // Nobody holds it, so nobody lets go of it until it is put into use again, or given back.
        self.0.0.listed.store(false, Ordering::Relaxed);
        self.0
    }

    /// The cell, still listed: to be filled at once, and to be the [latest](Books::latest).
    pub(super) fn listed(self) -> SeizedCell<'a, K, T> {
        self.0
    }
}

impl<K: Key, T> Pool<K, T> {
    /// Gives up what was let go of, if it was dismissed or the limits are exceeded.
    #[cold]
    pub(super) fn settle(&self, cell: &Cell<Entry<K, T>>) {
        let Some(mut books) = self.lock() else { return };
        let exceeds = books.exceeds(&self.limits, 0, 0);
        let mut taken = None;
        if exceeds || cell.slot.look().dismissed {
            taken = self.take(&mut books, cell);
            let for_a_limit = |entry: &Entry<K, T>| exceeds || self.limits.is_beyond(entry.size);
            books.tally.evicted += u64::from(taken.as_ref().is_some_and(for_a_limit));
        }
        self.all_held.store(books.exceeds(&self.limits, 0, 0), Ordering::SeqCst);
        drop(books);
        drop(taken);
    }

    /// Seizes what has to go for something of this size: returns the last of it, and adds the rest to `gone`.
    ///
    /// Under strict limits nothing goes for what is refused.
    #[inline]
    pub(super) fn make_room(
        &self,
        books: &mut Books<K>,
        size: u64,
        gone: &mut Vec<Entry<K, T>>,
    ) -> Result<Option<Victim<'_, K, T>>, Full> {
        // Also if nothing has to go, so that whoever is the first for whom something has to does not pay for all.
        self.enter_released(books);
        let charge = self.limits.charge(size);
        if self.limits.strict && self.limits.is_beyond(size) {
            return Err(Full);
        }
        if !books.exceeds(&self.limits, charge, 1) {
            return Ok(None);
        }
        let Some(first) = self.seize_next(books) else { return if self.limits.strict { Err(Full) } else { Ok(None) } };
        let freed = (self.charge_of(&first), 1);
        if books.exceeds_without(freed, &self.limits, charge, 1) {
            return self.make_more_room(books, charge, (first, freed), gone);
        }
        books.tally.evicted += 1;
        Ok(Some(first))
    }

    /// The same where what was seized first is not enough.
    #[cold]
    fn make_more_room<'a>(
        &'a self,
        books: &mut Books<K>,
        charge: u64,
        (mut last, mut freed): (Victim<'a, K, T>, (u64, usize)),
        gone: &mut Vec<Entry<K, T>>,
    ) -> Result<Option<Victim<'a, K, T>>, Full> {
        let mut others = Vec::new();
        while books.exceeds_without(freed, &self.limits, charge, 1) {
            match self.seize_next(books) {
                Some(next) => {
                    freed = (freed.0 + self.charge_of(&next), freed.1 + 1);
                    others.push(std::mem::replace(&mut last, next));
                }
                None if self.limits.strict => {
                    others.push(last);
                    others.into_iter().for_each(|other| {
                        let (cell, seized) = other.unlisted();
                        // It stays where it is, to be looked at again.
                        drop(seized);
                        self.released.list(cell);
                    });
                    return Err(Full);
                }
                None => break,
            }
        }
        gone.extend(others.into_iter().filter_map(|other| self.take_seized(books, other.unlisted())));
        books.tally.evicted += freed.1 as u64;
        Ok(Some(last))
    }

    fn charge_of(&self, Victim((_, seized)): &Victim<'_, K, T>) -> u64 {
        seized.value().map_or(0, |entry| self.limits.charge(entry.size))
    }

    /// Seizes the least recently used of what nobody holds. Looks at nothing but what was let go of or used since it
    /// was last looked at: what is held costs nothing, however much it is.
    #[inline]
    fn seize_next(&self, books: &mut Books<K>) -> Option<Victim<'_, K, T>> {
        loop {
            while let Some((stamp, number)) = books.order.next() {
                let Some(cell) = self.cells.get(number) else { continue };
                let now = cell.stamp.load(Ordering::Relaxed);
                if now != stamp {
                    books.order.enter(now, number);
                    continue;
                }
                if let Some(seized) = cell.slot.seize() {
                    return Some(Victim((cell, seized)));
                }
                self.unlist(cell);
            }
            // Set before looking: whoever lets go too late to be seen here sees it, and comes to settle, and to clear
            // it.
            self.all_held.store(true, Ordering::SeqCst);
            if !self.enter_released(books) {
                return None;
            }
        }
    }

    /// Takes down that a cell is not listed, which was found in use, or empty.
    #[cold]
    pub(super) fn unlist(&self, cell: &Cell<Entry<K, T>>) {
        // Before the look whether it is held: whoever lets go of it behind this lists it.
        cell.listed.store(false, Ordering::SeqCst);
        if cell.slot.look().is_free() {
            self.released.list(cell);
        }
    }

    /// Enters in the order what was let go of since; whether there was anything.
    #[inline]
    fn enter_released(&self, books: &mut Books<K>) -> bool {
        let any = !self.released.is_empty();
        if any {
            for cell in self.released.take_all(&self.cells) {
                books.order.enter(cell.stamp.load(Ordering::Relaxed), cell.number);
            }
        }
        any | self.enter_latest(books)
    }

    /// Enters in the order what was made last, if nobody holds it any more: whether it is so. Then nothing is the
    /// latest.
    #[inline]
    fn enter_latest(&self, books: &mut Books<K>) -> bool {
        let Some(cell) = self.cells.get(std::mem::replace(&mut books.latest, NONE)) else { return false };
        let free = cell.slot.look().is_free();
        if free {
            books.order.enter(cell.stamp.load(Ordering::Relaxed), cell.number);
        } else {
            self.unlist(cell);
        }
        free
    }

    /// Takes what is in a cell, if nobody holds it, off all books.
    pub(super) fn take(&self, books: &mut Books<K>, cell: &Cell<Entry<K, T>>) -> Option<Entry<K, T>> {
        self.take_seized(books, (cell, cell.slot.seize()?))
    }

    pub(super) fn take_seized(&self, books: &mut Books<K>, mut seized: SeizedCell<'_, K, T>) -> Option<Entry<K, T>> {
        let entry = self.empty(books, &mut seized);
        books.free(seized.0.number);
        entry
    }

    /// Takes what is in a cell off all books. The cell stays seized, to be filled again or freed.
    #[inline]
    pub(super) fn empty(&self, books: &mut Books<K>, (cell, seized): &mut SeizedCell<'_, K, T>) -> Option<Entry<K, T>> {
        let entry = seized.take()?;
        self.index.unlink(&self.cells, cell);
        books.remove(entry.size, self.limits.charge(entry.size));
        Some(entry)
    }

    pub(super) fn sweep_locked(
        &self,
        books: &mut Books<K>,
        mut chosen: impl FnMut(&Entry<K, T>) -> bool,
        gone: &mut Vec<Entry<K, T>>,
    ) -> Swept {
        let mut swept = Swept::default();
        for cell in (0..books.cells()).filter_map(|number| self.cells.get(number)) {
            let chosen = Self::peek(books, cell).filter(|entry| chosen(entry)).map(|entry| entry.size);
            let Some(size) = chosen else { continue };
            if let Some(entry) = self.take(books, cell) {
                if gone.try_reserve(1).is_ok() {
                    gone.push(entry);
                } else {
                    // There is no room even for the list: what goes at once makes some, lock or not.
                    gone.clear();
                    drop(entry);
                }
                swept.taken += 1;
                swept.taken_bytes = swept.taken_bytes.saturating_add(size);
            } else {
                swept.held += 1;
                swept.held_bytes = swept.held_bytes.saturating_add(size);
            }
        }
        swept
    }
}
