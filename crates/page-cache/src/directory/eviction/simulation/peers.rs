//! What the policy is compared with, and the traces that both are given: the code is the unit test's here, and that of
//! an example of the benchmarks, which plays a trace to a cache on a disk.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// A sequence of uses and how many things the cache holds.
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) uses: Vec<u64>,
    pub(crate) capacity: usize,
}

/// xorshift64*: the same sequence on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    fn shuffled(&mut self, count: u64) -> Vec<u64> {
        let mut numbers: Vec<u64> = (0..count).collect();
        for last in (1..numbers.len()).rev() {
            numbers.swap(last, self.below(last as u64 + 1) as usize);
        }
        numbers
    }
}

/// Numbers of which the i-th comes with a frequency of 1 / i^exponent.
pub(crate) struct Zipf {
    sums: Vec<f64>,
    numbers: Vec<u64>,
}

impl Zipf {
    pub(crate) fn new(count: u64, exponent: f64, random: &mut Random) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { sums: sums.collect(), numbers: random.shuffled(count) }
    }

    pub(crate) fn next(&self, random: &mut Random) -> u64 {
        let place = (random.next() >> 11) as f64 / (1u64 << 53) as f64 * self.sums.last().unwrap();
        self.numbers[self.sums.partition_point(|&sum| sum < place).min(self.numbers.len() - 1)]
    }
}

pub(crate) fn least_recently_used(trace: &Trace) -> usize {
    let (mut order, mut last_use) = (BTreeSet::new(), HashMap::new());
    let mut hits = 0;
    for (time, &number) in trace.uses.iter().enumerate() {
        if let Some(before) = last_use.insert(number, time) {
            order.remove(&(before, number));
            hits += 1;
        } else if order.len() == trace.capacity {
            let (_, goes) = order.pop_first().unwrap();
            last_use.remove(&goes);
        }
        order.insert((time, number));
    }
    hits
}

/// What is used again the latest goes (Belady, 1966): nobody can do better.
pub(crate) fn optimum(trace: &Trace) -> usize {
    let mut next_use = vec![usize::MAX; trace.uses.len()];
    let mut last_seen = HashMap::new();
    for (time, number) in trace.uses.iter().enumerate().rev() {
        next_use[time] = last_seen.insert(number, time).unwrap_or(usize::MAX);
    }
    let (mut order, mut stored) = (BTreeSet::new(), HashMap::new());
    let mut hits = 0;
    for (&number, &next) in trace.uses.iter().zip(&next_use) {
        if let Some(before) = stored.insert(number, next) {
            order.remove(&(before, number));
            hits += 1;
        } else if order.len() == trace.capacity {
            let (_, goes) = order.pop_last().unwrap();
            stored.remove(&goes);
        }
        order.insert((next, number));
    }
    hits
}

/// S3-FIFO (Yang et al., 2023): a tenth of the room for what is new, the rest for what was used again, and as many
/// ghosts.
#[derive(Default)]
pub(crate) struct S3Fifo {
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    ghosts: VecDeque<u64>,
    ghost_counts: HashMap<u64, usize>,
    uses: HashMap<u64, u8>,
}

impl S3Fifo {
    pub(crate) fn hits(trace: &Trace) -> usize {
        let mut cache = Self::default();
        let small_room = (trace.capacity / 10).max(1);
        let main_room = trace.capacity - small_room;
        let mut hits = 0;
        for &number in &trace.uses {
            if let Some(uses) = cache.uses.get_mut(&number) {
                *uses = (*uses + 1).min(3);
                hits += 1;
                continue;
            }
            while cache.uses.len() >= trace.capacity {
                if cache.small.len() >= small_room || cache.main.is_empty() {
                    cache.evict_small(main_room);
                } else {
                    cache.evict_main();
                }
                while cache.main.len() > main_room {
                    cache.evict_main();
                }
            }
            let queue = if cache.ghost_counts.contains_key(&number) { &mut cache.main } else { &mut cache.small };
            queue.push_back(number);
            cache.uses.insert(number, 0);
        }
        hits
    }

    fn evict_small(&mut self, ghosts: usize) {
        let Some(number) = self.small.pop_front() else { return self.evict_main() };
        if self.uses[&number] > 1 {
            self.uses.insert(number, 0);
            return self.main.push_back(number);
        }
        self.uses.remove(&number);
        self.ghosts.push_back(number);
        *self.ghost_counts.entry(number).or_default() += 1;
        while self.ghosts.len() > ghosts {
            let oldest = self.ghosts.pop_front().unwrap();
            let count = self.ghost_counts.get_mut(&oldest).unwrap();
            *count -= 1;
            if *count == 0 {
                self.ghost_counts.remove(&oldest);
            }
        }
    }

    fn evict_main(&mut self) {
        while let Some(number) = self.main.pop_front() {
            let uses = self.uses.get_mut(&number).unwrap();
            if *uses == 0 {
                self.uses.remove(&number);
                return;
            }
            *uses -= 1;
            self.main.push_back(number);
        }
    }
}
