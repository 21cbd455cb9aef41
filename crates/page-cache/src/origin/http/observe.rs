//! What a request met on the wire, seen beside `object_store`, whose errors do not tell it in a form to act on.

use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
use parking_lot::Mutex;
use reqwest::{Client, ClientBuilder};

/// The outcome of the last attempt of one request. It travels with the request, in its extensions.
#[derive(Debug, Default)]
pub(super) struct Observation(Mutex<Option<Result<u16, String>>>);

impl Observation {
    /// The status of the last response, if there was one.
    pub(super) fn status(&self) -> Option<u16> {
        self.0.lock().as_ref().and_then(|outcome| outcome.as_ref().ok().copied())
    }

    /// Why the last attempt got no response, if there was an attempt.
    pub(super) fn failure(&self) -> Option<String> {
        self.0.lock().as_ref().and_then(|outcome| outcome.as_ref().err().cloned())
    }
}

/// Connects an origin to a client that all origins of this process share, with an observer in between.
#[derive(Debug)]
pub(super) struct ObservingConnector {
    /// The value of an `Authorization` header for each request of the origin.
    pub(super) authorization: Option<HeaderValue>,
    /// Whether the origin is on this machine, where no proxy could reach it.
    pub(super) loopback: bool,
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
    static DIRECT: LazyLock<reqwest::Result<Client>> = LazyLock::new(|| builder().no_proxy().build());
    // The proxies are those that the environment names, as other programs use them.
    static PROXIED: LazyLock<reqwest::Result<Client>> = LazyLock::new(|| builder().build());
    let client = if loopback { DIRECT.as_ref() } else { PROXIED.as_ref() };
    client.cloned().map_err(|error| object_store::Error::Generic {
        store: "HTTP",
        source: format!("the HTTP client could not be made: {}", innermost(error)).into(),
    })
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("svf-page-cache/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .connect_timeout(Duration::from_secs(5))
        // A server that has gone silent is given up soon, one that is merely slow is not.
        .read_timeout(Duration::from_secs(30))
        .timeout(Duration::from_secs(300))
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
        let response = self.client.execute(request).await;
        if let Some(observation) = observation {
            *observation.0.lock() = Some(match &response {
                Ok(response) => Ok(response.status().as_u16()),
                Err(error) => Err(innermost(error)),
            });
        }
        response
    }
}

/// The deepest cause of an error: what the system or the protocol library said, without the layers' own words.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
