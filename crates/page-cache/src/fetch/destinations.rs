//! The ranges of one call, and the memory that is to receive their bytes.

use std::collections::BTreeSet;
use std::ops::Range;

use svf_core::RangeSet;

use crate::directory::{Found, Pair};
use crate::pages::{Pages, overlap};

/// A range of the object, not empty and within it, and the memory that is to receive its bytes.
pub(crate) struct Destination<'a> {
    pub(crate) range: Range<u64>,
    pub(crate) out: &'a mut [u8],
    /// How far it and those before it reach, when all of a call are in order.
    reach: u64,
}

impl<'a> Destination<'a> {
    /// The memory is as long as the range.
    pub(crate) fn new(range: Range<u64>, out: &'a mut [u8]) -> Self {
        let reach = range.end;
        Self { range, out, reach }
    }

    fn part(&mut self, part: &Range<u64>) -> &mut [u8] {
        &mut self.out[(part.start - self.range.start) as usize..(part.end - self.range.start) as usize]
    }
}

/// All of a call, so that those which a piece of the object belongs to are found without a look at the others.
pub(super) struct Destinations<'d, 'a> {
    /// In the order of their starts.
    sorted: &'d mut [Destination<'a>],
    /// The pages that were found damaged, however often they were looked at.
    damaged: BTreeSet<u64>,
    /// Whole pages which are to be stored and given to nobody.
    only_stored: RangeSet,
}

impl<'d, 'a> Destinations<'d, 'a> {
    pub(super) fn new(destinations: &'d mut [Destination<'a>]) -> Self {
        destinations.sort_unstable_by_key(|destination| destination.range.start);
        let mut farthest = 0;
        for destination in &mut *destinations {
            farthest = farthest.max(destination.range.end);
            destination.reach = farthest;
        }
        Self { sorted: destinations, damaged: BTreeSet::new(), only_stored: RangeSet::new() }
    }

    /// The range, if there is one only.
    pub(super) fn contiguous(&self) -> Option<Range<u64>> {
        let [only] = &*self.sorted else { return None };
        Some(only.range.clone())
    }

    /// The memory of the only one, if it wants just this range.
    pub(super) fn memory_of(&mut self, range: &Range<u64>) -> Option<&mut [u8]> {
        let [only] = &mut *self.sorted else { return None };
        (only.range == *range).then_some(&mut *only.out)
    }

    /// Has whole pages in which none of them has a byte stored too.
    pub(super) fn store_also(&mut self, pages: RangeSet) {
        self.only_stored = pages;
    }

    /// Whether some of them have a byte of a range.
    pub(super) fn need(&mut self, range: &Range<u64>) -> bool {
        self.touching(range).iter().any(|destination| !overlap(range, &destination.range).is_empty())
    }

    /// Gives those which `bytes`, that begin at `start` of the object, belong to what they want of them.
    pub(super) fn take(&mut self, start: u64, bytes: &[u8]) {
        let range = start..start + bytes.len() as u64;
        for destination in self.touching(&range) {
            let part = overlap(&range, &destination.range);
            if !part.is_empty() {
                let bytes = &bytes[(part.start - start) as usize..(part.end - start) as usize];
                destination.part(&part).copy_from_slice(bytes);
            }
        }
    }

    /// Gives them what the pair has of the `pending` pages, and tells what it does not have.
    pub(super) fn look(&mut self, pair: &Pair, pending: &RangeSet) -> Found {
        let mut found = Found::default();
        for range in pending {
            for destination in self.touching(&range) {
                let part = overlap(&range, &destination.range);
                if !part.is_empty() {
                    pair.copy_present(&part, destination.part(&part), &mut found);
                }
            }
            // What nobody reads is not checked either. What cannot be looked at is not fetched for nobody.
            for pages in self.only_stored.intersection(range) {
                found.absent.extend(pair.held(&pages).iter().flat_map(|held| held.gaps(pages.clone())));
            }
        }
        // A page may be wanted by several, and is damaged once.
        found.damaged.sort_by_key(|(page, _)| *page);
        found.damaged.dedup_by_key(|(page, _)| *page);
        found
    }

    /// Notes what was found damaged, and returns what of it was not noted before.
    pub(super) fn note_damage<'f, W>(&mut self, damaged: &'f [(u64, W)]) -> Vec<&'f (u64, W)> {
        damaged.iter().filter(|(page, _)| self.damaged.insert(*page)).collect()
    }

    /// The first of the pages that these bytes lie in and that were found damaged.
    pub(super) fn first_damaged(&self, pages: Pages, bytes: &RangeSet) -> Option<u64> {
        bytes.iter().find_map(|range| self.damaged.range(pages.touching(&range)).next().copied())
    }

    /// What they want of `pending`, which is in whole pages.
    pub(super) fn wanted(&self, pending: &RangeSet) -> RangeSet {
        self.sorted.iter().flat_map(|destination| pending.intersection(destination.range.clone())).collect()
    }

    /// Those that may overlap a range: all that do, and few others.
    fn touching(&mut self, range: &Range<u64>) -> &mut [Destination<'a>] {
        let first = self.sorted.partition_point(|destination| destination.reach <= range.start);
        let last = self.sorted.partition_point(|destination| destination.range.start < range.end);
        self.sorted.get_mut(first..last).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_what_it_wants_whatever_the_order_and_overlap() {
        let object: Vec<u8> = (0..=255).collect();
        let ranges = [50..60, 0..100, 55..56, 200..256, 90..210, 10..20];
        let mut memory: Vec<Vec<u8>> = ranges.iter().map(|range| vec![0; range.len()]).collect();
        let mut destinations: Vec<_> = ranges
            .iter()
            .zip(&mut memory)
            .map(|(range, out)| Destination::new(range.start as u64..range.end as u64, out))
            .collect();
        let mut all = Destinations::new(&mut destinations);
        for start in [192, 0, 64, 128] {
            all.take(start, &object[start as usize..start as usize + 64]);
        }
        let pending: RangeSet = [57..95, 205..300].into_iter().collect();
        assert_eq!(all.wanted(&pending).iter().collect::<Vec<_>>(), [57..95, 205..256]);
        for (range, bytes) in ranges.into_iter().zip(memory) {
            assert!(bytes == object[range.clone()], "{range:?}");
        }
    }

    #[test]
    fn a_piece_is_not_looked_for_in_all_of_them() {
        let mut memory = vec![0u8; 100_000];
        let mut destinations: Vec<_> = memory
            .chunks_mut(1)
            .zip((0..).step_by(10))
            .map(|(out, start)| Destination::new(start..start + 1, out))
            .collect();
        let mut all = Destinations::new(&mut destinations);
        assert_eq!(all.touching(&(500_000..500_100)).len(), 10);
        assert_eq!(all.touching(&(5..6)).len(), 0);
        assert_eq!(all.touching(&(2_000_000..2_000_001)).len(), 0);
    }
}
