//! The origin: what a test, a benchmark or a demonstration holds.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::counters::Counters;
use crate::error::Error;
use crate::fault::Fault;
use crate::ledger::Request;
use crate::object::Object;
use crate::path;
use crate::server::Server;
use crate::shared::Shared;
use crate::times::Times;

/// A range server that runs on 127.0.0.1 until it is dropped.
///
/// All methods take `&self`, do not wait for the network, and may be called from any thread, while
/// requests are being answered.
///
/// Dropping it closes all connections, those with a response under way too, and waits for its
/// threads, which takes a few milliseconds at most.
///
/// ```
/// use loopback_origin::{Object, Origin};
///
/// let origin = Origin::builder().serve_bytes("/a.bin", "first").start()?;
/// origin.put("/b.bin", Object::from_bytes("second").with_content_type("text/plain"));
/// assert_eq!(origin.url("/b.bin"), format!("http://127.0.0.1:{}/b.bin", origin.port()));
/// assert_eq!(origin.counters().requests, 0);
/// # Ok::<(), loopback_origin::Error>(())
/// ```
///
/// # Paths
///
/// A path is given as it reads, not percent-encoded, and a missing leading slash is added. The query
/// of a request is ignored. Clients resolve the segments `.` and `..` before they ask, so an object
/// at such a path is out of their reach.
#[derive(Debug)]
#[must_use = "an origin stops when it is dropped"]
pub struct Origin {
    // Dropped at the end of the origin, which stops the threads.
    server: Server,
    shared: Arc<Shared>,
}

impl Origin {
    /// An origin yet to be started, on any free port, without delay and without objects.
    pub fn builder() -> OriginBuilder {
        OriginBuilder { port: 0, shared: Shared::default() }
    }

    /// The URL of a path, percent-encoded where needed, whether or not an object is there.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}", self.address(), path::encoded(path))
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// Puts an object at a path, in the place of one that is there. A response under way goes on
    /// with the old object.
    ///
    /// This is how a real change is modelled: another content has another ETag.
    pub fn put(&self, path: &str, object: Object) {
        self.shared.put(path::with_leading_slash(path), object);
    }

    /// Removes what is at a path, and says whether anything was. Requests for it are then answered
    /// 404; a response under way goes on.
    pub fn remove(&self, path: &str) -> bool {
        self.shared.remove(&path::with_leading_slash(path))
    }

    /// Sets how long each request waits for its response from now on, as if the origin were that
    /// far away. Those that wait already wait as long as they were to.
    ///
    /// Requests on one connection are answered one after the other, each with the delay; those on
    /// several connections wait at the same time. The answer is decided on after the delay, so what
    /// is [`put`](Origin::put) or [injected](Origin::inject) meanwhile has its effect.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.set_delay(delay);
    }

    /// Answers wrongly, so many times.
    ///
    /// Of several faults that are due at the same time, the one injected first hits, and the others
    /// hit the requests after it. To [`Times::after`], every matching request since the injection
    /// counts, by whatever it was hit. [`requests`](Origin::requests) tells which fault hit which
    /// request.
    pub fn inject(&self, fault: Fault, times: Times) {
        self.shared.inject(fault, times);
    }

    /// Answers wrongly at random: of all GET and HEAD requests that nothing else hits about this part, 0 to 1, with
    /// one of these faults each. Takes the place of an earlier mix.
    ///
    /// The seed decides which of the requests are hit, counted as they are answered, and by what.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use loopback_origin::{Fault, Origin};
    ///
    /// let origin = Origin::builder().serve_bytes("/d", vec![7; 1000]).start()?;
    /// origin.inject_random(42, 0.1, &[Fault::Status(503), Fault::Reset { after: 10 }, Fault::NoContentRange]);
    /// # Ok::<(), loopback_origin::Error>(())
    /// ```
    pub fn inject_random(&self, seed: u64, rate: f64, faults: &[Fault]) {
        self.shared.inject_random(seed, rate, faults);
    }

    /// Refuses connections for so long from now on, zero to end it: those that are open are ended at once, in the
    /// middle of a response too, and those that come are reset before anything is read of them.
    ///
    /// They count as accepted, for the system accepts them: a port that nobody listens on could be taken by others.
    pub fn refuse_connections(&self, duration: Duration) {
        self.shared.refuse(duration);
        if !duration.is_zero() {
            self.server.end_connections();
        }
    }

    /// Answers rightly again, whatever was injected.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.ledger.counters()
    }

    /// Sets all counters to zero. A request that has arrived before is not counted afterwards, not
    /// even where its response is still under way.
    pub fn reset_counters(&self) {
        self.shared.ledger.reset_counters();
    }

    /// The latest requests, at most 100,000, in the order in which their answers began.
    ///
    /// Cost: a copy of all of them.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.ledger.requests()
    }

    /// Forgets all requests answered so far. The counters stay.
    pub fn clear_requests(&self) {
        self.shared.ledger.clear_requests();
    }
}

/// An origin yet to be started; see [`Origin::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct OriginBuilder {
    port: u16,
    shared: Shared,
}

impl OriginBuilder {
    /// The port to listen on, 0 for any free one.
    pub fn port(mut self, port: u16) -> OriginBuilder {
        self.port = port;
        self
    }

    /// How long each request waits for its response; see [`Origin::set_delay`].
    pub fn delay(self, delay: Duration) -> OriginBuilder {
        self.shared.set_delay(delay);
        self
    }

    /// Serves an object at a path; the last one given for a path counts.
    pub fn serve(self, path: &str, object: Object) -> OriginBuilder {
        self.shared.put(path::with_leading_slash(path), object);
        self
    }

    /// Serves bytes at a path; see [`Object::from_bytes`].
    pub fn serve_bytes(self, path: &str, bytes: impl Into<Bytes>) -> OriginBuilder {
        self.serve(path, Object::from_bytes(bytes))
    }

    /// Serves a file at a path; see [`Object::from_file`].
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the file cannot be opened or is not a regular file.
    pub fn serve_file(self, path: &str, file: impl AsRef<Path>) -> Result<OriginBuilder, Error> {
        Ok(self.serve(path, Object::from_file(file)?))
    }

    /// Starts it. When this returns, it takes connections.
    ///
    /// # Errors
    ///
    /// [`Error::PortTaken`] if another socket listens on the port, [`Error::Listen`] if the port
    /// cannot be listened on for another reason, [`Error::Thread`] if there is no thread to be had.
    pub fn start(self) -> Result<Origin, Error> {
        let OriginBuilder { port, shared } = self;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| {
            if source.kind() == io::ErrorKind::AddrInUse {
                Error::PortTaken { port, source }
            } else {
                Error::Listen { port, source }
            }
        })?;
        let shared = Arc::new(shared);
        let server = Server::start(listener, Arc::clone(&shared)).map_err(|source| Error::Thread { source })?;
        Ok(Origin { server, shared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_may_be_shared_and_sent() {
        fn is_shared_and_sent<T: Send + Sync + 'static>() {}
        is_shared_and_sent::<Origin>();
        is_shared_and_sent::<OriginBuilder>();
        is_shared_and_sent::<Object>();
    }
}
