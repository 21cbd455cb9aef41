//! A server that does each of the wrong things that servers do, alone and all of them at random: right bytes or an
//! error that says what is wrong, in time, and nothing wrong is kept.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loopback_origin::{Fault, Object, On, Origin as Server, Times};
use page_cache::{
    Advice, Cache, CachedFile, Freshness, HttpOrigin, OnUnreachable, OriginError, ReadError, RetryPolicy, Timeouts,
};
use tempfile::TempDir;

use crate::memory_origin::pattern;
use crate::random::{Random, number};

const LEN: usize = 300_000;
const PAGE: u64 = 4096;
const PATH: &str = "/a b/object.bin";
/// What is read under a fault: 11 pages of which none is held.
const UNDER: Range<u64> = 100_000..140_000;
const LONG: Duration = Duration::from_secs(1000);
/// Deadline, and the longest an attempt may take, together with what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(60);

fn policy() -> RetryPolicy {
    let (first_pause, longest_pause) = (Duration::from_millis(2), Duration::from_millis(50));
    RetryPolicy { deadline: Duration::from_millis(2_500), first_pause, longest_pause }
}

struct Scene {
    server: Server,
    bytes: Vec<u8>,
    cache: Cache,
    directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        let bytes = pattern(LEN, 1);
        let server = Server::builder().serve_bytes(PATH, bytes.clone()).start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let cache = Self::cache(&directory, policy());
        Self { server, bytes, cache, directory }
    }

    fn cache(directory: &TempDir, retry: RetryPolicy) -> Cache {
        let builder = Cache::builder(directory.path()).page_size(PAGE).freshness(Freshness::Always).retry(retry);
        // What is tested is what an origin's error is, and not what is made of it.
        builder.on_unreachable(OnUnreachable::Fail).open().unwrap()
    }

    fn origin(&self) -> HttpOrigin {
        let timeouts = Timeouts::default().with_stall(Duration::from_millis(300)).with_total(Duration::from_secs(1));
        let url = self.server.url(PATH).replace("http://", "http://user:secret@") + "?x=1&token=secret";
        HttpOrigin::new(&url).unwrap().with_timeouts(timeouts)
    }

    fn open(&self) -> Result<CachedFile, OriginError> {
        self.cache.file(self.origin())
    }

    fn read(&self, file: &CachedFile, range: Range<u64>) -> Result<(), OriginError> {
        match file.bytes(range.clone()) {
            Ok(read) => {
                assert!(read == self.bytes[range.start as usize..range.end as usize], "wrong bytes in {range:?}");
                Ok(())
            }
            Err(ReadError::Origin(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }

    /// That all is well without faults: what is held is right, also as another process would read it, and so is the
    /// rest.
    fn assert_well(&self, file: &CachedFile, what: &dyn std::fmt::Debug) {
        self.server.clear_faults();
        let verified = file.verify().unwrap();
        assert!(verified.damaged.is_empty() && verified.still_held.is_empty(), "{what:?}: {verified:?}");
        for range in &file.held() {
            self.read(file, range).unwrap();
        }
        let other = tempfile::tempdir().unwrap();
        copy(self.directory.path(), other.path());
        let copied = Self::cache(&other, policy()).file(self.origin()).unwrap();
        self.read(&copied, 0..LEN as u64).unwrap();
        self.read(file, 0..LEN as u64).unwrap();
        self.read(&self.open().unwrap(), 0..LEN as u64).unwrap();
    }
}

/// Copies a directory with all that is in it.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in from.read_dir().unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

/// What a fault must come to.
type Expected = fn(&Result<(), OriginError>) -> bool;

fn right(read: &Result<(), OriginError>) -> bool {
    read.is_ok()
}
fn changed(read: &Result<(), OriginError>) -> bool {
    matches!(read, Err(OriginError::Changed { .. }))
}
fn no_answer(read: &Result<(), OriginError>) -> bool {
    matches!(read, Err(OriginError::InvalidResponse { attempts: 3, .. }))
}
fn unreachable(read: &Result<(), OriginError>) -> bool {
    matches!(read, Err(OriginError::Unreachable { attempts: 2.., .. }))
}
fn incomplete(read: &Result<(), OriginError>) -> bool {
    matches!(read, Err(OriginError::Incomplete { received: 1.., attempts: 2.., .. }))
}
fn in_trouble(read: &Result<(), OriginError>) -> bool {
    matches!(read, Err(OriginError::Status { status: 429 | 500 | 503, attempts: 2.., .. }))
}

fn redirect(location: impl Into<String>) -> Fault {
    Fault::Redirect { status: 302, location: location.into() }
}

/// Each fault for every request, and what it comes to; and whether it is over by the second or third attempt if only
/// the first is hit.
fn each_fault(server: &Server, other: &Server) -> Vec<(Fault, Expected, bool)> {
    let retry_after = |status, after: &str| Fault::RetryAfter { status, after: after.to_owned() };
    vec![
        (Fault::FullInsteadOfPartial, |read| matches!(read, Err(OriginError::RangesIgnored { .. })), true),
        (Fault::WrongRange { shift: PAGE }, no_answer, true),
        (Fault::NoContentRange, no_answer, true),
        (Fault::WrongTotal { total: LEN as u64 + 1 }, changed, false),
        (Fault::WrongTotal { total: 1 << 63 }, changed, false),
        (Fault::WrongTotal { total: 10 }, no_answer, true),
        (Fault::ShortBody { missing: 1 }, unreachable, true),
        (Fault::ShortBody { missing: 1_000 }, unreachable, true),
        (Fault::ShortBody { missing: u64::MAX }, unreachable, true),
        (Fault::LongBody { extra: 1 }, no_answer, true),
        (Fault::LongBody { extra: 10 << 20 }, no_answer, true),
        (Fault::EmptyBody, no_answer, true),
        (Fault::EndlessBody { status: None }, no_answer, true),
        (Fault::EndlessBody { status: Some(200) }, |read| matches!(read, Err(OriginError::RangesIgnored { .. })), true),
        (Fault::EndlessBody { status: Some(500) }, in_trouble, true),
        (Fault::EndlessHeaders, no_answer, true),
        (Fault::SlowStart(Duration::from_millis(100)), right, true),
        (Fault::SlowStart(LONG), unreachable, true),
        (Fault::Stall { after: 0, pause: LONG }, unreachable, true),
        (Fault::Stall { after: 1, pause: LONG }, incomplete, true),
        (Fault::Stall { after: 10_000, pause: LONG }, right, true),
        (Fault::Trickle { bytes: 10, pause: Duration::from_millis(10) }, incomplete, true),
        (Fault::Trickle { bytes: 10_000, pause: Duration::from_millis(20) }, right, true),
        (Fault::Reset { after: 0 }, unreachable, true),
        // What the client has not read by then is lost, which may be all of it.
        (Fault::Reset { after: 30_000 }, |read| right(read) || unreachable(read) || incomplete(read), true),
        (Fault::NoAnswer, unreachable, true),
        (Fault::Status(403), |read| matches!(read, Err(OriginError::Denied { status: 403, .. })), false),
        (Fault::Status(404), |read| matches!(read, Err(OriginError::NotFound { .. })), false),
        (Fault::Status(412), changed, false),
        (Fault::Status(416), changed, false),
        (Fault::Status(418), |read| matches!(read, Err(OriginError::Status { status: 418, attempts: 1, .. })), false),
        (Fault::Status(429), in_trouble, true),
        (Fault::Status(500), in_trouble, true),
        (Fault::Status(503), in_trouble, true),
        (retry_after(429, "0"), in_trouble, true),
        (retry_after(503, "Wed, 21 Oct 2015 07:28:00 GMT"), in_trouble, true),
        (
            retry_after(503, "1000"),
            |read| matches!(read, Err(OriginError::Status { attempts: 1, retry_after: Some(_), .. })),
            false,
        ),
        (Fault::ChangedEtag, changed, false),
        (Fault::WeakEtag, no_answer, true),
        (Fault::NoEtag, no_answer, true),
        (Fault::Gzip, no_answer, true),
        (redirect(server.url("/moved")), right, true),
        (redirect(other.url("/moved")), right, true),
        (redirect("/a%20b/object.bin"), no_answer, true),
        (redirect("/nowhere"), |read| matches!(read, Err(OriginError::NotFound { .. })), false),
    ]
}

/// What the error of a fault must say.
fn check_message(error: &OriginError, fault: &Fault, request: &str) {
    let text = error.to_string();
    assert!(text.contains("/a%20b/object.bin") && !text.contains('\n'), "{fault:?}: {text}");
    assert!(!format!("{text} {error:?}").contains("secret"), "{fault:?}: {text}");
    assert!(text.contains(';') || text.contains("open it again"), "what to do: {fault:?}: {text}");
    match error {
        OriginError::Status { status, .. } => {
            assert!(text.contains(&format!("status {status}")) && text.contains(request), "{fault:?}: {text}");
        }
        OriginError::Unreachable { attempts, .. }
        | OriginError::InvalidResponse { attempts, .. }
        | OriginError::Incomplete { attempts, .. } => {
            assert!(text.contains(request), "{fault:?}: {text}");
            assert_eq!(text.contains(&format!("(tried {attempts} times)")), *attempts > 1, "{fault:?}: {text}");
        }
        _ => {}
    }
}

#[test]
fn each_fault_alone_is_right_bytes_or_the_error_that_it_is() {
    let other = Server::builder().start().unwrap();
    let faults = each_fault(&Server::builder().start().unwrap(), &other).len();
    let next = AtomicU64::new(0);
    // Most of it is waiting, so several at once, each with all of its own.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                    if number >= faults {
                        return;
                    }
                    one_fault_alone(number);
                }
            });
        }
    });
}

