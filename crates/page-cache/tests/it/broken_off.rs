//! What an HTTP origin gives when a response breaks off, stalls or trickles: what came of it, or an error in time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use page_cache::{HttpOrigin, Origin, OriginError, Stat, Timeouts, Validators};

const LEN: u64 = 5_000;

fn body() -> Vec<u8> {
    (0..LEN).map(|at| (at % 251) as u8).collect()
}

fn pinned() -> Stat {
    Stat { length: LEN, validators: Validators { etag: Some("\"1\"".into()), ..Validators::default() } }
}

/// The head of a right response for bytes 1000..5000.
const HEAD: &[u8] = b"HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\nContent-Length: 4000\r\n\
    Content-Range: bytes 1000-4999/5000\r\n\r\n";

/// A server of one connection, which does this once it has a request.
fn server(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> (HttpOrigin, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = HttpOrigin::new(&format!("http://{}/a", listener.local_addr().unwrap())).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        answer(&mut stream);
    });
    (origin, thread)
}

/// Waits until the client has closed its end, which it must do with what it gives up.
fn hold(stream: &mut TcpStream) {
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}

fn soon() -> Timeouts {
    Timeouts::default().with_stall(Duration::from_millis(300))
}

#[test]
fn what_came_before_the_connection_broke_is_given() {
    let (origin, thread) = server(|stream| {
        stream.write_all(HEAD).unwrap();
        stream.write_all(&body()[1000..1700]).unwrap();
    });
    assert!(origin.read(1000..5000, &pinned()).unwrap() == body()[1000..1700]);
    thread.join().unwrap();
}

#[test]
fn a_connection_that_breaks_before_the_first_byte_is_an_error() {
    let (origin, thread) = server(|stream| stream.write_all(HEAD).unwrap());
    let error = origin.read(1000..5000, &pinned()).unwrap_err();
    assert!(matches!(error, OriginError::Unreachable { .. }) && error.is_transient(), "{error}");
    thread.join().unwrap();
}

#[test]
fn what_came_before_a_stall_is_given() {
    let (origin, thread) = server(|stream| {
        stream.write_all(HEAD).unwrap();
        stream.write_all(&body()[1000..1700]).unwrap();
        hold(stream);
    });
    let origin = origin.with_timeouts(soon());
    assert!(origin.read(1000..5000, &pinned()).unwrap() == body()[1000..1700]);
    thread.join().unwrap();
}

#[test]
fn a_body_that_never_begins_is_an_error_in_time() {
    let (origin, thread) = server(|stream| {
        stream.write_all(HEAD).unwrap();
        hold(stream);
    });
    let start = Instant::now();
    let error = origin.with_timeouts(soon()).read(1000..5000, &pinned()).unwrap_err();
    assert!(matches!(error, OriginError::Unreachable { .. }) && error.to_string().contains("nothing came"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    thread.join().unwrap();
}

#[test]
fn a_response_that_never_begins_is_an_error_in_time() {
    let (origin, thread) = server(hold);
    let start = Instant::now();
    let error = origin.with_timeouts(soon()).read(1000..5000, &pinned()).unwrap_err();
    assert!(matches!(error, OriginError::Unreachable { .. }) && error.is_transient(), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    thread.join().unwrap();
}

#[test]
fn a_body_that_trickles_is_given_up_after_the_total_time() {
    let (origin, thread) = server(|stream| {
        stream.write_all(HEAD).unwrap();
        // Never silent for long, and never at its end.
        for byte in body()[1000..4999].iter() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the client took all of it");
    });
    let timeouts = Timeouts::default().with_stall(Duration::from_secs(20)).with_total(Duration::from_millis(600));
    let came = origin.with_timeouts(timeouts).read(1000..5000, &pinned()).unwrap();
    assert!(!came.is_empty() && came.len() < 4000 && came == body()[1000..1000 + came.len()], "{}", came.len());
    thread.join().unwrap();
}
