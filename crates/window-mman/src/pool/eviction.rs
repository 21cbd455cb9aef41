//! What goes, and when: for what needs room, because it was dismissed, or because somebody sweeps.

use super::super::sync::Ordering;
use super::books::Books;
use super::{Entry, Gone, Key, MakeError, Pool, Swept};

impl<K: Key, T> Pool<K, T> {
    /// Gives up what was let go of, if it was dismissed or the limits are exceeded.
    #[cold]
    pub(super) fn settle(&self, number: u32) {
        let Some(mut books) = self.lock() else { return };
        let exceeds = books.exceeds(&self.limits, 0, 0);
        let mut taken = None;
        if exceeds || self.cells.get(number).is_some_and(|cell| cell.slot.look().dismissed) {
            taken = self.take(&mut books, number);
            books.tally.evicted += u64::from(exceeds && taken.is_some());
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
        gone: &mut Vec<Gone<K, T>>,
    ) -> Result<Option<T>, MakeError<E>> {
        if self.limits.strict && size > self.limits.bytes {
            return Err(MakeError::Full);
        }
        let mut victim = None;
        while books.exceeds(&self.limits, size, 1) {
            gone.extend(victim.take());
            victim = self.next_victim(books);
            if victim.is_none() {
                if self.limits.strict {
                    self.put_back(books, gone);
                    return Err(MakeError::Full);
                }
                break;
            }
        }
        Ok(victim.map(|victim| victim.entry.value))
    }

    /// Takes the least recently used of what nobody holds. Looks at nothing but what was let go of since it was last
    /// looked at: what is held costs nothing, however much it is.
    fn next_victim(&self, books: &mut Books<K>) -> Option<Gone<K, T>> {
        loop {
            while let Some((stamp, number)) = books.order.next() {
                let Some(cell) = self.cells.get(number) else { continue };
                // Before the look whether it is held: whoever lets go of it behind this lists it.
                cell.listed.store(false, Ordering::SeqCst);
                // What was used since is younger than the rest of the order.
                if cell.stamp.load(Ordering::Relaxed) == stamp
                    && let Some(entry) = self.take(books, number)
                {
                    books.tally.evicted += 1;
                    return Some(Gone { entry, stamp });
                }
                let look = cell.slot.look();
                if look.full && look.pins == 0 {
                    self.released.list(cell, number);
                }
            }
            // Set before looking: whoever lets go too late to be seen here sees it, and comes to settle.
            self.all_held.store(true, Ordering::SeqCst);
            let released = self.released.take_all(&self.cells);
            if !books.order.take_down(released.map(|(number, cell)| (cell.stamp.load(Ordering::Relaxed), number))) {
                return None;
            }
            self.clock.advance();
            self.all_held.store(false, Ordering::SeqCst);
        }
    }

    /// Takes what is in a cell, if nobody holds it, off all books.
    pub(super) fn take(&self, books: &mut Books<K>, number: u32) -> Option<Entry<K, T>> {
        let entry = self.cells.get(number)?.slot.take()?;
        self.index.unlink(&self.cells, number);
        books.remove(number, &entry.key.group(), entry.size);
        Some(entry)
    }

    /// Takes back that these were given up.
    fn put_back(&self, books: &mut Books<K>, gone: &mut Vec<Gone<K, T>>) {
        if gone.is_empty() {
            return;
        }
        for Gone { entry, stamp } in std::mem::take(gone) {
            let Some(number) = self.keep(books, entry) else { continue };
            books.tally.made -= 1;
            books.tally.evicted -= 1;
            if let Some(cell) = self.cells.get(number) {
                cell.stamp.store(stamp, Ordering::Relaxed);
                let released = cell.slot.unpin();
                if released.last {
                    self.released.list(cell, number);
                }
                if released.last && released.dismissed {
                    // Somebody found it meanwhile, dismissed it, and was not the last to let go of it.
                    gone.extend(self.take(books, number).map(|entry| Gone { entry, stamp }));
                }
            }
        }
        self.all_held.store(false, Ordering::SeqCst);
    }

    pub(super) fn sweep_locked(
        &self,
        books: &mut Books<K>,
        mut chosen: impl FnMut(&Entry<K, T>) -> bool,
        gone: &mut Vec<Gone<K, T>>,
    ) -> Swept {
        let mut swept = Swept::default();
        for number in 0..books.cells() {
            let chosen = self.peek(books, number).filter(|entry| chosen(entry)).map(|entry| entry.size);
            let Some(size) = chosen else { continue };
            if let Some(entry) = self.take(books, number) {
                if gone.try_reserve(1).is_ok() {
                    gone.push(Gone { entry, stamp: 0 });
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
        if !books.exceeds(&self.limits, 0, 0) {
            self.all_held.store(false, Ordering::SeqCst);
        }
        swept
    }
}
