//! One version of one object, read through the cache.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use svf_core::RangeSet;

use crate::cache::{Attempts, CacheInner};
use crate::directory::{Directory, Head, OpenPair, OpenedPair, Verification, WhenFull};
use crate::error::{MaintenanceError, ReadError};
use crate::fetch::{Destination, ReadAhead, Source, Store};
use crate::flights::Flights;
use crate::origin::{Origin, OriginError, Stat};
use crate::stats::{Counters, Stats};
use crate::sys::PerProcess;

/// A remote file of which the pieces that were read once are on local disk.
///
/// It is pinned to the version that the object had when it was opened; a change of the object is an error of the next
/// read that needs the origin ([`OriginError::Changed`]), and never a mixture. Open it again to read the new version.
///
/// Reads block until the bytes are there; they come from any number of threads at once, and what one thread, in any
/// process, is fetching no other fetches. A page that is held is read without waiting for anybody. That a page cannot
/// be stored, because the disk is full or sick, costs a warning in the log and never a read.
///
/// For who reads on and on, more and more is fetched ahead, which makes fewer requests of many misses, and up to 8 MiB
/// long; nothing is for reads here and there. [`advise`](Self::advise) tells what is known better, and
/// [`prefetch`](Self::prefetch) fetches what will be read.
///
/// A process that is forked may go on with the handles of its parent: it makes tables and opens files of its own when
/// it first needs them.
///
/// Ranges are half-open, in bytes. One that ends behind the end of the file is clipped; one that starts there, or is
/// reversed, is an error.
///
/// Clones share everything and cost one counter. The origin is dropped with the last of them, and so closed if it is to
/// be closed; give an `Arc` of an origin that is to live longer.
#[derive(Clone)]
pub struct CachedFile {
    inner: Arc<Inner>,
    /// Whether what is fetched through this handle is stored.
    pub(crate) stores: bool,
}

/// A handle that does not keep a file open.
pub(crate) struct WeakFile {
    inner: Weak<Inner>,
    stores: bool,
}

impl WeakFile {
    /// A handle, if there is another one still.
    pub(crate) fn upgrade(&self) -> Option<CachedFile> {
        self.inner.upgrade().map(|inner| CachedFile { inner, stores: self.stores })
    }
}

struct Inner {
    origin: Arc<dyn Origin>,
    pinned: Stat,
    /// The name of the pair that holds it. `None` where nothing vouches for the bytes of another day, or the files
    /// could not be opened.
    pair: Option<String>,
    /// What is open for it, in this process.
    opened: PerProcess<Opened>,
    attempts: PerProcess<Attempts>,
    /// What is being fetched and not stored.
    passed_on: PerProcess<Flights>,
    read_ahead: PerProcess<ReadAhead>,
    cache: Arc<CacheInner>,
    counters: PerProcess<Arc<Counters>>,
}

/// The pair of a file and the directory that it is in, both there or neither.
#[derive(Debug)]
pub(crate) struct Opened(Option<(Arc<Directory>, OpenPair)>);

/// What a process has open that could not open it.
static NOTHING: Opened = Opened(None);

impl Opened {
    pub(crate) fn pair(&self) -> Option<&(Arc<Directory>, OpenPair)> {
        self.0.as_ref()
    }
}

impl CachedFile {
    pub(crate) fn new(
        origin: Arc<dyn Origin>,
        pinned: Stat,
        opened: Option<(Arc<Directory>, OpenPair)>,
        cache: Arc<CacheInner>,
    ) -> Self {
        let pair = opened.as_ref().map(|(_, pair)| pair.name().to_owned());
        let counters = PerProcess::new(Counters::new(cache.totals()));
        let (opened, attempts) = (PerProcess::new(Opened(opened)), PerProcess::empty());
        let (passed_on, read_ahead) = (PerProcess::empty(), PerProcess::empty());
        let inner = Inner { origin, pinned, pair, opened, attempts, passed_on, read_ahead, cache, counters };
        Self { inner: Arc::new(inner), stores: true }
    }