fn one_fault_alone(number: usize) {
    let (scene, other) = (Scene::new(), Server::builder().start().unwrap());
    for server in [&scene.server, &other] {
        server.put("/moved", Object::from_bytes(scene.bytes.clone()));
    }
    let (fault, expected, passes) = each_fault(&scene.server, &other).swap_remove(number);
    let file = scene.open().unwrap();
    scene.read(&file, 0..10).unwrap();
    scene.server.inject(fault.clone(), Times::every().at(PATH));
    let start = Instant::now();
    let read = scene.read(&file, UNDER);
    assert!(expected(&read), "{fault:?}: {read:?}");
    assert!(start.elapsed() < IN_TIME, "{fault:?}: {:?}", start.elapsed());
    match read {
        Ok(()) => {}
        Err(error) => {
            // Of a range of which something came, the rest is named.
            check_message(&error, &fault, "..143360");
            // What broke off is right as far as it goes.
            let begins = matches!(fault, Fault::ShortBody { .. }) && error.is_transient();
            assert!(file.held().num_bytes() == PAGE || begins, "{fault:?} left something behind");
        }
    }
    // All that a request took of an answer without an end, with what was on its way in sockets.
    let counters = scene.server.counters();
    assert!(counters.sent_bytes < counters.requests * (8 << 20), "{fault:?}: {counters:?}");
    scene.assert_well(&file, &fault);

    // Once, what passes has passed.
    let scene = Scene { directory: tempfile::tempdir().unwrap(), ..scene };
    let scene = Scene { cache: Scene::cache(&scene.directory, policy()), ..scene };
    let file = scene.open().unwrap();
    scene.server.inject(fault.clone(), Times::once().at(PATH));
    let read = scene.read(&file, UNDER);
    if passes {
        assert!(read.is_ok(), "{fault:?}: {read:?}");
    }
    let requested = scene.server.requests().len();
    let stats = file.stats();
    assert!(stats.requests <= requested as u64, "{fault:?}");
    scene.assert_well(&file, &fault);
}

