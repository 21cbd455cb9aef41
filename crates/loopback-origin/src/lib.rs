//! An HTTP/1.1 range server on 127.0.0.1, for tests, benchmarks, examples and demonstrations.
//!
//! An [`Origin`] serves any number of [`Object`]s, each bytes in memory or a file of any size, with
//! single byte ranges, validators and preconditions as RFC 9110 wants them. On top of what a web
//! server does, it *counts* (requests, connections, body bytes: exactly, see [`Counters`]),
//! *remembers* (each [`Request`] with the range it asked for), *delays* each response to stand for
//! a distant network, and *answers wrongly* on demand (see [`Fault`]), so that a client can be
//! tested against what servers do on bad days.
//!
//! ```
//! use std::io::{Read, Write};
//! use loopback_origin::{Fault, Origin, Times};
//!
//! let origin = Origin::builder()
//!     .serve_bytes("/data.bin", vec![7u8; 1000])
//!     .start()?;
//! assert!(origin.url("/data.bin").starts_with("http://127.0.0.1:"));
//!
//! // Any HTTP client will do; this one is written out.
//! let fetch = || -> std::io::Result<String> {
//!     let mut stream = std::net::TcpStream::connect(origin.address())?;
//!     stream.write_all(
//!         b"GET /data.bin HTTP/1.1\r\nHost: localhost\r\n\
//!           Range: bytes=100-149\r\nConnection: close\r\n\r\n",
//!     )?;
//!     let mut reply = Vec::new();
//!     stream.read_to_end(&mut reply)?;
//!     Ok(String::from_utf8_lossy(&reply).into_owned())
//! };
//! assert!(fetch()?.contains("Content-Range: bytes 100-149/1000"));
//! assert_eq!(origin.counters().body_bytes, 50);
//! assert_eq!(origin.requests()[0].range, Some(100..150));
//!
//! // A server that does not know ranges, once.
//! origin.inject(Fault::FullInsteadOfPartial, Times::once());
//! assert!(fetch()?.starts_with("HTTP/1.1 200 OK"));
//! assert!(fetch()?.starts_with("HTTP/1.1 206 Partial Content"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it is made
//!
//! One thread accepts, one thread serves each connection, all on `std::net`; there is no async
//! runtime, so that a test of an async client cannot be saved or spoilt by sharing its runtime with
//! the server. Bytes take one way through the modules:
//!
//! ```text
//! server      accepts, starts and stops threads
//! connection  one socket: head in, response out, again
//!   request       bytes -> a request head
//!   fault_queue   which fault hits it (times), if any does
//!   fault         which response goes out: the right one, or a wrong one
//!     answer        request + object -> the right response (range, precondition)
//!   response      a response -> bytes, and the script by which they go out
//!   ledger        what came in and what went out
//! ```
//!
//! # What it must never do
//!
//! Listen on anything but the loopback interface; panic on what a client sends; hang or outlive its
//! [`Origin`]. It is not a web server for production: there is no TLS, no limit on connections, and
//! an idle connection stays open until the client or the origin ends.

#![forbid(unsafe_code)]

mod answer;
mod connection;
mod content;
mod counters;
mod error;
mod fault;
mod fault_queue;
mod gzip;
mod ledger;
mod object;
mod origin;
mod path;
mod precondition;
mod range;
mod request;
mod response;
mod server;
mod shared;
mod times;

pub use counters::Counters;
pub use error::Error;
pub use fault::Fault;
pub use ledger::Request;
pub use object::Object;
pub use origin::{Origin, OriginBuilder};
pub use times::{On, Times};

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
