//! What may succeed later is tried again, and what broke off goes on where it stopped.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use page_cache::{
    Cache, CacheBuilder, CachedFile, Freshness, OnUnreachable, Origin, OriginError, ReadError, RetryPolicy, Stat,
    Unvalidated, Validators,
};
use tempfile::TempDir;

use crate::memory_origin::{MemoryOrigin, pattern};

const PAGE: u64 = 4096;
const LEN: usize = 300_000;

/// Short pauses, and a deadline that a test can wait for.
pub(crate) fn quick() -> RetryPolicy {
    let (first_pause, longest_pause) = (Duration::from_millis(2), Duration::from_millis(50));
    RetryPolicy { deadline: Duration::from_secs(2), first_pause, longest_pause }
}

/// Short pauses, and a deadline that no test reaches.
fn patient() -> RetryPolicy {
    RetryPolicy { deadline: Duration::from_secs(600), ..quick() }
}

/// What an origin does instead of answering a request.
#[derive(Debug, Clone)]
enum Instead {
    Unreachable,
    Status(u16, Option<Duration>),
    Invalid,
    RangesIgnored,
    NotFound,
    /// So many bytes at most.
    Part(u64),
    TooMany,
    Empty,
}

/// An origin in memory that does something else for its next requests; clones are the same.
#[derive(Debug, Clone)]
struct Faulty {
    origin: MemoryOrigin,
    instead: Arc<Mutex<VecDeque<Instead>>>,
    always: Arc<Mutex<Option<Instead>>>,
}

impl Faulty {
    fn new() -> Self {
        let origin = MemoryOrigin::new("faulty", pattern(LEN, 9));
        Self { origin, instead: Arc::default(), always: Arc::default() }
    }

    fn next(&self, instead: impl IntoIterator<Item = Instead>) {
        self.instead.lock().unwrap().extend(instead);
    }

    fn always(&self, instead: Option<Instead>) {
        *self.always.lock().unwrap() = instead;
    }

    fn take(&self) -> Option<Instead> {
        self.instead.lock().unwrap().pop_front().or_else(|| self.always.lock().unwrap().clone())
    }

    fn error(&self, instead: &Instead, request: String) -> OriginError {
        let (key, attempts) = (self.key().to_owned(), 1);
        match instead.clone() {
            Instead::Status(status, retry_after) => OriginError::Status { key, status, request, retry_after, attempts },
            Instead::Invalid => {
                OriginError::InvalidResponse { key, request, reason: "it is nonsense".into(), attempts }
            }
            Instead::RangesIgnored => OriginError::RangesIgnored { key },
            Instead::NotFound => OriginError::NotFound { key },
            _ => OriginError::Unreachable { key, request, reason: "it is down".into(), attempts },
        }
    }
}

impl Origin for Faulty {
    fn key(&self) -> &str {
        self.origin.key()
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        match self.take() {
            None => self.origin.stat(),
            Some(instead) => Err(self.error(&instead, "the object's length".into())),
        }
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        let bytes = self.origin.read(range.clone(), pinned)?;
        match self.take() {
            None => Ok(bytes),
            Some(Instead::Part(most)) => Ok(bytes.slice(..bytes.len().min(most as usize))),
            Some(Instead::TooMany) => Ok([&bytes[..], &[0]].concat().into()),
            Some(Instead::Empty) => Ok(Bytes::new()),
            Some(instead) => Err(self.error(&instead, format!("bytes {}..{}", range.start, range.end))),
        }
    }
}

