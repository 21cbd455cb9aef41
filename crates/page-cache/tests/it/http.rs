//! `HttpOrigin` and the cache over it, against a server that counts and that answers wrongly on demand.

use std::time::{Duration, Instant, SystemTime};

use loopback_origin::{Fault, Object, On, Origin as Server, Times};
use page_cache::{Cache, CachedFile, Freshness, HttpOrigin, Origin, OriginError, ReadError, RetryPolicy};
use tempfile::TempDir;

use crate::memory_origin::pattern;
use crate::retry::quick;

const LEN: usize = 300_000;
const PAGE: u64 = 4096;

struct Scene {
    server: Server,
    bytes: Vec<u8>,
    cache: Cache,
    _directory: TempDir,
}

fn scene() -> Scene {
    let bytes = pattern(LEN, 1);
    let server = Server::builder().serve_bytes("/a b/object.bin", bytes.clone()).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).page_size(PAGE).retry(quick()).open().unwrap();
    Scene { server, bytes, cache, _directory: directory }
}

impl Scene {
    fn url(&self) -> String {
        self.server.url("/a b/object.bin")
    }

    fn open(&self) -> Result<CachedFile, OriginError> {
        self.cache.file(HttpOrigin::new(&self.url())?)
    }

    fn read(&self, file: &CachedFile, range: std::ops::Range<u64>) -> Result<(), ReadError> {
        let read = file.bytes(range.clone())?;
        assert!(read == self.bytes[range.start as usize..range.end as usize], "wrong bytes in {range:?}");
        Ok(())
    }

    /// The error of a read of a file opened before the fault, after which everything must be well again.
    fn error_of(&self, fault: Fault, times: Times) -> String {
        let file = self.open().unwrap();
        self.read(&file, 0..10).unwrap();
        self.server.inject(fault.clone(), times);
        let Err(error) = self.read(&file, 100_000..140_000) else { panic!("{fault:?} was taken for an answer") };
        let error = error.to_string();
        self.server.clear_faults();
        assert!(error.contains("object.bin") && !error.contains('\n'), "{fault:?}: {error}");
        assert_eq!(file.held().num_bytes(), PAGE, "{fault:?} left something behind");
        let file = self.open().unwrap();
        self.read(&file, 0..LEN as u64).unwrap();
        error
    }
}

#[test]
fn it_reads_by_ranges_conditional_on_the_etag() {
    let scene = scene();
    let file = scene.open().unwrap();
    assert_eq!(file.len(), LEN as u64);
    scene.read(&file, 100_000..100_001).unwrap();
    scene.read(&file, LEN as u64 - 1..LEN as u64).unwrap();
    let requests = scene.server.requests();
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["HEAD", "GET", "GET"]);
    let ranges: Vec<_> = requests.iter().filter_map(|request| request.range.clone()).collect();
    assert_eq!(ranges, [98_304..102_400, 299_008..300_000]);
    assert_eq!(requests[1].if_match.as_deref(), file.stat().validators.etag.as_deref());
    assert!(requests[1].if_match.is_some());
}

#[test]
fn a_second_handle_costs_no_request() {
    let scene = scene();
    scene.read(&scene.open().unwrap(), 0..LEN as u64).unwrap();
    scene.server.reset_counters();
    scene.read(&scene.open().unwrap(), 0..LEN as u64).unwrap();
    assert_eq!(scene.server.counters().requests, 0);
}

#[test]
fn a_connection_is_used_again() {
    let scene = scene();
    let file = scene.open().unwrap();
    for page in 0..10 {
        scene.read(&file, page * 3 * PAGE..page * 3 * PAGE + 1).unwrap();
    }
    assert_eq!(scene.server.counters().requests, 11);
    assert!(scene.server.counters().connections <= 2, "{:?}", scene.server.counters());
}

#[test]
fn it_works_inside_of_any_runtime() {
    let scene = scene();
    let read = |start: u64| {
        let file = scene.open().unwrap();
        scene.read(&file, start..start + 10).unwrap();
    };
    read(0);
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    current.block_on(async { read(10_000) });
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    multi.block_on(async { read(20_000) });
}