#[test]
fn each_fault_of_an_opening_is_the_object_or_the_error_that_it_is() {
    fn invalid(opened: &Result<(), OriginError>) -> bool {
        matches!(opened, Err(OriginError::InvalidResponse { .. }))
    }
    let circle = redirect("/a%20b/object.bin");
    let cases: Vec<(Fault, On, Expected)> = vec![
        (Fault::WrongTotal { total: 1 << 63 }, On::Head, invalid),
        (Fault::WrongTotal { total: u64::MAX }, On::Head, invalid),
        // The encoded form is another thing than the object, so a range of the object tells its length.
        (Fault::Gzip, On::Head, right),
        (Fault::NoEtag, On::Both, right),
        (Fault::WeakEtag, On::Both, right),
        (Fault::SlowStart(LONG), On::Both, unreachable),
        (Fault::NoAnswer, On::Both, unreachable),
        (Fault::EndlessHeaders, On::Both, invalid),
        (Fault::EndlessBody { status: Some(503) }, On::Both, in_trouble),
        (Fault::Status(503), On::Both, in_trouble),
        (Fault::Status(405), On::Head, right),
        (Fault::EndlessBody { status: Some(404) }, On::Both, |opened| {
            matches!(opened, Err(OriginError::NotFound { .. }))
        }),
        (Fault::Status(403), On::Both, |opened| matches!(opened, Err(OriginError::Denied { .. }))),
        (circle, On::Both, invalid),
        (redirect("/moved"), On::Both, right),
    ];
    for (fault, on, expected) in cases {
        let scene = Scene::new();
        scene.server.put("/moved", Object::from_bytes(scene.bytes.clone()));
        scene.server.inject(fault.clone(), Times::every().on(on).at(PATH));
        let start = Instant::now();
        let opened = scene.open().and_then(|file| scene.read(&file, UNDER));
        assert!(expected(&opened), "{fault:?}: {opened:?}");
        assert!(start.elapsed() < IN_TIME, "{fault:?}: {:?}", start.elapsed());
        if let Err(error) = opened {
            check_message(&error, &fault, "the object's length");
        }
        scene.server.clear_faults();
        scene.assert_well(&scene.open().unwrap(), &fault);
    }
}

