//! Objects in stores that are built here and speak HTTP: one client for all of them, with an observer beneath the
//! store.

mod observe;
mod options;
mod query;
mod response;
mod url_key;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, RetryConfig};

use self::observe::Observation;
pub(super) use self::observe::{ObservingConnector, Outcome};
pub(super) use self::options::Options;
#[cfg(any(feature = "aws", feature = "azure"))]
pub(super) use self::options::is_on;
pub(super) use self::url_key::UrlParts;
use super::object_store::{
    Attempt, Failure, Request, Timeouts, conditional, innermost, is_network_failure, presentable,
};
use super::{OriginError, Stat};
use crate::sys::PerProcess;

type Built = object_store::Result<Arc<dyn ObjectStore>>;

/// How much older than a response a date in it must be to vouch for anything, both in whole seconds and by one clock.
const SAME_CLOCK: Duration = Duration::from_secs(2);

/// An object in a store that is built anew in each process, and whose requests are observed.
pub(super) struct Remote {
    /// What names the object, without secrets.
    pub(super) key: String,
    path: Path,
    timeouts: Timeouts,
    build: Box<dyn Fn() -> Built + Send + Sync>,
    /// A child of the process that made it has connections of its own.
    store: PerProcess<Built>,
}

impl Remote {
    /// The object at `path` of the store that `build` builds.
    ///
    /// # Errors
    ///
    /// [`OriginError::InvalidUrl`] if the store cannot be built.
    pub(super) fn new(
        key: String,
        path: Path,
        options: &Options,
        build: impl Fn() -> Built + Send + Sync + 'static,
    ) -> Result<Self, OriginError> {
        let store = PerProcess::new(Ok(build().map_err(|error| options.refuse(&key, &error))?));
        Ok(Self { key, path, timeouts: options.timeouts(), build: Box::new(build), store })
    }

    #[cfg(feature = "http")]
    pub(super) fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.timeouts = timeouts;
    }

    /// The length and validators by a request with these options.
    pub(super) fn stat_by(&self, options: GetOptions) -> Result<Stat, Refused> {
        let (stat, date) = self.observed(options, None, Attempt::stat)?;
        let Some(date) = date else { return Ok(stat) };
        Ok(Stat { validators: stat.validators.looked_at(date, SAME_CLOCK), ..stat })
    }

    /// The length and validators by a `HEAD`.
    pub(super) fn head(&self) -> Result<Stat, Refused> {
        self.stat_by(GetOptions { head: true, ..GetOptions::default() })
    }

    /// The bytes of a range, or the first of them, of the pinned version.
    pub(super) fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        let options = conditional(range.clone(), pinned);
        // The observer has checked the response before the store saw it.
        let read = |attempt: Attempt| attempt.read(range.clone(), |_| Ok(()));
        self.observed(options, Some(pinned), read)
            .map(|(bytes, _)| bytes)
            .map_err(|refused| refused.explain(&self.key, &Request::Bytes(range.clone())))
    }

    /// What a request gives, and when the server says that was.
    fn observed<T>(
        &self,
        mut options: GetOptions,
        pinned: Option<&Stat>,
        send: impl FnOnce(Attempt) -> Result<T, Failure>,
    ) -> Result<(T, Option<SystemTime>), Refused> {
        let observation = Arc::new(Observation::new(pinned.cloned(), self.timeouts.stall));
        options.extensions.insert(Arc::clone(&observation));
        let (path, timeouts) = (self.path.clone(), self.timeouts);
        let sent = match self.store.get(&self.build) {
            Ok(store) => send(Attempt { store: Arc::clone(store), path, options, timeouts }),
            Err(error) => {
                Err(Failure::NotSent(format!("its client could not be made: {}", presentable(&innermost(error)))))
            }
        };
        sent.map(|given| (given, observation.date()))
            .map_err(|failure| Refused { failure, outcome: observation.outcome() })
    }
}

/// A request that gave nothing, and what was seen of it on the wire.
#[derive(Debug)]
pub(super) struct Refused {
    failure: Failure,
    pub(super) outcome: Option<Outcome>,
}

impl Refused {
    /// What it means. The store's own message may quote the URL with its signature, and the server's body may quote
    /// anything, so neither is passed on.
    pub(super) fn explain(self, key: &str, request: &Request) -> OriginError {
        let (Self { failure, outcome }, partial) = (self, matches!(request, Request::Bytes(_)));
        let (key, what, attempts) = (key.to_owned(), request.to_string(), 1);
        let (status, retry_after) = match outcome {
            Some(Outcome::Status(status, retry_after)) => (status, retry_after),
            Some(Outcome::Rejected(rejected)) => return rejected.explain(&key, request),
            Some(Outcome::NotSent(reason)) => return OriginError::Store { key, reason },
            Some(Outcome::Failed(reason)) => return OriginError::Unreachable { key, request: what, reason, attempts },
            None if matches!(failure, Failure::NotSent(_)) => return failure.explain(&key, request),
            // The store sent nothing: it has no credentials, or none that it could use.
            None if matches!(&failure, Failure::Store(error) if !may_pass(error)) => {
                let reason = format!("no request could be signed ({}); check the credentials", failure.reason());
                return OriginError::Store { key, reason };
            }
            None => {
                let reason = failure.reason();
                return OriginError::Unreachable { key, request: what, reason, attempts };
            }
        };
        match status {
            // Redirects that say where to are followed.
            301 | 302 | 307 | 308 => {
                let reason = format!("status {status} without a place to go; it may be in another region");
                OriginError::InvalidResponse { key, request: what, reason, attempts }
            }
            404 | 410 => OriginError::NotFound { key },
            401 | 403 | 407 => OriginError::Denied { key, status },
            412 => OriginError::Changed { key, reason: "the server answered with status 412".to_owned() },
            416 if partial => OriginError::Changed { key, reason: "it has no such bytes any more".to_owned() },
            200 if partial => OriginError::RangesIgnored { key },
            200..=299 => match failure {
                // The head was good, and its body was something else.
                Failure::Store(error) if !is_network_failure(&error) => {
                    let reason = presentable(&innermost(&error));
                    OriginError::InvalidResponse { key, request: what, reason, attempts }
                }
                // The connection broke within the body.
                failure => failure.explain(&key, request),
            },
            _ => OriginError::Status { key, status, request: what, retry_after, attempts },
        }
    }
}

/// Whether who gives out credentials may give some later.
fn may_pass(error: &object_store::Error) -> bool {
    // The type that has the status is the store's own.
    let said = innermost(error);
    is_network_failure(error) || ["status code: 5", "status code: 429"].iter().any(|status| said.contains(status))
}

/// That stores which are built here try nothing again by themselves: the cache does, and counts.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}
