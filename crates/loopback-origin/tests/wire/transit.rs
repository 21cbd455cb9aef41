//! Right answers that go wrong on their way.

use std::time::{Duration, Instant};

use loopback_origin::{Fault, Object, Origin, Times};

use crate::client::{Client, Reply, content, get};

const PAUSE: Duration = Duration::from_millis(150);

fn origin() -> Origin {
    let object = Object::from_bytes(content(1000)).with_etag("\"v1\"");
    Origin::builder().serve("/d", object).start().unwrap()
}

fn assert_right(reply: &Reply) {
    assert_eq!(reply.status, 206);
    assert_eq!(reply.field("Content-Range"), Some("bytes 100-199/1000"));
    assert_eq!(reply.body, content(1000)[100..200]);
}

const RANGE: [&str; 1] = ["Range: bytes=100-199"];

#[test]
fn a_slow_start() {
    let origin = origin();
    origin.inject(Fault::SlowStart(PAUSE), Times::once());
    let start = Instant::now();
    let mut client = Client::connect(&origin);
    client.request("GET", "/d", &RANGE);
    let head = client.reply_head();
    assert!(start.elapsed() >= PAUSE);
    assert_eq!(head.promised(), 100);
    assert_eq!(client.read_exactly(100), content(1000)[100..200]);
    assert_right(&client.get("/d", &RANGE));
}

#[test]
fn a_stall_in_the_body() {
    let origin = origin();
    let mut client = Client::connect(&origin);
    for after in [0, 30, 1000] {
        origin.inject(Fault::Stall { after, pause: PAUSE }, Times::once());
        client.request("GET", "/d", &RANGE);
        assert_eq!(client.reply_head().promised(), 100);
        let sent = after.min(100) as usize;
        assert_eq!(client.read_exactly(sent), content(1000)[100..100 + sent]);
        // What had come is all that is booked during the pause, and the rest comes behind it.
        assert_eq!(origin.requests().last().unwrap().body_bytes, sent as u64);
        assert_eq!(client.read_exactly(100 - sent), content(1000)[100 + sent..200]);
    }
    assert_right(&client.get("/d", &RANGE));
}

#[test]
fn a_trickle() {
    let origin = origin();
    let pause = Duration::from_millis(10);
    origin.inject(Fault::Trickle { bytes: 15, pause }, Times::once());
    let start = Instant::now();
    let mut client = Client::connect(&origin);
    assert_right(&client.get("/d", &RANGE));
    assert!(start.elapsed() >= 7 * pause);
    assert_right(&client.get("/d", &RANGE));
    assert_eq!(client.head("/d", &[]).promised(), 1000);
}

#[test]
fn an_origin_stops_in_the_middle_of_a_pause() {
    let origin = origin();
    let long = Duration::from_secs(1000);
    for fault in [
        Fault::SlowStart(long),
        Fault::Stall { after: 1, pause: long },
        Fault::Trickle { bytes: 1, pause: long },
        Fault::EndlessHeaders,
        Fault::EndlessBody { status: None },
    ] {
        origin.inject(fault, Times::once());
    }
    let clients: Vec<_> = (0..5).map(|_| Client::connect(&origin)).collect();
    clients.into_iter().for_each(|mut client| client.request("GET", "/d", &RANGE));
    while origin.requests().len() < 5 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let start = Instant::now();
    drop(origin);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_reset() {
    let origin = origin();
    for after in [0, 30, 1000] {
        origin.inject(Fault::Reset { after }, Times::once());
        let mut client = Client::connect(&origin);
        client.request("GET", "/d", &RANGE);
        assert!(client.is_reset(), "after {after}");
        assert_eq!(origin.requests().last().unwrap().body_bytes, after.min(100));
    }
    origin.inject(Fault::NoAnswer, Times::once());
    let mut client = Client::connect(&origin);
    client.request("GET", "/d", &RANGE);
    assert!(client.is_reset());
    assert_eq!(origin.requests().last().unwrap().body_bytes, 0);
    assert_right(&get(&origin, "/d", &RANGE));
}

#[test]
fn heads_and_bodies_without_an_end() {
    for (fault, status) in [
        (Fault::EndlessHeaders, "206"),
        (Fault::EndlessBody { status: None }, "206"),
        (Fault::EndlessBody { status: Some(500) }, "500"),
    ] {
        let origin = origin();
        origin.inject(fault.clone(), Times::once());
        let mut client = Client::connect(&origin);
        client.request("GET", "/d", &RANGE);
        let start = client.read_exactly(4 << 20);
        assert!(start.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
        assert_eq!(start.windows(4).any(|four| four == b"\r\n\r\n"), fault != Fault::EndlessHeaders);
        assert!(origin.counters().sent_bytes >= 4 << 20);
        drop(client);
        assert_right(&get(&origin, "/d", &RANGE));
        // Nobody takes more of it.
        let ended = || {
            let sent = origin.counters().sent_bytes;
            std::thread::sleep(Duration::from_millis(20));
            origin.counters().sent_bytes == sent
        };
        assert!((0..100).any(|_| ended()));
    }
}

#[test]
fn connections_are_refused_for_a_while() {
    let origin = origin();
    let mut open = Client::connect(&origin);
    assert_right(&open.get("/d", &RANGE));
    origin.refuse_connections(Duration::from_secs(1000));
    assert!(open.is_closed());
    for _ in 0..3 {
        let client = std::net::TcpStream::connect(origin.address());
        // The reset may come before the call has returned.
        if let Ok(mut client) = client {
            let read = std::io::Read::read(&mut client, &mut [0; 10]);
            assert!(matches!(read, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset));
        }
    }
    assert_eq!(origin.counters().requests, 1);
    origin.refuse_connections(Duration::ZERO);
    assert_right(&get(&origin, "/d", &RANGE));

    origin.refuse_connections(Duration::from_millis(1));
    std::thread::sleep(Duration::from_millis(20));
    assert_right(&get(&origin, "/d", &RANGE));
}