struct Scene {
    origin: Faulty,
    bytes: Vec<u8>,
    directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { origin: Faulty::new(), bytes: pattern(LEN, 9), directory: tempfile::tempdir().unwrap() }
    }

    fn builder(&self) -> CacheBuilder {
        Cache::builder(self.directory.path()).page_size(PAGE)
    }

    fn file(&self, policy: RetryPolicy) -> CachedFile {
        self.builder().retry(policy).open().unwrap().file(self.origin.clone()).unwrap()
    }

    fn check(&self, file: &CachedFile, range: Range<u64>) {
        let read = file.bytes(range.clone()).unwrap();
        assert!(read == self.bytes[range.start as usize..range.end as usize], "wrong bytes in {range:?}");
    }

    fn error(&self, file: &CachedFile) -> OriginError {
        self.error_of(file, 0..10_000)
    }

    fn error_of(&self, file: &CachedFile, range: Range<u64>) -> OriginError {
        match file.bytes(range).unwrap_err() {
            ReadError::Origin(error) => error,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_may_pass_is_tried_again_until_it_has_passed() {
    let scene = Scene::new();
    let file = scene.file(patient());
    scene.origin.next([
        Instead::Unreachable,
        Instead::Status(503, None),
        Instead::Status(429, None),
        Instead::Status(408, None),
        Instead::Status(500, None),
        Instead::Unreachable,
        Instead::Unreachable,
    ]);
    scene.check(&file, 0..10_000);
    let stats = file.stats();
    assert_eq!((stats.requests, stats.retries, stats.origin_bytes), (8, 7, 3 * PAGE));
    assert_eq!(scene.origin.origin.take_reads().len(), 8);
}

#[test]
fn what_cannot_pass_is_asked_for_once() {
    let scene = Scene::new();
    for (requests, instead) in
        [(1, Instead::NotFound), (2, Instead::Status(400, None)), (3, Instead::Status(501, None))]
    {
        let file = scene.file(patient());
        scene.origin.next([instead.clone()]);
        let error = scene.error(&file);
        assert!(!error.is_transient(), "{error}");
        assert_eq!(scene.origin.origin.take_reads().len(), 1, "{instead:?}, {requests}");
        assert!(file.held().is_empty());
    }
}

#[test]
fn what_is_no_answer_is_asked_for_three_times_in_all() {
    for instead in [Instead::Invalid, Instead::RangesIgnored, Instead::TooMany, Instead::Empty] {
        let scene = Scene::new();
        let file = scene.file(patient());
        scene.origin.next([instead.clone(), instead.clone()]);
        scene.check(&file, 0..10_000);
        assert_eq!((file.stats().requests, file.stats().retries), (3, 2), "{instead:?}");
        scene.origin.always(Some(instead.clone()));
        let error = match file.bytes(50_000..50_010).unwrap_err() {
            ReadError::Origin(error) => error,
            other => panic!("{other}"),
        };
        assert!(
            matches!(error, OriginError::InvalidResponse { attempts: 3, .. } | OriginError::RangesIgnored { .. }),
            "{error}"
        );
        assert_eq!(file.stats().requests, 6, "{instead:?}");
        assert_eq!(file.held().end(), 3 * PAGE, "nothing of it was stored");
    }
}

#[test]
fn a_response_that_breaks_off_goes_on_where_it_stopped() {
    let scene = Scene::new();
    let file = scene.file(patient());
    scene.origin.next([Instead::Part(1), Instead::Part(5_000), Instead::Unreachable, Instead::Part(7_287)]);
    scene.check(&file, 0..100_000);
    let whole = 25 * PAGE;
    let expected = [0..whole, 1..whole, 5_001..whole, 5_001..whole, 12_288..whole];
    assert_eq!(scene.origin.origin.take_reads(), expected);
    let stats = file.stats();
    assert_eq!((stats.requests, stats.retries, stats.origin_bytes), (5, 4, whole), "each byte came once");
    assert!(file.held().contains(0..whole));
}

/// However slow a line is, who tries again gets on.
#[test]
fn what_came_of_a_request_that_fails_is_kept() {
    let scene = Scene::new();
    let file = scene.file(RetryPolicy::never());
    for tries in 1..=3 {
        scene.origin.next([Instead::Part(2 * PAGE + 100)]);
        let error = scene.error_of(&file, 0..8 * PAGE);
        assert!(matches!(error, OriginError::Incomplete { .. }), "{error}");
        assert_eq!(file.held().iter().collect::<Vec<_>>(), [0..2 * PAGE * tries]);
    }
    scene.check(&file, 0..8 * PAGE);
    let reads = scene.origin.origin.take_reads();
    assert_eq!(reads, [0..8 * PAGE, 2 * PAGE..8 * PAGE, 4 * PAGE..8 * PAGE, 6 * PAGE..8 * PAGE]);
}

#[test]
fn a_response_that_goes_on_in_another_version_is_a_change_and_nothing_is_spliced() {
    let scene = Scene::new();
    let file = scene.file(patient());
    scene.check(&file, 200_000..200_010);
    // The object is replaced between the two parts.
    #[derive(Debug)]
    struct Replaced(Faulty);
    impl Origin for Replaced {
        fn key(&self) -> &str {
            self.0.key()
        }
        fn stat(&self) -> Result<Stat, OriginError> {
            self.0.stat()
        }
        fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
            let part = self.0.read(range, pinned)?;
            self.0.origin.set(pattern(LEN, 10), "\"2\"");
            Ok(part.slice(..PAGE as usize + 1_000))
        }
    }
    let file = scene.builder().retry(patient()).open().unwrap().file(Replaced(scene.origin.clone())).unwrap();
    let error = scene.error(&file);
    assert!(matches!(error, OriginError::Changed { .. }), "{error}");
    assert_eq!(file.held().num_bytes(), PAGE, "nothing of the two parts is held");
    let new = scene.file(patient());
    assert!(new.bytes(0..LEN as u64).unwrap() == pattern(LEN, 10));
}

#[test]
fn an_error_at_the_deadline_says_how_often_it_was_tried() {
    let scene = Scene::new();
    let deadline = Duration::from_millis(300);
    let file = scene.file(RetryPolicy { deadline, ..quick() });
    for (instead, expected) in [
        (Instead::Unreachable, "it is down (tried "),
        (Instead::Status(503, None), "status 503 to a request for bytes 0..12288 (tried "),
        (Instead::Part(1), "bytes of a request for bytes 0..12288 came before the connection broke off (tried "),
    ] {
        scene.origin.origin.take_reads();
        scene.origin.always(Some(instead.clone()));
        let start = Instant::now();
        let error = scene.error(&file);
        // No attempt takes time, so only a busy machine adds to the deadline.
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
        assert!(error.is_transient(), "{error}");
        let text = error.to_string();
        assert!(text.contains("memory:faulty") && text.contains(expected), "{text}");
        let tried = scene.origin.origin.take_reads().len();
        assert!(tried > 2 && text.contains(&format!("(tried {tried} times)")), "{tried}: {text}");
        assert!(file.held().is_empty());
    }
    scene.origin.always(None);
    scene.check(&file, 0..LEN as u64);
}

#[test]
fn an_origin_that_asks_to_be_left_alone_is() {
    let scene = Scene::new();
    let file = scene.file(patient());
    let asked = Duration::from_millis(700);
    scene.origin.next([Instead::Status(429, Some(asked))]);
    let start = Instant::now();
    scene.check(&file, 0..10);
    assert!(start.elapsed() >= asked);
    // For longer than there is time nobody waits: the error says for how long.
    scene.origin.next([Instead::Status(503, Some(Duration::from_secs(7_200)))]);
    let error = file.bytes(50_000..50_010).unwrap_err();
    assert!(error.to_string().contains("again in 7200 seconds"), "{error}");
    scene.check(&file, 50_000..50_010);
}

#[test]
fn trying_again_can_be_switched_off() {
    let scene = Scene::new();
    let file = scene.file(RetryPolicy::never());
    for instead in [Instead::Unreachable, Instead::Status(503, None), Instead::Invalid, Instead::Part(5)] {
        scene.origin.next([instead.clone()]);
        let error = scene.error(&file).to_string();
        assert!(!error.contains("tried"), "{instead:?}: {error}");
    }
    assert_eq!((file.stats().requests, file.stats().retries), (4, 0));
    scene.check(&file, 0..LEN as u64);
}

#[test]
fn others_wait_for_a_page_that_is_tried_again_no_longer_than_their_patience() {
    let scene = Scene::new();
    let cache = scene.builder().retry(patient()).patience(Duration::from_millis(50)).open().unwrap();
    let file = cache.file(scene.origin.clone()).unwrap();
    scene.origin.next([Instead::Status(503, Some(Duration::from_secs(2)))]);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            scene.check(&file, 0..10);
            Instant::now()
        });
        while file.stats().requests == 0 {
            std::thread::yield_now();
        }
        scene.check(&file, 0..10);
        let beside = Instant::now();
        assert!(beside < slow.join().unwrap(), "who waits has read it beside");
    });
    assert_eq!(file.stats().bypasses, 1);
}

