//! Objects behind `http://` and `https://` URLs, read through the `object_store` crate.

mod body;
mod observe;
mod response;
mod url_key;

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::http::{HttpBuilder, HttpStore};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, RetryConfig};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};

use self::body::{Body, collect};
use self::observe::{Observation, ObservingConnector, Outcome, innermost};
use self::response::Rejected;
use self::url_key::UrlParts;
use super::{AttemptLimits, Origin, OriginError, Stat, Validators};
use crate::sys::PerProcess;

/// An object behind an `http://` or `https://` URL.
///
/// Requests run on a small runtime of this crate's own, so it works from plain threads and inside anybody's runtime
/// alike; a call blocks its thread until the response is there, or the attempt is given up ([`AttemptLimits`]). What is
/// transient is tried again by the cache.
///
/// Every range request is conditional on the pinned validators (`If-Match`, else `If-Unmodified-Since`), and every
/// response is checked: status 206, exactly the range asked for, the total length, the validators, no encoding.
pub struct HttpOrigin {
    /// The URL without credentials and signatures.
    key: String,
    request: String,
    limits: AttemptLimits,
    connector: ObservingConnector,
    /// A child of the process that made it has connections of its own.
    store: PerProcess<object_store::Result<Arc<HttpStore>>>,
}

impl HttpOrigin {
    /// The object behind `url`. Sends no request yet.
    ///
    /// A user name and password in the URL are sent as basic authentication; they, and the parameters by which the
    /// object stores sign a URL, are no part of [`key`](Origin::key), so a link that was signed anew finds the pieces
    /// that were read by the old one.
    ///
    /// # Errors
    ///
    /// [`OriginError::InvalidUrl`] if it is no such URL.
    pub fn new(url: &str) -> Result<Self, OriginError> {
        let UrlParts { key, request, authorization, loopback } = UrlParts::parse(url)?;
        let connector = ObservingConnector { authorization, loopback };
        let store = build(&request, &connector)
            .map_err(|error| OriginError::InvalidUrl { url: key.clone(), reason: error.to_string() })?;
        Ok(Self { key, request, limits: AttemptLimits::default(), connector, store: PerProcess::new(Ok(store)) })
    }

    /// The same, with other limits on the time that one attempt may take.
    #[must_use]
    pub fn limits(self, limits: AttemptLimits) -> Self {
        Self { limits, ..self }
    }

    /// The store for this process's requests.
    fn store(&self) -> object_store::Result<Arc<HttpStore>> {
        match self.store.get(|| build(&self.request, &self.connector)) {
            Ok(store) => Ok(Arc::clone(store)),
            Err(error) => Err(object_store::Error::Generic { store: "HTTP", source: error.to_string().into() }),
        }
    }

    /// Sends one request and waits for `read` to take what it wants of the response, until the moment it is given.
    fn send<T, F>(
        &self,
        mut options: GetOptions,
        pinned: Option<&Stat>,
        read: impl FnOnce(GetResult, Instant) -> F + Send + 'static,
    ) -> Result<T, (object_store::Error, Arc<Observation>)>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send,
    {
        let observation = Arc::new(Observation::new(pinned.cloned()));
        options.extensions.insert(Arc::clone(&observation));
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => return Err((error, observation)),
        };
        // The store's path stays empty: its base is the object's URL, so that not a character of it is recoded.
        let AttemptLimits { stall, total } = self.limits;
        let request = async move {
            let end = Instant::now() + total.min(LONGEST);
            let path = Path::default();
            let response = timeout(stall.min(total), store.get_opts(&path, options));
            read(response.await.map_err(|_| silent(stall.min(total)))??, end).await
        };
        block_on(request).map_err(|error| (error, observation))
    }

    /// The object's metadata by a `HEAD`, or, from a server that refuses that, by the first byte or the whole.
    fn metadata(&self) -> Result<ObjectMeta, OriginError> {
        let head = GetOptions { head: true, ..GetOptions::default() };
        let first_byte = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
        let whole = GetOptions::default();
        let ask = |options| self.send(options, None, |response, _| async { Ok(response.meta) });
        let (error, observed) = match ask(head) {
            Ok(meta) => return Ok(meta),
            Err(refusal) => refusal,
        };
        // Of these, servers may mean the HEAD and not the object; after any other no request would fare better.
        let outcome = observed.outcome();
        if let Some(Outcome::Status(200..=206 | 400 | 403 | 405 | 416 | 501, _) | Outcome::Rejected(_)) = outcome {
            for options in [first_byte, whole] {
                if let Ok(meta) = ask(options) {
                    return Ok(meta);
                }
            }
        }
        // The refusal of the HEAD is the one to report: the others were attempts to get around it.
        Err(self.explain(&error, &observed, &Request::Length))
    }

    /// What a failed request means. The store's own message may quote the URL with its signature, and the server's
    /// body may quote anything, so neither is passed on.
    fn explain(&self, error: &object_store::Error, observed: &Observation, request: &Request) -> OriginError {
        let (key, partial) = (self.key.clone(), matches!(request, Request::Bytes(_)));
        let (request, attempts) = (request.to_string(), 1);
        let (status, retry_after) = match observed.outcome() {
            Some(Outcome::Status(status, retry_after)) => (status, retry_after),
            Some(Outcome::Rejected(Rejected::Changed(reason))) => return OriginError::Changed { key, reason },
            Some(Outcome::Rejected(Rejected::Invalid(reason))) => {
                return OriginError::InvalidResponse { key, request, reason, attempts };
            }
            Some(Outcome::Failed(reason)) => return OriginError::Unreachable { key, request, reason, attempts },
            None => return OriginError::Unreachable { key, request, reason: innermost(error), attempts },
        };
        match status {
            404 | 410 => OriginError::NotFound { key },
            401 | 403 | 407 => OriginError::Denied { key, status },
            412 => OriginError::Changed { key, reason: "the server answered with status 412".to_owned() },
            416 if partial => OriginError::Changed { key, reason: "it has no such bytes any more".to_owned() },
            200 if partial => OriginError::RangesIgnored { key },
            200..300 => OriginError::InvalidResponse { key, request, reason: innermost(error), attempts },
            _ => OriginError::Status { key, status, request, retry_after, attempts },
        }
    }
}

