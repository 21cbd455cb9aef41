//! A file known in pieces, for many threads.
//!
//! ```text
//! state          what is held and counted, behind one lock that readers share without sharing a cache line
//! read_through   reading what may be missing
//! fetching       one such read                        flights   what is being fetched, and who waits
//! membership     what the files of one file system have in common: a clock and a limit
//! ```

mod fetching;
mod flights;
#[cfg_attr(not(feature = "dashmap"), expect(dead_code, reason = "only a file system makes members"))]
mod membership;
mod options;
mod read_through;
mod state;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::block_map::{BlockMap, GATHERED, Written};
use crate::chunks::Chunks;
use crate::error::{Missing, WriteError};
use crate::need_options::NeedOptions;
use crate::stats::{ReadCounters, Stats};
use crate::striped::Striped;
use crate::sync::ShardedLockReadGuard;
use crate::version::Version;
use flights::Flights;
use membership::Membership;
#[cfg(feature = "dashmap")]
pub(crate) use membership::SharedBound;
pub use options::SparseVirtualFileOptions;
use state::{Data, Shared, State, Writing};

/// A file known in pieces, for many threads: a [`BlockMap`] with an id, a version, and counters, that can
/// [fetch what is missing](Self::read_through).
///
/// Every method takes `&self` and is atomic: a read sees all of a write or nothing of it. Up to eight threads that read
/// share no lock word and no counter; [`read_into`](Self::read_into) writes to nothing that they share, and
/// [`read`](Self::read) to the count of shares of the chunk that it hands out. None waits for a fetch but those that
/// want the bytes that are being fetched.
///
/// It takes about 2 KiB beyond what the [`BlockMap`] takes, for the locks and counters of many threads.
///
/// # Examples
///
/// ```
/// use svf_core::SparseVirtualFile;
///
/// let file = SparseVirtualFile::new("https://example.org/well.rp66v1");
/// file.write(14, b"ABCDEF")?;
/// assert_eq!(file.read(16..18)?, "CD");
/// assert_eq!(file.need(8..32), [8..14, 20..32]);
/// # Ok::<(), svf_core::Error>(())
/// ```
#[doc(alias = "cSVF")]
#[doc(alias = "pickle")]
pub struct SparseVirtualFile {
    id: Box<str>,
    options: SparseVirtualFileOptions,
    state: Shared,
    reads: Striped<ReadCounters>,
    flights: Flights,
}

