//! What an origin can answer instead of bytes.

use std::io;

/// An origin did not give what it was asked for. The messages name the object without secrets, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// The URL or path cannot name an object.
    #[error("{url} cannot be read: {reason}")]
    InvalidUrl {
        /// The URL as far as it may be shown.
        url: String,
        /// What is wrong with it, and what is right.
        reason: String,
    },
    /// URLs of this scheme cannot be read by this build.
    #[error("{scheme}:// URLs cannot be read by this build; {remedy}")]
    UnsupportedScheme {
        /// The scheme, without `://`.
        scheme: String,
        /// What can be done.
        remedy: &'static str,
    },
    /// There is no such object.
    #[error("{key} does not exist; check the address")]
    NotFound {
        /// The object.
        key: String,
    },
    /// The origin wants other or any credentials.
    #[error("{key}: access was denied (status {status}); check the credentials, or whether the link has expired")]
    Denied {
        /// The object.
        key: String,
        /// 401 or 403.
        status: u16,
    },
    /// No response came at all.
    #[error("{key} cannot be reached: {reason}; check the host, the network and the proxy settings, then try again")]
    Unreachable {
        /// The object.
        key: String,
        /// What the network said.
        reason: String,
    },
    /// The origin answers range requests with something else.
    #[error(
        "{key}: the server ignores range requests, so pieces cannot be read; download the file as a whole and open \
         it by its path"
    )]
    RangesIgnored {
        /// The object.
        key: String,
    },
    /// The origin answered with a status that is an error.
    #[error("{key}: the server answered with status {status} to a request for {request}; try again later")]
    Status {
        /// The object.
        key: String,
        /// The HTTP status.
        status: u16,
        /// What was asked for: the object's length, or a range.
        request: String,
    },
    /// The origin's response is not an answer to the request.
    #[error("{key}: the response to a request for {request} cannot be used: {reason}; nothing of it was stored")]
    InvalidResponse {
        /// The object.
        key: String,
        /// What was asked for: the object's length, or a range.
        request: String,
        /// What is wrong with the response.
        reason: String,
    },
    /// The store that the object is in failed.
    #[error("{key} cannot be read: {reason}")]
    Store {
        /// The object.
        key: String,
        /// What the store said, as far as it may be shown.
        reason: String,
    },
    /// The object is no longer the one whose pieces were read so far.
    #[error("{key} has changed since it was opened ({reason}); open it again to read the new version")]
    Changed {
        /// The object.
        key: String,
        /// What shows it.
        reason: String,
    },
    /// The cache was told never to contact an origin, and does not hold what was asked for.
    #[error("{key}: {what} are not held, and the cache is offline; open it without offline(true) to fetch them")]
    Offline {
        /// The object.
        key: String,
        /// What is missing: the object's length and version, or a range.
        what: String,
    },
    /// A local file could not be read.
    #[error("{key} cannot be read: {source}; check the path and its permissions")]
    Io {
        /// The object.
        key: String,
        /// What the system said.
        source: io::Error,
    },
}

impl OriginError {
    /// Whether the same request may succeed later, with the same object: a network or a server in trouble.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }

    /// The nearest kind of [`io::Error`].
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::InvalidUrl { .. } => io::ErrorKind::InvalidInput,
            Self::NotFound { .. } => io::ErrorKind::NotFound,
            Self::Denied { .. } => io::ErrorKind::PermissionDenied,
            Self::Unreachable { .. } => io::ErrorKind::HostUnreachable,
            Self::Offline { .. } => io::ErrorKind::NetworkUnreachable,
            Self::RangesIgnored { .. } | Self::UnsupportedScheme { .. } => io::ErrorKind::Unsupported,
            Self::InvalidResponse { .. } => io::ErrorKind::InvalidData,
            Self::Io { source, .. } => source.kind(),
            Self::Status { .. } | Self::Store { .. } | Self::Changed { .. } => io::ErrorKind::Other,
        }
    }
}
