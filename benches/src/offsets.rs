//! Where files are written and read.

use std::ops::Range;

use crate::random::Random;

/// In which order pieces arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the start of the file to its end, as a download does.
    Ascending,
    /// From the end of the file to its start: everything is a prepend.
    Descending,
    /// In no order, the same for the same seed.
    Shuffled {
        /// What the order is made of.
        seed: u64,
    },
}

/// The offsets of `count` writes that lie `stride` bytes apart, from 0 on.
///
/// Writes of `stride` bytes become one block; shorter ones leave gaps of the rest between them.
///
/// # Examples
///
/// ```
/// use svf_benches::{Order, block_offsets};
///
/// assert_eq!(block_offsets(3, 128, Order::Ascending), [0, 128, 256]);
/// assert_eq!(block_offsets(3, 128, Order::Descending), [256, 128, 0]);
/// ```
#[must_use]
pub fn block_offsets(count: usize, stride: u64, order: Order) -> Vec<u64> {
    let mut offsets: Vec<_> = (0..count as u64).map(|block| block * stride).collect();
    match order {
        Order::Ascending => {}
        Order::Descending => offsets.reverse(),
        Order::Shuffled { seed } => Random::new(seed).shuffle(&mut offsets),
    }
    offsets
}

/// `count` ranges of `len` bytes each in a file of `file_len` bytes, at random multiples of `align`. All of them end
/// within the file; there are none if `len` is more than the file has, or `align` is 0.
///
/// # Examples
///
/// ```
/// let pages = svf_benches::random_reads(100, 4096, 4096, 1 << 20, 7);
/// assert!(pages.iter().all(|page| page.start % 4096 == 0 && page.end <= 1 << 20));
/// ```
#[must_use]
pub fn random_reads(count: usize, len: u64, align: u64, file_len: u64, seed: u64) -> Vec<Range<u64>> {
    let Some(last) = file_len.checked_sub(len).and_then(|last| last.checked_div(align)) else {
        return Vec::new();
    };
    let mut random = Random::new(seed);
    (0..count)
        .map(|_| {
            let start = random.below(last + 1) * align;
            start..start + len
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_the_same_offsets() {
        let ascending = block_offsets(1_000, 96, Order::Ascending);
        assert!(ascending.iter().copied().eq((0..96_000).step_by(96)));
        for order in [Order::Descending, Order::Shuffled { seed: 5 }] {
            let mut offsets = block_offsets(1_000, 96, order);
            assert_ne!(offsets, ascending);
            assert_eq!(offsets, block_offsets(1_000, 96, order), "it is repeatable");
            offsets.sort_unstable();
            assert_eq!(offsets, ascending);
        }
        let other = block_offsets(1_000, 96, Order::Shuffled { seed: 6 });
        assert_ne!(other, block_offsets(1_000, 96, Order::Shuffled { seed: 5 }), "the seed counts");
    }

    #[test]
    fn reads_lie_in_the_file_and_reach_both_of_its_ends() {
        let reads = random_reads(10_000, 10, 1, 100, 1);
        assert_eq!(reads.len(), 10_000);
        assert!(reads.iter().all(|read| read.end - read.start == 10 && read.end <= 100));
        assert!(reads.iter().any(|read| read.start == 0));
        assert!(reads.iter().any(|read| read.end == 100));

        let reads = random_reads(1_000, 10, 32, 100, 1);
        assert!(reads.iter().all(|read| read.start % 32 == 0 && read.end <= 100));
        assert!(reads.iter().any(|read| read.start == 64), "the last that fits; 96 does not");
    }

    #[test]
    fn what_does_not_fit_is_not_read() {
        assert_eq!(random_reads(5, 101, 1, 100, 1), []);
        assert_eq!(random_reads(5, 10, 0, 100, 1), []);
        assert_eq!(random_reads(2, 100, 1, 100, 1), [0..100, 0..100]);
    }
}