#[test]
fn an_opening_is_tried_again_as_a_read_is() {
    let scene = Scene::new();
    scene.origin.next([Instead::Unreachable, Instead::Status(503, None), Instead::Invalid]);
    scene.check(&scene.file(patient()), 0..10);
    assert_eq!(scene.origin.origin.stats(), 1);

    let other = Scene::new();
    other.origin.next([Instead::NotFound]);
    let cache = other.builder().retry(patient()).open().unwrap();
    assert!(matches!(cache.file(other.origin.clone()), Err(OriginError::NotFound { .. })));
    other.origin.always(Some(Instead::Status(503, None)));
    let cache = other.builder().retry(quick()).open().unwrap();
    let error = cache.file(other.origin.clone()).unwrap_err();
    assert!(matches!(error, OriginError::Status { status: 503, attempts: 2.., .. }), "{error}");
}

#[test]
fn an_origin_that_cannot_be_reached_is_no_change_and_no_deletion() {
    let scene = Scene::new();
    scene.check(&scene.file(quick()), 0..10_000);
    let open = |freshness, on_unreachable| {
        let policy = RetryPolicy { deadline: Duration::from_millis(300), ..quick() };
        let builder = scene.builder().retry(policy).freshness(freshness).on_unreachable(on_unreachable);
        builder.open().unwrap().file(scene.origin.clone())
    };
    for instead in [Instead::Unreachable, Instead::Status(503, None)] {
        scene.origin.always(Some(instead));
        let file = open(Freshness::Always, OnUnreachable::ServeHeld).unwrap();
        scene.check(&file, 0..10_000);
        assert!(file.bytes(100_000..100_010).unwrap_err().to_string().contains("memory:faulty"));
        let error = open(Freshness::Always, OnUnreachable::Fail).unwrap_err();
        assert!(error.is_transient(), "{error}");
        // Who need not ask does not.
        scene.check(&open(Freshness::Immutable, OnUnreachable::Fail).unwrap(), 0..10_000);
        assert_eq!(open(Freshness::Immutable, OnUnreachable::Fail).unwrap().held().num_bytes(), 3 * PAGE);
    }
    // The one that is gone is an answer.
    scene.origin.always(Some(Instead::NotFound));
    assert!(matches!(open(Freshness::Always, OnUnreachable::ServeHeld), Err(OriginError::NotFound { .. })));
    scene.origin.always(None);
    scene.check(&open(Freshness::Always, OnUnreachable::Fail).unwrap(), 0..LEN as u64);
}