#[test]
fn a_server_that_ignores_ranges() {
    let error = scene().error_of(Fault::FullInsteadOfPartial, Times::every());
    assert!(error.contains("ignores range requests") && error.contains("download"), "{error}");
}

#[test]
fn a_short_body_is_continued_where_it_stopped_or_an_error() {
    let scene = scene();
    let file = scene.open().unwrap();
    scene.server.inject(Fault::ShortBody { missing: 1_000 }, Times::once());
    scene.read(&file, 0..100_000).unwrap();
    scene.server.inject(Fault::ShortBody { missing: u64::MAX }, Times::every());
    let error = scene.read(&file, 150_000..250_000).unwrap_err();
    assert!(matches!(error, ReadError::Origin(_)), "{error}");
    scene.server.clear_faults();
    scene.read(&scene.open().unwrap(), 0..LEN as u64).unwrap();
}

#[test]
fn a_wrong_range_and_a_wrong_total() {
    let error = scene().error_of(Fault::WrongRange { shift: PAGE }, Times::every());
    assert!(error.contains("cannot be used"), "{error}");
    let error = scene().error_of(Fault::NoContentRange, Times::every());
    assert!(error.contains("cannot be used"), "{error}");
    // Another total means another object.
    let scene = scene();
    let file = scene.open().unwrap();
    scene.server.inject(Fault::WrongTotal { total: LEN as u64 + 1 }, Times::once());
    let error = scene.read(&file, 0..10).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
}

#[test]
fn statuses_that_are_errors() {
    let error = scene().error_of(Fault::Status(404), Times::every());
    assert!(error.contains("does not exist"), "{error}");
    let error = scene().error_of(Fault::Status(403), Times::every());
    assert!(error.contains("403") && error.contains("credentials"), "{error}");
    let error = scene().error_of(Fault::Status(503), Times::every());
    assert!(error.contains("503") && error.contains("again"), "{error}");
    // What is transient is tried again.
    let scene = scene();
    let file = scene.open().unwrap();
    scene.server.inject(Fault::Status(503), Times::next(2));
    scene.read(&file, 0..10).unwrap();
    assert_eq!(scene.server.counters().with_status(503), 2);
    assert_eq!((file.stats().requests, file.stats().retries), (3, 2));
}

#[test]
fn an_etag_that_changes_is_a_change() {
    let scene = scene();
    let file = scene.open().unwrap();
    scene.read(&file, 0..10).unwrap();
    scene.server.inject(Fault::ChangedEtag, Times::once());
    let error = scene.read(&file, 100_000..100_010).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    assert_eq!(file.held().num_bytes(), PAGE);
}

#[test]
fn an_object_that_is_replaced() {
    let scene = scene();
    let file = scene.open().unwrap();
    scene.read(&file, 0..10).unwrap();
    let new = pattern(LEN, 2);
    scene.server.put("/a b/object.bin", Object::from_bytes(new.clone()));
    let error = scene.read(&file, 0..LEN as u64).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    scene.read(&file, 0..10).unwrap();
    assert!(scene.open().unwrap().bytes(0..LEN as u64).unwrap() == new);
}

#[test]
fn dates_pin_where_there_is_no_etag() {
    let directory = tempfile::tempdir().unwrap();
    let then = SystemTime::now() - Duration::from_secs(100_000);
    let object = |seed, date| Object::from_bytes(pattern(LEN, seed)).without_etag().with_last_modified(date);
    let server = Server::builder().serve("/a", object(1, then)).start().unwrap();
    let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    let file = cache.file(HttpOrigin::new(&server.url("/a")).unwrap()).unwrap();
    assert!(file.bytes(0..10_000).unwrap() == pattern(LEN, 1)[..10_000]);
    assert_eq!(file.page_size(), Some(PAGE), "a date vouches for the bytes");
    server.put("/a", object(2, then + Duration::from_secs(10)));
    let error = file.bytes(100_000..100_010).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
}

