//! What a request that failed means, told without anything that may be secret.

use std::error::Error;
use std::io;

use object_store::Error as StoreError;

use super::request::Request;
use crate::origin::OriginError;
use crate::runtime::Abandoned;

/// Why a request gave nothing that can be used.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store said so.
    Store(StoreError),
    /// Nothing came for too long.
    TimedOut(String),
    /// What came must not be used.
    Rejected(Rejected),
    /// There is no runtime that could send it.
    Abandoned(String),
    /// It cannot be sent, now or later.
    NotSent(String),
}

/// Why a response must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// It is of another version of the object.
    Changed(String),
    /// It is not an answer to the request.
    Invalid(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Abandoned> for Failure {
    fn from(abandoned: Abandoned) -> Self {
        let reason = abandoned.to_string();
        match abandoned {
            Abandoned::Late(_) => Self::TimedOut(reason),
            Abandoned::OnItsOwnThread => Self::NotSent(reason),
            Abandoned::NotStarted(_) | Abandoned::Died => Self::Abandoned(reason),
        }
    }
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl Rejected {
    pub(in crate::origin) fn explain(self, key: &str, request: &Request) -> OriginError {
        let key = key.to_owned();
        match self {
            Self::Changed(reason) => OriginError::Changed { key, reason },
            Self::Invalid(reason) => {
                OriginError::InvalidResponse { key, request: request.to_string(), reason, attempts: 1 }
            }
        }
    }
}

impl Failure {
    /// What the network, the system or the protocol library said, without the layers' own words and what may be secret.
    pub(in crate::origin) fn reason(&self) -> String {
        match self {
            Self::Store(error) => presentable(&innermost(error)),
            Self::Rejected(Rejected::Changed(reason) | Rejected::Invalid(reason))
            | Self::TimedOut(reason)
            | Self::Abandoned(reason)
            | Self::NotSent(reason) => reason.clone(),
        }
    }

    /// Whether a request for other bytes, or for none, may fare better.
    pub(crate) fn may_be_of_the_range(&self) -> bool {
        use StoreError::{NotFound, PermissionDenied, Unauthenticated};
        match self {
            Self::Store(NotFound { .. } | PermissionDenied { .. } | Unauthenticated { .. }) => false,
            Self::Store(error) => !is_network_failure(error),
            Self::TimedOut(_) | Self::Rejected(_) | Self::Abandoned(_) | Self::NotSent(_) => false,
        }
    }

    /// The store's own error as it is, or else what a look at the object has failed by.
    pub(crate) fn or_explain(self, key: &str) -> Result<StoreError, OriginError> {
        match self {
            Self::Store(error) => Ok(error),
            other => Err(other.explain(key, &Request::Length)),
        }
    }

    /// The error for who has nothing to go by but this.
    pub(in crate::origin) fn explain(self, key: &str, request: &Request) -> OriginError {
        let (key, reason) = (key.to_owned(), self.reason());
        match self {
            Self::Rejected(rejected) => rejected.explain(&key, request),
            Self::Store(StoreError::NotFound { .. }) => OriginError::NotFound { key },
            Self::Store(StoreError::PermissionDenied { .. }) => OriginError::Denied { key, status: 403 },
            Self::Store(StoreError::Unauthenticated { .. }) => OriginError::Denied { key, status: 401 },
            Self::Store(StoreError::Precondition { .. } | StoreError::NotModified { .. }) => {
                OriginError::Changed { key, reason: "it is no longer the version that was opened".to_owned() }
            }
            Self::NotSent(_) => OriginError::Store { key, reason },
            Self::Store(error) if !is_network_failure(&error) => OriginError::Store { key, reason },
            Self::Store(_) | Self::TimedOut(_) | Self::Abandoned(_) => {
                OriginError::Unreachable { key, request: request.to_string(), reason, attempts: 1 }
            }
        }
    }
}

/// The deepest cause of an error: what the system or the protocol library said, without the layers' own words.
pub(in crate::origin) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Whether what failed is the way to the object, and not what is there.
pub(in crate::origin) fn is_network_failure(error: &StoreError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        #[cfg(feature = "_client")]
        if error.is::<object_store::client::HttpError>() {
            return true;
        }
        if error.downcast_ref::<io::Error>().is_some_and(|error| WAY.contains(&error.kind())) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What the system says of a connection, and not of a file.
const WAY: [io::ErrorKind; 9] = [
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::NotConnected,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkUnreachable,
    io::ErrorKind::NetworkDown,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::TimedOut,
];

/// The longest reason that is quoted, in characters.
const LONGEST: usize = 200;

/// One line of what somebody else said, without what is likely to be secret in it: a server's body, which the stores'
/// clients put behind the status, and the user and the query of every URL.
pub(in crate::origin) fn presentable(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let line = match (line.find("status code: "), line.find("error response: ")) {
        // Behind the number and the phrase of a status.
        (Some(at), _) => match line[at + "status code: ".len()..].find(": ") {
            Some(end) => &line[..at + "status code: ".len() + end],
            None => line,
        },
        (None, Some(at)) => &line[..at + "error response".len()],
        (None, None) => line,
    };
    let words: Vec<String> = line.split_whitespace().map(without_credentials).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

fn without_credentials(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    // A password may have any character in it, so everything up to the last @ is taken for one.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{}", rest.split(['?', '#']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_has_no_body_and_no_credentials() {
        for (said, shown) in [
            ("connection refused", "connection refused"),
            ("status code: 503 Service Unavailable: <Secret>a: b</Secret>", "status code: 503 Service Unavailable"),
            ("Server returned error response: <Secret>", "Server returned error response"),
            (
                "Error performing GET http://me:secret@host/a?sig=secret in 3s",
                "Error performing GET http://host/a in 3s",
            ),
            ("one line\nsecret", "one line"),
            ("(https://host/a?sig=secret)", "(https://host/a"),
        ] {
            assert_eq!(presentable(said), shown);
        }
        assert_eq!(presentable(&"é".repeat(1_000)).chars().count(), LONGEST);
    }
}
