//! The oracle: what is held of a file, one flag for each of its bytes.

use std::ops::Range;

/// A file of which pieces are held, as simple and as slow as can be: every byte and, for every byte, whether it is
/// held. What disagrees with it is wrong.
///
/// # Examples
///
/// ```
/// use svf_benches::DenseFile;
///
/// let mut model = DenseFile::new(40);
/// model.write(14, b"ABCDEF");
/// assert_eq!(model.gaps(8..32), [8..14, 20..32]);
/// assert_eq!(model.read(16..18), Some(&b"CD"[..]));
/// ```
#[derive(Debug, Clone)]
pub struct DenseFile {
    bytes: Vec<u8>,
    held: Vec<bool>,
}

impl DenseFile {
    /// A file of `len` bytes, of which none are held. The bytes behind it never are.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self { bytes: vec![0; len], held: vec![false; len] }
    }

    /// Writes `data` at `offset`, over what is held; what lies behind the end is dropped.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let places = self.places(offset..offset.saturating_add(data.len() as u64));
        let data = &data[..places.len()];
        self.bytes[places.clone()].copy_from_slice(data);
        self.held[places].fill(true);
    }

    /// How many bytes are held.
    #[must_use]
    pub fn num_bytes(&self) -> u64 {
        self.held.iter().filter(|&&held| held).count() as u64
    }

    /// The blocks: the longest ranges of which every byte is held, in order.
    #[must_use]
    pub fn blocks(&self) -> Vec<Range<u64>> {
        self.runs(&(0..self.bytes.len() as u64), true)
    }

    /// The longest parts of `range` of which no byte is held, in order.
    #[must_use]
    pub fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        self.runs(&range, false)
    }

    /// Whether every byte of `range` is held. An empty range always is.
    #[must_use]
    pub fn contains(&self, range: Range<u64>) -> bool {
        self.gaps(range).is_empty()
    }

    /// The bytes of `range`, if all of them are held.
    #[must_use]
    pub fn read(&self, range: Range<u64>) -> Option<&[u8]> {
        self.contains(range.clone()).then(|| &self.bytes[self.places(range)])
    }

    /// The longest parts of `range` whose bytes are all held, or all not held.
    fn runs(&self, range: &Range<u64>, held: bool) -> Vec<Range<u64>> {
        let places = self.places(range.clone());
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut add = |part: Range<u64>| match runs.last_mut() {
            Some(last) if last.end == part.start => last.end = part.end,
            _ => runs.push(part),
        };
        for place in places.clone() {
            if self.held[place] == held {
                add(place as u64..place as u64 + 1);
            }
        }
        let behind = range.start.max(self.bytes.len() as u64)..range.end;
        if !held && !behind.is_empty() {
            add(behind);
        }
        runs
    }

    /// The part of `range` that the file has.
    fn places(&self, range: Range<u64>) -> Range<usize> {
        let len = self.bytes.len();
        let place = |offset: u64| usize::try_from(offset).map_or(len, |offset| offset.min(len));
        place(range.start)..place(range.end).max(place(range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_what_was_written() {
        let mut model = DenseFile::new(10);
        assert_eq!(model.blocks(), []);
        assert_eq!(model.gaps(0..10), [0..10]);
        model.write(2, b"cd");
        model.write(6, b"gh");
        assert_eq!(model.blocks(), [2..4, 6..8]);
        assert_eq!(model.gaps(0..10), [0..2, 4..6, 8..10]);
        assert_eq!(model.gaps(3..7), [4..6]);
        assert_eq!(model.read(2..4), Some(&b"cd"[..]));
        assert_eq!(model.read(2..5), None);
        model.write(3, b"DEF");
        assert_eq!(model.blocks(), [2..8]);
        assert_eq!(model.read(2..8), Some(&b"cDEFgh"[..]));
        assert!(model.contains(2..8) && !model.contains(1..8) && !model.contains(2..9));
        assert_eq!(model.num_bytes(), 6);
    }

    #[test]
    fn what_lies_behind_the_end_is_never_held() {
        let mut model = DenseFile::new(10);
        model.write(8, b"ijkl");
        model.write(20, b"u");
        model.write(u64::MAX, b"z");
        assert_eq!(model.blocks(), [8..10]);
        assert_eq!(model.gaps(5..30), [5..8, 10..30]);
        assert_eq!(model.gaps(15..u64::MAX), [15..u64::MAX]);
        model.write(0, b"abcdefgh");
        assert_eq!(model.gaps(9..30), [10..30], "one gap, in the file and behind it");
    }

    #[test]
    fn an_empty_range_is_held_everywhere() {
        let model = DenseFile::new(10);
        for range in [0..0, 10..10, 50..50, Range { start: 8, end: 3 }, Range { start: 50, end: 3 }] {
            assert!(model.contains(range.clone()));
            assert_eq!(model.read(range), Some(&b""[..]));
        }
    }
}
