//! What it costs to charge something, which is done for each page that is stored.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[path = "../../tests/it/system_calls.rs"]
mod system_calls;

use self::system_calls::{calls_between_marks, dir_if_traced, mark_begin, mark_end};
use crate::directory::{Budget, Directory, Settings};

const SECTIONS: usize = 20;
const RESERVATIONS: usize = 100;

fn open(dir: &Path) -> std::sync::Arc<Directory> {
    Directory::open(dir, &Settings::default()).unwrap()
}

/// Charges pages and gives the charges back.
fn reserve(budget: &Budget, reservations: usize) {
    let section = budget.enter_within(Duration::from_secs(10)).unwrap();
    for _ in 0..reservations {
        assert!(section.reserve(4096 + 64));
        section.uncharge(4096 + 64);
    }
}

/// A section is the lock of it, which is taken and given back; what is charged in one is a matter of words in memory.
#[test]
fn a_section_makes_two_system_calls_and_a_reservation_none() {
    if let Some(dir) = dir_if_traced() {
        let directory = open(&dir);
        mark_begin();
        (0..SECTIONS).for_each(|_| reserve(directory.budget(), RESERVATIONS));
        mark_end();
        return;
    }
    let test = "tests::reservation::a_section_makes_two_system_calls_and_a_reservation_none";
    let Some(calls) = calls_between_marks(test) else { return };
    // The thread of the directory may be in a section, or leave one, at the same moment, which is once at most.
    assert!(calls.len().abs_diff(2 * SECTIONS) <= 4, "{calls:#?}");
}

/// Beside a word of this process's own memory that is added to and subtracted from as often, by as many threads: it is
/// three words that change, and not one.
#[test]
fn a_reservation_costs_a_few_changes_of_words_in_memory_however_many_threads_charge() {
    let directory = tempfile::tempdir().unwrap();
    let shared = open(directory.path());
    let (count, bare) = (200_000, AtomicU64::new(0));
    let ours = || reserve(shared.budget(), count);
    let bare = || {
        for _ in 0..count {
            bare.fetch_add(4096 + 64, Ordering::AcqRel);
            bare.fetch_sub(4096 + 64, Ordering::AcqRel);
        }
    };
    for threads in [1, 2] {
        let time = |work: &(dyn Fn() + Sync)| {
            let start = Instant::now();
            std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
            start.elapsed()
        };
        let before = shared.budget().used();
        // The best of some rounds that take turns: others use the machine as well.
        let rounds = (0..5).map(|_| (time(&ours), time(&bare)));
        let (ours, bare) = rounds.reduce(|one, other| (one.0.min(other.0), one.1.min(other.1))).unwrap();
        let nanoseconds = |time: Duration| time.as_nanos() as f64 / count as f64;
        eprintln!(
            "{threads} threads: a reservation and its return {:.1} ns, two changes of a word {:.1} ns",
            nanoseconds(ours),
            nanoseconds(bare)
        );
        assert_eq!(shared.budget().used(), before);
        // A system call would be a hundred times as much.
        assert!(ours < 40 * bare, "{threads} threads: {ours:?} beside {bare:?}");
    }
}
