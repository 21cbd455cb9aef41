//! What an origin can answer instead of bytes.

use std::fmt;
use std::io;
use std::time::Duration;

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
    /// No byte of a response came, or none of its body.
    #[error(
        "{key} cannot be reached for {request}: {reason}{}; check the host, the network and the proxy settings, then \
         try again",
        Tried(*attempts)
    )]
    Unreachable {
        /// The object.
        key: String,
        /// What was asked for: the object's length, or a range.
        request: String,
        /// What the network said.
        reason: String,
        /// How often it was tried: an origin says 1, and the cache how often it has asked.
        attempts: u32,
    },
    /// Responses broke off again and again, and not all had come when there was no more time.
    #[error(
        "{key}: only {received} bytes of a request for {request} came before the connection broke off{}; check the \
         network, allow for more time (CacheBuilder::retry), then try again",
        Tried(*attempts)
    )]
    Incomplete {
        /// The object.
        key: String,
        /// What was asked for: a range.
        request: String,
        /// How many bytes of it came.
        received: u64,
        /// How often the origin was asked for some of it.
        attempts: u32,
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
    #[error(
        "{key}: the server answered with status {status} to a request for {request}{}; {}",
        Tried(*attempts), Later { status: *status, after: *retry_after }
    )]
    Status {
        /// The object.
        key: String,
        /// The HTTP status.
        status: u16,
        /// What was asked for: the object's length, or a range.
        request: String,
        /// How long the server wants to be left alone, if it says so (`Retry-After`).
        retry_after: Option<Duration>,
        /// How often it was tried: an origin says 1, and the cache how often it has asked.
        attempts: u32,
    },
    /// The origin's response is not an answer to the request.
    #[error(
        "{key}: the response to a request for {request} cannot be used: {reason}{}; nothing of it was stored; look for \
         a proxy in between, or another address of the object",
        Tried(*attempts)
    )]
    InvalidResponse {
        /// The object.
        key: String,
        /// What was asked for: the object's length, or a range.
        request: String,
        /// What is wrong with the response.
        reason: String,
        /// How often it was tried: an origin says 1, and the cache how often it has asked.
        attempts: u32,
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
    ///
    /// Such a request is tried again by the cache ([`RetryPolicy`](crate::RetryPolicy)).
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Incomplete { .. } => true,
            // These two say that the server cannot do it at all: 501 the method, 505 the version of HTTP.
            Self::Status { status, .. } => {
                (*status >= 500 && !matches!(status, 501 | 505)) || matches!(status, 408 | 429)
            }
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::TimedOut
                    | io::ErrorKind::Interrupted
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::NetworkDown
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::HostUnreachable
            ),
            _ => false,
        }
    }

    /// How long the origin wants to be left alone, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The same, with how often it was tried.
    pub(crate) fn tried(mut self, times: u32) -> Self {
        if let Self::Unreachable { attempts, .. }
        | Self::Status { attempts, .. }
        | Self::InvalidResponse { attempts, .. } = &mut self
        {
            *attempts = times;
        }
        self
    }

    /// Whether it is so for whatever part of the object is asked for.
    pub(crate) fn is_of_all_bytes(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Denied { .. } | Self::Changed { .. } | Self::Offline { .. })
    }

    /// The same, for another one who waited for the same request, if it may pass.
    pub(crate) fn again_if_transient(&self) -> Option<Self> {
        if !self.is_transient() {
            return None;
        }
        match self {
            Self::Unreachable { key, request, reason, attempts } => {
                let (key, request, reason) = (key.clone(), request.clone(), reason.clone());
                Some(Self::Unreachable { key, request, reason, attempts: *attempts })
            }
            Self::Incomplete { key, request, received, attempts } => {
                let (key, request) = (key.clone(), request.clone());
                Some(Self::Incomplete { key, request, received: *received, attempts: *attempts })
            }
            Self::Status { key, status, request, retry_after, attempts } => {
                let (key, request) = (key.clone(), request.clone());
                let (status, retry_after, attempts) = (*status, *retry_after, *attempts);
                Some(Self::Status { key, status, request, retry_after, attempts })
            }
            Self::Io { key, source } => {
                Some(Self::Io { key: key.clone(), source: io::Error::new(source.kind(), source.to_string()) })
            }
            _ => None,
        }
    }

    /// The nearest kind of [`io::Error`].
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::InvalidUrl { .. } => io::ErrorKind::InvalidInput,
            Self::NotFound { .. } => io::ErrorKind::NotFound,
            Self::Denied { .. } => io::ErrorKind::PermissionDenied,
            Self::Unreachable { .. } => io::ErrorKind::HostUnreachable,
            Self::Incomplete { .. } => io::ErrorKind::ConnectionAborted,
            Self::Offline { .. } => io::ErrorKind::NetworkUnreachable,
            Self::RangesIgnored { .. } | Self::UnsupportedScheme { .. } => io::ErrorKind::Unsupported,
            Self::InvalidResponse { .. } => io::ErrorKind::InvalidData,
            Self::Io { source, .. } => source.kind(),
            Self::Status { .. } | Self::Store { .. } | Self::Changed { .. } => io::ErrorKind::Other,
        }
    }
}

/// How often something was tried, for a message; nothing if that was once.
struct Tried(u32);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 1 { write!(f, " (tried {} times)", self.0) } else { Ok(()) }
    }
}

/// What to do about a status, for a message.
struct Later {
    status: u16,
    after: Option<Duration>,
}

impl fmt::Display for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(after) => write!(f, "try again in {} seconds, as it asks for", after.as_secs()),
            None if self.status < 500 && !matches!(self.status, 408 | 429) => f.write_str("check the address"),
            None => f.write_str("try again later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_of_a_network_may_pass_and_of_a_file_does_not() {
        let is_transient =
            |kind: io::ErrorKind| OriginError::Io { key: "a".into(), source: kind.into() }.is_transient();
        for kind in [
            io::ErrorKind::TimedOut,
            io::ErrorKind::Interrupted,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::NetworkDown,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::HostUnreachable,
        ] {
            assert!(is_transient(kind), "{kind}");
        }
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied, io::ErrorKind::UnexpectedEof] {
            assert!(!is_transient(kind), "{kind}");
        }
    }
}
