//! Bytes in several pieces, read without copying.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::iter::FusedIterator;

use bytes::{Buf, Bytes};

/// The bytes of a range as the chunks in which they are held: owned, and never copied.
///
/// It is an iterator over [`Bytes`] and a [`Buf`], so that parsers and vectored writers take it as it is.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    /// None is empty.
    chunks: VecDeque<Bytes>,
    remaining: usize,
}

impl Chunks {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.remaining += chunk.len();
            self.chunks.push_back(chunk);
        }
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.pop_front()?;
        self.remaining -= chunk.len();
        Some(chunk)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.chunks.len(), Some(self.chunks.len()))
    }
}

impl ExactSizeIterator for Chunks {}
impl FusedIterator for Chunks {}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    /// # Panics
    ///
    /// As [`Buf`] demands, if `count` exceeds [`Buf::remaining`].
    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced by {count} of {} remaining bytes", self.remaining);
        self.remaining -= count;
        while let Some(front) = self.chunks.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.chunks.pop_front();
        }
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        assert!(len <= self.remaining, "copied {len} of {} remaining bytes", self.remaining);
        if let Some(front) = self.chunks.front_mut()
            && len <= front.len()
        {
            let bytes = front.split_to(len);
            self.remaining -= len;
            if front.is_empty() {
                self.chunks.pop_front();
            }
            return bytes;
        }
        let mut copy = Vec::with_capacity(len);
        while copy.len() < len {
            let part = self.chunk().len().min(len - copy.len());
            copy.extend_from_slice(&self.chunk()[..part]);
            self.advance(part);
        }
        Bytes::from(copy)
    }
}