    /// The same file, through a handle that uses what is held and stores nothing: for a scan that nobody will repeat.
    pub fn without_storing(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), stores: false }
    }

    /// What names the object: its URL without secrets, or whatever its origin says.
    pub fn key(&self) -> &str {
        self.inner.origin.key()
    }

    /// The length in bytes of the version that is read.
    pub fn len(&self) -> u64 {
        self.inner.pinned.length
    }

    /// Whether the version that is read has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The version that is read.
    pub fn stat(&self) -> &Stat {
        &self.inner.pinned
    }

    /// The size in bytes of the pages in which this file is stored; `None` if it is not, because its origin gives no
    /// validators, its key is too long, or the cache's files could not be opened (the log says which).
    pub fn page_size(&self) -> Option<u64> {
        let opened = self.inner.opened.peek()?.0.as_ref();
        opened.map(|(_, pair)| pair.pages().page_size)
    }

    /// Reads bytes at `offset` into `buf` and returns how many; fewer than fit only at the end of the file.
    ///
    /// # Errors
    ///
    /// [`ReadError::PastEnd`] for an offset behind the end (at the end, 0 bytes are read), or [`ReadError::Origin`].
    /// What `buf` holds then is unspecified.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, ReadError> {
        let destination = self.destination(buf, offset)?;
        let count = destination.out.len();
        if count > 0 {
            self.read_into(&mut [destination])?;
        }
        Ok(count)
    }

    /// The same, if all of it is held and was checked by this process; none otherwise, and then nothing is asked for.
    pub(crate) fn read_checked_at(&self, buf: &mut [u8], offset: u64) -> Result<Option<usize>, ReadError> {
        let destination = self.destination(buf, offset)?;
        let count = destination.out.len();
        let checked = self.copy_checked(&mut [destination]).is_empty();
        if checked {
            self.counters().hit();
        }
        Ok(checked.then_some(count))
    }

    /// Fills `buf` with the bytes at `offset`.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooShort`] if the file ends before `buf` is full, and as [`read_at`](Self::read_at).
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let wanted = buf.len() as u64;
        if self.len().checked_sub(offset).is_some_and(|rest| rest < wanted) {
            let key = self.key().to_owned();
            return Err(ReadError::TooShort { key, start: offset, wanted, length: self.len() });
        }
        self.read_at(buf, offset).map(|_| ())
    }

    /// The bytes of `range`, in one copy.
    ///
    /// # Errors
    ///
    /// [`ReadError::Reversed`], [`ReadError::PastEnd`], [`ReadError::NoMemory`] or [`ReadError::Origin`].
    pub fn bytes(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        let range = self.clip(range)?;
        let mut bytes = self.allocate(&range)?;
        if !range.is_empty() {
            self.read_into(&mut [Destination::new(range, &mut bytes)])?;
        }
        Ok(bytes.into())
    }

    /// The bytes of several ranges, in any order and overlapping as they like. What is missing of all of them is
    /// planned together: pages that touch are one request, and none is fetched twice.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), of any of the ranges.
    pub fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, ReadError> {
        let mut reads = Vec::with_capacity(ranges.len());
        for range in ranges {
            let range = self.clip(range.clone())?;
            reads.push((self.allocate(&range)?, range));
        }
        let mut destinations: Vec<_> = reads
            .iter_mut()
            .filter(|(_, range)| !range.is_empty())
            .map(|(out, range)| Destination::new(range.clone(), out))
            .collect();
        self.read_into(&mut destinations)?;
        Ok(reads.into_iter().map(|(bytes, _)| bytes.into()).collect())
    }

    /// Which bytes are stored, in whole pages. O(pages that are stored).
    ///
    /// A page is checked when it is first read, so one that is listed here may still have to be fetched again. Where
    /// the index cannot be read nothing is listed, with a warning in the log.
    pub fn held(&self) -> RangeSet {
        self.held_in(&(0..self.len()))
    }

    /// The requests that reading these ranges would send to the origin now. Ranges are clipped at the end.
    ///
    /// O(pages of the ranges).
    pub fn need(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let clipped: RangeSet = ranges.iter().map(|range| range.start..range.end.min(self.len())).collect();
        let absent: RangeSet =
            clipped.iter().flat_map(|range| self.held_in(&range).gaps(range).collect::<Vec<_>>()).collect();
        self.source(self.opened()).plan(&absent)
    }

    /// What happened in this file and its clones, in this process.
    pub fn stats(&self) -> Stats {
        let evictions =
            self.inner.opened.peek().and_then(Opened::pair).filter(|(directory, _)| directory.budget().is_own());
        let evictions = evictions.map_or(0, |(_, pair)| pair.evicted());
        Stats { evictions, ..self.counters().snapshot() }
    }

    /// Reads and checks all that is held, as a first read of each page would. What is damaged is held no more
    /// afterwards, unless others keep it from being taken away just now; the next read fetches it in either case.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`]: the index cannot be read at all.
    pub fn verify(&self) -> Result<Verification, MaintenanceError> {
        let Some((directory, pair)) = self.stored()? else { return Ok(Verification::default()) };
        let verification =
            pair.verify(directory.budget()).map_err(|error| self.cannot("verified", 0..self.len(), error))?;
        let corrupt = verification.damaged.num_bytes() + verification.still_held.num_bytes();
        for _ in 0..corrupt.div_ceil(pair.pages().page_size) {
            self.counters().found_corrupt();
        }
        Ok(verification)
    }

    /// Where it is stored; none if it is not.
    ///
    /// # Errors
    ///
    /// That it is, and this process could not open it.
    pub(crate) fn stored(&self) -> Result<Option<&(Arc<Directory>, OpenPair)>, MaintenanceError> {
        match (self.opened().pair(), &self.inner.pair) {
            (None, Some(_)) => Err(MaintenanceError::NotOpen { path: self.inner.cache.dir().to_owned() }),
            (opened, _) => Ok(opened),
        }
    }

    pub(crate) fn cannot(&self, operation: &'static str, range: Range<u64>, source: io::Error) -> MaintenanceError {
        MaintenanceError::Object { key: self.key().to_owned(), range, operation, source }
    }

    /// Stores what came by another way than a read of this file: whole pages of it, each piece by one request.
    #[cfg(feature = "object_store")]
    pub(crate) fn keep_pieces<'a>(&self, pieces: impl Iterator<Item = (u64, &'a [u8])>) {
        self.source(self.opened()).keep(pieces);
    }

    /// That a thread could not be had for a read.
    #[cfg(feature = "object_store")]
    pub(crate) fn no_thread(&self, reason: &dyn fmt::Display) -> ReadError {
        let source = io::Error::other(reason.to_string());
        OriginError::Io { key: self.key().to_owned(), source }.into()
    }

    /// Whether all pages that a range touches are held.
    #[cfg(feature = "object_store")]
    pub(crate) fn holds(&self, range: &Range<u64>) -> bool {
        self.held_in(range).contains(range.clone())
    }

    /// The same without opening anything: a child may have to before it knows, and is told no.
    #[cfg(feature = "object_store")]
    pub(crate) fn holds_for_sure(&self, range: &Range<u64>) -> bool {
        let opened = self.inner.opened.get_or_try(|| Err(())).ok().and_then(Opened::pair);
        opened.is_some_and(|(_, pair)| pair.held(range).is_ok_and(|held| held.contains(range.clone())))
    }

    pub(crate) fn held_in(&self, range: &Range<u64>) -> RangeSet {
        let Some((_, pair)) = &self.opened().0 else { return RangeSet::new() };
        pair.held(range).unwrap_or_else(|error| {
            pair.warn("the index cannot be read", &error);
            RangeSet::new()
        })
    }

    /// What this process has open for the file. A child of the process that opened it opens the files anew: its
    /// parent's locks are not its own, and its parent's mutexes may be locked for ever. If it cannot it tries again.
    pub(crate) fn opened(&self) -> &Opened {
        let inner = &*self.inner;
        let reopen = || match inner.pair {
            Some(_) => inner.attempts.get(Attempts::new).make(|| inner.reopen()).map(|opened| Opened(Some(opened))),
            None => Some(Opened(None)),
        };
        inner.opened.get_or_try(|| reopen().ok_or(())).unwrap_or(&NOTHING)
    }

    /// A child counts what it does itself.
    #[inline]
    fn counters(&self) -> &Counters {
        self.inner.counters.get(|| Counters::new(self.inner.cache.totals()))
    }

    pub(crate) fn source<'a>(&'a self, Opened(opened): &'a Opened) -> Source<'a> {
        let Inner { origin, pinned, cache, passed_on, .. } = &*self.inner;
        let store = opened.as_ref().map(|(directory, pair)| Store {
            pair,
            budget: directory.budget(),
            room: directory.stock(cache.policy.when_full),
            admit: self.stores.then_some(&cache.policy.admit),
            read_ahead: self.read_ahead(),
        });
        Source {
            origin: &**origin,
            pinned,
            store,
            offline: cache.policy.offline,
            // What is not stored is fetched by no more requests than what is.
            in_flight: cache.directory().map(|directory| directory.in_flight()),
            passed_on: passed_on.get(Flights::default),
            patience: cache.patience(),
            retry: cache.policy.retry,
            counters: self.counters(),
            watch: None,
            reads_ahead: false,
        }
    }

    /// What is known of how it is read. A child of a fork learns that anew.
    pub(crate) fn read_ahead(&self) -> &ReadAhead {
        self.inner.read_ahead.get(ReadAhead::default)
    }

    /// Whether there is no other handle.
    pub(crate) fn is_last(&self) -> bool {
        Arc::strong_count(&self.inner) == 1
    }

    /// A handle that does not keep the file open.
    pub(crate) fn downgrade(&self) -> WeakFile {
        WeakFile { inner: Arc::downgrade(&self.inner), stores: self.stores }
    }

    pub(crate) fn when_full(&self) -> WhenFull {
        self.inner.cache.policy.when_full
    }

    /// Fills all destinations, which are not empty.
    #[inline]
    fn read_into(&self, destinations: &mut [Destination<'_>]) -> Result<(), ReadError> {
        let absent = self.copy_checked(destinations);
        if absent.is_empty() {
            self.counters().hit();
            return Ok(());
        }
        self.read_absent(destinations, &absent)
    }

    /// Gives all destinations what is held and was checked by this process, and returns the rest, in whole pages.
    #[inline]
    fn copy_checked(&self, destinations: &mut [Destination<'_>]) -> RangeSet {
        let mut absent = RangeSet::new();
        // The parent's pair serves a child as well for this: it takes no lock and makes no system call.
        match self.inner.opened.peek() {
            Some(Opened(Some((_, pair)))) => {
                for destination in &mut *destinations {
                    pair.copy_verified(&destination.range, destination.out, &mut absent);
                }
            }
            _ => absent.extend(destinations.iter().map(|destination| destination.range.clone())),
        }
        absent
    }

    #[cold]
    fn read_absent(&self, destinations: &mut [Destination<'_>], absent: &RangeSet) -> Result<(), ReadError> {
        let opened = self.opened();
        let read = self.source(opened).read(destinations, absent);
        if let Err(ReadError::Origin(error)) = &read {
            self.doubt_if_changed(opened, error);
        }
        read
    }

    /// Lets whoever opens the object next ask its origin, if that has said that it is another one.
    pub(crate) fn doubt_if_changed(&self, opened: &Opened, error: &OriginError) {
        match (error, opened.pair()) {
            (OriginError::Changed { .. }, Some((directory, _))) => {
                directory.doubt(self.key(), Some(&self.inner.pinned))
            }
            (OriginError::Changed { .. }, None) => self.inner.cache.doubt(self.key(), &self.inner.pinned),
            _ => {}
        }
    }

    /// What the file has behind `offset`, for as much of `buf` as that fills.
    fn destination<'a>(&self, buf: &'a mut [u8], offset: u64) -> Result<Destination<'a>, ReadError> {
        let range = self.clip(offset..offset.saturating_add(buf.len() as u64))?;
        let out = &mut buf[..(range.end - range.start) as usize];
        Ok(Destination::new(range, out))
    }

    /// The part of `range` that the file has.
    pub(crate) fn clip(&self, range: Range<u64>) -> Result<Range<u64>, ReadError> {
        let (key, length) = (|| self.key().to_owned(), self.len());
        if range.end < range.start {
            return Err(ReadError::Reversed { key: key(), range });
        }
        if range.start > length {
            return Err(ReadError::PastEnd { key: key(), start: range.start, length });
        }
        Ok(range.start..range.end.min(length))
    }

    /// Memory for the bytes of `range`, or an error instead of the end of the process.
    fn allocate(&self, range: &Range<u64>) -> Result<Vec<u8>, ReadError> {
        let bytes = range.end - range.start;
        let no_memory = || ReadError::NoMemory { key: self.key().to_owned(), bytes };
        let len = usize::try_from(bytes).map_err(|_| no_memory())?;
        let mut memory = Vec::new();
        memory.try_reserve_exact(len).map_err(|_| no_memory())?;
        memory.resize(len, 0);
        Ok(memory)
    }
}

impl Inner {
    fn reopen(&self) -> Option<(Arc<Directory>, OpenPair)> {
        let (name, directory) = (self.pair.as_ref()?, self.cache.directory()?);
        let head = Head::new(self.origin.key().to_owned(), self.pinned.clone(), name.clone());
        match directory.open_pair(&head) {
            Ok(OpenedPair::Good(pair)) => Some((Arc::clone(directory), pair)),
            Ok(OpenedPair::Damaged) => None,
            Err(error) => {
                tracing::warn!(key = self.origin.key(), %error, "the cache's files cannot be opened in a child process");
                None
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What this process opened; a parent's is left as it is.
        if let Some(Opened(Some((directory, pair)))) = self.opened.take() {
            pair.fold_uses(directory.budget());
            // In this order: who opens a directory anew finds all closed that was open in it.
            drop(pair);
            drop(directory);
        }
    }
}

impl fmt::Debug for CachedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedFile")
            .field("key", &self.key())
            .field("stat", self.stat())
            .field("pair", &self.inner.pair)
            .finish_non_exhaustive()
    }
}