#[test]
fn connections_that_are_refused_for_a_while() {
    let scene = Scene::new();
    let scene = Scene { cache: Scene::cache(&scene.directory, RetryPolicy { deadline: LONG, ..policy() }), ..scene };
    let file = scene.open().unwrap();
    scene.read(&file, 0..10).unwrap();
    scene.server.refuse_connections(Duration::from_millis(400));
    scene.read(&file, UNDER).unwrap();
    assert!(file.stats().retries > 0);
    let scene = Scene { cache: Scene::cache(&scene.directory, policy()), ..scene };
    let file = scene.open().unwrap();
    scene.server.refuse_connections(LONG);
    let read = scene.read(&file, 200_000..200_010);
    assert!(unreachable(&read), "{read:?}");
    assert!(unreachable(&scene.open().map(drop)));
    scene.server.refuse_connections(Duration::ZERO);
    scene.assert_well(&file, &"refused");
}

#[test]
fn answers_without_an_end_take_no_more_than_a_little() {
    for (fault, most) in [
        (Fault::EndlessHeaders, 16 << 20),
        (Fault::EndlessBody { status: None }, 16 << 20),
        (Fault::EndlessBody { status: Some(500) }, 16 << 20),
        (Fault::EndlessBody { status: Some(404) }, 16 << 20),
        (Fault::EndlessBody { status: Some(200) }, 16 << 20),
    ] {
        let scene = Scene::new();
        let file = scene.open().unwrap();
        let scene = Scene { cache: Scene::cache(&scene.directory, RetryPolicy::never()), ..scene };
        let once = scene.open().unwrap();
        drop(file);
        scene.server.inject(fault.clone(), Times::every());
        let error = scene.read(&once, UNDER).unwrap_err();
        assert!(scene.server.counters().sent_bytes < most, "{fault:?}: {error}: {:?}", scene.server.counters());
        scene.assert_well(&once, &fault);
    }
}

