//! What a request met on the wire, seen beside `object_store`, whose errors do not tell it in a form to act on.

use std::error::Error;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use parking_lot::Mutex;

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

/// Connects an origin to the one client of this process, with an observer in between.
#[derive(Debug)]
pub(super) struct ObservingConnector {
    /// The value of an `Authorization` header for each request of the origin.
    pub(super) authorization: Option<HeaderValue>,
}

impl HttpConnector for ObservingConnector {
    /// The store's own options are not looked at: those of the shared client hold for all origins.
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = shared_client()?;
        Ok(HttpClient::new(ObservingService { client, authorization: self.authorization.clone() }))
    }
}

/// The client of all origins of this process: making one reads all the system's certificates, and it keeps the
/// connections that the next origin on the same server can use.
fn shared_client() -> object_store::Result<HttpClient> {
    static CLIENT: LazyLock<Result<HttpClient, String>> = LazyLock::new(|| {
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_user_agent(HeaderValue::from_static(concat!("svf-page-cache/", env!("CARGO_PKG_VERSION"))))
            .with_connect_timeout(Duration::from_secs(5))
            // A server that has gone silent is given up soon, one that is merely slow is not.
            .with_read_timeout(Duration::from_secs(30))
            .with_timeout(Duration::from_secs(300));
        ReqwestConnector::default().connect(&options).map_err(|error| innermost(&error))
    });
    CLIENT.clone().map_err(|error| object_store::Error::Generic {
        store: "HTTP",
        source: format!("the HTTP client could not be made: {error}").into(),
    })
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
