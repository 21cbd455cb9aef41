//! The policy on traces, beside others: how many of the uses are hits.
//!
//! The caches here have numbers instead of bytes. Ours is the code that evicts, over a list of what is stored.

mod peers;

use std::collections::HashMap;

use self::peers::{Random, S3Fifo, Trace, Zipf, least_recently_used, optimum};
use super::candidates::{Candidates, LOOKS};
use super::stamp::{PERIODS, Period, Stamp};

/// Somebody who looks at images of a collection as a viewer of COGs does: the header, then nine tiles around where he is,
/// who moves about, and in and out. Two neighbouring tiles lie in one extent.
fn viewer(uses: usize, random: &mut Random) -> Vec<u64> {
    let images = Zipf::new(20, 0.8, random);
    let mut trace = Vec::new();
    while trace.len() < uses {
        let image = images.next(random) * 100_000;
        trace.push(image);
        let (mut level, mut x, mut y) = (0, 0i64, 0i64);
        for _ in 0..40 + random.below(80) {
            let side = 2i64 << level;
            let tiles_above = ((4 << (2 * level)) - 4) / 3;
            for (row, column) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (y + dy, x + dx))) {
                if (0..side).contains(&row) && (0..side).contains(&column) {
                    trace.push(image + 1 + (tiles_above + row * side + column) as u64 / 2);
                }
            }
            match random.below(10) {
                0..=2 if level < 5 => {
                    level += 1;
                    (x, y) = (2 * x + random.below(2) as i64, 2 * y + random.below(2) as i64);
                }
                3 if level > 0 => {
                    level -= 1;
                    (x, y) = (x / 2, y / 2);
                }
                _ => [&mut x, &mut y]
                    .into_iter()
                    .for_each(|place| *place = (*place + random.below(3) as i64 - 1).clamp(0, side - 1)),
            }
        }
    }
    trace
}

fn traces() -> Vec<Trace> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let zipf = Zipf::new(10_000, 0.9, &mut random);
    let popular: Vec<u64> = (0..80_000).map(|_| zipf.next(&mut random)).collect();
    let mut scanned = Vec::new();
    let mut scan = (0..30_000).map(|number| 100_000 + number).cycle();
    while scanned.len() < 80_000 {
        scanned.extend((0..5_000).map(|_| zipf.next(&mut random)));
        scanned.extend(scan.by_ref().take(3_000));
    }
    let round = |len| (0..100_000u64).map(|step| step % len).collect::<Vec<u64>>();
    let viewed = viewer(80_000, &mut random);
    vec![
        Trace { name: "zipf 0.9, a tenth fits", uses: popular.clone(), capacity: 1_000 },
        Trace { name: "zipf 0.9, a hundredth fits", uses: popular, capacity: 100 },
        Trace { name: "zipf 0.9 and scans", uses: scanned.clone(), capacity: 1_000 },
        Trace { name: "zipf 0.9 and scans, a third", uses: scanned, capacity: 300 },
        Trace { name: "a loop of 1.1 times what fits", uses: round(1_100), capacity: 1_000 },
        Trace { name: "a loop of 1.5 times what fits", uses: round(1_500), capacity: 1_000 },
        Trace { name: "a loop of twice what fits", uses: round(2_000), capacity: 1_000 },
        Trace { name: "a viewer of images", uses: viewed.clone(), capacity: 2_000 },
        Trace { name: "a viewer of images, a third", uses: viewed, capacity: 600 },
    ]
}

fn ours(trace: &Trace) -> usize {
    let mut random = Random(88_172_645_463_325_252);
    let (mut stored, mut places) = (Vec::new(), HashMap::new());
    // The table of an index outlives what it speaks of.
    let mut stamps: HashMap<u64, (Stamp, Period)> = HashMap::new();
    let mut candidates = Candidates::default();
    let (mut filled, mut hits) = (0u64, 0);
    for &number in &trace.uses {
        let now = Period((filled * PERIODS / trace.capacity as u64) as u16);
        let hit = places.contains_key(&number);
        hits += usize::from(hit);
        if !hit {
            if stored.len() == trace.capacity {
                for _ in 0..LOOKS {
                    let seen = stored[random.below(stored.len() as u64) as usize];
                    candidates.offer(seen, stamps[&seen].0);
                }
                let found = |number: &u64, _| places.contains_key(number).then(|| stamps[number].0);
                let goes = candidates.take_stalest(now, found).unwrap();
                let place = places.remove(&goes).unwrap();
                stored.swap_remove(place);
                if let Some(moved) = stored.get(place) {
                    places.insert(*moved, place);
                }
            }
            places.insert(number, stored.len());
            stored.push(number);
            filled += 1;
        }
        // Touches are folded together, here once a period.
        let (stamp, folded) = stamps.get(&number).copied().unwrap_or((Stamp::NEVER, Period(now.0.wrapping_sub(1))));
        if !hit || folded != now {
            stamps.insert(number, (stamp.used(now, !hit), now));
        }
    }
    hits
}

/// Two points of a hundred is what is promised.
#[test]
fn the_hit_rate_is_that_of_s3_fifo_on_every_trace() {
    println!("{:32} {:>8} {:>8} {:>8} {:>8}", "hits in a hundred uses", "ours", "S3-FIFO", "LRU", "optimum");
    let mut behind = Vec::new();
    for trace in traces() {
        let rate = |hits: usize| 100.0 * hits as f64 / trace.uses.len() as f64;
        let [ours, s3_fifo, lru, optimum] =
            [ours(&trace), S3Fifo::hits(&trace), least_recently_used(&trace), optimum(&trace)].map(rate);
        println!("{:32} {ours:8.2} {s3_fifo:8.2} {lru:8.2} {optimum:8.2}", trace.name);
        assert!(ours <= optimum && s3_fifo <= optimum && lru <= optimum, "{}", trace.name);
        if ours < s3_fifo - 2.0 {
            behind.push(trace.name);
        }
    }
    assert!(behind.is_empty(), "more than two points behind on {behind:?}");
}