/// An origin of which the length is not told before it may be.
#[derive(Debug, Clone)]
struct Silent {
    origin: MemoryOrigin,
    is_silent: Arc<(Mutex<bool>, Condvar)>,
}

impl Silent {
    fn set(&self, is_silent: bool) {
        *self.is_silent.0.lock().unwrap() = is_silent;
        self.is_silent.1.notify_all();
    }
}

impl Origin for Silent {
    fn key(&self) -> &str {
        self.origin.key()
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        let silent = self.is_silent.0.lock().unwrap();
        drop(self.is_silent.1.wait_timeout_while(silent, Duration::from_secs(200), |silent| *silent).unwrap());
        self.origin.stat()
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        self.origin.read(range, pinned)
    }
}

#[test]
fn an_opening_of_what_is_held_waits_for_no_silent_origin() {
    let scene = Scene::new();
    let origin = Silent { origin: scene.origin.origin.clone(), is_silent: Arc::default() };
    let open = |freshness| scene.builder().freshness(freshness).open().unwrap();
    let always = open(Freshness::Always);
    scene.check(&always.file(origin.clone()).unwrap(), 0..10_000);
    origin.set(true);
    origin.origin.set(pattern(LEN, 10), "\"2\"");
    let start = Instant::now();
    let file = always.file(origin.clone()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(100), "{:?}", start.elapsed());
    scene.check(&file, 0..10_000);
    // It is not served any more to anybody, once the origin has said that it is over.
    let immutable = open(Freshness::Immutable);
    let is_old = |file: &CachedFile| file.stat().validators.etag.as_deref() == Some("\"1\"");
    assert!(is_old(&immutable.file(origin.clone()).unwrap()));
    origin.set(false);
    while is_old(&immutable.file(origin.clone()).unwrap()) {
        assert!(start.elapsed() < Duration::from_secs(100));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_version_that_is_known_to_be_over_is_not_served_though_the_origin_cannot_be_reached() {
    let scene = Scene::new();
    let file = scene.file(quick());
    scene.check(&file, 0..10_000);
    scene.origin.origin.set(pattern(LEN, 10), "\"2\"");
    assert!(matches!(file.bytes(100_000..100_010), Err(ReadError::Origin(OriginError::Changed { .. }))));
    scene.origin.always(Some(Instead::Unreachable));
    let cache = scene.builder().retry(quick()).open().unwrap();
    let error = cache.file(scene.origin.clone()).unwrap_err();
    assert!(matches!(error, OriginError::Unreachable { .. }), "{error}");
    scene.origin.always(None);
    assert!(scene.file(quick()).bytes(0..10).unwrap() == pattern(LEN, 10)[..10]);
}

#[test]
fn what_nothing_vouches_for_is_stored_where_its_length_is_trusted() {
    let scene = Scene::new();
    let weak = |tag: &str| Validators { etag: Some(tag.to_owned()), ..Validators::default() };
    let open = |unvalidated, freshness| {
        let builder = scene.builder().unvalidated(unvalidated).freshness(freshness);
        builder.open().unwrap().file(scene.origin.clone()).unwrap()
    };
    let trust = |freshness| open(Unvalidated::TrustLength, freshness);
    for validators in [Validators::default(), weak("W/\"1\"")] {
        scene.origin.origin.set_validators(validators.clone());
        let never = open(Unvalidated::Never, Freshness::Always);
        scene.check(&never, 0..10_000);
        assert_eq!((never.page_size(), never.held().num_bytes()), (None, 0));

        scene.check(&trust(Freshness::Always), 0..10_000);
        assert_eq!(trust(Freshness::Always).held().num_bytes(), 3 * PAGE, "{validators:?}");
        scene.origin.origin.take_reads();
        scene.check(&trust(Freshness::Always), 0..10_000);
        assert_eq!(scene.origin.origin.take_reads(), []);
        // Who does not trust it does not read what others have stored in trust.
        let never = open(Unvalidated::Never, Freshness::Immutable);
        scene.check(&never, 0..10);
        assert_eq!(scene.origin.origin.take_reads(), [0..10]);
    }
    // Another weak tag, or another length, is another version.
    scene.origin.origin.set(pattern(LEN, 11), "W/\"2\"");
    assert!(trust(Freshness::Always).bytes(0..10_000).unwrap() == pattern(LEN, 11)[..10_000]);
    scene.origin.origin.set(pattern(LEN + 1, 12), "W/\"2\"");
    assert!(trust(Freshness::Always).bytes(0..10_000).unwrap() == pattern(LEN + 1, 12)[..10_000]);
    // A change that a read has found has the next opening ask, whatever its freshness.
    let file = trust(Freshness::Immutable);
    scene.origin.origin.set(pattern(LEN + 1, 13), "W/\"3\"");
    assert!(matches!(file.bytes(100_000..100_010), Err(ReadError::Origin(OriginError::Changed { .. }))));
    assert!(trust(Freshness::Immutable).bytes(0..10_000).unwrap() == pattern(LEN + 1, 13)[..10_000]);
}
