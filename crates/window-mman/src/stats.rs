//! What a manager holds, counted.

use parking_lot::Mutex;

/// What a [`MapManager`](crate::MapManager) held at one moment.
///
/// All numbers are of the same moment. They are exact: a region is counted from its mapping to its
/// unmapping, whoever holds it, so with no view alive `mapped_regions` and `mapped_bytes` are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Files opened and not yet dropped; clones of one [`MappedFile`](crate::MappedFile) count
    /// once. Each holds one descriptor.
    pub open_files: usize,
    /// Regions that are mapped: windows, and covers of ranges that cross windows.
    ///
    /// When several threads ask for the same unmapped window at the same time, each maps it and
    /// all but one mapping are thrown away at once; for that moment all of them count.
    pub mapped_regions: usize,
    /// The bytes of files in these regions. A byte that is mapped by two regions counts twice;
    /// what the system maps behind the end of a file to fill a page does not count.
    pub mapped_bytes: u64,
}

/// The living counters behind [`Stats`].
///
/// One lock and not three atomics, so that a snapshot is of one moment; it is taken only beside
/// system calls that cost a hundred times more.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Stats>);

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        *self.0.lock()
    }

    pub(crate) fn file_opened(&self) {
        let mut stats = self.0.lock();
        stats.open_files = stats.open_files.saturating_add(1);
    }

    pub(crate) fn file_closed(&self) {
        let mut stats = self.0.lock();
        stats.open_files = stats.open_files.saturating_sub(1);
    }

    pub(crate) fn mapped(&self, bytes: u64) {
        let mut stats = self.0.lock();
        stats.mapped_regions = stats.mapped_regions.saturating_add(1);
        stats.mapped_bytes = stats.mapped_bytes.saturating_add(bytes);
    }

    pub(crate) fn unmapped(&self, bytes: u64) {
        let mut stats = self.0.lock();
        stats.mapped_regions = stats.mapped_regions.saturating_sub(1);
        stats.mapped_bytes = stats.mapped_bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_up_comes_down() {
        let counters = Counters::default();
        counters.file_opened();
        counters.mapped(10);
        counters.mapped(5);
        counters.unmapped(10);
        assert_eq!(counters.snapshot(), Stats { open_files: 1, mapped_regions: 1, mapped_bytes: 5 });
        counters.unmapped(5);
        counters.file_closed();
        assert_eq!(counters.snapshot(), Stats::default());
    }
}
