//! Threads: one that accepts, one for each connection, and how all of them end.
//!
//! Nothing here polls. To stop, the signal is raised, which ends delays; each connection is shut
//! down, which ends its reads and writes; and a connection to ourselves wakes the accepting thread.

use std::convert::Infallible;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use crate::connection;
use crate::shared::Shared;

/// How long a stop waits for threads that should end at once. It is reached only where the system
/// keeps one of them, such as in a read from a network filesystem; that thread is then left alone.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// What to wait for after a connection could not be accepted, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

/// The running threads. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    accepting: Option<JoinHandle<()>>,
    /// Disconnected when every thread has dropped its sender, at its very end. It is behind a lock
    /// only because a receiver cannot be shared between threads.
    ended: Mutex<Receiver<Infallible>>,
}

impl Server {
    /// Starts to accept on `listener`.
    pub(crate) fn start(listener: TcpListener, shared: Arc<Shared>) -> std::io::Result<Server> {
        let address = listener.local_addr()?;
        let connections = Arc::new(Connections::default());
        let (alive, ended) = channel();
        let accepting = Builder::new().name(format!("origin-{}", address.port())).spawn({
            let (shared, connections) = (Arc::clone(&shared), Arc::clone(&connections));
            move || accept(&listener, &shared, &connections, &alive)
        })?;
        let (accepting, ended) = (Some(accepting), Mutex::new(ended));
        Ok(Server { address, shared, connections, accepting, ended })
    }

    /// Ends the connections that are open now, and goes on to accept others.
    pub(crate) fn end_connections(&self) {
        self.connections.end_all();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.raise();
        let mut threads = self.connections.shut_down();
        threads.extend(self.accepting.take());
        // If this fails because others fill the queue, they wake the thread just as well.
        let _ = TcpStream::connect_timeout(&self.address, STOP_PATIENCE);
        if self.ended.lock().recv_timeout(STOP_PATIENCE) == Err(RecvTimeoutError::Disconnected) {
            for thread in threads {
                // A panic has been reported by the thread itself, and drop must not add another.
                let _ = thread.join();
            }
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, connections: &Connections, alive: &Sender<Infallible>) {
    loop {
        let accepted = listener.accept();
        if shared.stop.is_raised() {
            return;
        }
        match accepted {
            Ok((stream, _)) => {
                shared.ledger.connection_accepted();
                if shared.is_refusing() {
                    connection::reset_when_dropped(&stream);
                    continue;
                }
                connections.spawn(stream, shared, alive);
            }
            Err(_) => {
                shared.stop.wait(ACCEPT_PAUSE);
            }
        }
    }
}

/// The connections that are open, each with its thread.
#[derive(Debug, Default)]
struct Connections {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// No more connections are taken.
    shut: bool,
    accepted: u64,
    /// The thread has the stream, so that the socket is closed when the thread ends.
    threads: Vec<(Weak<TcpStream>, JoinHandle<()>)>,
}

impl Connections {
    /// Serves a stream on a thread of its own. Where there is no thread to be had the stream is
    /// closed, which is what a client of an overloaded server sees.
    fn spawn(&self, stream: TcpStream, shared: &Arc<Shared>, alive: &Sender<Infallible>) {
        let mut open = self.open.lock();
        if open.shut {
            return;
        }
        open.threads.retain(|(_, thread)| !thread.is_finished());
        open.accepted += 1;
        let port = stream.local_addr().map_or(0, |address| address.port());
        let stream = Arc::new(stream);
        let handle = Arc::downgrade(&stream);
        let spawned = Builder::new().name(format!("origin-{port}-{}", open.accepted)).spawn({
            let (shared, alive) = (Arc::clone(shared), alive.clone());
            move || {
                connection::serve(&stream, &shared);
                drop(stream);
                drop(alive);
            }
        });
        if let Ok(thread) = spawned {
            open.threads.push((handle, thread));
        }
    }

    /// Ends every connection and takes no more; returns their threads.
    fn shut_down(&self) -> Vec<JoinHandle<()>> {
        let mut open = self.open.lock();
        open.shut = true;
        let threads = open.threads.drain(..).map(|(stream, thread)| {
            end(&stream);
            thread
        });
        threads.collect()
    }

    /// Ends every connection that is open.
    fn end_all(&self) {
        for (stream, _) in &self.open.lock().threads {
            end(stream);
        }
    }
}

/// Has reads and writes of a connection end, and with them its thread.
fn end(stream: &Weak<TcpStream>) {
    if let Some(stream) = stream.upgrade() {
        // It fails where the client has gone, and then there is nothing to end.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
