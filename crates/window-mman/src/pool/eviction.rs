//! What goes, and when: for what needs room, because it was dismissed, or because somebody sweeps.

use super::super::slot::Seized;
use super::super::sync::Ordering;
use super::books::Books;
use super::{Entry, Key, MakeError, Pool, Swept};

impl<K: Key, T> Pool<K, T> {
    /// Gives up what was let go of, if it was dismissed or the limits are exceeded.
    #[cold]
    pub(super) fn settle(&self, number: u32) {
        let Some(mut books) = self.lock() else { return };
        let exceeds = books.exceeds(&self.limits, 0, 0);
        let mut taken = None;
        if exceeds || self.cells.get(number).is_some_and(|cell| cell.slot.look().dismissed) {
            taken = self.take(&mut books, number);
            let for_a_limit = |entry: &Entry<K, T>| exceeds || self.limits.is_beyond(entry.size);
            books.tally.evicted += u64::from(taken.as_ref().is_some_and(for_a_limit));
        }
        self.all_held.store(books.exceeds(&self.limits, 0, 0), Ordering::SeqCst);
        drop(books);
        drop(taken);
    }

    /// Takes what has to go for something of this size: returns the last of it, and adds the rest to `gone`.
    ///
    /// Under strict limits nothing goes for what is refused.
    pub(super) fn make_room<E>(
        &self,
        books: &mut Books<K>,
        size: u64,
        gone: &mut Vec<Entry<K, T>>,
    ) -> Result<Option<T>, MakeError<E>> {
        if self.limits.strict && self.limits.is_beyond(size) {
            return Err(MakeError::Full);
        }
        // Also if nothing has to go, so that whoever is the first for whom something has to does not pay for all.
        self.enter_released(books);
        let charge = self.limits.charge(size);
        let (mut last, mut others, mut freed) = (None, Vec::new(), (0, 0));
        while books.exceeds_without(freed, &self.limits, charge, 1) {
            others.extend(last.take());
            let Some((number, seized)) = self.seize_next(books) else {
                if self.limits.strict {
                    self.give_back(others);
                    return Err(MakeError::Full);
                }
                break;
            };
            let size = self.peek(books, number).map_or(0, |entry| self.limits.charge(entry.size));
            freed = (freed.0 + size, freed.1 + 1);
            last = Some((number, seized));
        }
        for (number, seized) in others {
            gone.extend(self.take_seized(books, number, seized));
        }
        let last = last.and_then(|(number, seized)| self.take_seized(books, number, seized));
        books.tally.evicted += freed.1 as u64;
        Ok(last.map(|entry| entry.value))
    }

    /// Seizes the least recently used of what nobody holds. Looks at nothing but what was let go of or used since it
    /// was last looked at: what is held costs nothing, however much it is.
    fn seize_next(&self, books: &mut Books<K>) -> Option<(u32, Seized<'_, Entry<K, T>>)> {
        loop {
            while let Some((stamp, number)) = books.order.next() {
                let Some(cell) = self.cells.get(number) else { continue };
                let now = cell.stamp.load(Ordering::Relaxed);
                if now != stamp {
                    books.order.enter(now, number);
                    continue;
                }
                // Before the look whether it is held: whoever lets go of it behind this lists it.
                cell.listed.store(false, Ordering::SeqCst);
                if let Some(seized) = cell.slot.seize() {
                    return Some((number, seized));
                }
                let look = cell.slot.look();
                if look.full && look.pins == 0 {
                    self.released.list(cell, number);
                }
            }
            // Set before looking: whoever lets go too late to be seen here sees it, and comes to settle, and to clear
            // it.
            self.all_held.store(true, Ordering::SeqCst);
            if !self.enter_released(books) {
                return None;
            }
        }
    }

    /// Enters in the order what was let go of since; whether there was anything.
    fn enter_released(&self, books: &mut Books<K>) -> bool {
        let released = self.released.take_all(&self.cells);
        books.order.enter_all(released.map(|(number, cell)| (cell.stamp.load(Ordering::Relaxed), number)))
    }

    /// Leaves what was seized where it is, to be looked at again.
    fn give_back(&self, seized: Vec<(u32, Seized<'_, Entry<K, T>>)>) {
        for (number, seized) in seized {
            drop(seized);
            if let Some(cell) = self.cells.get(number) {
                self.released.list(cell, number);
            }
        }
    }

    /// Takes what is in a cell, if nobody holds it, off all books.
    pub(super) fn take(&self, books: &mut Books<K>, number: u32) -> Option<Entry<K, T>> {
        let seized = self.cells.get(number)?.slot.seize()?;
        self.take_seized(books, number, seized)
    }

    fn take_seized(&self, books: &mut Books<K>, number: u32, seized: Seized<'_, Entry<K, T>>) -> Option<Entry<K, T>> {
        let entry = seized.take()?;
        self.index.unlink(&self.cells, number);
        books.remove(number, &entry.key.group(), entry.size, self.limits.charge(entry.size));
        Some(entry)
    }

    pub(super) fn sweep_locked(
        &self,
        books: &mut Books<K>,
        mut chosen: impl FnMut(&Entry<K, T>) -> bool,
        gone: &mut Vec<Entry<K, T>>,
    ) -> Swept {
        let mut swept = Swept::default();
        for number in 0..books.cells() {
            let chosen = self.peek(books, number).filter(|entry| chosen(entry)).map(|entry| entry.size);
            let Some(size) = chosen else { continue };
            if let Some(entry) = self.take(books, number) {
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
