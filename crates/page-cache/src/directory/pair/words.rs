//! The words of a pair, and how they vouch: publishing, withdrawing, and reading what may change meanwhile.
//!
//! The words are a file's, mapped by every process ([`Index`](super::index::Index)), or, for tests and the model
//! checker, a piece of the heap. The rules below are the same code for both:
//!
//! * A page's bytes are written while its word says `CHARGED`, and its `PRESENT` word is stored after them.
//! * A word is withdrawn before the first of the page's bytes changes.
//! * A copy counts only if the word that vouched for it stands unchanged after it: no word ever stands twice.

use std::io;

use super::entry_word::EntryWord;
use crate::sync::{Ordering, fence};

/// One word for each page.
pub(crate) trait Words {
    /// What stands there now. What was stored before it by the same thread or process is seen too.
    fn load(&self, page: u64) -> io::Result<EntryWord>;
    /// Stores a word after everything that this thread did before. Only the owner of the page's lock may.
    fn store(&self, page: u64, word: EntryWord) -> io::Result<()>;
}

/// Lets readers have a page whose bytes have all been written.
pub(crate) fn publish(words: &impl Words, page: u64, word: EntryWord) -> io::Result<()> {
    debug_assert!(word.is_present());
    words.store(page, word)
}

/// Takes pages away from readers, so that their bytes may be changed.
pub(crate) fn withdraw(words: &impl Words, pages: impl IntoIterator<Item = u64>) -> io::Result<()> {
    for page in pages {
        words.store(page, EntryWord::CHARGED)?;
    }
    // Nobody may see a new byte of a page, and afterwards its old word.
    fence(Ordering::Release);
    Ok(())
}

/// Copies bytes of neighbouring pages by `copy`, for which `expected`, the words from `first` on, vouched. Whether they
/// still do: if not, what was copied means nothing.
pub(crate) fn copy_vouched(
    words: &impl Words,
    first: u64,
    expected: &[EntryWord],
    copy: impl FnOnce() -> bool,
) -> bool {
    if !copy() {
        return false;
    }
    // Who has seen a byte that was written later sees that its word was withdrawn.
    fence(Ordering::Acquire);
    (first..).zip(expected).all(|(page, &word)| words.load(page).is_ok_and(|now| now == word))
}

#[cfg(test)]
pub(super) mod heap {
    use super::*;
    use crate::sync::AtomicU64;

    /// A table of words in memory.
    #[derive(Debug)]
    pub(crate) struct HeapWords(Vec<AtomicU64>);

    impl HeapWords {
        pub(crate) fn new(pages: usize) -> Self {
            Self((0..pages).map(|_| AtomicU64::new(0)).collect())
        }
    }

    impl Words for HeapWords {
        fn load(&self, page: u64) -> io::Result<EntryWord> {
            Ok(EntryWord::from_bits(self.0[page as usize].load(Ordering::Acquire)))
        }

        fn store(&self, page: u64, word: EntryWord) -> io::Result<()> {
            self.0[page as usize].store(word.to_bits(), Ordering::Release);
            Ok(())
        }
    }
}

#[cfg(all(test, not(page_cache_loom)))]
mod tests {
    use super::heap::HeapWords;
    use super::*;

    #[test]
    fn a_copy_counts_only_while_its_words_stand() {
        let words = HeapWords::new(3);
        let [one, two] = [EntryWord::present(1, 1), EntryWord::present(2, 2)];
        publish(&words, 0, one).unwrap();
        publish(&words, 1, two).unwrap();
        assert!(copy_vouched(&words, 0, &[one, two], || true));
        assert!(!copy_vouched(&words, 0, &[one, two], || false));
        assert!(!copy_vouched(&words, 0, &[one, one], || true));
        assert!(!copy_vouched(&words, 0, &[one, two], || withdraw(&words, [1]).is_ok()));
        assert_eq!(words.load(1).unwrap(), EntryWord::CHARGED);
    }
}

