//! Keep-alive, delays, and clients that do not speak HTTP.

use std::time::{Duration, Instant};

use loopback_origin::Origin;

use crate::client::{Client, content, get};

fn origin() -> Origin {
    Origin::builder().serve_bytes("/d", content(1000)).start().unwrap()
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    for at in 0..50 {
        let reply = client.get("/d", &[&format!("Range: bytes={at}-{at}")]);
        assert_eq!(reply.body, [content(1000)[at]]);
        assert_eq!(reply.field("Connection"), None);
    }
    assert_eq!((origin.counters().connections, origin.counters().requests), (1, 50));
}

#[test]
fn requests_may_be_sent_ahead() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    for at in 0..100 {
        client.request("GET", "/d", &[&format!("Range: bytes={at}-{at}")]);
    }
    for at in 0..100 {
        assert_eq!(client.reply().body, [content(1000)[at]]);
    }
}

#[test]
fn a_request_may_come_in_pieces() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    for byte in b"\r\nGET /d HTTP/1.1\r\nHost: h\r\nRange: bytes=1-2\r\n\r\n" {
        client.send(&[*byte]);
    }
    assert_eq!(client.reply().body, content(1000)[1..3]);
}

#[test]
fn a_client_may_end_the_connection() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    let reply = client.get("/d", &["Connection: close"]);
    assert_eq!(reply.field("Connection"), Some("close"));
    assert!(reply.is_complete() && client.is_closed());

    let mut client = Client::connect(&origin);
    client.send(b"GET /d HTTP/1.0\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.field("Connection"), Some("close"));
    assert!(reply.is_complete() && client.is_closed());
}

#[test]
fn other_methods_and_paths_are_refused() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    assert_eq!(client.get("/other", &[]).status, 404);
    assert_eq!(client.get("/d/", &[]).status, 404);
    assert_eq!(client.head("/other", &[]).status, 404);
    for method in ["PUT", "DELETE", "OPTIONS", "get", "BREW"] {
        client.request(method, "/d", &[]);
        let reply = client.reply();
        assert_eq!((reply.status, reply.field("Allow")), (405, Some("GET, HEAD")));
    }
    assert_eq!(client.get("/d?query", &[]).status, 200);
    let whole_url = origin.url("/d");
    assert_eq!(client.get(&whole_url, &[]).status, 200);

    // A body is not read, and must not be taken for the next request.
    client.request("POST", "/d", &["Content-Length: 32"]);
    client.send(b"GET /d HTTP/1.1\r\nHost: h\r\n\r\n1234");
    assert_eq!(client.reply().status, 405);
    assert!(client.is_closed());
}

#[test]
fn a_path_is_decoded() {
    let origin = Origin::builder().serve_bytes("/a b/\u{e9}?.bin", "x").start().unwrap();
    let url = origin.url("/a b/\u{e9}?.bin");
    let path = url.strip_prefix(&format!("http://{}", origin.address())).unwrap();
    assert_eq!(path, "/a%20b/%C3%A9%3F.bin");
    assert_eq!(get(&origin, path, &[]).body, b"x");
    assert_eq!(origin.requests()[0].path, "/a b/\u{e9}?.bin");
}

#[test]
fn responses_are_delayed() {
    let delay = Duration::from_millis(100);
    let origin = Origin::builder().serve_bytes("/d", "x").delay(delay).start().unwrap();
    let mut client = Client::connect(&origin);
    let start = Instant::now();
    client.get("/d", &[]);
    client.head("/d", &[]);
    assert!(start.elapsed() >= 2 * delay);

    // On several connections the delays run at the same time.
    let start = Instant::now();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(&origin)).collect();
    for client in &mut clients {
        client.request("GET", "/d", &[]);
    }
    for client in &mut clients {
        assert_eq!(client.reply().status, 200);
    }
    assert!(start.elapsed() >= delay);
    assert!(start.elapsed() < 10 * delay, "{:?}", start.elapsed());

    // The client would give up long before an hour.
    origin.set_delay(Duration::from_secs(3600));
    origin.set_delay(Duration::ZERO);
    assert_eq!(get(&origin, "/d", &[]).status, 200);
}

#[test]
fn what_is_no_request_is_refused() {
    let origin = origin();
    for (bytes, status) in [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
        (b"GET /d\r\n\r\n".to_vec(), 400),
        (b"GET /d HTTP/3.0\r\n\r\n".to_vec(), 400),
        (b"GET /d HTTP/1.1\r\nHost\r\n\r\n".to_vec(), 400),
        (b"GET /d HTTP/1.1\r\n\r\n".to_vec(), 400),
        (b"GET /d HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(), 400),
        ([b"GET /", vec![b'a'; 70_000].as_slice(), b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat(), 431),
        ([b"GET / HTTP/1.1\r\n".as_slice(), &b"X: y\r\n".repeat(200), b"\r\n"].concat(), 431),
        // Much more than is read before the answer: the answer must get through all the same.
        (vec![b'\n'; 600_000], 431),
    ] {
        let mut client = Client::connect(&origin);
        client.send(&bytes);
        let reply = client.reply();
        assert_eq!(reply.status, status, "{}", bytes[..bytes.len().min(60)].escape_ascii());
        assert_eq!(reply.field("Connection"), Some("close"));
        assert!(reply.is_complete() && client.is_closed());
    }
    let counters = origin.counters();
    assert_eq!((counters.malformed_requests, counters.requests), (7, 2));
    assert_eq!((counters.with_status(400), counters.with_status(431)), (6, 3));
}

/// Bytes at random, and requests with a few bytes changed, leave the origin as it was.
#[test]
fn garbage_does_no_harm() {
    let origin = origin();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let request = b"GET /d%20 HTTP/1.1\r\nHost: h\r\nRange: bytes=1-2\r\nIf-Match: \"a\", W/\"b\"\r\n\
                    If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\nIf-None-Match: \"\"\r\n\
                    If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    for round in 0..400 {
        let mut bytes = request.to_vec();
        if round % 4 == 0 {
            bytes = (0..random() % 300).map(|_| random() as u8).collect();
        }
        for _ in 0..random() % 4 {
            let len = bytes.len().max(1) as u64;
            if let Some(byte) = bytes.get_mut((random() % len) as usize) {
                *byte = random() as u8;
            }
        }
        let mut client = Client::connect(&origin);
        client.send(&bytes);
        client.finish();
        client.drain();
    }
    assert_eq!(get(&origin, "/d", &[]).body, content(1000));
}

#[test]
fn many_connections_at_the_same_time() {
    let origin = origin();
    std::thread::scope(|scope| {
        for at in 0..64 {
            let origin = &origin;
            scope.spawn(move || {
                let mut client = Client::connect(origin);
                for _ in 0..20 {
                    let reply = client.get("/d", &[&format!("Range: bytes={at}-{}", at + 9)]);
                    assert_eq!(reply.body, content(1000)[at..at + 10]);
                }
            });
        }
    });
    let counters = origin.counters();
    assert_eq!((counters.connections, counters.requests), (64, 64 * 20));
    assert_eq!(counters.body_bytes, 64 * 20 * 10);
}
