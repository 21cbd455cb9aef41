//! Objects behind `http://` and `https://` URLs, read through the `object_store` crate.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectStore};

use super::client::{ObservingConnector, Options, Outcome, Remote, UrlParts, no_retries};
use super::object_store::{Request, Timeouts};
use super::{Origin, OriginError, Stat};

/// An object behind an `http://` or `https://` URL.
///
/// Requests run on a small runtime of this crate's own, so it works from plain threads and inside anybody's runtime
/// alike; a call blocks its thread until the response is there, or is given up ([`Timeouts`]). It tries nothing again:
/// the cache does ([`RetryPolicy`](crate::RetryPolicy)).
///
/// Every range request is conditional on the pinned validators (`If-Match`, else `If-Unmodified-Since`), and every
/// response is checked: status 206, exactly the range asked for, the total length, the validators, no encoding.
pub struct HttpOrigin {
    remote: Remote,
}

impl HttpOrigin {
    /// The object behind `url`. Sends no request yet.
    ///
    /// A user name and password in the URL are sent as basic authentication; the password, and the parameters by which
    /// the object stores sign a URL, are no part of [`key`](Origin::key), so a link that was signed anew finds the
    /// pieces that were read by the old one. For the user name, and for parameters whose names are those of secrets,
    /// digests stand in the key.
    ///
    /// # Errors
    ///
    /// [`OriginError::InvalidUrl`] if it is no such URL.
    pub fn new(url: &str) -> Result<Self, OriginError> {
        Self::with_options(url, &Options::default())
    }

    /// The same with a client that is set up by options.
    pub(super) fn with_options(url: &str, options: &Options) -> Result<Self, OriginError> {
        let UrlParts { key, request, authorization } = UrlParts::parse(url)?;
        let client = options.configure(url, ClientOptions::new().with_allow_http(true), ClientOptions::with_config)?;
        let connector = ObservingConnector { authorization, encoded: false };
        let build = move || {
            let builder = HttpBuilder::new().with_url(&request).with_client_options(client.clone());
            let store = builder.with_retry(no_retries()).with_http_connector(connector.clone()).build()?;
            Ok(Arc::new(store) as Arc<dyn ObjectStore>)
        };
        // The store's path stays empty: its base is the object's URL, so that not a character of it is recoded.
        Ok(Self { remote: Remote::new(key, Path::default(), options, build)? })
    }

    /// The same with other limits on the time that one request may take.
    #[must_use = "this gives the changed origin back"]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.remote.set_timeouts(timeouts);
        self
    }
}

impl fmt::Debug for HttpOrigin {
    /// The key alone: the store's own output would show the URL with its signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOrigin").field("key", &self.remote.key).finish_non_exhaustive()
    }
}

impl Origin for HttpOrigin {
    fn key(&self) -> &str {
        &self.remote.key
    }

    /// By a `HEAD`, or, from a server that refuses that, by the first byte or the whole.
    fn stat(&self) -> Result<Stat, OriginError> {
        let refused = match self.remote.head() {
            Ok(stat) => return Ok(stat),
            Err(refused) => refused,
        };
        // Of these, servers may mean the HEAD and not the object; after any other no request would fare better.
        if let Some(Outcome::Status(200..=206 | 400 | 403 | 405 | 416 | 501, _) | Outcome::Rejected(_)) =
            refused.outcome
        {
            let first_byte = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
            for options in [first_byte, GetOptions::default()] {
                if let Ok(stat) = self.remote.stat_by(options) {
                    return Ok(stat);
                }
            }
        }
        // The refusal of the HEAD is the one to report: the others were attempts to get around it.
        Err(refused.explain(&self.remote.key, &Request::Length))
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        self.remote.read(range, pinned)
    }
}
