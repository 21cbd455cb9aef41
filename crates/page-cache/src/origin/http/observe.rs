//! What a request met on the wire, seen beside `object_store`, whose errors do not tell it in a form to act on.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
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

/// Connects as `object_store` does by itself, with an observer in between.
#[derive(Debug, Default)]
pub(super) struct ObservingConnector(ReqwestConnector);

impl HttpConnector for ObservingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(ObservingService(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct ObservingService(HttpClient);

#[async_trait]
impl HttpService for ObservingService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let observation = request.extensions().get::<Arc<Observation>>().cloned();
        let response = self.0.execute(request).await;
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
