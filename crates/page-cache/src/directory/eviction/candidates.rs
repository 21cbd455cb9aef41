//! What could go, and which of it goes first, without a list of all there is.
//!
//! Of everything that is stored a few things are looked at, and the stalest of those goes; the others are remembered,
//! and compared with the few that are looked at next (Psaras et al., and Redis since 3.0). So the choice is nearly that
//! of a sorted list, for the price of a few looks, whatever the number of things.

use super::stamp::{Period, Stamp};

/// How many things are looked at for each that goes. With more of them the choice comes nearer to that of a sorted
/// list, which is not better: of a loop that does not fit, a sorted list keeps nothing.
pub(crate) const LOOKS: usize = 4;
/// The same where only so few things are stored that a few looks may well find nothing but what is used all the time.
pub(crate) const LOOKS_AT_FEW: usize = 16;
/// How many of those that stay are remembered.
const REMEMBERED: usize = 4;

/// Things that were looked at and have not gone.
#[derive(Debug)]
pub(crate) struct Candidates<T> {
    seen: Vec<(T, Stamp)>,
}

impl<T> Default for Candidates<T> {
    fn default() -> Self {
        Self { seen: Vec::new() }
    }
}

impl<T: PartialEq> Candidates<T> {
    /// Adds something that was looked at, unless it is to be kept.
    pub(crate) fn offer(&mut self, thing: T, stamp: Stamp) {
        self.seen.retain(|(seen, _)| *seen != thing);
        if !stamp.is_kept() {
            self.seen.push((thing, stamp));
        }
    }

    /// Takes out the one that is to go first. `stamp_now` tells its stamp now, from the one it had when it was looked
    /// at; none for what is there no more.
    pub(crate) fn take_stalest(
        &mut self,
        now: Period,
        mut stamp_now: impl FnMut(&T, Stamp) -> Option<Stamp>,
    ) -> Option<T> {
        // What was used meanwhile is compared again by its new stamp; each thing is looked at once.
        self.seen.retain_mut(|(thing, stamp)| match stamp_now(thing, *stamp) {
            Some(found) if !found.is_kept() => {
                *stamp = found;
                true
            }
            _ => false,
        });
        // The last is the stalest.
        self.seen.sort_by_key(|(_, stamp)| stamp.staleness(now));
        let taken = self.seen.pop();
        let forgotten = self.seen.len().saturating_sub(REMEMBERED);
        self.seen.drain(..forgotten);
        taken.map(|(thing, _)| thing)
    }
}
