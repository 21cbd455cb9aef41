//! The faults that wait for their requests, in order or at random.

use crate::fault::Fault;
use crate::request::RequestHead;
use crate::times::{On, Times};

/// The faults that have been injected and are not used up.
#[derive(Debug, Default)]
pub(crate) struct FaultQueue {
    waiting: Vec<(Fault, Times)>,
    mix: Option<Mix>,
}

/// Faults that come at random, in an order that a seed repeats.
#[derive(Debug)]
struct Mix {
    faults: Vec<Fault>,
    /// Of 2^32 requests so many are hit.
    rate: u64,
    state: u64,
}

impl Mix {
    fn next(&mut self) -> Option<Fault> {
        let hit = self.random() < self.rate;
        let chosen = self.random();
        if !hit || self.faults.is_empty() {
            return None;
        }
        self.faults.get((chosen % self.faults.len() as u64) as usize).cloned()
    }

    /// 32 bits of the generator SplitMix64 (Steele, Lea and Flood).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) >> 32
    }
}

impl FaultQueue {
    pub(crate) fn push(&mut self, fault: Fault, times: Times) {
        self.waiting.push((fault, times));
    }

    /// Hits this part of the requests, 0 to 1, that no waiting fault hits.
    pub(crate) fn mix(&mut self, seed: u64, rate: f64, faults: &[Fault]) {
        let rate = (rate.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64;
        self.mix = Some(Mix { faults: faults.to_vec(), rate, state: seed });
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.mix = None;
    }

    /// The fault that hits this request: the first injected of those that are due. The others stay
    /// due, but every one that is still skipping has skipped this request.
    pub(crate) fn take(&mut self, request: &RequestHead) -> Option<Fault> {
        let mut hit = None;
        for (fault, times) in &mut self.waiting {
            if !times.matches(request) {
                continue;
            }
            if times.skip > 0 {
                times.skip -= 1;
            } else if hit.is_none() && times.left != Some(0) {
                times.left = times.left.map(|left| left - 1);
                hit = Some(fault.clone());
            }
        }
        self.waiting.retain(|(_, times)| times.left != Some(0));
        // The mix goes on for those that are hit already too, so that it is the same whatever else is injected.
        let mixed =
            if Times::every().on(On::Both).matches(request) { self.mix.as_mut().and_then(Mix::next) } else { None };
        hit.or(mixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precondition::Preconditions;
    use crate::request::Method;

    fn request(method: Method, path: &str) -> RequestHead {
        RequestHead {
            method,
            path: path.to_owned(),
            range: None,
            preconditions: Preconditions::default(),
            close: false,
            host_is_wrong: false,
        }
    }

    fn statuses(queue: &mut FaultQueue, count: usize) -> Vec<u16> {
        let get = request(Method::Get, "/a");
        let status = |fault| match fault {
            Some(Fault::Status(status)) => status,
            _ => 0,
        };
        (0..count).map(|_| status(queue.take(&get))).collect()
    }

    #[test]
    fn faults_come_in_turn() {
        let mut queue = FaultQueue::default();
        queue.push(Fault::Status(1), Times::next(2));
        queue.push(Fault::Status(2), Times::once());
        queue.push(Fault::Status(3), Times::next(0));
        assert_eq!(statuses(&mut queue, 5), [1, 1, 2, 0, 0]);
        assert!(queue.waiting.is_empty());
    }

    #[test]
    fn skipping_counts_from_the_injection() {
        let mut queue = FaultQueue::default();
        queue.push(Fault::Status(1), Times::once().after(1));
        queue.push(Fault::Status(2), Times::every().after(3));
        assert_eq!(statuses(&mut queue, 6), [0, 1, 0, 2, 2, 2]);
        queue.clear();
        assert_eq!(statuses(&mut queue, 1), [0]);
    }

    #[test]
    fn a_fault_hits_its_method_and_path_only() {
        let mut queue = FaultQueue::default();
        queue.push(Fault::Status(1), Times::once().on(On::Head).at("b"));
        for other in
            [request(Method::Get, "/b"), request(Method::Head, "/a"), request(Method::Other("POST".to_owned()), "/b")]
        {
            assert_eq!(queue.take(&other), None);
        }
        assert_eq!(queue.take(&request(Method::Head, "/b")), Some(Fault::Status(1)));

        queue.push(Fault::Status(2), Times::every().on(On::Both));
        assert!(queue.take(&request(Method::Get, "/b")).is_some());
        assert!(queue.take(&request(Method::Head, "/b")).is_some());
        assert!(queue.take(&request(Method::Other("POST".to_owned()), "/b")).is_none());
    }

    #[test]
    fn a_mix_is_what_its_seed_says() {
        let run = |seed, rate| {
            let mut queue = FaultQueue::default();
            queue.mix(seed, rate, &[Fault::Status(1), Fault::Status(2)]);
            statuses(&mut queue, 1000)
        };
        let some = run(7, 0.25);
        assert_eq!(some, run(7, 0.25));
        assert_ne!(some, run(8, 0.25));
        let count = |status| some.iter().filter(|&&hit| hit == status).count();
        assert!((150..350).contains(&(count(1) + count(2))), "{} and {}", count(1), count(2));
        assert!(count(1) > 50 && count(2) > 50);
        assert!(run(7, 0.0).iter().all(|&hit| hit == 0));
        assert!(run(7, 1.0).iter().all(|&hit| hit != 0));

        // What waits for its request comes first, and a clearing ends both.
        let mut queue = FaultQueue::default();
        queue.mix(7, 1.0, &[Fault::Status(1)]);
        queue.push(Fault::Status(3), Times::once());
        assert_eq!(statuses(&mut queue, 2), [3, 1]);
        queue.clear();
        assert_eq!(statuses(&mut queue, 2), [0, 0]);
    }
}