#[test]
fn ten_thousand_random_reads_by_eight_threads_under_a_mix_of_all_faults() {
    const LEN: u64 = 4 << 20;
    let bytes = pattern(LEN as usize, 7);
    let server = Server::builder().serve_bytes(PATH, bytes.clone()).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let seed = number("FAULTS_SEED", 1);
    let retry = RetryPolicy {
        deadline: Duration::from_millis(150),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(20),
    };
    let timeouts = Timeouts::default().with_stall(Duration::from_millis(100)).with_total(Duration::from_millis(200));
    let open = |path: &std::path::Path, retry| {
        let cache = Cache::builder(path).page_size(PAGE).retry(retry).open().unwrap();
        cache.file(HttpOrigin::new(&server.url(PATH)).unwrap().with_timeouts(timeouts)).unwrap()
    };
    let file = open(directory.path(), retry);
    let (pause, after) = (Duration::from_millis(300), "0".to_owned());
    server.inject_random(
        seed,
        0.3,
        &[
            Fault::FullInsteadOfPartial,
            Fault::WrongRange { shift: PAGE },
            Fault::WrongTotal { total: LEN - 1 },
            Fault::WrongTotal { total: 1 << 63 },
            Fault::NoContentRange,
            Fault::ShortBody { missing: 1 },
            Fault::ShortBody { missing: 3_000 },
            Fault::LongBody { extra: 7 },
            Fault::EmptyBody,
            Fault::EndlessBody { status: None },
            Fault::EndlessBody { status: Some(500) },
            Fault::EndlessHeaders,
            Fault::SlowStart(Duration::from_millis(5)),
            Fault::SlowStart(pause),
            Fault::Stall { after: 2_000, pause },
            Fault::Trickle { bytes: 500, pause: Duration::from_millis(30) },
            Fault::Reset { after: 0 },
            Fault::Reset { after: 3_000 },
            Fault::NoAnswer,
            Fault::Status(403),
            Fault::Status(404),
            Fault::Status(412),
            Fault::Status(416),
            Fault::Status(429),
            Fault::Status(500),
            Fault::Status(503),
            Fault::RetryAfter { status: 429, after: after.clone() },
            Fault::RetryAfter { status: 503, after },
            Fault::ChangedEtag,
            Fault::WeakEtag,
            Fault::NoEtag,
            Fault::Gzip,
            redirect("/nowhere"),
            redirect("/a%20b/object.bin"),
        ],
    );
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (file, bytes, failed) = (file.clone(), &bytes, &failed);
            scope.spawn(move || {
                // A third of the reads goes by what is held and stores nothing, so that there is always something to
                // fetch.
                let beside = file.without_storing();
                let mut random = Random::new(seed * 100 + thread);
                for step in 0..1_250 {
                    let start = random.below(LEN);
                    let range = start..(start + 1 + random.below(5 * PAGE)).min(LEN);
                    let file = if step % 3 == 0 { &beside } else { &file };
                    match file.bytes(range.clone()) {
                        Ok(read) => {
                            let right = &bytes[range.start as usize..range.end as usize];
                            assert!(read == right, "seed {seed}: wrong bytes in {range:?}");
                        }
                        Err(ReadError::Origin(_)) => failed.lock().unwrap().push(range),
                        Err(other) => panic!("seed {seed}: {other}"),
                    }
                }
            });
        }
    });
    let (failed, stats) = (failed.into_inner().unwrap(), file.stats());
    assert!(stats.retries > 100 && !failed.is_empty() && failed.len() < 5_000, "{} failed, {stats:?}", failed.len());
    server.clear_faults();
    let verified = file.verify().unwrap();
    assert!(verified.damaged.is_empty() && verified.still_held.is_empty(), "seed {seed}: {verified:?}");
    for range in failed {
        let read = file.bytes(range.clone()).unwrap();
        assert!(read == bytes[range.start as usize..range.end as usize], "seed {seed}: wrong bytes in {range:?}");
    }
    let other = tempfile::tempdir().unwrap();
    copy(directory.path(), other.path());
    assert!(open(other.path(), retry).bytes(0..LEN).unwrap() == bytes, "seed {seed}: a wrong page was kept");
    assert!(file.bytes(0..LEN).unwrap() == bytes, "seed {seed}");
}

