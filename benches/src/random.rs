//! Numbers that are random enough to defeat caches and branch predictors, and the same in every run.

/// A source of numbers that is fully given by its seed: SplitMix64, after Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators" (2014).
///
/// It is here, and not a dependency, because the workloads must stay the same when a dependency changes its mind.
///
/// # Examples
///
/// ```
/// use svf_benches::Random;
///
/// let (mut one, mut other) = (Random::new(7), Random::new(7));
/// assert_eq!(one.next_u64(), other.next_u64());
/// ```
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The numbers of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, and 0 if `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: its bias is nothing at the sizes of files.
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// Brings `items` into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_splitmix64() {
        // The first outputs of the authors' implementation for the seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn below_is_below_and_reaches_everything() {
        let mut random = Random::new(1);
        let mut seen = [0; 10];
        for _ in 0..1_000 {
            seen[random.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (50..200).contains(&count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn shuffling_keeps_every_item_and_few_in_their_places() {
        let mut items: Vec<_> = (0..1_000).collect();
        Random::new(3).shuffle(&mut items);
        let stayed = (0..).zip(&items).filter(|(i, item)| i == *item).count();
        assert!(stayed < 10, "{stayed}");
        items.sort_unstable();
        assert!(items.into_iter().eq(0..1_000));
        Random::new(3).shuffle::<u8>(&mut []);
    }
}
