//! tokio's `AsyncRead`, `AsyncBufRead` and `AsyncSeek` over a cached file: a [`Reader`] that never blocks who polls it.

use std::fmt;
use std::io::{self, BufRead, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, ReadBuf};
use tokio::task::coop::poll_proceed;

use crate::cached_file::CachedFile;
use crate::error::ReadError;
use crate::fetch::MAX_REQUEST;
use crate::reader::{MAX_BUFFER, Reader};

/// A position in a [`CachedFile`] for asynchronous code: what [`Reader`] is for code that may block, with the same
/// reading ahead and the same ends.
///
/// What is held is copied at once, up to 64 KiB by a poll; all else is read by a thread of this crate's own, which
/// needs no runtime of tokio's. A read of many bytes that are not held brings up to 8 MiB at a time. If a future of it
/// is dropped the position stays where it was, and what had been begun is finished and kept; the next read goes on with
/// it.
///
/// A clone has a position of its own, and begins there.
pub struct AsyncReader {
    reader: Reader,
    /// What is being read for the buffer.
    pending: Option<Pending>,
}

struct Pending {
    start: u64,
    read: BoxFuture<'static, Result<Bytes, ReadError>>,
}

impl CachedFile {
    /// A new reader at the start of the file: tokio's `AsyncRead`, `AsyncBufRead` and `AsyncSeek`.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use std::io::SeekFrom;
    /// use page_cache::{Cache, SeekOrigin, Validators};
    /// use tokio::io::{AsyncReadExt, AsyncSeekExt};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let content = std::io::Cursor::new(vec![7; 100_000]);
    /// let cache = Cache::builder(directory.path()).open()?;
    /// let file = cache.file(SeekOrigin::new("a", Validators::default(), content)?)?;
    /// let mut reader = file.async_reader();
    /// reader.seek(SeekFrom::End(-100)).await?;
    /// let mut end = Vec::new();
    /// reader.read_to_end(&mut end).await?;
    /// assert_eq!(end, [7; 100]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn async_reader(&self) -> AsyncReader {
        AsyncReader { reader: self.reader(), pending: None }
    }
}

impl AsyncReader {
    /// The file that is read.
    pub fn file(&self) -> &CachedFile {
        self.reader.file()
    }

    /// Lets something be in the buffer, unless the position is at the end. So much is wanted in all.
    fn poll_fill(&mut self, context: &mut Context<'_>, wanted: u64) -> Poll<io::Result<()>> {
        loop {
            if let Some(Pending { start, read }) = &mut self.pending {
                let (start, read) = (*start, ready!(read.as_mut().poll(context)));
                self.pending = None;
                self.reader.filled(start, read?.into());
            }
            let reader = &mut self.reader;
            if !reader.buffered().is_empty() || reader.is_at_end() || reader.fill_with_checked()? {
                return Poll::Ready(Ok(()));
            }
            let (file, range) = (reader.file().clone(), reader.next(wanted.min(MAX_REQUEST)));
            let start = range.start;
            self.pending = Some(Pending { start, read: Box::pin(async move { file.bytes_async(range).await }) });
        }
    }

    fn poll_read_some(&mut self, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pending.is_none() && self.reader.buffered().is_empty() {
            let here = out.initialize_unfilled_to(out.remaining().min(MAX_BUFFER));
            if let Some(count) = self.reader.read_checked_past_buffer(here)? {
                self.reader.passed(count);
                out.advance(count);
                return Poll::Ready(Ok(()));
            }
        }
        ready!(self.poll_fill(context, out.remaining() as u64))?;
        let buffered = self.reader.buffered();
        let count = buffered.len().min(out.remaining());
        out.put_slice(&buffered[..count]);
        self.reader.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for AsyncReader {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if out.remaining() == 0 || this.reader.is_at_end() {
            return Poll::Ready(Ok(()));
        }
        // What is held is ready at every poll: a task that reads a lot of it must let others have their turn.
        let turn = ready!(poll_proceed(context));
        let read = this.poll_read_some(context, out);
        if read.is_ready() {
            turn.made_progress();
        }
        read
    }
}

impl AsyncBufRead for AsyncReader {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let turn = ready!(poll_proceed(context));
        ready!(this.poll_fill(context, 0))?;
        turn.made_progress();
        Poll::Ready(Ok(this.reader.buffered()))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().reader.consume(count);
    }
}

/// Nothing of it takes time. A position before the start is an error, one behind the end is not, and reads nothing.
impl AsyncSeek for AsyncReader {
    fn start_seek(self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        let this = self.get_mut();
        let before = this.reader.stream_position()?;
        if this.reader.seek(to)? != before {
            this.pending = None;
        }
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(self.get_mut().reader.stream_position())
    }
}

impl Clone for AsyncReader {
    fn clone(&self) -> Self {
        Self { reader: self.reader.clone(), pending: None }
    }
}

impl fmt::Debug for AsyncReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reader, pending } = self;
        f.debug_struct("AsyncReader").field("reader", reader).field("reads", &pending.is_some()).finish()
    }
}