#[test]
fn neither_after_a_failed_fetch_nor_during_one_are_zeros_read() {
    let scene = Scene::new();
    let file = scene.open().unwrap();
    for fault in [Fault::Reset { after: 0 }, Fault::Stall { after: 9_000, pause: LONG }, Fault::Status(403)] {
        scene.server.inject(fault, Times::every());
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| scene.read(&file, UNDER))).collect();
            // An error is as good, and wrong bytes panic.
            threads.into_iter().for_each(|thread| _ = thread.join().unwrap());
        });
        scene.server.clear_faults();
        scene.read(&file, UNDER).unwrap();
        file.evict(0..LEN as u64).unwrap();
        assert!(file.held().is_empty());
    }
}

#[test]
fn a_response_does_not_overwrite_what_is_known_of_the_object() {
    let scene = Scene::new();
    let file = scene.open().unwrap();
    let known = file.stat().clone();
    for fault in [
        Fault::WrongTotal { total: 143_360 },
        Fault::WrongTotal { total: 1 << 63 },
        Fault::ChangedEtag,
        Fault::LongBody { extra: 5_000 },
        Fault::FullInsteadOfPartial,
    ] {
        scene.server.inject(fault.clone(), Times::next(3));
        scene.read(&file, UNDER).unwrap_err();
        scene.server.clear_faults();
        assert_eq!((file.stat(), file.len()), (&known, LEN as u64), "{fault:?}");
        let again = scene.open().unwrap();
        assert_eq!(again.stat(), &known, "{fault:?}");
        let entry = scene.cache.entries().pop().unwrap();
        assert_eq!(entry.stat, known, "{fault:?}");
    }
    scene.assert_well(&file, &"nothing");
}

#[test]
fn an_object_that_is_replaced_between_two_reads_is_not_spliced() {
    let scene = Scene::new();
    let scene = Scene { cache: Scene::cache(&scene.directory, RetryPolicy { deadline: LONG, ..policy() }), ..scene };
    let file = scene.open().unwrap();
    file.advise(0..LEN as u64, Advice::Random);
    scene.read(&file, 0..50_000).unwrap();
    // In the middle of one response, which breaks off; what follows is delayed until the object is another.
    let new = pattern(LEN, 2);
    scene.server.inject(Fault::ShortBody { missing: 30_000 }, Times::once());
    scene.server.inject(Fault::Status(503), Times::every().after(1));
    std::thread::scope(|scope| {
        let read = scope.spawn(|| file.bytes(40_000..LEN as u64));
        while scene.server.counters().with_status(503) == 0 {
            std::thread::yield_now();
        }
        scene.server.put(PATH, Object::from_bytes(new.clone()));
        scene.server.clear_faults();
        let error = read.join().unwrap().unwrap_err();
        assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    });
    // And between two reads.
    let error = file.bytes(0..LEN as u64).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    scene.read(&file, 0..50_000).unwrap();
    assert_eq!(file.held().num_bytes(), 13 * PAGE, "of the old version no more is held than was read before");
    assert!(scene.open().unwrap().bytes(0..LEN as u64).unwrap() == new);
}

#[test]
fn the_end_of_an_object_is_asked_for_by_its_place() {
    use std::io::{Read, Seek, SeekFrom};

    let scene = Scene::new();
    scene.server.inject(Fault::Status(405), Times::every().on(On::Head));
    let file = scene.open().unwrap();
    let mut last = [0; 10];
    let mut reader = file.reader();
    reader.seek(SeekFrom::End(-10)).unwrap();
    reader.read_exact(&mut last).unwrap();
    assert!(last == scene.bytes[LEN - 10..]);
    scene.read(&file, LEN as u64 - 100_000..LEN as u64).unwrap();
    assert!(file.without_storing().bytes(150_000..u64::MAX).unwrap() == scene.bytes[150_000..]);
    // A server that does not know suffixes may answer with the first bytes instead of the last.
    for request in scene.server.requests() {
        let header = request.range_header.unwrap_or_default();
        assert!(
            request.method == "HEAD" || (header.starts_with("bytes=") && !header.starts_with("bytes=-")),
            "{header}"
        );
        assert!(!header.ends_with('-'), "{header}");
    }
}
