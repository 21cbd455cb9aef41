//! What can go wrong before an origin runs. Once it runs, no method of it fails.

use std::io;
use std::path::PathBuf;

/// Why an origin could not start, or an object could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another socket listens on the port asked for.
    #[error(
        "port {port} of 127.0.0.1 is taken: stop whatever listens there, choose another port, \
         or choose 0 for any free one"
    )]
    PortTaken {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },

    /// The port could not be listened on for another reason, such as a privileged port.
    #[error("cannot listen on port {port} of 127.0.0.1: {source}; choose 0 for any free port")]
    Listen {
        /// The port asked for, 0 for any free one.
        port: u16,
        /// What the system said.
        source: io::Error,
    },

    /// The system would not start the thread that accepts connections.
    #[error("cannot start the thread that accepts connections: {source}; raise the limit of threads")]
    Thread {
        /// What the system said.
        source: io::Error,
    },

    /// A file to be served could not be opened, or is not a regular file.
    #[error("cannot serve the file {}: {source}; give a regular file that can be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