impl SparseVirtualFile {
    /// A file of which nothing is held, without a version. The id is whatever tells files apart: a path, a URL.
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self::with_options(id, None, SparseVirtualFileOptions::new())
    }

    /// A file of which nothing is held.
    ///
    /// # Examples
    ///
    /// ```
    /// use svf_core::{SparseVirtualFile, SparseVirtualFileOptions, Version};
    ///
    /// let options = SparseVirtualFileOptions::new().max_bytes(1 << 20);
    /// let file = SparseVirtualFile::with_options("survey.tif", Version::new().etag("\"a1\""), options);
    /// assert!(file.matches_version(&Version::new().etag("\"a1\"")));
    /// assert!(!file.matches_version(&Version::new().etag("\"a2\"")));
    /// ```
    pub fn with_options(
        id: impl Into<Box<str>>,
        version: impl Into<Option<Version>>,
        options: SparseVirtualFileOptions,
    ) -> Self {
        Self::from_map(id, version, BlockMap::with_options(options.map), options.times)
    }

    /// A file of which this is held already. It behaves as the map did; `times` is as in
    /// [`SparseVirtualFileOptions`].
    pub fn from_map(id: impl Into<Box<str>>, version: impl Into<Option<Version>>, map: BlockMap, times: bool) -> Self {
        let options = SparseVirtualFileOptions::from(map.options()).times(times);
        let state = Shared::new(State::new(map, version.into(), times));
        Self { id: id.into(), options, state, reads: Striped::new(), flights: Flights::default() }
    }

    /// What tells this file from others.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How this file behaves.
    #[doc(alias = "config")]
    pub fn options(&self) -> SparseVirtualFileOptions {
        SparseVirtualFileOptions { map: self.state.read().map.options(), ..self.options }
    }

    /// The version of the file whose bytes are held, if it has one.
    #[doc(alias = "file_mod_time")]
    pub fn version(&self) -> Option<Version> {
        self.state.read().version.clone()
    }

    /// Whether what is held is known to be of this version. A file without a version is of no version that is known.
    /// See [`Version::matches`].
    #[doc(alias = "file_mod_time_matches")]
    pub fn matches_version(&self, version: &Version) -> bool {
        match &self.state.read().version {
            Some(held) => held.matches(version),
            None => version.is_unknown(),
        }
    }

    /// Forgets all bytes and takes on another version, in one step: for a file that has changed.
    ///
    /// What is being fetched is not kept; its readers get [`ReadThroughError::Changed`](crate::ReadThroughError).
    pub fn reset(&self, version: impl Into<Option<Version>>) {
        let mut state = self.state.write();
        let taken = state.take_all();
        state.version = version.into();
        state.generation += 1;
        drop(state);
        drop(taken);
    }

    /// Writes a copy of `data` at `offset`. Empty data changes nothing. See [`BlockMap::write`].
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] and [`WriteError::OffsetOverflow`]; nothing has changed then.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<Written, WriteError> {
        // A long copy is made before the file is locked.
        if GATHERED < data.len() as u64 && !self.options.map.scrub {
            return self.write_data(offset, Data::Owned(Bytes::copy_from_slice(data)));
        }
        self.write_data(offset, Data::Borrowed(data))
    }

    /// Writes `data` at `offset` and takes it over without copying, if that is worth it. See
    /// [`BlockMap::write_bytes`].
    ///
    /// The destructor of memory that was made by [`Bytes::from_owner`] may run while the file is locked, so it must
    /// not use the file.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_bytes(&self, offset: u64, data: Bytes) -> Result<Written, WriteError> {
        self.write_data(offset, Data::Owned(data))
    }

    fn write_data(&self, offset: u64, data: Data<'_>) -> Result<Written, WriteError> {
        let mut state = self.writing();
        let written = state.write(offset, data)?;
        // Eviction locks files, this one too.
        drop(state);
        self.keep_shared_limit();
        Ok(written)
    }

    /// The state, for a write: what is written can be evicted.
    fn writing(&self) -> Writing<'_> {
        let state = self.state.write();
        let bound = match &state.membership {
            Some(membership) if !membership.is_queued() => membership.bound(),
            _ => return state,
        };
        drop(state);
        bound.lock_queued(self)
    }

    /// Keeps the limit of the file system, if there is one, with nothing locked.
    fn keep_shared_limit(&self) {
        let bound = self.state.read().membership.as_ref().map(Membership::bound);
        if let Some(bound) = bound {
            bound.keep_limit();
        }
    }

    /// Whether every byte of `range` is held. An empty range always is. O(log n), whatever its length.
    #[doc(alias = "has_data")]
    pub fn contains(&self, range: Range<u64>) -> bool {
        self.state.read().map.contains(range)
    }

    /// The parts of `range` that are not held, in order.
    pub fn need(&self, range: Range<u64>) -> Vec<Range<u64>> {
        self.state.read().map.need(range).collect()
    }

    /// The requests to send for what is missing of `range`. See [`BlockMap::need_requests`].
    #[doc(alias = "greedy_length")]
    pub fn need_requests(&self, range: Range<u64>, options: &NeedOptions) -> Vec<Range<u64>> {
        self.state.read().map.need_requests(range, options)
    }

    /// The requests to send for what is missing of all `ranges`, which may come in any order and overlap.
    pub fn need_many(&self, ranges: &[Range<u64>], options: &NeedOptions) -> Vec<Range<u64>> {
        self.state.read().map.need_many(ranges.iter().cloned(), options)
    }

    /// The bytes of `range`: without a copy if one chunk holds them all, else in one copy.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, Missing> {
        self.read_held(range).inspect_err(|_| self.reads.here().missed())
    }

    /// Fills `out` with the bytes at `offset`. Allocates nothing.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held; `out` is unchanged then.
    pub fn read_into(&self, offset: u64, out: &mut [u8]) -> Result<(), Missing> {
        let result = self.current().map.read_into(offset, out);
        self.count(result.is_ok(), out.len() as u64);
        result
    }

    /// The bytes of `range` as the chunks in which they are held; nothing is copied.
    ///
    /// # Errors
    ///
    /// [`Missing`] with the first range that is not held.
    pub fn chunks(&self, range: Range<u64>) -> Result<Chunks, Missing> {
        let result = self.current().map.chunks(range.clone());
        self.count(result.is_ok(), range.end.saturating_sub(range.start));
        result
    }

    /// The blocks, in order.
    pub fn blocks(&self) -> Vec<Range<u64>> {
        self.state.read().map.blocks().collect()
    }

    /// The block that holds the byte at `offset`. O(log n), whatever its length.
    #[doc(alias = "block_size")]
    pub fn block_at(&self, offset: u64) -> Option<Range<u64>> {
        self.state.read().map.block_at(offset)
    }

    /// Removes what is held of `range`, splitting blocks that it cuts, and returns how many bytes were removed.
    #[doc(alias = "erase")]
    pub fn remove(&self, range: Range<u64>) -> u64 {
        let mut state = self.state.write();
        let removed = state.change(|map| map.remove(range));
        state.removed(removed);
        removed
    }

    /// Removes the whole block that holds the byte at `offset`, and returns what it was.
    #[doc(alias = "erase")]
    pub fn remove_block(&self, offset: u64) -> Option<Range<u64>> {
        let mut state = self.state.write();
        let removed = state.change(|map| map.remove_block(offset))?;
        state.removed(removed.end - removed.start);
        Some(removed)
    }

    /// Removes everything. The version stays; what is being fetched will be kept.
    pub fn clear(&self) {
        let taken = self.state.write().take_all();
        drop(taken);
    }

    /// Drops what was not used for longest until at most `bytes` bytes are held, and returns how many bytes were
    /// dropped. See [`BlockMap::evict_to`].
    #[doc(alias = "lru_punt")]
    pub fn evict_to(&self, bytes: u64) -> u64 {
        self.state.write().change(|map| map.evict_to(bytes))
    }

    /// Sets the limit that writes keep, and drops at once what exceeds it. Returns how many bytes were dropped.
    pub fn set_max_bytes(&self, max_bytes: Option<u64>) -> u64 {
        self.state.write().change(|map| map.set_max_bytes(max_bytes))
    }

    /// Counts what is held of `range` as used now.
    #[doc(alias = "block_touch")]
    pub fn touch(&self, range: Range<u64>) {
        self.current().map.touch(range);
    }

    /// Tells reads before and after it apart, for eviction. See [`BlockMap::advance_epoch`].
    pub fn advance_epoch(&self) {
        let state = self.state.read();
        match &state.membership {
            Some(membership) => membership.advance(),
            None => state.map.advance_epoch(),
        }
    }

    /// The ranges that are held, those first that were not used for longest.
    #[doc(alias = "block_touches")]
    pub fn recency(&self) -> Vec<Range<u64>> {
        self.state.read().map.recency()
    }

    /// What is held now, as a map of its own that shares the bytes. O(n) in the number of chunks.
    pub fn snapshot(&self) -> BlockMap {
        self.state.read().map.clone()
    }

    #[cfg(feature = "serde")]
    pub(crate) fn version_and_snapshot(&self) -> (Option<Version>, BlockMap) {
        let state = self.state.read();
        (state.version.clone(), state.map.clone())
    }

    /// How many bytes are held. O(1).
    pub fn num_bytes(&self) -> u64 {
        self.state.read().map.num_bytes()
    }

    /// How many blocks there are. O(1).
    pub fn num_blocks(&self) -> usize {
        self.state.read().map.num_blocks()
    }

    /// How many chunks the blocks consist of. O(1).
    pub fn num_chunks(&self) -> usize {
        self.state.read().map.num_chunks()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.num_blocks() == 0
    }

    /// The end of the last block, 0 if nothing is held.
    #[doc(alias = "last_file_position")]
    pub fn end(&self) -> u64 {
        self.state.read().map.end()
    }

    /// How many bytes of memory the file has allocated. See [`BlockMap::memory_size`].
    #[doc(alias = "size_of")]
    pub fn memory_size(&self) -> usize {
        /// A sharded lock has eight shards, each on cache lines of its own.
        const LOCK: usize = 8 * 128;
        size_of::<Self>() - size_of::<BlockMap>()
            + self.id.len()
            + LOCK
            + self.reads.memory_size()
            + self.state.read().memory_size()
    }

    /// What has been done with the file so far.
    pub fn stats(&self) -> Stats {
        let state = self.state.read();
        let evicted = state.map.evicted();
        let mut stats = state.written;
        drop(state);
        stats.chunks_evicted = evicted.chunks;
        stats.bytes_evicted = evicted.bytes;
        stats += self.reads.sum();
        stats
    }

    /// The state, with the clock of its file system.
    fn current(&self) -> ShardedLockReadGuard<'_, State> {
        let state = self.state.read();
        if let Some(membership) = &state.membership {
            state.map.set_epoch(membership.now());
        }
        state
    }

    /// Reads, and counts if that succeeds.
    fn read_held(&self, range: Range<u64>) -> Result<Bytes, Missing> {
        let result = self.current().map.read(range);
        result.inspect(|bytes| self.count_read(bytes.len() as u64))
    }

    fn count(&self, is_read: bool, len: u64) {
        if is_read {
            self.count_read(len);
        } else {
            self.reads.here().missed();
        }
    }

    fn count_read(&self, len: u64) {
        self.reads.here().read(len, self.options.times);
    }
}

