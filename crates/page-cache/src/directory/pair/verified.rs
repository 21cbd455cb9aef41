//! What this process has checked: for each page the word for which its bytes were found right.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry_word::EntryWord;

const LEAF: u64 = 512;
const BRANCH: u64 = 1024;

type Leaf = Box<[AtomicU64]>;
type Branch = Box<[OnceLock<Leaf>]>;

/// A word for each page, in a tree of three levels of which only what is touched is there: one cache line for each
/// level, and no lock for a look.
#[derive(Debug)]
pub(crate) struct Verified {
    root: Box<[OnceLock<Branch>]>,
}

impl Verified {
    /// For this many pages.
    pub(crate) fn new(pages: u64) -> Self {
        Self { root: empty(pages.div_ceil(LEAF * BRANCH)) }
    }

    /// Whether the page was found right for this very word.
    #[inline]
    pub(crate) fn contains(&self, page: u64, word: EntryWord) -> bool {
        let leaf = self.root.get((page / (LEAF * BRANCH)) as usize).and_then(OnceLock::get);
        let leaf = leaf.and_then(|branch| branch.get((page / LEAF % BRANCH) as usize)).and_then(OnceLock::get);
        // Nothing else depends on what is remembered here, and a word is never right for other bytes later.
        leaf.and_then(|leaf| leaf.get((page % LEAF) as usize))
            .is_some_and(|verified| verified.load(Ordering::Relaxed) == word.to_bits())
    }

    /// Remembers that the page was found right for this word.
    pub(crate) fn insert(&self, page: u64, word: EntryWord) {
        let Some(branch) = self.root.get((page / (LEAF * BRANCH)) as usize) else { return };
        let Some(leaf) = branch.get_or_init(|| empty(BRANCH)).get((page / LEAF % BRANCH) as usize) else { return };
        let leaf = leaf.get_or_init(|| (0..LEAF).map(|_| AtomicU64::new(0)).collect());
        if let Some(verified) = leaf.get((page % LEAF) as usize) {
            verified.store(word.to_bits(), Ordering::Relaxed);
        }
    }
}

fn empty<T>(count: u64) -> Box<[OnceLock<T>]> {
    (0..count).map(|_| OnceLock::new()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_checked_for_one_word_says_nothing_of_another() {
        let verified = Verified::new(1 << 30);
        let (one, other) = (EntryWord::present(1, 1), EntryWord::present(1, 2));
        for page in [0, 511, 512, LEAF * BRANCH, (1 << 30) - 1] {
            assert!(!verified.contains(page, one));
            verified.insert(page, one);
            assert!(verified.contains(page, one) && !verified.contains(page, other));
            assert!(!verified.contains(page + 1, one));
            verified.insert(page, other);
            assert!(!verified.contains(page, one));
        }
        verified.insert(1 << 40, one);
        assert!(!verified.contains(1 << 40, one), "there is no such page");
    }
}
