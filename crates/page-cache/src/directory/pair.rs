//! A pair: the data file that holds the pages of one version of one object, and the index that vouches for them.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use svf_core::RangeSet;

use super::claims::Claims;
use super::entry_word::EntryWord;
use super::index::Index;
use crate::checksum::page_checksum;
use crate::pages::{Pages, overlap};
use crate::sys::DiskFile;

/// How many words are loaded at once; on the stack.
const WORDS_AT_ONCE: usize = 64;

/// An open pair. Shared by all handles of this process to this version of the object.
#[derive(Debug)]
pub(crate) struct Pair {
    name: String,
    data: Box<dyn DiskFile>,
    index: Index,
    /// The word for which this process has checked the page's bytes. An entry counts only while the index still has
    /// that very word.
    verified: DashMap<u64, EntryWord>,
    claims: Claims,
    /// Whether the operator has been told that this pair's files cannot be read or written.
    warned: AtomicBool,
}

impl Pair {
    pub(crate) fn new(name: String, data: Box<dyn DiskFile>, index: Index) -> Self {
        Self { name, data, index, verified: DashMap::new(), claims: Claims::default(), warned: AtomicBool::new(false) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pages(&self) -> Pages {
        self.index.identity().pages
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Copies what is present of `range` to `out`, which is as long, and returns the rest, in whole pages.
    ///
    /// Every page is checked against its checksum before the first byte of it is handed out by this process. A page
    /// that does not agree, or cannot be read, counts as absent. Only who has claimed the range can say that such a
    /// page is damaged: else another thread may just be writing it.
    pub(crate) fn copy_present(&self, range: &Range<u64>, out: &mut [u8], claimed: bool) -> RangeSet {
        let mut absent = RangeSet::new();
        let mut pages = self.pages().touching(range);
        while !pages.is_empty() {
            let count = WORDS_AT_ONCE.min((pages.end - pages.start) as usize);
            let mut words = [[0; 8]; WORDS_AT_ONCE];
            let words = &mut words[..count];
            let batch = pages.start..pages.start + count as u64;
            pages.start = batch.end;
            match self.index.load(batch.start, words) {
                Ok(()) => self.copy_batch(batch.start, words, range, out, claimed, &mut absent),
                Err(error) => {
                    self.warn("the index cannot be read", &error);
                    absent.insert(self.pages().bytes_of_run(batch));
                }
            }
        }
        absent
    }

    /// Copies what is present of the pages from `first` on whose words are given.
    fn copy_batch(
        &self,
        first: u64,
        words: &[[u8; 8]],
        range: &Range<u64>,
        out: &mut [u8],
        claimed: bool,
        absent: &mut RangeSet,
    ) {
        // Verified neighbours are copied by one read.
        let mut run = first..first;
        for (page, &word) in (first..).zip(words) {
            let word = EntryWord::from_le_bytes(word);
            if word.is_present() && self.verified.get(&page).is_some_and(|verified| *verified == word) {
                run.end = page + 1;
                continue;
            }
            self.copy_run(run, range, out, absent);
            run = page + 1..page + 1;
            if word.is_present() && self.copy_unverified(page, word, range, out) {
                continue;
            }
            if word.is_present() && claimed {
                tracing::warn!(pair = self.name, page, ?word, "a stored page is damaged and is fetched again");
            }
            absent.insert(self.pages().bytes(page));
        }
        self.copy_run(run, range, out, absent);
    }

    fn copy_run(&self, run: Range<u64>, range: &Range<u64>, out: &mut [u8], absent: &mut RangeSet) {
        let bytes = self.pages().bytes_of_run(run);
        let part = overlap(&bytes, range);
        if part.is_empty() {
            return;
        }
        let target = &mut out[(part.start - range.start) as usize..(part.end - range.start) as usize];
        if let Err(error) = self.data.read_exact_at(target, part.start) {
            self.warn("the data cannot be read", &error);
            absent.insert(bytes);
        }
    }

    /// Reads a whole page, checks it, and copies what is wanted of it. Whether the page was good.
    fn copy_unverified(&self, page: u64, word: EntryWord, range: &Range<u64>, out: &mut [u8]) -> bool {
        let bytes = self.pages().bytes(page);
        let mut whole = vec![0; (bytes.end - bytes.start) as usize];
        if let Err(error) = self.data.read_exact_at(&mut whole, bytes.start) {
            self.warn("the data cannot be read", &error);
            return false;
        }
        if page_checksum(self.index.identity().nonce, page, &whole) != word.crc() {
            return false;
        }
        self.verified.insert(page, word);
        let part = overlap(&bytes, range);
        out[(part.start - range.start) as usize..(part.end - range.start) as usize]
            .copy_from_slice(&whole[(part.start - bytes.start) as usize..(part.end - bytes.start) as usize]);
        true
    }

    /// Stores whole pages, which the caller has claimed. That it fails is no reason for a read to fail.
    ///
    /// The data is written before the words: who dies in between leaves bytes that nobody vouches for.
    pub(crate) fn store(&self, start: u64, bytes: &[u8]) {
        if let Err(error) = self.try_store(start, bytes) {
            self.warn("a page cannot be stored", &error);
        }
    }

    fn try_store(&self, start: u64, bytes: &[u8]) -> io::Result<()> {
        let pages = self.pages();
        let run = pages.touching(&(start..start + bytes.len() as u64));
        debug_assert_eq!(pages.bytes_of_run(run.clone()), start..start + bytes.len() as u64, "whole pages");
        // Some of these pages may be present and damaged. Their words stay until the new ones are there: a reader
        // in between sees the old word over new bytes, finds that they do not agree, and waits for this claim.
        self.data.write_all_at(bytes, start)?;
        let first_generation = self.index.reserve_generations((run.end - run.start) as u32)?;
        let words: Vec<_> = run
            .clone()
            .zip(first_generation..)
            .zip(bytes.chunks(pages.page_size as usize))
            .map(|((page, generation), bytes)| {
                EntryWord::present(page_checksum(self.index.identity().nonce, page, bytes), generation)
            })
            .collect();
        self.index.store(run.start, &words)?;
        for (page, word) in run.zip(words) {
            self.verified.insert(page, word);
        }
        Ok(())
    }

    /// The bytes whose pages are marked as present, of the pages that `range` touches. Holes of the index are skipped.
    pub(crate) fn held(&self, range: &Range<u64>) -> io::Result<RangeSet> {
        let pages = self.pages();
        let wanted = pages.touching(range);
        let mut held = RangeSet::new();
        let mut words = Vec::new();
        let mut first = wanted.start;
        while let Some(stored) = self.index.next_stored(first)?.filter(|&stored| stored < wanted.end) {
            words.resize((wanted.end - stored).min(8192) as usize, [0; 8]);
            self.index.load(stored, &mut words)?;
            for (page, &word) in (stored..).zip(&words) {
                if EntryWord::from_le_bytes(word).is_present() {
                    held.insert(pages.bytes(page));
                }
            }
            first = stored + words.len() as u64;
            if first >= wanted.end {
                break;
            }
        }
        Ok(held)
    }

    /// Tells the operator, once a pair: a disk that is full or dying would else fill the log.
    pub(crate) fn warn(&self, what: &str, error: &io::Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(pair = self.name, %error, "{what}; reads go on from the origin");
        }
    }
}
