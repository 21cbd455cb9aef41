//! The origin as its clients see it: every test talks to it by bytes on a socket.
#![expect(clippy::unwrap_used, reason = "in a test, what fails is to fail the test")]

mod client;
mod connections;
mod counting;
mod faults;
mod objects;
mod preconditions;
mod ranges;
mod stopping;
mod transit;
