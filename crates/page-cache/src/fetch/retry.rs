//! The one place in which what may succeed later is tried again, and what broke off goes on where it stopped.
//!
//! ```text
//! ask ─► all of it ─► done
//!  ▲ │
//!  │ ├─► the beginning of it ──────► keep it, ask for the rest ──────────────────────┐
//!  │ ├─► an error that may pass ───► wait: back-off, at least as long as is asked for ┤
//!  │ ├─► what is no answer ────────► the same, twice at most ────────────────────────┤
//!  │ └─► any other error ─► that error                                               │
//!  └───────── not behind the deadline, else the error with how often it was tried ◄──┘
//! ```
//!
//! Origins try nothing again by themselves, so that every request is counted, and none is sent behind the deadline.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::in_flight::Turns;
use crate::origin::{Origin, OriginError, Stat};
use crate::stats::Counters;

/// How long, and with what pauses, a request is tried again that may succeed later.
///
/// That is so for an origin that cannot be reached, resets the connection or stalls, for the statuses 408, 429 and
/// those from 500 on but 501 and 505, and for a response that ends early. A response that is no answer at all (of
/// another range, too long, encoded, of the whole object) is asked for twice more, since proxies send such now and
/// then. All other errors are returned at once.
///
/// Pauses double from the first to the longest, and are shortened by up to a half at random, so that many who failed
/// together do not come back together. If the origin says how long to wait (`Retry-After`), the pause is at least that
/// long. New bytes begin the pauses anew, and a response that brought a sixteenth of what was asked for is continued
/// without one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use page_cache::{Cache, RetryPolicy};
///
/// # let directory = tempfile::tempdir()?;
/// let patient = RetryPolicy { deadline: Duration::from_secs(600), ..RetryPolicy::default() };
/// let cache = Cache::builder(directory.path()).retry(patient).open()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long after the first attempt another one may begin, for each request of at most 8 MiB or a page. A pause
    /// that would end later is not begun. The last attempt may take as long as the origin lets it.
    pub deadline: Duration,
    /// The first pause.
    pub first_pause: Duration,
    /// No pause is longer, unless the origin asks for that.
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// Nothing is tried again, and what broke off is not continued: an error is returned at once.
    pub const fn never() -> Self {
        Self { deadline: Duration::ZERO, first_pause: Duration::ZERO, longest_pause: Duration::ZERO }
    }
}

impl Default for RetryPolicy {
    /// Two minutes, with pauses from a tenth of a second to ten seconds: a server that is started anew, or a network
    /// that is changed, costs a pause and no error.
    fn default() -> Self {
        let (first_pause, longest_pause) = (Duration::from_millis(100), Duration::from_secs(10));
        Self { deadline: Duration::from_secs(120), first_pause, longest_pause }
    }
}

/// How often what is no answer is asked for again.
const UNUSABLE: u32 = 2;
/// A response that brought this part of what was asked for is continued without a pause.
const MUCH: u64 = 16;
/// So often it is looked at in a pause whether it is of use still.
const STEP: Duration = Duration::from_millis(50);
/// Who waits for longer should know why.
const LONG: Duration = Duration::from_secs(3);

/// The attempts at one request.
#[derive(Debug)]
pub(super) struct Attempts {
    policy: RetryPolicy,
    begun: Instant,
    made: u32,
    /// Those of them whose response was no answer.
    unusable: u32,
    /// The next one, before chance and the origin have had their say.
    pause: Duration,
}

impl Attempts {
    fn new(policy: RetryPolicy) -> Self {
        Self { policy, begun: Instant::now(), made: 0, unusable: 0, pause: policy.first_pause }
    }

    /// Makes one more, in its turn.
    fn attempt<T>(&mut self, turns: &mut Turns<'_>, counters: &Counters, ask: impl FnOnce() -> T) -> T {
        if self.made > 0 {
            counters.retried();
        }
        self.made += 1;
        turns.begin();
        counters.requested();
        let answer = ask();
        // Who waits for this origin, or stores what it gave, keeps nobody from asking another one.
        turns.end();
        answer
    }

    /// How long to wait before the next attempt, or the error to return instead of it.
    fn after(&mut self, error: OriginError) -> Result<Duration, OriginError> {
        let again = match &error {
            OriginError::InvalidResponse { .. } | OriginError::RangesIgnored { .. } => {
                self.unusable += 1;
                self.unusable <= UNUSABLE
            }
            error => error.is_transient(),
        };
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(self.policy.longest_pause);
        // Who was told to come back at a time comes a little after it, or all would come at once.
        let wait = match error.retry_after() {
            Some(asked) => asked.saturating_add(at_random(pause)),
            None => pause / 2 + at_random(pause / 2),
        };
        if again && self.is_in_time(wait) { Ok(wait) } else { Err(error.tried(self.made)) }
    }

