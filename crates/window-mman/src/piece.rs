//! A range of a file and the window that has it: what a view, a copying view and a cursor consist of.

use std::io;
use std::ops::Range;
use std::path::Path;

use crate::advice::{self, Advice};
use crate::error::CopyError;
use crate::region::Window;
use crate::sys::Mapping;

/// A range of a file, held.
#[derive(Clone)]
pub(crate) struct Piece {
    /// None of an empty range.
    pub(crate) window: Option<Window>,
    /// In bytes of the file; within the window, if there is one.
    pub(crate) range: Range<u64>,
}

impl Piece {
    /// The path by which its file was opened when its region was mapped.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.window.as_ref()?.region()?.source().path.as_deref()
    }

    /// Copies bytes, counted from its start, into all of `out`.
    #[inline]
    pub(crate) fn copy_to(&self, offset: u64, out: &mut [u8]) -> Result<(), CopyError> {
        let start = self.range.start.saturating_add(offset);
        let wanted = start..start.saturating_add(out.len() as u64);
        match &self.window {
            Some(window) if wanted.end <= self.range.end => window.copy_to(start, out),
            None if wanted.end <= self.range.end => Ok(()),
            _ => Err(CopyError::OutOfBounds { range: wanted, within: self.range.clone() }),
        }
    }

    /// A part of it, counted from its start, which holds nothing if it is empty. `None` if `part` is reversed or goes
    /// beyond.
    pub(crate) fn part(&self, part: Range<u64>) -> Option<Self> {
        let within = part.start <= part.end && part.end <= self.range.end.saturating_sub(self.range.start);
        // Within bounds, so these are exact.
        let range = within.then(|| self.range.start + part.start..self.range.start + part.end)?;
        Some(Self { window: if range.is_empty() { None } else { self.window.clone() }, range })
    }

    /// Tells the system how it will be used.
    pub(crate) fn advise(&self, advice: Advice) -> io::Result<()> {
        self.tell(|mapping, place, len| advice.give(mapping, place, len))
    }

    /// Reads it into memory and into the tables of the process.
    pub(crate) fn populate(&self) -> io::Result<()> {
        self.tell(advice::populate)
    }

    fn tell(&self, tell: impl FnOnce(&Mapping, usize, usize) -> io::Result<()>) -> io::Result<()> {
        let Some(window) = &self.window else { return Ok(()) };
        // Both are of memory.
        let place = self.range.start.saturating_sub(window.span().start) as usize;
        let len = self.range.end.saturating_sub(self.range.start) as usize;
        window.mapping().map_or(Ok(()), |mapping| tell(mapping, place, len))
    }
}
