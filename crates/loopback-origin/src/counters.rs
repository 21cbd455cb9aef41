//! The numbers an origin keeps.

use std::collections::BTreeMap;

/// What an origin has done since it started, or since
/// [`reset_counters`](crate::Origin::reset_counters).
///
/// This is a copy taken in one instant: its numbers belong together. They are exact for a client
/// that has read the whole of its responses, because everything is counted before it is handed to
/// the socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Requests whose head was read in full and parsed, with any method and for any path. They are
    /// counted on arrival: before the delay, and before the response.
    pub requests: u64,
    /// Those of the requests that were GET.
    pub get_requests: u64,
    /// Those of the requests that were HEAD.
    pub head_requests: u64,
    /// Request heads that could not be parsed (answered 400) or were too large (431). They are not
    /// among the requests.
    pub malformed_requests: u64,
    /// Body bytes of responses 200 and 206 to GET, as accepted by the operating system for sending.
    /// A body that breaks off counts as far as it went; headers do not count, nor the short bodies
    /// of other statuses.
    pub body_bytes: u64,
    /// All bytes of responses, heads included, as accepted by the operating system for sending; those of
    /// malformed requests are not among them.
    pub sent_bytes: u64,
    /// How many responses had each status.
    pub by_status: BTreeMap<u16, u64>,
}

impl Counters {
    /// How many responses had this status.
    #[must_use]
    pub fn with_status(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or(0)
    }
}