    /// How long to wait before what broke off is continued; none if it is too late for that.
    fn after_progress(&mut self, part: u64, asked: u64) -> Option<Duration> {
        self.pause = self.policy.first_pause;
        let wait = if part >= asked / MUCH { Duration::ZERO } else { self.pause / 2 + at_random(self.pause / 2) };
        self.is_in_time(wait).then_some(wait)
    }

    fn is_in_time(&self, wait: Duration) -> bool {
        self.begun.elapsed().saturating_add(wait) < self.policy.deadline
    }

    /// Waits, and notes that the next attempt begins; not if there is to `stop`.
    fn wait(&self, key: &str, wait: Duration, reason: &dyn std::fmt::Display, stop: impl Fn() -> bool) -> bool {
        let (tried, millis) = (self.made, wait.as_millis() as u64);
        if wait >= LONG {
            tracing::warn!(key, tried, %reason, millis, "an origin is in trouble, and is asked again after a pause");
        } else {
            tracing::debug!(key, tried, %reason, millis, "an origin is asked again");
        }
        let (begun, mut rest) = (Instant::now(), wait);
        while !rest.is_zero() && !stop() {
            std::thread::sleep(rest.min(STEP));
            rest = wait.saturating_sub(begun.elapsed());
        }
        rest.is_zero()
    }
}

fn at_random(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}

/// The object's length and version, from its origin. Blocks for as long as the policy allows; an origin that cannot be
/// reached at all is tried for no longer than `unreachable`.
pub(crate) fn stat(origin: &dyn Origin, policy: RetryPolicy, unreachable: Duration) -> Result<Stat, OriginError> {
    let mut attempts = Attempts::new(policy);
    loop {
        attempts.made += 1;
        let error = match origin.stat() {
            Ok(stat) => return Ok(stat),
            Err(error) => error,
        };
        let no_answer = matches!(error, OriginError::Unreachable { .. });
        attempts.policy.deadline = if no_answer { policy.deadline.min(unreachable) } else { policy.deadline };
        let reason = error.to_string();
        let wait = attempts.after(error)?;
        attempts.wait(origin.key(), wait, &reason, || false);
    }
}

/// A request that has failed in the end.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: OriginError,
    /// What had come of it, from its start on.
    pub(super) begin: Bytes,
}

/// A first attempt that has failed, which was made in another way.
#[derive(Debug)]
pub(super) struct Tried(Box<(Attempts, OriginError)>);

/// The bytes of `range`, which is not empty, all of them. Blocks for as long as the policy allows, also of what was
/// tried before; each attempt is a turn, and pauses are none.
pub(super) fn read(
    origin: &dyn Origin,
    pinned: &Stat,
    range: Range<u64>,
    tried: Result<RetryPolicy, Tried>,
    turns: &mut Turns<'_>,
    counters: &Counters,
) -> Result<Bytes, Failed> {
    let (mut attempts, mut error) = match tried {
        Ok(policy) => (Attempts::new(policy), None),
        Err(Tried(tried)) => (tried.0, Some(tried.1)),
    };
    let mut begin = BytesMut::new();
    loop {
        let rest = range.start + begin.len() as u64..range.end;
        let answer = error.take().map_or_else(|| attempts.attempt(turns, counters, || ask(origin, &rest, pinned)), Err);
        let (wait, reason) = match answer {
            Ok(bytes) => {
                let (part, asked) = (bytes.len() as u64, rest.end - rest.start);
                counters.fetched(part);
                if part == asked && begin.is_empty() {
                    return Ok(bytes);
                }
                if begin.is_empty() {
                    begin.reserve((range.end - range.start) as usize);
                }
                begin.extend_from_slice(&bytes);
                if part == asked {
                    return Ok(begin.freeze());
                }
                let Some(wait) = attempts.after_progress(part, asked) else {
                    return Err(incomplete(origin, &range, begin, attempts.made));
                };
                (wait, "the response broke off".to_owned())
            }
            Err(error) => {
                let reason = error.to_string();
                match attempts.after(error) {
                    Ok(wait) => (wait, reason),
                    Err(error) => return Err(Failed { error, begin: begin.freeze() }),
                }
            }
        };
        if !attempts.wait(origin.key(), wait, &reason, || turns.are_over()) {
            return Err(incomplete(origin, &range, begin, attempts.made));
        }
    }
}

