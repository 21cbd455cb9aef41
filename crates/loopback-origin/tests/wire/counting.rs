//! The counters and the log of requests.

use std::time::Duration;

use loopback_origin::{Fault, Origin, Times};

use crate::client::{Client, content, get};

#[test]
fn everything_is_counted() {
    let origin = Origin::builder().serve_bytes("/d", content(1000)).start().unwrap();
    let mut client = Client::connect(&origin);
    client.get("/d", &[]);
    client.get("/d", &["Range: bytes=10-19"]);
    client.get("/d", &["Range: bytes=-5"]);
    client.get("/d", &["Range: bytes=5000-"]);
    client.get("/d", &["If-Match: \"other\"", "Range: bytes=0-0"]);
    client.get("/x", &["Range: bytes=0-0"]);
    client.head("/d", &["Range: bytes=1-2"]);
    client.request("PUT", "/d", &[]);
    client.reply();

    let counters = origin.counters();
    assert_eq!(counters.connections, 1);
    assert_eq!((counters.requests, counters.get_requests, counters.head_requests), (8, 6, 1));
    assert_eq!(counters.malformed_requests, 0);
    assert_eq!(counters.body_bytes, 1000 + 10 + 5);
    let by_status: Vec<_> = counters.by_status.into_iter().collect();
    assert_eq!(by_status, [(200, 2), (206, 2), (404, 1), (405, 1), (412, 1), (416, 1)]);

    let log = origin.requests();
    let ranges: Vec<_> = log.iter().map(|request| request.range.clone()).collect();
    let none = None;
    assert_eq!(ranges, [none.clone(), Some(10..20), Some(995..1000), none.clone(), Some(0..1), none, Some(1..3), None]);
    let statuses: Vec<_> = log.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 206, 206, 416, 412, 404, 200, 405]);
    assert_eq!(log[3].range_header.as_deref(), Some("bytes=5000-"));
    assert_eq!(log[4].if_match.as_deref(), Some("\"other\""));
    assert_eq!((log[5].path.as_str(), log[5].method.as_str()), ("/x", "GET"));
    assert_eq!(log[7].method, "PUT");
    assert_eq!((log[0].body_bytes, log[1].body_bytes, log[6].body_bytes), (1000, 10, 0));

    origin.reset_counters();
    assert_eq!(origin.counters(), loopback_origin::Counters::default());
    assert_eq!(origin.requests().len(), 8);
    origin.clear_requests();
    assert!(origin.requests().is_empty());
    client.get("/d", &["Range: bytes=0-1"]);
    assert_eq!((origin.counters().connections, origin.counters().requests), (0, 1));
    assert_eq!(origin.counters().body_bytes, 2);
}

/// A client that has the last byte finds it counted, every time.
#[test]
fn nothing_is_counted_late() {
    let origin = Origin::builder().serve_bytes("/d", content(100_000)).start().unwrap();
    std::thread::scope(|scope| {
        let origin = &origin;
        scope.spawn(move || {
            let mut client = Client::connect(origin);
            let mut bytes = 0;
            for round in 1..2000_u64 {
                let last = (round * 7919) % 100_000;
                bytes += client.get("/d", &[&format!("Range: bytes=0-{last}")]).body.len() as u64;
                let counters = origin.counters();
                assert_eq!((counters.requests, counters.body_bytes), (round, bytes));
                assert_eq!(counters.with_status(206), round);
            }
        });
    });
    assert!(
        origin
            .requests()
            .iter()
            .all(|request| { request.body_bytes == request.range.as_ref().map_or(0, |range| range.end - range.start) })
    );
}

/// Of a body that the client does not take, only what went out remains in the books.
#[test]
fn what_is_not_sent_is_not_counted() {
    let len = 200_000_000;
    let origin = Origin::builder().serve_bytes("/d", vec![0; len]).start().unwrap();
    let mut client = Client::connect(&origin);
    client.request("GET", "/d", &[]);
    assert_eq!(client.reply_head().promised(), len as u64);
    client.read_exactly(1000);
    drop(client);
    // The origin notices at its next write; wait until the number comes to rest.
    let mut before = 0;
    let settled = loop {
        std::thread::sleep(Duration::from_millis(100));
        let now = origin.counters().body_bytes;
        if now == before {
            break now;
        }
        before = now;
    };
    assert!((1000..len as u64 / 2).contains(&settled), "{settled}");
    assert_eq!(origin.requests()[0].body_bytes, settled);
}

#[test]
fn a_request_is_counted_when_it_arrives() {
    let delay = Duration::from_secs(3600);
    let origin = Origin::builder().serve_bytes("/d", "x").delay(delay).start().unwrap();
    let mut client = Client::connect(&origin);
    client.request("GET", "/d", &[]);
    while origin.counters().requests == 0 {
        std::thread::yield_now();
    }
    assert!(origin.requests().is_empty() && origin.counters().by_status.is_empty());
}

#[test]
fn the_log_names_the_fault() {
    let origin = Origin::builder().serve_bytes("/d", "x").start().unwrap();
    origin.inject(Fault::Status(503), Times::once().after(1));
    for _ in 0..3 {
        get(&origin, "/d", &[]);
    }
    let faults: Vec<_> = origin.requests().into_iter().map(|request| request.fault).collect();
    assert_eq!(faults, [None, Some(Fault::Status(503)), None]);
}
