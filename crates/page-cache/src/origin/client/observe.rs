//! What a request met on the wire, seen beside `object_store`, whose errors do not tell it in a form to act on.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::{Client, ClientBuilder};
use tokio::time::timeout;

use super::response;
use crate::origin::Stat;
use crate::origin::object_store::{Rejected, Timeouts, innermost};
use crate::sync::Mutex;
use crate::sys::PerProcess;

/// One request, seen from the wire: what its responses must be, and the outcome of its last attempt.
///
/// It travels with the request, in its extensions.
#[derive(Debug)]
pub(in crate::origin) struct Observation {
    /// The version that partial responses must be of.
    pinned: Option<Stat>,
    /// How long the server may take to begin its response.
    stall: Duration,
    outcome: Mutex<Option<Outcome>>,
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub(in crate::origin) enum Outcome {
    /// A response, with this status, and with how long the server wants to be left alone.
    Status(u16, Option<Duration>),
    /// A partial response that must not be used.
    Rejected(Rejected),
    /// No response, for this reason.
    Failed(String),
}

impl Observation {
    pub(in crate::origin) fn new(pinned: Option<Stat>, stall: Duration) -> Self {
        Self { pinned, stall, outcome: Mutex::default() }
    }

    /// The outcome of the last attempt, if there was one.
    pub(in crate::origin) fn outcome(&self) -> Option<Outcome> {
        self.outcome.lock().clone()
    }
}

/// Connects an origin to a client that all origins of this process share, with an observer in between.
#[derive(Debug, Clone)]
pub(in crate::origin) struct ObservingConnector {
    /// The value of an `Authorization` header for each request of the origin.
    pub(in crate::origin) authorization: Option<HeaderValue>,
    /// Whether the origin is on this machine, where no proxy could reach it.
    pub(in crate::origin) loopback: bool,
}

impl HttpConnector for ObservingConnector {
    /// The store's own options are not looked at: those of the shared clients hold for all origins.
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = HttpClient::new(shared_client(self.loopback)?);
        Ok(HttpClient::new(ObservingService { client, authorization: self.authorization.clone() }))
    }
}

/// A client for all origins of this process: making one reads all the system's certificates, and it keeps the
/// connections that the next origin on the same server can use.
fn shared_client(loopback: bool) -> object_store::Result<Client> {
    static DIRECT: PerProcess<reqwest::Result<Client>> = PerProcess::empty();
    // The proxies are those that the environment names, as other programs use them.
    static PROXIED: PerProcess<reqwest::Result<Client>> = PerProcess::empty();
    let client = if loopback { DIRECT.get(|| builder().no_proxy().build()) } else { PROXIED.get(|| builder().build()) };
    client.as_ref().cloned().map_err(|error| object_store::Error::Generic {
        store: "HTTP",
        source: format!("the HTTP client could not be made: {}", innermost(error)).into(),
    })
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("svf-page-cache/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .connect_timeout(Duration::from_secs(5))
        // A signature in a URL is nothing that the target of a redirect should learn.
        .referer(false)
        // Pieces are pieces of what is stored, however another part of the program has its client built.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
}

#[derive(Debug)]
struct ObservingService {
    client: HttpClient,
    authorization: Option<HeaderValue>,
}

#[async_trait]
impl HttpService for ObservingService {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let observation = request.extensions().get::<Arc<Observation>>().cloned();
        // A request of the store's own, for credentials, has no observation.
        let stall = observation.as_ref().map_or_else(|| Timeouts::default().stall, |observation| observation.stall);
        let silent = |_| Err(HttpError::new(HttpErrorKind::Timeout, Silent(stall)));
        let mut response = timeout(stall, self.client.execute(request)).await.unwrap_or_else(silent);
        let Some(observation) = observation else { return response };
        let outcome = match &mut response {
            Err(error) => match no_answer(error) {
                Some(reason) => Outcome::Rejected(Rejected::Invalid(reason)),
                None => Outcome::Failed(innermost(error)),
            },
            Ok(response) => {
                let status = response.status();
                if !status.is_success() {
                    // The store would read it whole, however long it is, for a message that nobody is shown.
                    *response.body_mut() = Bytes::new().into();
                }
                let checked = response::check(status, response.headers_mut(), observation.pinned.as_ref());
                let retry_after = response::retry_after(response.headers());
                checked.err().map_or(Outcome::Status(status.as_u16(), retry_after), Outcome::Rejected)
            }
        };
        let rejected = matches!(outcome, Outcome::Rejected(_));
        *observation.outcome.lock() = Some(outcome);
        // The kind is one that the store does not try again; who asked looks at the outcome.
        if rejected { Err(HttpError::new(HttpErrorKind::Decode, RejectedResponse)) } else { response }
    }
}

/// Why what came is no answer, where something came.
fn no_answer(error: &HttpError) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_redirect) {
            return Some("it redirects in a circle, or too often".to_owned());
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Some(format!("its head is none ({})", innermost(error)));
        }
        cause = error.source();
    }
    None
}

#[derive(Debug, thiserror::Error)]
#[error("the response was rejected")]
struct RejectedResponse;

#[derive(Debug, thiserror::Error)]
#[error("no response came for {0:?}")]
struct Silent(Duration);