/// The same by one attempt, straight into memory that is there, from an origin that has such a way. What has failed is
/// for [`read`], which knows what may pass.
pub(super) fn read_into(
    origin: &dyn Origin,
    pinned: &Stat,
    start: u64,
    out: &mut [u8],
    policy: RetryPolicy,
    turns: &mut Turns<'_>,
    counters: &Counters,
) -> Result<(), Tried> {
    let mut attempts = Attempts::new(policy);
    let len = out.len() as u64;
    let answer = attempts.attempt(turns, counters, || origin.read_into(start, out, pinned));
    answer.map(|()| counters.fetched(len)).map_err(|error| Tried(Box::new((attempts, error))))
}

fn incomplete(origin: &dyn Origin, range: &Range<u64>, begin: BytesMut, attempts: u32) -> Failed {
    let (key, request, received) = (origin.key().to_owned(), bytes_of(range), begin.len() as u64);
    Failed { error: OriginError::Incomplete { key, request, received, attempts }, begin: begin.freeze() }
}

/// A beginning of `range`, not empty: an origin may be anybody's, and more than that is nothing to rely on.
fn ask(origin: &dyn Origin, range: &Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
    let bytes = origin.read(range.clone(), pinned)?;
    if !bytes.is_empty() && bytes.len() as u64 <= range.end - range.start {
        return Ok(bytes);
    }
    let reason = format!("it has {} bytes", bytes.len());
    Err(OriginError::InvalidResponse { key: origin.key().to_owned(), request: bytes_of(range), reason, attempts: 1 })
}

fn bytes_of(range: &Range<u64>) -> String {
    format!("bytes {}..{}", range.start, range.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, retry_after: Option<Duration>) -> OriginError {
        OriginError::Status { key: "a".into(), status, request: "bytes 0..1".into(), retry_after, attempts: 1 }
    }

    #[test]
    fn pauses_double_and_chance_takes_half_of_them_at_most() {
        let seconds = Duration::from_secs;
        let policy = RetryPolicy { deadline: seconds(10_000), first_pause: seconds(1), longest_pause: seconds(20) };
        let mut attempts = Attempts::new(policy);
        for longest in [1, 2, 4, 8, 16, 20, 20] {
            let wait = attempts.after(status(503, None)).unwrap();
            assert!(wait >= seconds(longest) / 2 && wait <= seconds(longest), "{wait:?} of {longest}");
        }
        let asked = attempts.after(status(429, Some(seconds(1_000)))).unwrap();
        assert!(asked >= seconds(1_000) && asked <= seconds(1_020), "{asked:?}");
        // New bytes begin anew, and many of them need no pause at all.
        assert_eq!(attempts.after_progress(1 << 10, 1 << 14), Some(Duration::ZERO));
        let wait = attempts.after_progress(1, 1 << 14).unwrap();
        assert!(wait >= seconds(1) / 2 && wait <= seconds(1), "{wait:?}");
        assert!(attempts.after(status(503, None)).unwrap() <= seconds(1));
        // Nobody is waited for beyond the deadline.
        let error = attempts.after(status(503, Some(seconds(10_000)))).unwrap_err();
        assert!(matches!(error, OriginError::Status { status: 503, retry_after: Some(_), .. }), "{error}");
        assert!(attempts.after(status(503, Some(Duration::MAX))).is_err());
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again_and_what_is_no_answer_twice() {
        let mut attempts = Attempts::new(RetryPolicy::default());
        for permanent in [400, 404, 418, 501, 505] {
            assert!(attempts.after(status(permanent, None)).is_err(), "{permanent}");
        }
        for transient in [408, 429, 500, 502, 503, 504, 599] {
            assert!(attempts.after(status(transient, None)).is_ok(), "{transient}");
        }
        assert!(attempts.after(OriginError::NotFound { key: "a".into() }).is_err());
        assert!(attempts.after(OriginError::Changed { key: "a".into(), reason: String::new() }).is_err());
        for again in [true, true, false] {
            assert_eq!(attempts.after(OriginError::RangesIgnored { key: "a".into() }).is_ok(), again);
        }
        assert!(Attempts::new(RetryPolicy::never()).after(status(503, None)).is_err());
        assert_eq!(Attempts::new(RetryPolicy::never()).after_progress(9, 10), None);
    }
}