#[test]
fn what_would_fail_again_is_not_tried_again() {
    let server = Server::builder().serve_bytes("/a", pattern(LEN, 1)).start().unwrap();
    let untrusted = HttpOrigin::new(&server.url("/a").replace("http://", "https://")).unwrap();
    let error = untrusted.stat().unwrap_err();
    assert!(matches!(error, OriginError::Store { .. }) && !error.is_transient(), "{error:?}");

    let origin = HttpOrigin::new(&server.url("/a")).unwrap();
    let stat = origin.stat().unwrap();
    server.inject(Fault::Redirect { status: 302, location: "ftp://h/?sig=SECRET".into() }, Times::every());
    let error = origin.read(0..10, &stat).unwrap_err();
    assert!(matches!(error, OriginError::InvalidResponse { .. }) && !error.is_transient(), "{error:?}");
    assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
}

#[test]
fn every_request_wants_it_unencoded_and_tells_nobody_where_it_came_from() {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = ["HTTP/1.1 302 Found\r\nLocation: /b\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"];
    let server = std::thread::spawn(move || {
        answers.map(|answer| {
            let stream = listener.accept().unwrap().0;
            let lines = BufReader::new(&stream).lines().map(|line| line.unwrap().to_ascii_lowercase());
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            (&stream).write_all(format!("{answer}Connection: close\r\n\r\n").as_bytes()).unwrap();
            head
        })
    });
    let origin = HttpOrigin::new(&format!("http://{address}/a?token=SECRET")).unwrap();
    assert_eq!(origin.stat().unwrap().length, 10);
    for head in server.join().unwrap() {
        assert!(head.iter().any(|line| line == "accept-encoding: identity"), "{head:?}");
        assert!(!head.iter().any(|line| line.starts_with("referer")), "{head:?}");
    }
}

#[test]
fn a_date_that_is_not_over_vouches_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // However slow this machine is, it is not over when the server is asked.
    let soon = SystemTime::now() + Duration::from_secs(1_000);
    let object = |seed, date| Object::from_bytes(pattern(LEN, seed)).without_etag().with_last_modified(date);
    let server = Server::builder().serve("/a", object(1, soon)).start().unwrap();
    let cache = Cache::builder(directory.path()).page_size(PAGE).freshness(Freshness::Always).open().unwrap();
    let open = || cache.file(HttpOrigin::new(&server.url("/a")).unwrap()).unwrap();
    let file = open();
    assert!(file.bytes(0..10_000).unwrap() == pattern(LEN, 1)[..10_000]);
    assert_eq!(file.page_size(), None, "it is not stored");
    server.put("/a", object(2, soon));
    assert!(open().bytes(0..20_000).unwrap() == pattern(LEN, 2)[..20_000], "nothing of the old one is in it");
    // Though it vouches for nothing, another date is a change.
    server.put("/a", object(3, soon + Duration::from_secs(10)));
    let error = file.bytes(0..10).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    // The server says what time it is, so seconds are enough, and not what this machine's clock may be off.
    server.put("/a", object(4, SystemTime::now() - Duration::from_secs(5)));
    assert_eq!(open().page_size(), Some(PAGE));
}

#[test]
fn without_any_validator_nothing_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let object = Object::from_bytes(pattern(LEN, 1)).without_etag().without_last_modified();
    let server = Server::builder().serve("/a", object).start().unwrap();
    let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    let file = cache.file(HttpOrigin::new(&server.url("/a")).unwrap()).unwrap();
    for _ in 0..2 {
        assert!(file.bytes(500..1_000).unwrap() == pattern(LEN, 1)[500..1_000]);
    }
    assert_eq!(file.page_size(), None);
    assert_eq!(server.counters().body_bytes, 1_000);
}

#[test]
fn a_server_that_refuses_head_is_asked_for_a_byte() {
    for status in [403, 405, 501] {
        let scene = scene();
        scene.server.inject(Fault::Status(status), Times::every().on(On::Head));
        let file = scene.open().unwrap();
        assert_eq!(file.len(), LEN as u64, "{status}");
        scene.read(&file, 5..50).unwrap();
    }
    let scene = scene();
    scene.server.inject(Fault::Status(403), Times::every().on(On::Both));
    assert!(matches!(scene.open().unwrap_err(), OriginError::Denied { status: 403, .. }));
}

