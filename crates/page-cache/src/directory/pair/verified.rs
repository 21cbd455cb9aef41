//! What this process has checked: for each page the word for which its bytes were found right. And which of those pages
//! were used since somebody last asked.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry_word::EntryWord;

const LEAF: u64 = 512;
const BRANCH: u64 = 1024;

type Branch = Box<[OnceLock<Box<Leaf>>]>;

#[derive(Debug)]
struct Leaf {
    words: [AtomicU64; LEAF as usize],
    /// A bit for each page that was used.
    used: [AtomicU64; LEAF as usize / 64],
    /// And one for each that was stored: since somebody last asked what was used, and before that since the time
    /// before.
    stored: [[AtomicU64; LEAF as usize / 64]; 2],
}

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

    /// Whether the page was found right for this very word; if it was, it is used.
    #[inline]
    pub(crate) fn used(&self, page: u64, word: EntryWord) -> bool {
        self.leaf(page).filter(|leaf| leaf.contains(page, word)).inspect(|leaf| leaf.note_use(page)).is_some()
    }

    /// Remembers that the page was found right for this word.
    pub(crate) fn insert(&self, page: u64, word: EntryWord) {
        if let Some(leaf) = self.make_leaf(page) {
            leaf.words[(page % LEAF) as usize].store(word.to_bits(), Ordering::Relaxed);
        }
    }

    /// The same of a page that was just stored. Who has it stored reads it: that is the use which was noted then, also
    /// if it reads it in pieces.
    pub(crate) fn insert_stored(&self, page: u64, word: EntryWord) {
        if let Some(leaf) = self.make_leaf(page) {
            leaf.stored[0][(page % LEAF / 64) as usize].fetch_or(1 << (page % 64), Ordering::Relaxed);
            leaf.words[(page % LEAF) as usize].store(word.to_bits(), Ordering::Relaxed);
        }
    }

    fn make_leaf(&self, page: u64) -> Option<&Leaf> {
        let branch = self.root.get((page / (LEAF * BRANCH)) as usize)?.get_or_init(|| empty(BRANCH));
        branch.get((page / LEAF % BRANCH) as usize).map(|leaf| &**leaf.get_or_init(Leaf::new))
    }

    /// Notes that the page is used. Nothing of a page that was never found right.
    pub(crate) fn note_use(&self, page: u64) {
        if let Some(leaf) = self.leaf(page) {
            leaf.note_use(page);
        }
    }

    /// Tells, in order, which pages were used, and forgets it; but not those that were stored since it was last asked,
    /// or the time before. Whether any were used, those too.
    pub(crate) fn take_used(&self, mut tell: impl FnMut(u64)) -> bool {
        let mut any = false;
        for (branch, first) in self.root.iter().zip((0..).step_by((LEAF * BRANCH) as usize)) {
            let leaves =
                branch.get().into_iter().flat_map(|branch| branch.iter().zip((first..).step_by(LEAF as usize)));
            for (leaf, first) in leaves.filter_map(|(leaf, first)| Some((leaf.get()?, first))) {
                for (place, first) in (0..).zip((first..first + LEAF).step_by(64)) {
                    let mut bits = leaf.take(place, &mut any);
                    while bits != 0 {
                        tell(first + u64::from(bits.trailing_zeros()));
                        bits &= bits - 1;
                    }
                }
            }
        }
        any
    }

    #[inline]
    fn leaf(&self, page: u64) -> Option<&Leaf> {
        let branch = self.root.get((page / (LEAF * BRANCH)) as usize).and_then(OnceLock::get)?;
        branch.get((page / LEAF % BRANCH) as usize).and_then(OnceLock::get).map(|leaf| &**leaf)
    }
}

impl Leaf {
    fn new() -> Box<Self> {
        let stored = [const { [const { AtomicU64::new(0) }; _] }; 2];
        Box::new(Self { words: [const { AtomicU64::new(0) }; _], used: [const { AtomicU64::new(0) }; _], stored })
    }

    /// The bits of 64 pages that were used, but for those that were just stored, and forgets them; notes whether there
    /// were any.
    fn take(&self, place: usize, any: &mut bool) -> u64 {
        let take = |bits: &AtomicU64, next: u64| {
            // Nothing is written where nothing has changed.
            if bits.load(Ordering::Relaxed) == next { next } else { bits.swap(next, Ordering::Relaxed) }
        };
        let used = take(&self.used[place], 0);
        let stored = take(&self.stored[0][place], 0);
        let before = take(&self.stored[1][place], stored);
        *any |= used != 0;
        used & !stored & !before
    }

    #[inline]
    fn contains(&self, page: u64, word: EntryWord) -> bool {
        // Nothing else depends on what is remembered here, and a word is never right for other bytes later.
        self.words[(page % LEAF) as usize].load(Ordering::Relaxed) == word.to_bits()
    }

    #[inline]
    fn note_use(&self, page: u64) {
        let (bits, bit) = (&self.used[(page % LEAF / 64) as usize], 1 << (page % 64));
        // A page that is used again and again is written to once.
        if bits.load(Ordering::Relaxed) & bit == 0 {
            bits.fetch_or(bit, Ordering::Relaxed);
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
    fn what_was_just_stored_is_used_only_later() {
        let (verified, word) = (Verified::new(1000), EntryWord::present(1, 1));
        let used = || {
            let mut pages = Vec::new();
            (verified.take_used(|page| pages.push(page)), pages)
        };
        verified.insert(701, word);
        verified.insert_stored(700, word);
        for expected in [vec![701], vec![701], vec![700, 701], vec![700, 701]] {
            assert!(verified.used(700, word) && verified.used(701, word));
            assert_eq!(used(), (true, expected));
        }
        verified.insert_stored(700, word);
        assert!(verified.used(700, word));
        assert_eq!(used(), (true, vec![]), "it was used all the same");
        assert_eq!(used(), (false, vec![]));
    }

    #[test]
    fn what_was_checked_for_one_word_says_nothing_of_another() {
        let verified = Verified::new(1 << 30);
        let (one, other) = (EntryWord::present(1, 1), EntryWord::present(1, 2));
        for page in [0, 511, 512, LEAF * BRANCH, (1 << 30) - 1] {
            assert!(!verified.used(page, one));
            verified.insert(page, one);
            assert!(verified.used(page, one) && !verified.used(page, other));
            assert!(!verified.used(page + 1, one));
            verified.insert(page, other);
            assert!(!verified.used(page, one));
        }
        let mut used = Vec::new();
        verified.take_used(|_| ());
        for page in [0, 512, 512, LEAF * BRANCH + 63, (1 << 30) - 1] {
            verified.insert(page, one);
            assert!(!verified.used(page + 1, one) && verified.used(page, one) && !verified.used(page, other));
        }
        verified.note_use(511);
        verified.take_used(|page| used.push(page));
        assert_eq!(used, [0, 511, 512, LEAF * BRANCH + 63, (1 << 30) - 1]);
        verified.take_used(|page| panic!("{page} is told once"));
        verified.insert(1 << 40, one);
        assert!(!verified.used(1 << 40, one), "there is no such page");
    }
}