/// Under the model checker, which tries every order of the threads' steps that the machine's memory allows.
#[cfg(all(test, page_cache_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU64;
    use loom::thread;

    use super::heap::HeapWords;
    use super::*;

    /// A page of two halves, whose bytes say of which generation they are.
    struct Page {
        words: HeapWords,
        halves: [AtomicU64; 2],
    }

    impl Page {
        fn new() -> Arc<Self> {
            Arc::new(Self { words: HeapWords::new(1), halves: [AtomicU64::new(0), AtomicU64::new(0)] })
        }

        fn write(&self, bytes: u64) {
            self.halves.iter().for_each(|half| half.store(bytes, Ordering::Relaxed));
        }

        fn fill(&self, generation: u32) {
            withdraw(&self.words, [0]).unwrap();
            self.write(generation.into());
            publish(&self.words, 0, EntryWord::present(0, generation)).unwrap();
        }

        /// Withdrawn, and its blocks given back.
        fn empty(&self) {
            withdraw(&self.words, [0]).unwrap();
            self.write(0);
            self.words.store(0, EntryWord::EMPTY).unwrap();
        }

        /// What a reader gets, if anything, must be of the generation that vouched.
        fn read(&self) {
            let word = self.words.load(0).unwrap();
            let mut copied = [0, 0];
            let copy = || {
                copied = [0, 1].map(|half: usize| self.halves[half].load(Ordering::Relaxed));
                true
            };
            if word.is_present() && copy_vouched(&self.words, 0, &[word], copy) {
                assert_eq!(copied, [u64::from(word.generation()); 2]);
            }
        }
    }

    #[test]
    fn loom_what_is_published_is_whole() {
        loom::model(|| {
            let page = Page::new();
            let writer = thread::spawn({
                let page = Arc::clone(&page);
                move || page.fill(1)
            });
            page.read();
            writer.join().unwrap();
        });
    }

    #[test]
    fn loom_what_is_withdrawn_meanwhile_does_not_count() {
        loom::model(|| {
            let page = Page::new();
            page.fill(1);
            let writer = thread::spawn({
                let page = Arc::clone(&page);
                move || {
                    page.empty();
                    page.fill(2);
                }
            });
            page.read();
            writer.join().unwrap();
        });
    }

    #[test]
    fn loom_two_readers_beside_a_filler() {
        let mut bounded = loom::model::Builder::new();
        bounded.preemption_bound = Some(2);
        bounded.check(|| {
            let page = Page::new();
            page.fill(1);
            let threads: Vec<_> = [true, false]
                .map(|writes| {
                    let page = Arc::clone(&page);
                    thread::spawn(move || if writes { page.fill(2) } else { page.read() })
                })
                .into();
            page.read();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    /// The rules, broken on purpose: each must be found.
    fn found(broken: fn(&Page)) -> bool {
        let caught = std::panic::catch_unwind(|| {
            loom::model(move || {
                let page = Page::new();
                page.fill(1);
                let writer = thread::spawn({
                    let page = Arc::clone(&page);
                    move || broken(&page)
                });
                page.read();
                writer.join().unwrap();
            });
        });
        caught.is_err()
    }

    #[test]
    fn loom_breaks_are_found() {
        assert!(!found(|page| page.fill(2)));
        let published_first = found(|page| {
            withdraw(&page.words, [0]).unwrap();
            publish(&page.words, 0, EntryWord::present(0, 2)).unwrap();
            page.write(2);
        });
        let not_withdrawn = found(|page| {
            page.write(2);
            publish(&page.words, 0, EntryWord::present(0, 2)).unwrap();
        });
        let no_fence = found(|page| {
            page.words.store(0, EntryWord::CHARGED).unwrap();
            page.write(2);
            publish(&page.words, 0, EntryWord::present(0, 2)).unwrap();
        });
        let generation_again = found(|page| {
            withdraw(&page.words, [0]).unwrap();
            page.write(2);
            publish(&page.words, 0, EntryWord::present(0, 1)).unwrap();
        });
        assert_eq!([published_first, not_withdrawn, no_fence, generation_again], [true; 4]);
    }
}
