//! What a parser asks for, seen from between it and the file.

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use svf::svf_core::RangeSet;

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// All bytes that the parser was given, those it was given twice counted twice.
    pub(crate) asked_bytes: u64,
    /// Where they are in the file.
    pub(crate) asked: RangeSet,
}

/// Passes reads through and records them.
#[derive(Debug)]
pub(crate) struct Recorder<R> {
    inner: R,
    position: u64,
    recording: Rc<RefCell<Recording>>,
}

impl<R: Read + Seek> Recorder<R> {
    /// Records what is read of `inner`, which stands at its start.
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, position: 0, recording: Rc::default() }
    }

    /// The recording, which goes on while the parser has the reader.
    pub(crate) fn recording(&self) -> Rc<RefCell<Recording>> {
        Rc::clone(&self.recording)
    }
}

impl<R: Read> Read for Recorder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)? as u64;
        let mut recording = self.recording.borrow_mut();
        recording.asked_bytes += count;
        recording.asked.insert(self.position..self.position + count);
        self.position += count;
        Ok(count as usize)
    }
}

impl<R: Seek> Seek for Recorder<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.inner.seek(to)?;
        Ok(self.position)
    }
}
