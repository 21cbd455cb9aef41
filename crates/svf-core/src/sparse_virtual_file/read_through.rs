//! Reading what may be missing: it is fetched, once however many threads want it, checked and kept.

use std::error::Error;
use std::ops::Range;

use bytes::Bytes;

use super::SparseVirtualFile;
use super::fetching::Fetching;
use super::state::State;
use crate::error::ReadThroughError;
use crate::need_options::NeedOptions;

impl SparseVirtualFile {
    /// Reads a range; what is missing of it is asked of `fetch` first, and kept.
    ///
    /// `fetch` gets one range at a time, and returns exactly its bytes. While one thread fetches a range, others that
    /// want any of it wait and get the same bytes, or the same error; what else they miss they fetch meanwhile. So
    /// each byte is fetched once, as long as it is not evicted. No lock is held during a fetch: other reads go on,
    /// and `fetch` may use this file and others. (It must not wait for another thread that reads the same range through
    /// this file: nobody can see that circle.)
    ///
    /// The requests are those of [`need_requests`](Self::need_requests) with `options`, but for what others are
    /// fetching. With [`end_of_file`](NeedOptions::end_of_file), or else the length of the file's
    /// [`version`](Self::version), nothing behind the end is asked for, and a range that reaches beyond it is clipped.
    /// The result is put together in memory of its own, so a limit that is smaller than the range is no hindrance.
    ///
    /// # Errors
    ///
    /// The error of `fetch`; a result of another length than was asked for; a fetched byte that conflicts with a held
    /// one; a range that starts behind the end. See [`ReadThroughError`]. What other requests have brought stays, and
    /// the next call tries again. If `fetch` panics, so does this call, and who waits gets an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use svf_core::{NeedOptions, SparseVirtualFile};
    ///
    /// let server: Vec<u8> = (0..=255).collect();
    /// let file = SparseVirtualFile::new("https://example.org/table");
    /// let options = NeedOptions::new().align(16).end_of_file(256);
    /// let mut requests = Vec::new();
    /// for range in [20..24, 30..40, 250..300] {
    ///     let bytes = file.read_through(range.clone(), &options, |missing| {
    ///         requests.push(missing.clone());
    ///         Ok::<_, std::io::Error>(server[missing.start as usize..missing.end as usize].to_vec())
    ///     })?;
    ///     assert_eq!(bytes, server[range.start as usize..range.end.min(256) as usize]);
    /// }
    /// assert_eq!(requests, [16..32, 32..48, 240..256]);
    /// # Ok::<(), svf_core::Error>(())
    /// ```
    pub fn read_through<B, E>(
        &self,
        range: Range<u64>,
        options: &NeedOptions,
        fetch: impl FnMut(Range<u64>) -> Result<B, E>,
    ) -> Result<Bytes, ReadThroughError>
    where
        B: Into<Bytes>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let options = options.for_length(range.end.saturating_sub(range.start));
        let state = self.current();
        let (options, end) = with_end(options, &state);
        let range = clip(range, end)?;
        if let Ok(held) = state.map.read(range.clone()) {
            drop(state);
            self.count_read(held.len() as u64);
            return Ok(held);
        }
        let fetching = Fetching::new(self, &state, vec![range], options);
        drop(state);
        Ok(self.fetch_missing(fetching, fetch)?.into_iter().next().unwrap_or_default())
    }

    /// Reads several ranges; what is missing of all of them is planned together, as by
    /// [`need_many`](Self::need_many), and fetched first. The result has the bytes of each range, in the order given.
    ///
    /// # Errors
    ///
    /// As [`read_through`](Self::read_through).
    pub fn read_many_through<B, E>(
        &self,
        ranges: &[Range<u64>],
        options: &NeedOptions,
        fetch: impl FnMut(Range<u64>) -> Result<B, E>,
    ) -> Result<Vec<Bytes>, ReadThroughError>
    where
        B: Into<Bytes>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let state = self.current();
        let (options, end) = with_end(*options, &state);
        let ranges: Vec<_> = ranges.iter().map(|range| clip(range.clone(), end)).collect::<Result<_, _>>()?;
        if ranges.iter().all(|range| state.map.contains(range.clone()))
            && let Ok(held) = ranges.iter().map(|range| state.map.read(range.clone())).collect::<Result<Vec<_>, _>>()
        {
            drop(state);
            held.iter().for_each(|bytes| self.count_read(bytes.len() as u64));
            return Ok(held);
        }
        let fetching = Fetching::new(self, &state, ranges, options);
        drop(state);
        self.fetch_missing(fetching, fetch)
    }

    fn fetch_missing<B, E>(
        &self,
        fetching: Fetching<'_>,
        mut fetch: impl FnMut(Range<u64>) -> Result<B, E>,
    ) -> Result<Vec<Bytes>, ReadThroughError>
    where
        B: Into<Bytes>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.reads.here().missed();
        let bytes = fetching.run(&mut |range| fetch(range).map(Into::into).map_err(Into::into))?;
        bytes.iter().for_each(|bytes| self.count_read(bytes.len() as u64));
        Ok(bytes)
    }
}

/// The end of the file, if anybody knows it.
fn with_end(options: NeedOptions, state: &State) -> (NeedOptions, Option<u64>) {
    let end = options.known_end().or_else(|| state.version.as_ref()?.len);
    (end.map_or(options, |end| options.end_of_file(end)), end)
}

/// A range reaches no further than the end, if that is known, and does not start there.
fn clip(range: Range<u64>, end_of_file: Option<u64>) -> Result<Range<u64>, ReadThroughError> {
    match end_of_file {
        Some(end_of_file) if end_of_file <= range.start && !range.is_empty() => {
            Err(ReadThroughError::PastEnd { requested: range, end_of_file })
        }
        Some(end_of_file) => Ok(range.start..range.end.min(end_of_file)),
        None => Ok(range),
    }
}
