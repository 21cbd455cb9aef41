//! What a request that failed means, told without anything that may be secret.

use std::error::Error;

use object_store::Error as StoreError;

use super::attempt::Request;
use crate::origin::OriginError;

/// Why a request gave nothing that can be used.
#[derive(Debug)]
pub(in crate::origin) enum Failure {
    /// The store said so.
    Store(StoreError),
    /// Nothing came for too long.
    TimedOut(String),
    /// What came must not be used.
    Rejected(Rejected),
    /// There is no runtime that could send it.
    Abandoned(String),
}

/// Why a response must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::origin) enum Rejected {
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
    /// What the network, the system or the protocol library said, without the layers' own words, which may quote a URL
    /// with its signature.
    pub(in crate::origin) fn reason(&self) -> String {
        match self {
            Self::Store(error) => innermost(error),
            Self::Rejected(Rejected::Changed(reason) | Rejected::Invalid(reason))
            | Self::TimedOut(reason)
            | Self::Abandoned(reason) => reason.clone(),
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
