//! Reading without blocking: what is held and small is copied at once, all else is read by a thread of this crate's
//! own.

use std::ops::Range;

use bytes::Bytes;

use crate::cached_file::CachedFile;
use crate::error::ReadError;
use crate::fetch::MAX_REQUEST;
use crate::runtime::{Abandoned, unblock, unblock_soon};

/// As many bytes are copied on the caller's thread: about ten microseconds' worth.
const AT_ONCE: u64 = 64 << 10;

/// Yields now and then to the other tasks of a tokio runtime: a read of what is held never waits, so one who does
/// nothing but that would keep them all from running.
pub(crate) async fn let_others_run() {
    tokio::task::coop::consume_budget().await;
}

impl CachedFile {
    /// The bytes of `range`, as [`bytes`](Self::bytes) gives them, without blocking the caller's thread.
    ///
    /// What is held, and no longer than 64 KiB, is copied at once; all else is read by a thread of this crate's own. If
    /// the future is dropped, what it has begun is finished and kept. It needs no runtime, and works in any.
    ///
    /// # Errors
    ///
    /// As of [`bytes`](Self::bytes).
    pub async fn bytes_async(&self, range: Range<u64>) -> Result<Bytes, ReadError> {
        let_others_run().await;
        if let Some(bytes) = self.bytes_if_checked(&range) {
            return Ok(bytes);
        }
        let file = self.clone();
        let asked = [range.clone()];
        self.apart(&asked, move || file.bytes(range)).await.unwrap_or_else(|error| Err(self.no_thread(&error)))
    }

    /// The bytes of several ranges, as [`read_ranges`](Self::read_ranges) gives them, without blocking the caller's
    /// thread; as [`bytes_async`](Self::bytes_async).
    ///
    /// # Errors
    ///
    /// As of [`read_ranges`](Self::read_ranges).
    pub async fn read_ranges_async(&self, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>, ReadError> {
        let_others_run().await;
        let total = ranges.iter().fold(0u64, |sum, range| sum.saturating_add(range.end.saturating_sub(range.start)));
        if total <= AT_ONCE
            && let Some(read) = ranges.iter().map(|range| self.bytes_if_checked(range)).collect()
        {
            return Ok(read);
        }
        let file = self.clone();
        let asked = ranges.clone();
        self.apart(&asked, move || file.read_ranges(&ranges)).await.unwrap_or_else(|error| Err(self.no_thread(&error)))
    }

    /// Does a read of these ranges on a thread for that: what is held, and no longer than a request, on one of those
    /// that wait for no request.
    pub(crate) async fn apart<T: Send + 'static>(
        &self,
        ranges: &[Range<u64>],
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Abandoned> {
        let total = ranges.iter().fold(0u64, |sum, range| sum.saturating_add(range.end.saturating_sub(range.start)));
        if total <= MAX_REQUEST && ranges.iter().all(|range| self.holds_for_sure(range)) {
            unblock_soon(read).await
        } else {
            unblock(read).await
        }
    }

    /// The bytes of a range, if it is short and all of it is held and was checked by this process.
    pub(crate) fn bytes_if_checked(&self, range: &Range<u64>) -> Option<Bytes> {
        let length = range.end.checked_sub(range.start).filter(|&length| length <= AT_ONCE)?;
        let mut bytes = vec![0; length as usize];
        let count = self.read_checked_at(&mut bytes, range.start).ok()??;
        bytes.truncate(count);
        Some(bytes.into())
    }
}
