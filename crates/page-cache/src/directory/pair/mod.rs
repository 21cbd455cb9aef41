//! A pair: the data file that holds the pages of one version of one object, and the index that vouches for them.
//!
//! ```text
//! index   header │ counter, boot id │ map of blocks │ recency │ word word word word …      mapped
//!                                                               │    │         │
//!                                                            PRESENT │      CHARGED
//! data                                                       [page] hole    [....]         sparse, mapped
//! ```
//!
//! Reading is in this file, what a filler does in `fill`, what is done after a power cut in `reconcile`.

mod create;
mod data;
mod entry_word;
mod evict;
mod fill;
mod hollow;
mod index;
mod keep;
mod layout;
mod look;
mod range_locks;
mod reconcile;
mod verified;
mod verify;
mod words;

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use svf_core::RangeSet;

pub(crate) use self::create::{Object, create, exclude_live, open_excluded, open_pair};
pub(crate) use self::fill::{Room, Stored};
pub(crate) use self::index::{Index, Loads};
pub(crate) use self::keep::KeptOf;
pub(crate) use self::layout::EXTENT;
pub(crate) use self::look::look_at;
pub(crate) use self::range_locks::RangeLocks;
pub(crate) use self::reconcile::Counted;
pub use self::verify::Verification;

use self::data::Data;
use self::entry_word::EntryWord;
use self::verified::Verified;
use self::words::{Words, copy_vouched};
use super::charges::{PAGE_OVERHEAD, pair_overhead};
use super::eviction::RecentUses;
use super::retry::Retry;
use crate::checksum::page_checksum;
use crate::flights::Flights;
use crate::pages::{MIN_PAGE_SIZE, Pages, overlap};
use crate::sync::Mutex;
use crate::sys::LockFile;

/// How many pages are copied at once, so that their words have room on the stack.
const PAGES_AT_ONCE: usize = 64;
/// How often a copy is begun anew because somebody changed the page meanwhile.
const ATTEMPTS: usize = 3;
/// A buffer of at most this many bytes is kept by each thread for the pages that it checks.
const KEPT_BUFFER: usize = 1 << 20;

/// An open pair. Shared by all handles of this process to this version of the object.
#[derive(Debug)]
pub(crate) struct Pair {
    name: String,
    data: Data,
    index: Index,
    verified: Verified,
    recent: RecentUses,
    evicted: AtomicU64,
    /// Whether something of it could not be punched.
    unpunched: AtomicBool,
    pages: RangeLocks,
    blocks: RangeLocks,
    flights: Flights,
    /// The blocks of the index of which this process knows that their marks are true, for as long as these stand.
    whole_blocks: Mutex<RangeSet>,
    /// Holds *live*, so that nobody deletes the files. Never locked otherwise.
    _live: Arc<LockFile>,
    /// The smallest unit in which the file system allocates.
    unit: u64,
    /// When it may be reconciled that was not when it was opened.
    retry: Retry,
    /// Whether the operator has been told that this pair's files cannot be read or written.
    warned: AtomicBool,
}

/// A page that does not agree with its word, and the word.
pub(crate) type Damaged = (u64, EntryWord);

/// What was found of some pages.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The bytes that were not copied, in whole pages.
    pub(crate) absent: RangeSet,
    /// Those pages among them that are stored, and do not agree with their words.
    pub(crate) damaged: Vec<Damaged>,
}