#[test]
fn an_empty_object() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::builder().serve_bytes("/empty", Vec::new()).start().unwrap();
    let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    for refuse_head in [false, true] {
        if refuse_head {
            server.inject(Fault::Status(405), Times::every().on(On::Head));
        }
        let cache = Cache::builder(cache.dir()).page_size(PAGE).freshness(Freshness::Always).open().unwrap();
        let file = cache.file(HttpOrigin::new(&server.url("/empty")).unwrap()).unwrap();
        assert!(file.is_empty());
        assert_eq!(file.bytes(0..100).unwrap(), "");
    }
}

#[test]
fn what_does_not_exist_or_cannot_be_reached() {
    let scene = scene();
    let open = |url: &str| scene.cache.file(HttpOrigin::new(url).unwrap()).unwrap_err();
    let error = open(&scene.server.url("/absent"));
    assert!(matches!(&error, OriginError::NotFound { key } if key.ends_with("/absent")), "{error}");

    // Nobody listens at port 1, and no test is given it for a server of its own.
    let start = Instant::now();
    let error = open("http://127.0.0.1:1/a");
    assert!(matches!(error, OriginError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());

    let error = open("http://host.invalid/a");
    assert!(matches!(error, OriginError::Unreachable { .. }), "{error}");
}

#[test]
fn no_message_shows_a_secret() {
    let scene = scene();
    let signed = format!("{}?X-Amz-Signature=secret&x=1", scene.url()).replace("http://", "http://user:secret@");
    let origin = HttpOrigin::new(&signed).unwrap();
    assert!(origin.key().ends_with("object.bin?x=1"), "{}", origin.key());
    for fault in [Fault::Status(404), Fault::Status(403), Fault::Status(503), Fault::Status(418)] {
        scene.server.inject(fault, Times::every().on(On::Both));
        let error = scene.cache.file(HttpOrigin::new(&signed).unwrap()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        scene.server.clear_faults();
    }
    assert!(!format!("{origin:?}").contains("secret"), "{origin:?}");
}

#[test]
fn credentials_and_signatures_are_sent() {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        String::from_utf8(head).unwrap()
    });
    let origin = HttpOrigin::new(&format!("http://us%65r:p%3Ass@{address}/a%20b?sig=S%2F1&x=1")).unwrap();
    assert!(matches!(origin.stat(), Err(OriginError::NotFound { .. })));
    let head = server.join().unwrap();
    assert!(head.starts_with("HEAD /a%20b?sig=S%2F1&x=1 HTTP/1.1\r\n"), "{head}");
    // "user:p:ss" in base 64.
    assert!(head.contains("authorization: Basic dXNlcjpwOnNz\r\n"), "{head}");
}

/// A server of one connection after the other, each answered by what is given for it.
fn scripted(answers: Vec<Vec<u8>>) -> (String, std::thread::JoinHandle<()>) {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            stream.write_all(&answer).unwrap();
        }
    });
    (url, server)
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {}\r\nConnection: close\r\n\r\n", head.replace('\n', "\r\n")).into_bytes();
    answer.extend_from_slice(body);
    answer
}

const HEAD: &str = "200 OK\nContent-Length: 5000\nETag: \"1\"";

