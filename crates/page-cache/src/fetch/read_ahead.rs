//! What is fetched ahead of who reads on and on: more and more while he does, and nothing for who reads here and there.
//!
//! ```text
//! reads     1   2   3   4    5   6    7   8   9   10 ...
//! misses    1   2   3   4        6            9
//! fetched  [1] [2] [3] [4 ahead][6 ahead ahead][9 ahead ahead ahead ahead][ ...
//! ```
//!
//! Only misses are looked at. What was fetched ahead is stored, so that its reads are hits; the next miss of the same
//! reader is where that ends, and tells that he reads on. Three misses that touch may be a piece of some
//! length, four are a reader.

use std::ops::Range;

use svf_core::RangeSet;

use crate::sync::Mutex;

/// How many readers of one file, one behind the other in different places, are told from each other.
const STREAMS: usize = 16;
/// So many misses that touch are no reader yet: a record, a tile or a member of an archive often touches a few pages,
/// and what lies behind it is nobody's wish.
const COINCIDENCE: u32 = 3;
/// After something that was fetched ahead could not be stored, nothing is for so many misses.
const PAUSE: u32 = 64;

/// How a piece of a file is going to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing is known: what is read on and on is fetched ahead, more and more. This is so unless told otherwise.
    Normal,
    /// From its start to its end, once: as much as possible is fetched ahead from the first miss on.
    Sequential,
    /// Here and there: nothing is fetched ahead.
    Random,
    /// All of it, soon: what is missing is fetched now.
    WillNeed,
    /// Not soon again: what is stored of it goes, unless it is to be kept.
    DontNeed,
}

/// The readers of a file and its clones, as far as their misses show them, and what is known of them.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The one that has missed last is last.
    streams: Vec<Stream>,
    sequential: RangeSet,
    random: RangeSet,
    /// What will be needed, and is not yet being fetched.
    wanted: RangeSet,
    /// Whether a thread fetches it.
    is_fetching: bool,
    /// For so many misses nothing is fetched ahead.
    pause: u32,
}

#[derive(Debug)]
struct Stream {
    /// What the last miss fetched, with what was ahead of it.
    fetched: Range<u64>,
    /// How much of that was ahead, or was to be.
    window: u64,
    /// How many misses it has had, one behind the other.
    misses: u32,
}

/// A miss of one contiguous read.
#[derive(Debug, Clone)]
pub(super) struct Miss {
    /// Where the page starts in which the read does.
    pub(super) read_start: u64,
    /// The bytes of the pages that are missing, from the first to the last.
    pub(super) missing: Range<u64>,
}

impl ReadAhead {
    /// How many bytes are worth being fetched behind a miss, at most `max`; none if it is no miss of a reader of its
    /// own.
    pub(super) fn window(&self, miss: &Miss, page_size: u64, max: u64) -> Option<u64> {
        let mut state = self.0.lock();
        let Miss { read_start, missing } = miss;
        if state.pause > 0 {
            state.pause -= 1;
            return None;
        }
        if state.random.intersection(missing.clone()).next().is_some() {
            return None;
        }
        let is_sequential = state.is_sequential(missing);
        if let Some(stream) = state.streams.iter().find(|stream| stream.is_continued_by(miss)) {
            let next = (missing.end - missing.start).max(2 * stream.window).next_multiple_of(page_size);
            let next = if is_sequential { max } else { next.min(max) * u64::from(stream.misses >= COINCIDENCE) };
            return Some(state.as_advised(missing, next, page_size));
        }
        // Another thread reads the same, or what was fetched is already gone.
        let is_known = |stream: &Stream| stream.fetched.contains(read_start) || stream.fetched.contains(&missing.start);
        if state.streams.iter().any(is_known) {
            return None;
        }
        Some(state.as_advised(missing, if is_sequential { max } else { 0 }, page_size))
    }

    /// Notes what is fetched for a miss, `window` bytes of it ahead.
    pub(super) fn note(&self, miss: &Miss, end: u64, window: u64) {
        let mut state = self.0.lock();
        let mut misses = 1;
        state.streams.retain(|stream| {
            let is_continued = stream.is_continued_by(miss);
            if is_continued {
                misses = misses.max(stream.misses.saturating_add(1));
            }
            !is_continued
        });
        if state.streams.len() >= STREAMS {
            state.streams.remove(0);
        }
        state.streams.push(Stream { fetched: miss.missing.start..end, window, misses });
    }

    /// Forgets how far a reader was ahead, whose request has failed: what comes next is fetched alone.
    pub(super) fn failed(&self, miss: &Miss) {
        self.0.lock().streams.retain(|stream| stream.fetched.start != miss.missing.start);
    }

    /// Notes that something could not be stored: what is not stored is not worth fetching ahead.
    pub(super) fn is_in_vain(&self) {
        let mut state = self.0.lock();
        state.pause = PAUSE;
        state.streams.clear();
    }

    /// From now on `range` is taken to be read like this.
    pub(crate) fn advise(&self, range: Range<u64>, advice: Advice) {
        let mut state = self.0.lock();
        state.sequential.remove(range.clone());
        state.random.remove(range.clone());
        state.wanted.remove(range.clone());
        match advice {
            Advice::Sequential => _ = state.sequential.insert(range),
            Advice::Random => _ = state.random.insert(range),
            Advice::Normal | Advice::WillNeed | Advice::DontNeed => {}
        }
    }
}

impl ReadAhead {
    /// Notes what will be needed; whether there is nobody yet to fetch it, who the caller is to start.
    pub(crate) fn want(&self, range: Range<u64>) -> bool {
        let mut state = self.0.lock();
        state.wanted.insert(range);
        !std::mem::replace(&mut state.is_fetching, true)
    }

    /// What is to be fetched next, at most so many bytes of it; with none the one who asks is to end.
    pub(crate) fn next_wanted(&self, max: u64) -> Option<Range<u64>> {
        let mut state = self.0.lock();
        let next = state.wanted.iter().next().map(|range| range.start..range.end.min(range.start.saturating_add(max)));
        match next.clone() {
            Some(range) => _ = state.wanted.remove(range),
            None => state.is_fetching = false,
        }
        next
    }

    /// Forgets what will be needed, and who fetches it.
    pub(crate) fn want_nothing(&self) {
        let mut state = self.0.lock();
        (state.wanted, state.is_fetching) = (RangeSet::new(), false);
    }
}

impl State {
    fn is_sequential(&self, missing: &Range<u64>) -> bool {
        self.sequential.range_at(missing.start).is_some()
    }

    /// What of so many bytes behind a miss is to be read as it is: no more than the page in which that ends, and none
    /// of what is read here and there.
    fn as_advised(&self, missing: &Range<u64>, window: u64, page_size: u64) -> u64 {
        let (start, mut end) = (missing.end, missing.end.saturating_add(window));
        if let Some(sequential) = self.sequential.range_at(missing.start) {
            end = end.min(sequential.end.div_ceil(page_size).saturating_mul(page_size));
        }
        if start < end
            && let Some(random) = self.random.intersection(start..end).next()
        {
            end = random.start / page_size * page_size;
        }
        end.saturating_sub(start)
    }
}

impl Stream {
    /// Whether a miss is where this one's reader comes to when he reads on: what lies before it he has just hit.
    fn is_continued_by(&self, Miss { read_start, missing }: &Miss) -> bool {
        (*read_start..=missing.start).contains(&self.fetched.end)
    }
}