impl Pair {
    fn new(name: String, data: Data, index: Index, live: Arc<LockFile>, locks: LockFile, unit: u64) -> Self {
        let (pages, locks) = (index.identity().pages, Arc::new(locks));
        Self {
            name,
            data,
            index,
            verified: Verified::new(pages.count()),
            recent: RecentUses::default(),
            evicted: AtomicU64::new(0),
            unpunched: AtomicBool::new(false),
            pages: RangeLocks::new(Arc::clone(&locks), range_locks::PAGES),
            blocks: RangeLocks::new(locks, range_locks::BLOCKS),
            flights: Flights::default(),
            whole_blocks: Mutex::default(),
            _live: live,
            unit,
            retry: Retry::new(Duration::from_millis(10), Duration::from_secs(10)),
            warned: AtomicBool::new(false),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn pages(&self) -> Pages {
        self.index.identity().pages
    }

    /// The locks of pages: who has one may change its word.
    pub(crate) fn page_locks(&self) -> &RangeLocks {
        &self.pages
    }

    /// What this process is fetching of it.
    pub(crate) fn flights(&self) -> &Flights {
        &self.flights
    }

    /// Copies what this process has checked of `range` to `out`, which is as long, and adds the rest to `absent`, in
    /// whole pages. Takes no lock, makes no system call, and allocates only for what is absent.
    #[inline]
    pub(crate) fn copy_verified(&self, range: &Range<u64>, out: &mut [u8], absent: &mut RangeSet) {
        let pages = self.pages();
        let mut rest = pages.touching(range);
        while !rest.is_empty() {
            let mut words = [EntryWord::EMPTY; PAGES_AT_ONCE];
            let mut count = 0;
            for (page, slot) in rest.clone().zip(&mut words) {
                match self.index.load(page) {
                    Ok(word) if word.is_present() && self.verified.used(page, word) => *slot = word,
                    _ => break,
                }
                count += 1;
            }
            let run = rest.start..rest.start + count as u64;
            if count == 0 || !self.copy_run(&run, &words[..count], range, out) {
                // Also where somebody changes a page just now: the slower way looks more closely.
                let end = run.end.max(run.start + 1);
                absent.insert(pages.bytes_of_run(run.start..end));
                rest.start = end;
            } else {
                rest.start = run.end;
            }
        }
    }

    /// Copies what `range` wants of a run of checked pages, begun anew a few times if they change meanwhile.
    #[inline]
    fn copy_run(&self, run: &Range<u64>, words: &[EntryWord], range: &Range<u64>, out: &mut [u8]) -> bool {
        let part = overlap(&self.pages().bytes_of_run(run.clone()), range);
        let out = &mut out[(part.start - range.start) as usize..(part.end - range.start) as usize];
        copy_vouched(&self.index, run.start, words, || self.data.copy_to(part.start, out))
    }

    /// Copies what is present of `range` to `out`, which is as long, and adds what is not to `found`.
    ///
    /// Every page is checked against its checksum before the first byte of it is handed out by this process. A page
    /// that does not agree, or cannot be read, counts as absent.
    pub(crate) fn copy_present(&self, range: &Range<u64>, out: &mut [u8], found: &mut Found) {
        for page in self.pages().touching(range) {
            let bytes = self.pages().bytes(page);
            let part = overlap(&bytes, range);
            let out = &mut out[(part.start - range.start) as usize..(part.end - range.start) as usize];
            match self.copy_page(page, &part, out) {
                Copied::Yes => continue,
                Copied::Damaged(word) => found.damaged.push((page, word)),
                Copied::Absent => {}
            }
            found.absent.insert(bytes);
        }
    }

    /// Copies `part` of a page to `out`, which is as long.
    fn copy_page(&self, page: u64, part: &Range<u64>, out: &mut [u8]) -> Copied {
        for _ in 0..ATTEMPTS {
            let word = match self.index.load(page) {
                Ok(word) if word.is_present() => word,
                Ok(_) => return Copied::Absent,
                Err(error) => {
                    self.warn("the index cannot be read", &error);
                    return Copied::Absent;
                }
            };
            if self.verified.used(page, word)
                && copy_vouched(&self.index, page, &[word], || self.data.copy_to(part.start, out))
            {
                return Copied::Yes;
            }
            let mut good = false;
            let read = copy_vouched(&self.index, page, &[word], || {
                good = self.read_checked(page, word, part, out);
                true
            });
            match (read, good) {
                (true, true) => {
                    self.data.map(part);
                    self.verified.insert(page, word);
                    self.verified.note_use(page);
                    return Copied::Yes;
                }
                (true, false) => return Copied::Damaged(word),
                (false, _) => {}
            }
        }
        Copied::Absent
    }

    /// Reads a whole page and gives `part` of it to `out`; whether its bytes agree with the word.
    fn read_checked(&self, page: u64, word: EntryWord, part: &Range<u64>, out: &mut [u8]) -> bool {
        let bytes = self.pages().bytes(page);
        if *part == bytes {
            return self.read_page(&bytes, out) && self.checksum(page, out) == word.crc();
        }
        with_buffer((bytes.end - bytes.start) as usize, |whole| {
            let good = self.read_page(&bytes, whole) && self.checksum(page, whole) == word.crc();
            if good {
                out.copy_from_slice(&whole[(part.start - bytes.start) as usize..(part.end - bytes.start) as usize]);
            }
            good
        })
    }

    fn read_page(&self, bytes: &Range<u64>, out: &mut [u8]) -> bool {
        let read = self.data.read(bytes.start, out);
        read.inspect_err(|error| self.warn("the data cannot be read", error)).is_ok()
    }

    fn checksum(&self, page: u64, bytes: &[u8]) -> u32 {
        page_checksum(self.index.identity().nonce, page, bytes)
    }

    /// The bytes whose pages are marked as present, of the pages that `range` touches. Holes of the index are skipped.
    pub(crate) fn held(&self, range: &Range<u64>) -> io::Result<RangeSet> {
        let pages = self.pages();
        let mut held = RangeSet::new();
        for run in self.index.runs_with_words(&pages.touching(range))? {
            let words = self.index.load_run(&run)?;
            for (page, _) in run.zip(words).filter(|(_, word)| word.is_present()) {
                held.insert(pages.bytes(page));
            }
        }
        Ok(held)
    }

    /// What a page is charged, in bytes: whole blocks, and its share of what the file system keeps about them.
    fn page_charge(&self, page: u64) -> u64 {
        let bytes = self.pages().bytes(page);
        page_charge(bytes.end - bytes.start, self.unit)
    }

    /// What it would be charged if it had the pages of these runs and no others, in bytes.
    pub(crate) fn charge_of(&self, runs: impl Iterator<Item = Range<u64>>) -> u64 {
        let (pages, layout) = (self.pages(), self.index.layout());
        let mut blocks = RangeSet::new();
        let fixed = fixed_charge(layout, self.unit);
        let charge = runs.filter(|run| !run.is_empty()).fold(fixed, |sum, run| {
            for page in [run.start, run.end - 1] {
                let stamps = layout.stamp_block_of(layout.extent_of(page));
                blocks.insert(stamps..stamps + 1);
            }
            blocks.insert(layout.block_of(run.start)..layout.block_of(run.end - 1) + 1);
            // All but the last page of the object are whole units.
            let (bytes, count) = (pages.bytes_of_run(run.clone()), run.end - run.start);
            let bytes = (bytes.end - bytes.start).next_multiple_of(self.unit);
            sum.saturating_add(bytes).saturating_add(count.saturating_mul(PAGE_OVERHEAD))
        });
        charge.saturating_add(blocks.num_bytes().saturating_mul(block_charge(self.unit)))
    }

    /// Gives back all that it takes, before its names are removed by whoever has *live* exclusively: a file keeps its
    /// blocks for as long as somebody has it open or mapped, and a child of a fork has whatever its parent had.
    pub(crate) fn free(&self) -> io::Result<()> {
        // The index first: such a child may still be reading what it vouches for.
        self.index.file().punch(0..self.index.layout().file_len)?;
        self.data.file().punch(0..self.pages().length.next_multiple_of(self.unit))
    }

    /// Tells the operator, once a pair: a disk that is full or dying would else fill the log.
    pub(crate) fn warn(&self, what: &str, error: &io::Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(pair = self.name, %error, "{what}; reads go on from the origin");
        }
    }
}

enum Copied {
    Yes,
    Absent,
    Damaged(EntryWord),
}

fn page_charge(valid_bytes: u64, unit: u64) -> u64 {
    valid_bytes.next_multiple_of(unit).saturating_add(PAGE_OVERHEAD)
}

/// What a pair without pages is charged.
fn fixed_charge(layout: &layout::Layout, unit: u64) -> u64 {
    layout.blocks_offset.next_multiple_of(unit).saturating_add(pair_overhead(unit))
}

/// No pair whose files are as long as these is charged more: that of one which holds all of its object in the smallest
/// pages.
pub(crate) fn greatest_charge(data_len: u64, index_len: u64, unit: u64) -> u64 {
    let pages = data_len.div_ceil(MIN_PAGE_SIZE).saturating_mul(PAGE_OVERHEAD);
    let lengths = [data_len, index_len].map(|len| len.checked_next_multiple_of(unit).unwrap_or(u64::MAX));
    lengths.into_iter().chain([pages, pair_overhead(unit)]).fold(0, u64::saturating_add)
}

/// What a block of the index is charged.
fn block_charge(unit: u64) -> u64 {
    layout::BLOCK.next_multiple_of(unit)
}

/// Lends a buffer of `len` bytes, whose contents are anything.
fn with_buffer<T>(len: usize, use_it: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local!(static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    let mut buffer = BUFFER.with(RefCell::take);
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    let result = use_it(&mut buffer[..len]);
    if buffer.len() <= KEPT_BUFFER {
        BUFFER.with(|kept| kept.replace(buffer));
    }
    result
}