#[test]
fn a_response_that_goes_on_in_another_version_or_encoding_is_not_stitched_together() {
    // What is no answer is asked for three times in all.
    for (rest, times) in [
        ("bytes 1000-4095/6000\nContent-Length: 3096", 1),
        ("bytes 1000-4095/5000\nContent-Length: 3096\nContent-Encoding: gzip", 3),
    ] {
        let cut = "206 Partial Content\nETag: \"1\"\nContent-Length: 4096\nContent-Range: bytes 0-4095/5000";
        let rest = answer(&format!("206 Partial Content\nETag: \"1\"\nContent-Range: {rest}"), &[2; 3_096]);
        let begin = vec![answer(HEAD, b""), answer(cut, &[1; 1_000])];
        let (url, server) = scripted(begin.into_iter().chain(vec![rest; times]).collect());
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path()).page_size(PAGE).retry(quick()).open().unwrap();
        let file = cache.file(HttpOrigin::new(&url).unwrap()).unwrap();
        let error = file.bytes(0..10).unwrap_err();
        assert!(
            matches!(error, ReadError::Origin(OriginError::Changed { .. } | OriginError::InvalidResponse { .. })),
            "{error}"
        );
        assert!(file.held().is_empty());
        server.join().unwrap();
    }
}

#[test]
fn responses_that_are_right_in_unusual_forms_are_taken() {
    // No Content-Length, but chunks; a date in the oldest form.
    let body = [b"1000\r\n".as_slice(), &[7; 4096], b"\r\n0\r\n\r\n"].concat();
    let (url, server) = scripted(vec![
        answer(&format!("{HEAD}\nLast-Modified: Sun Nov  6 08:49:37 1994"), b""),
        answer("206 Partial Content\nETag: \"1\"\nTransfer-Encoding: chunked\nContent-Range: bytes 0-4095/5000", &body),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    let file = cache.file(HttpOrigin::new(&url).unwrap()).unwrap();
    assert_eq!(file.bytes(0..10).unwrap(), [7; 10][..]);
    server.join().unwrap();
}

#[test]
fn bodies_longer_and_shorter_than_the_range_and_ranges_beyond_numbers_are_refused() {
    let range = "206 Partial Content\nETag: \"1\"\nTransfer-Encoding: chunked\nContent-Range: bytes";
    let chunk = |len: usize| [format!("{len:x}\r\n").as_bytes(), &vec![7; len], b"\r\n0\r\n\r\n"].concat();
    for bad in [
        answer(&format!("{range} 0-4095/5000"), &chunk(4_097)),
        answer(&format!("{range} 0-4095/5000"), &chunk(4_095)),
        answer(&format!("{range} 0-18446744073709551615/5000"), &chunk(4_096)),
        answer(&format!("{range} 1-4096/5000"), &chunk(4_096)),
    ] {
        let (url, server) = scripted(vec![answer(HEAD, b""), bad]);
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::builder(directory.path()).page_size(PAGE).retry(RetryPolicy::never()).open().unwrap();
        let file = cache.file(HttpOrigin::new(&url).unwrap()).unwrap();
        let error = file.bytes(0..10).unwrap_err();
        assert!(
            matches!(
                error,
                ReadError::Origin(
                    OriginError::InvalidResponse { .. } | OriginError::Incomplete { received: 4_095, .. }
                )
            ),
            "{error}"
        );
        assert!(file.held().is_empty());
        server.join().unwrap();
    }
}

#[test]
fn a_weak_etag_that_differs_is_a_change_though_it_vouches_for_nothing() {
    let scene = scene();
    let path = "/weak";
    let object = |seed, etag| Object::from_bytes(pattern(5_000, seed)).with_etag(etag).without_last_modified();
    scene.server.put(path, object(1, "W/\"1\""));
    let file = scene.cache.file(HttpOrigin::new(&scene.server.url(path)).unwrap()).unwrap();
    assert_eq!(file.page_size(), None);
    file.bytes(0..10).unwrap();
    scene.server.put(path, object(2, "W/\"2\""));
    let error = file.bytes(0..10).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
}

#[test]
fn an_object_that_shrank_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let (url, server) = scripted(vec![
        answer(HEAD, b""),
        answer("416 Range Not Satisfiable\nContent-Range: bytes */100\nContent-Length: 0", b""),
    ]);
    let cache = Cache::builder(directory.path()).page_size(PAGE).open().unwrap();
    let file = cache.file(HttpOrigin::new(&url).unwrap()).unwrap();
    let error = file.bytes(4_500..4_600).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    server.join().unwrap();
}