/// What a file system does with its files.
#[cfg(feature = "dashmap")]
impl SparseVirtualFile {
    /// Whether the file was in no file system; then its bytes count in that of `bound` from now on.
    pub(crate) fn join(self: &std::sync::Arc<Self>, bound: &std::sync::Arc<SharedBound>) -> bool {
        Membership::begin(bound, self)
    }

    /// The file stays as it is, but does not count any more.
    pub(crate) fn leave(&self) {
        Membership::end(self);
    }

    pub(crate) fn limit_also_to(&self, limit: Option<u64>) {
        self.state.write().map.limit_also_to(limit);
    }
}

impl fmt::Debug for SparseVirtualFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The formatter is foreign code, and runs with nothing locked.
        let state = self.state.read();
        let (version, num_blocks, num_bytes) = (state.version.clone(), state.map.num_blocks(), state.map.num_bytes());
        drop(state);
        f.debug_struct("SparseVirtualFile")
            .field("id", &self.id)
            .field("version", &version)
            .field("num_blocks", &num_blocks)
            .field("num_bytes", &num_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_map::memory::wiped;

    #[test]
    fn everything_is_shared_by_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<SparseVirtualFile>();
        shared::<BlockMap>();
        shared::<Chunks>();
        shared::<crate::RangeSet>();
        shared::<crate::Error>();
        #[cfg(feature = "dashmap")]
        shared::<crate::SparseVirtualFileSystem>();
    }

    #[test]
    fn a_scrubbing_file_wipes_whatever_it_lets_go_of() {
        let new = || SparseVirtualFile::with_options("f", None, SparseVirtualFileOptions::new().scrub(true));
        let fetch = |range: Range<u64>| Ok::<_, std::io::Error>(vec![7; (range.end - range.start) as usize]);
        wiped::take();
        let let_go: [fn(SparseVirtualFile); 5] = [
            |file| drop(file),
            |file| file.clear(),
            |file| file.reset(None),
            |file| _ = file.evict_to(0),
            |file| _ = file.remove(0..6_000),
        ];
        for let_go in let_go {
            let file = new();
            file.write(0, &[7; 6_000]).unwrap();
            assert_eq!(wiped::take(), 0);
            let_go(file);
            assert_eq!(wiped::take(), 6_000);
        }
        // What is read through is in the file, and in a result of its own, which is wiped as well.
        let file = new();
        let bytes = file.read_through(0..3_000, &NeedOptions::new().max_len(2_000), fetch).unwrap();
        let before = wiped::take();
        drop(bytes);
        assert_eq!(before + wiped::take(), 2 * 3_000);
        drop(file);
        assert_eq!(wiped::take(), 3_000);
    }
}
