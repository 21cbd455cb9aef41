//! What the files of the benchmarks contain.

use crate::random::Random;

/// `len` bytes that are the same for the same seed, and of which no piece looks like another: a byte in the wrong
/// place, or of another file, shows. A shorter pattern of the same seed is the beginning of a longer one.
///
/// # Examples
///
/// ```
/// let file = svf_benches::pattern(1 << 16, 7);
/// assert_eq!(file[..10], svf_benches::pattern(10, 7));
/// assert_ne!(file[..10], svf_benches::pattern(10, 8));
/// ```
#[must_use]
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = vec![0; len];
    for word in bytes.chunks_mut(8) {
        word.copy_from_slice(&random.next_u64().to_le_bytes()[..word.len()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_length_is_a_beginning_of_the_same_bytes() {
        let long = pattern(1_000, 1);
        for len in 0..100 {
            assert_eq!(pattern(len, 1), long[..len]);
        }
    }

    #[test]
    fn no_piece_looks_like_another() {
        let (one, other) = (pattern(1 << 16, 1), pattern(1 << 16, 2));
        let pieces: HashSet<_> = one.windows(8).chain(other.windows(8)).collect();
        assert_eq!(pieces.len(), 2 * ((1 << 16) - 7));
    }
}