fn build(request: &str, connector: &ObservingConnector) -> object_store::Result<Arc<HttpStore>> {
    // The cache tries again what may succeed later, and counts it.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let builder = HttpBuilder::new().with_url(request).with_retry(retry).with_http_connector(connector.clone());
    Ok(Arc::new(builder.build()?))
}

/// No attempt takes longer: a time that no clock reaches is none.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// That no byte came for so long.
fn silent(stall: Duration) -> object_store::Error {
    object_store::Error::Generic { store: "HTTP", source: format!("nothing came for {stall:?}").into() }
}

/// What a request was for, as the messages say it.
#[derive(Debug, Clone)]
enum Request {
    Length,
    Bytes(Range<u64>),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("the object's length"),
            Self::Bytes(range) => write!(f, "bytes {}..{}", range.start, range.end),
        }
    }
}

impl fmt::Debug for HttpOrigin {
    /// The key alone: the store's own output would show the URL with its signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOrigin").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Origin for HttpOrigin {
    fn key(&self) -> &str {
        &self.key
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        Ok(stat_of(&self.metadata()?))
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        let if_match = pinned.validators.strong_etag().map(str::to_owned);
        let if_unmodified_since =
            if if_match.is_none() { pinned.validators.last_modified.map(Into::into) } else { None };
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match,
            if_unmodified_since,
            ..GetOptions::default()
        };
        let (asked, stall) = (range.clone(), self.limits.stall);
        let collected = self.send(options, Some(pinned), move |response, end| async move {
            Ok(collect(response, &asked, stall, end).await)
        });
        let request = Request::Bytes(range);
        let (key, what, attempts) = (|| self.key.clone(), request.to_string(), 1);
        match collected {
            Ok(Body::Bytes(bytes)) => Ok(bytes),
            Ok(Body::Nothing(reason)) => Err(OriginError::Unreachable { key: key(), request: what, reason, attempts }),
            Ok(Body::Invalid(reason)) => {
                Err(OriginError::InvalidResponse { key: key(), request: what, reason, attempts })
            }
            Err((error, observed)) => Err(self.explain(&error, &observed, &request)),
        }
    }
}

fn stat_of(meta: &ObjectMeta) -> Stat {
    Stat {
        length: meta.size,
        validators: Validators {
            etag: meta.e_tag.clone(),
            version: meta.version.clone(),
            // The store fills in the epoch where the server sent no date.
            last_modified: Some(SystemTime::from(meta.last_modified)).filter(|&date| date != SystemTime::UNIX_EPOCH),
        },
    }
}

/// Runs a future on this crate's own runtime and blocks the calling thread until it is done.
///
/// The caller may itself be inside a runtime: nothing of that is used, and nothing panics for want of one.
///
/// # Errors
///
/// The future's own, or that the runtime could not be started or died.
fn block_on<T: Send + 'static>(
    future: impl Future<Output = object_store::Result<T>> + Send + 'static,
) -> object_store::Result<T> {
    // A child has none of its parent's threads.
    static RUNTIME: PerProcess<io::Result<Runtime>> = PerProcess::empty();
    let start = || Builder::new_multi_thread().worker_threads(1).thread_name("svf-http").enable_all().build();
    let died = |reason: String| object_store::Error::Generic { store: "HTTP", source: reason.into() };
    let runtime = RUNTIME
        .get(start)
        .as_ref()
        .map_err(|error| died(format!("the runtime for requests did not start: {error}")))?;
    // A channel of std, since waiting on one of tokio's panics inside a runtime.
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // The receiver waits for this very message, so it is there unless its thread is gone.
        _ = sender.send(future.await);
    });
    receiver.recv().unwrap_or_else(|_| Err(died("the request was abandoned by its runtime".to_owned())))
}
