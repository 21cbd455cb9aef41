//! Starting on a port, and ending whatever is going on.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use loopback_origin::{Error, Origin};

use crate::client::{Client, get};

/// Drops the origin and checks that it waits for nothing: it takes a few milliseconds on an idle
/// machine, and a second where a thread does not end. The bound lies between, for a machine under
/// load.
fn drop_quickly(origin: Origin) {
    let start = Instant::now();
    drop(origin);
    assert!(start.elapsed() < Duration::from_millis(700), "{:?}", start.elapsed());
}

#[test]
fn a_taken_port_is_an_error() {
    let origin = Origin::builder().start().unwrap();
    let error = Origin::builder().port(origin.port()).start().unwrap_err();
    assert!(matches!(error, Error::PortTaken { port, .. } if port == origin.port()));
    assert!(error.to_string().contains(&origin.port().to_string()), "{error}");
}

#[test]
fn a_port_may_be_chosen_and_is_free_again_afterwards() {
    let origin = Origin::builder().serve_bytes("/d", "x").start().unwrap();
    let port = origin.port();
    assert_eq!(get(&origin, "/d", &[]).body, b"x");
    drop_quickly(origin);
    let origin = Origin::builder().port(port).serve_bytes("/d", "y").start().unwrap();
    assert_eq!(origin.port(), port);
    assert_eq!(get(&origin, "/d", &[]).body, b"y");
}

#[test]
fn an_unused_origin_stops() {
    for _ in 0..100 {
        drop_quickly(Origin::builder().start().unwrap());
    }
}

#[test]
fn idle_connections_are_closed() {
    let origin = Origin::builder().serve_bytes("/d", "x").start().unwrap();
    let mut used = Client::connect(&origin);
    used.get("/d", &[]);
    let mut halfway = Client::connect(&origin);
    halfway.send(b"GET /d HT");
    let mut silent = Client::connect(&origin);
    while origin.counters().connections < 3 {
        std::thread::yield_now();
    }
    let address = origin.address();
    drop_quickly(origin);
    assert!(used.is_closed() && halfway.is_closed() && silent.is_closed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_delayed_response_is_given_up() {
    let delay = Duration::from_secs(3600);
    let origin = Origin::builder().serve_bytes("/d", "x").delay(delay).start().unwrap();
    let mut client = Client::connect(&origin);
    client.request("GET", "/d", &[]);
    while origin.counters().requests == 0 {
        std::thread::yield_now();
    }
    drop_quickly(origin);
    assert!(client.is_closed());
}

#[test]
fn the_longest_delay_there_is() {
    let origin = Origin::builder().serve_bytes("/d", "x").delay(Duration::MAX).start().unwrap();
    let mut client = Client::connect(&origin);
    client.request("GET", "/d", &[]);
    while origin.counters().requests == 0 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(20));
    assert!(origin.requests().is_empty());
    drop_quickly(origin);
}

/// The client does not read, so the origin is stuck in a write when it is dropped.
#[test]
fn a_response_that_nobody_takes_is_given_up() {
    let len = 100_000_000;
    let origin = Origin::builder().serve_bytes("/d", vec![0; len]).start().unwrap();
    let mut client = Client::connect(&origin);
    client.request("GET", "/d", &[]);
    while origin.counters().body_bytes == 0 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(50));
    drop_quickly(origin);
    assert!(client.drain().len() < len);
}

#[test]
fn connections_that_come_meanwhile_do_not_hold_it_up() {
    let origin = Origin::builder().serve_bytes("/d", "x").start().unwrap();
    let address = origin.address();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                while let Ok(mut stream) = TcpStream::connect(address) {
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
                    let _ = stream.read(&mut [0]);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        drop_quickly(origin);
    });
}
