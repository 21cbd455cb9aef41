//! The data file of a pair, and its mapping.

use std::io;
use std::ops::Range;
use std::sync::OnceLock;

use super::index::Loads;
use crate::sys::{DiskFile, Mapping, check_size_limit};

/// A file is mapped in windows of at least this many bytes, so that few of a process's mappings are taken, and where
/// address space is short the rest of a file can still be mapped.
const MIN_WINDOW: u64 = 1 << 30;
const MAX_WINDOWS: u64 = 4096;

type Window = OnceLock<Option<Box<dyn Mapping>>>;

/// An open data file.
#[derive(Debug)]
pub(crate) struct Data {
    file: Box<dyn DiskFile>,
    length: u64,
    window: u64,
    /// What is mapped of it, made when a page of a window is first checked; `None` in one that cannot be mapped.
    windows: Box<[Window]>,
}

impl Data {
    pub(crate) fn new(file: Box<dyn DiskFile>, length: u64, loads: Loads) -> Self {
        let window = MIN_WINDOW.max(length.div_ceil(MAX_WINDOWS).next_power_of_two());
        let count = if loads == Loads::Mapped { length.div_ceil(window) } else { 0 };
        Self { file, length, window, windows: (0..count).map(|_| OnceLock::new()).collect() }
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// Maps the windows of a range, if that has not been tried yet.
    pub(crate) fn map(&self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        for number in self.window_of(range.start).0..=self.window_of(range.end - 1).0 {
            let Some(window) = self.windows.get(number as usize) else { continue };
            window.get_or_init(|| {
                let start = number * self.window;
                let mapped = self.file.map(start..start.saturating_add(self.window).min(self.length));
                mapped.inspect_err(|error| tracing::warn!(%error, "a data file cannot be mapped, and is read")).ok()
            });
        }
    }

    /// Copies bytes, from the mapping where there is one, else by a read. False if the file does not give them.
    #[inline]
    pub(crate) fn copy_to(&self, offset: u64, out: &mut [u8]) -> bool {
        let (number, within) = self.window_of(offset);
        match self.windows.get(number as usize).and_then(OnceLock::get) {
            Some(Some(mapping)) if within + out.len() as u64 <= self.window => mapping.copy_to(within, out).is_ok(),
            _ => self.copy_pieces(offset, out),
        }
    }

    /// The number of the window that has the byte at an offset, and where in it that is. Without a division, which
    /// takes ten times as long.
    #[inline]
    fn window_of(&self, offset: u64) -> (u64, u64) {
        debug_assert!(self.window.is_power_of_two());
        (offset >> self.window.trailing_zeros(), offset & (self.window - 1))
    }

    /// The same where it is not one copy out of one window.
    fn copy_pieces(&self, offset: u64, out: &mut [u8]) -> bool {
        let (mut offset, mut rest) = (offset, out);
        while !rest.is_empty() {
            let (number, within) = self.window_of(offset);
            let count = rest.len().min((self.window - within) as usize);
            let (piece, others) = rest.split_at_mut(count);
            let copied = match self.windows.get(number as usize).and_then(OnceLock::get) {
                Some(Some(mapping)) => mapping.copy_to(within, piece).is_ok(),
                _ => self.read(offset, piece).is_ok(),
            };
            if !copied {
                return false;
            }
            (offset, rest) = (offset + count as u64, others);
        }
        true
    }

    /// Reads bytes by a system call.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    /// Whether it is as long as the object. What is written to one that somebody has cut short would make it longer,
    /// with zeros where pages were that are already checked; as it is, reading those is an error.
    fn check_length(&self) -> io::Result<()> {
        let len = self.file.len()?;
        if len < self.length {
            let what = format!("its data file is {len} bytes long, not {}", self.length);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        Ok(())
    }

    /// Whether this process may write to a range, before anything is charged for it.
    pub(crate) fn check_writable(&self, range: &Range<u64>) -> io::Result<()> {
        check_size_limit(range.end)?;
        self.check_length()
    }

    /// Writes bytes, to a file that was as long as the object a moment ago.
    ///
    /// Should somebody have cut it short since, the write has made it longer again, with zeros where pages are that
    /// processes have checked. Then all of it goes: so no word has anything left to vouch for.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // The object's last byte comes alone, since a file that has it is as long as the object, whatever happened.
        let is_end = offset + bytes.len() as u64 == self.length;
        let (first, last) = bytes.split_at(bytes.len() - usize::from(is_end && !bytes.is_empty()));
        let written = self.file.write_all_at(first, offset);
        // Also of a write that failed a part may be there.
        if let Err(error) = self.check_length() {
            self.file.set_len(0)?;
            return Err(error);
        }
        written?;
        if last.is_empty() { Ok(()) } else { self.file.write_all_at(last, self.length - 1) }
    }
}
