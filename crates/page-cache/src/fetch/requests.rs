//! Several requests at once, and what the threads that send them leave for later.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use svf_core::RangeSet;

use crate::error::ReadError;
use crate::in_flight;
use crate::sync::Mutex;

/// Of a thread that sends requests.
const STACK: usize = 512 << 10;

/// What was not fetched, since others are at it or because it is not to be waited for any longer.
#[derive(Debug, Default)]
pub(super) struct Left {
    ranges: Mutex<RangeSet>,
    waited: AtomicBool,
    give_up: AtomicBool,
}

/// Whether it is of use to try what is left again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// After a while: other processes are at it.
    Later,
    /// At once: a thread of this process was at it, which is done.
    Now,
    /// No, for lack of patience or of locks.
    Never,
}

impl Left {
    /// Leaves something for which somebody else has to be waited.
    pub(super) fn add(&self, ranges: impl IntoIterator<Item = Range<u64>>) {
        // Mostly nothing is left, and nothing to be locked.
        let mut ranges = ranges.into_iter().peekable();
        if ranges.peek().is_some() {
            self.ranges.lock().extend(ranges);
        }
    }

    /// Nobody is to be waited for any longer.
    pub(super) fn give_up(&self) {
        self.give_up.store(true, Ordering::Relaxed);
    }

    /// Another thread was waited for.
    pub(super) fn waited(&self) {
        self.waited.store(true, Ordering::Relaxed);
    }

    /// What is left.
    pub(super) fn into_inner(self) -> (RangeSet, Again) {
        let again = match (self.give_up.into_inner(), self.waited.into_inner()) {
            (true, _) => Again::Never,
            (false, true) => Again::Now,
            (false, false) => Again::Later,
        };
        (self.ranges.into_inner(), again)
    }
}

/// Does something for each request, in up to `at_once` threads, which are told whether another one has failed. What
/// comes first of the errors is returned, and no further request is begun behind it, nor when all is to `stop`.
pub(super) fn for_each(
    requests: &[Range<u64>],
    at_once: usize,
    stop: impl Fn() -> bool + Sync,
    work: impl Fn(Range<u64>, &dyn Fn() -> bool) -> Result<(), ReadError> + Sync,
) -> Result<(), ReadError> {
    let (next, failed) = (AtomicUsize::new(0), OnceLock::new());
    let has_failed = || failed.get().is_some();
    let work_off = || {
        while !has_failed()
            && !stop()
            && let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed))
        {
            if let Err(error) = work(request.clone(), &has_failed) {
                // Another error was the first.
                _ = failed.set(error);
            }
        }
    };
    let is_within = in_flight::is_within_a_request();
    let work_for_this = || {
        in_flight::work_within_a_request(is_within);
        work_off();
    };
    let others = at_once.min(requests.len()).saturating_sub(1);
    if others == 0 {
        work_off();
        return failed.into_inner().map_or(Ok(()), Err);
    }
    std::thread::scope(|scope| {
        for _ in 0..others {
            let thread = std::thread::Builder::new().name("page-cache fetch".to_owned());
            if let Err(error) = thread.stack_size(STACK).spawn_scoped(scope, work_for_this) {
                tracing::debug!(%error, "no more threads for requests; those that are there do all of it");
                break;
            }
        }
        work_off();
    });
    failed.into_inner().map_or(Ok(()), Err)
}
