//! `NeedOptions::plan`: every rule alone, and all together against what a plan must be.

use proptest::prelude::*;
use svf_core::{NeedOptions, RangeSet};

#[test]
fn by_default_ranges_are_only_sorted_and_joined() {
    assert_eq!(NeedOptions::new().plan([20..30, 5..10, 0..5, 25..40, 50..50]), [0..10, 20..40]);
    assert_eq!(NeedOptions::default().plan([7..9]), [7..9]);
    assert_eq!(NeedOptions::new().plan([]), []);
}

#[test]
fn greedy_lengthens_the_first_run_and_swallows_what_it_reaches() {
    // Blocks (8, 4), (16, 4), (32, 4) are held and 8..48 is asked with greedy 64.
    let missing = [12..16, 20..32, 36..48];
    assert_eq!(NeedOptions::new().greedy(64).plan(missing.clone()), [12..76]);
    // What starts at the end reached so far is merged; what starts behind it starts a run of its own.
    assert_eq!(NeedOptions::new().greedy(8).plan(missing.clone()), [12..32, 36..48]);
    assert_eq!(NeedOptions::new().greedy(14).plan([0..1, 14..15, 16..17]), [0..15, 16..30]);
    assert_eq!(NeedOptions::new().greedy(2).plan(missing), [12..16, 20..32, 36..48]);
}

#[test]
fn alignment_widens_outward_and_joins_what_then_touches() {
    assert_eq!(NeedOptions::new().align(10).plan([11..12, 29..31]), [10..40]);
    assert_eq!(NeedOptions::new().align(10).plan([10..20, 30..40]), [10..20, 30..40]);
    assert_eq!(NeedOptions::new().align(0).plan([11..12]), [11..12]);
    assert_eq!(
        NeedOptions::new().align(1 << 20).plan([u64::MAX - 3..u64::MAX]),
        [u64::MAX - ((1 << 20) - 1)..u64::MAX]
    );
}

#[test]
fn small_gaps_are_fetched_too() {
    assert_eq!(NeedOptions::new().max_gap(5).plan([0..10, 15..20, 26..30]), [0..20, 26..30]);
    assert_eq!(NeedOptions::new().max_gap(u64::MAX).plan([0..1, u64::MAX - 1..u64::MAX]), [0..u64::MAX]);
}

#[test]
fn nothing_behind_the_end_is_asked_for() {
    assert_eq!(NeedOptions::new().align(16).end_of_file(40).plan([20..32, 34..35, 90..99]), [16..40]);
    assert_eq!(NeedOptions::new().end_of_file(0).plan([0..1]), []);
    assert_eq!(NeedOptions::new().greedy(100).end_of_file(30).plan([20..21]), [20..30]);
}

#[test]
fn long_requests_are_split_at_multiples_of_the_alignment() {
    assert_eq!(NeedOptions::new().max_len(4).plan([1..10]), [1..5, 5..9, 9..10]);
    assert_eq!(NeedOptions::new().align(10).max_len(25).plan([3..51]), [0..20, 20..40, 40..60]);
    assert_eq!(NeedOptions::new().align(10).max_len(3).plan([3..21]), [0..10, 10..20, 20..30]);
    assert_eq!(NeedOptions::new().max_len(0).plan([3..5]), [3..4, 4..5]);
    assert_eq!(NeedOptions::new().max_len(u64::MAX).plan([0..u64::MAX]), [0..u64::MAX]);
}

proptest! {
    #[test]
    fn a_plan_covers_what_is_missing_in_order_and_keeps_its_bounds(
        missing in prop::collection::vec((0u64..2_000, 0u64..100), 0..20),
        greedy in prop_oneof![Just(0u64), 0u64..300],
        align in 0u64..70,
        max_gap in prop_oneof![Just(0u64), 0u64..200],
        end_of_file in prop::option::of(0u64..2_500),
        max_len in prop::option::of(20u64..400),
    ) {
        let missing: Vec<_> = missing.into_iter().map(|(start, len)| start..start + len).collect();
        let mut options = NeedOptions::new().greedy(greedy).align(align).max_gap(max_gap);
        if let Some(end) = end_of_file {
            options = options.end_of_file(end);
        }
        if let Some(len) = max_len {
            options = options.max_len(len);
        }
        let plan = options.plan(missing.clone());
        let end = end_of_file.unwrap_or(u64::MAX);
        let align = align.max(1);

        let planned: RangeSet = plan.iter().cloned().collect();
        for range in &missing {
            prop_assert!(planned.contains(range.start..range.end.min(end)));
        }
        for request in &plan {
            prop_assert!(!request.is_empty());
            prop_assert!(request.end <= end);
            prop_assert_eq!(request.start % align, 0);
            prop_assert!(request.end % align == 0 || request.end == end);
            if let Some(max_len) = max_len {
                prop_assert!(request.end - request.start <= max_len.max(align));
            }
        }
        for pair in plan.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start, "in order and disjoint");
            if max_len.is_none() {
                prop_assert!(pair[0].end + max_gap < pair[1].start, "what is near is one request");
            }
        }
        // With no widening at all, exactly what is missing is asked for.
        if greedy == 0 && align == 1 && max_gap == 0 {
            let exact: RangeSet = missing.into_iter().map(|range| range.start..range.end.min(end)).collect();
            prop_assert_eq!(planned, exact);
        }
    }
}
