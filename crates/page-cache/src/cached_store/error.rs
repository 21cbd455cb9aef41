//! What goes wrong in a cache, as the errors of an object store.

use object_store::Error;
use object_store::path::Path;

use crate::error::ReadError;
use crate::origin::{Failure, OriginError};

pub(super) const STORE: &str = "CachedStore";

pub(super) fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: STORE, source: source.into() }
}

/// What a read means that failed.
pub(super) fn of_read(path: &Path, error: ReadError) -> Error {
    match error {
        ReadError::Origin(error) => of_origin(path, error),
        error => generic(error),
    }
}

/// What a look at an object means that failed; the store's own errors are passed on as they are.
pub(super) fn of_failure(path: &Path, key: &str, failure: Failure) -> Error {
    failure.or_explain(key).unwrap_or_else(|error| of_origin(path, error))
}

pub(super) fn of_origin(path: &Path, error: OriginError) -> Error {
    let (path, kind) = (path.to_string(), &error);
    match kind {
        OriginError::NotFound { .. } => Error::NotFound { path, source: error.into() },
        OriginError::Denied { status: 401, .. } => Error::Unauthenticated { path, source: error.into() },
        OriginError::Denied { .. } => Error::PermissionDenied { path, source: error.into() },
        OriginError::Changed { .. } => Error::Precondition { path, source: error.into() },
        _ => generic(error),
    }
}

/// Whether an object is no longer the one that was opened.
pub(super) fn is_change(error: &ReadError) -> bool {
    matches!(error, ReadError::Origin(OriginError::Changed { .. }))
}
