//! The eight bytes that vouch for a page.

/// One entry of the index: what is known about one page.
///
/// ```text
///  63                              32 31 30 29                            0
///  ┌─────────────────────────────────┬─────┬──────────────────────────────┐
///  │ CRC-32C of nonce, page, bytes   │state│ generation                   │
///  └─────────────────────────────────┴─────┴──────────────────────────────┘
/// ```
///
/// Little-endian on disk. A word that is all zeros is `EMPTY`, so a hole in the index is a run of empty entries. The
/// generation comes from the file's counter, so no word ever stands in a file twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryWord(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageState {
    /// Nothing is stored.
    Empty,
    /// Something may be stored, and nobody may read it.
    Charged,
    /// The page is stored, if its checksum agrees.
    Present,
    /// No such state is ever written.
    Invalid,
}

impl EntryWord {
    /// A pair whose counter has come this far is superseded, so that no word repeats.
    pub(crate) const MAX_GENERATION: u32 = (1 << 30) - 1;
    const STATE_SHIFT: u32 = 30;
    const CRC_SHIFT: u32 = 32;

    pub(crate) const EMPTY: Self = Self(0);
    /// The page may have blocks, which are charged, and nobody may read it.
    pub(crate) const CHARGED: Self = Self(1 << Self::STATE_SHIFT);

    pub(crate) const fn present(crc: u32, generation: u32) -> Self {
        Self((crc as u64) << Self::CRC_SHIFT | 2 << Self::STATE_SHIFT | (generation & Self::MAX_GENERATION) as u64)
    }

    /// From the number that stands in the file, little-endian there.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn state(self) -> PageState {
        match self.0 >> Self::STATE_SHIFT & 3 {
            0 => PageState::Empty,
            1 => PageState::Charged,
            2 => PageState::Present,
            _ => PageState::Invalid,
        }
    }

    pub(crate) const fn is_present(self) -> bool {
        matches!(self.state(), PageState::Present)
    }

    /// Whether it is all zeros: nothing is stored, nothing is charged.
    pub(crate) const fn is_empty(self) -> bool {
        matches!(self.state(), PageState::Empty)
    }

    pub(crate) const fn crc(self) -> u32 {
        (self.0 >> Self::CRC_SHIFT) as u32
    }

    pub(crate) const fn generation(self) -> u32 {
        self.0 as u32 & Self::MAX_GENERATION
    }
}

impl std::fmt::Debug for EntryWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}(crc {:08x}, generation {})", self.state(), self.crc(), self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_empty_and_a_word_keeps_its_parts() {
        assert_eq!(EntryWord::from_bits(0).state(), PageState::Empty);
        let word = EntryWord::present(0xDEAD_BEEF, EntryWord::MAX_GENERATION);
        assert_eq!(word.state(), PageState::Present);
        assert_eq!((word.crc(), word.generation()), (0xDEAD_BEEF, EntryWord::MAX_GENERATION));
        assert_eq!(EntryWord::from_bits(word.to_bits()), word);
    }

    #[test]
    fn the_bytes_on_disk_are_as_documented() {
        let word = EntryWord::present(0x0403_0201, 0x0706_0500);
        assert_eq!(word.to_bits().to_le_bytes(), [0x00, 0x05, 0x06, 0x87, 0x01, 0x02, 0x03, 0x04]);
        assert_eq!(EntryWord::CHARGED.to_bits().to_le_bytes(), [0, 0, 0, 0x40, 0, 0, 0, 0]);
        assert_eq!(EntryWord::CHARGED.state(), PageState::Charged);
        assert_eq!(EntryWord::from_bits(u64::MAX).state(), PageState::Invalid);
    }
}
