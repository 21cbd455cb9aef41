//! What a request met on the wire, seen beside `object_store`, whose errors do not tell it in a form to act on.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use http::{HeaderValue, Uri};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::{Client, ClientBuilder};
use tokio::time::timeout;

use super::options::is_on;
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
    date: Mutex<Option<SystemTime>>,
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub(in crate::origin) enum Outcome {
    /// A response, with this status, and with how long the server wants to be left alone.
    Status(u16, Option<Duration>),
    /// A partial response that must not be used.
    Rejected(Rejected),
    /// Nothing was sent, or to nobody who could be trusted, for a reason that stays.
    NotSent(String),
    /// No response, for this reason.
    Failed(String),
}

impl Observation {
    pub(in crate::origin) fn new(pinned: Option<Stat>, stall: Duration) -> Self {
        Self { pinned, stall, outcome: Mutex::default(), date: Mutex::default() }
    }

    /// The outcome of the last attempt, if there was one.
    pub(in crate::origin) fn outcome(&self) -> Option<Outcome> {
        self.outcome.lock().clone()
    }

    /// When the server made its last response, if it says so.
    pub(in crate::origin) fn date(&self) -> Option<SystemTime> {
        *self.date.lock()
    }
}

/// Connects a store to a client, with an observer in between.
#[derive(Debug, Clone, Default)]
pub(in crate::origin) struct ObservingConnector {
    /// The value of an `Authorization` header for each request of the origin.
    pub(in crate::origin) authorization: Option<HeaderValue>,
    /// Whether a `Content-Encoding` tells of what is stored, as object stores keep it with an object, and not of what
    /// is sent.
    pub(in crate::origin) encoded: bool,
}

impl HttpConnector for ObservingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let own = if is_usual(options) {
            None
        } else {
            // What a request may take is limited above the store, which keeps what came until then.
            let options = options.clone().with_timeout_disabled().with_read_timeout_disabled();
            Some(ReqwestConnector::default().connect(&options)?)
        };
        let https_only = !options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| is_on(&value));
        let Self { authorization, encoded } = self.clone();
        Ok(HttpClient::new(ObservingService { own, https_only, authorization, encoded }))
    }
}

/// Whether a client that nobody has set up in another way does what these options say.
fn is_usual(options: &ClientOptions) -> bool {
    const OTHERWISE: [ClientConfigKey; 17] = [
        ClientConfigKey::AllowInvalidCertificates,
        ClientConfigKey::NoSystemCertificates,
        ClientConfigKey::ConnectTimeout,
        ClientConfigKey::Http1Only,
        ClientConfigKey::Http2Only,
        ClientConfigKey::Http2KeepAliveInterval,
        ClientConfigKey::Http2KeepAliveTimeout,
        ClientConfigKey::Http2KeepAliveWhileIdle,
        ClientConfigKey::Http2MaxFrameSize,
        ClientConfigKey::PoolIdleTimeout,
        ClientConfigKey::PoolMaxIdlePerHost,
        ClientConfigKey::ProxyUrl,
        ClientConfigKey::ProxyCaCertificate,
        ClientConfigKey::ProxyExcludes,
        ClientConfigKey::RandomizeAddresses,
        ClientConfigKey::UserAgent,
        ClientConfigKey::DefaultContentType,
    ];
    let usual = ClientOptions::new();
    OTHERWISE.iter().all(|key| options.get_config_value(key) == usual.get_config_value(key))
}

/// A client for all origins of this process: making one reads all the system's certificates, and it keeps the
/// connections that the next origin on the same server can use. There are two, since a proxy cannot reach this machine
/// by its loopback interface.
fn shared_client(uri: &Uri) -> Result<Client, HttpError> {
    static DIRECT: PerProcess<reqwest::Result<Client>> = PerProcess::empty();
    // The proxies are those that the environment names, as other programs use them.
    static PROXIED: PerProcess<reqwest::Result<Client>> = PerProcess::empty();
    let client = if is_loopback(uri.host().unwrap_or_default()) {
        DIRECT.get(|| builder().no_proxy().build())
    } else {
        PROXIED.get(|| builder().build())
    };
    client.as_ref().cloned().map_err(|error| {
        let error = io::Error::other(format!("the HTTP client could not be made: {}", innermost(error)));
        HttpError::new(HttpErrorKind::Unknown, error)
    })
}

/// Whether a host is this machine by its loopback interface.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
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
    /// The client of who has options of his own.
    own: Option<HttpClient>,
    https_only: bool,
    authorization: Option<HeaderValue>,
    encoded: bool,
}

impl ObservingService {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.https_only && request.uri().scheme_str() != Some("https") {
            return Err(HttpError::new(HttpErrorKind::Unknown, NotAllowed));
        }
        match &self.own {
            Some(client) => client.execute(request).await,
            None => HttpClient::new(shared_client(request.uri())?).execute(request).await,
        }
    }
}

#[async_trait]
impl HttpService for ObservingService {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        if !self.encoded {
            // Without this a server may choose an encoding by itself, and a range of what it encoded is of no use.
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let observation = request.extensions().get::<Arc<Observation>>().cloned();
        // A request of the store's own, for credentials, has no observation.
        let stall = observation.as_ref().map_or_else(|| Timeouts::default().stall, |observation| observation.stall);
        let silent = |_| Err(HttpError::new(HttpErrorKind::Timeout, Silent(stall)));
        let mut response = timeout(stall, self.send(request)).await.unwrap_or_else(silent);
        let Some(observation) = observation else { return response };
        let outcome = match &mut response {
            Err(error) => match no_answer(error) {
                Some(reason) => Outcome::Rejected(Rejected::Invalid(reason)),
                None if is_tls(error) => Outcome::NotSent(innermost(error)),
                None => Outcome::Failed(innermost(error)),
            },
            Ok(response) => {
                let status = response.status();
                *observation.date.lock() = response::date(response.headers());
                if !status.is_success() {
                    // The store would read it whole, however long it is, for a message that nobody is shown.
                    *response.body_mut() = Bytes::new().into();
                }
                let retry_after = response::retry_after(response.headers());
                let checked =
                    response::check(status, response.headers_mut(), observation.pinned.as_ref(), self.encoded);
                checked.err().map_or(Outcome::Status(status.as_u16(), retry_after), Outcome::Rejected)
            }
        };
        let rejected = matches!(outcome, Outcome::Rejected(_));
        *observation.outcome.lock() = Some(outcome);
        // The kind is one that the store does not try again; who asked looks at the outcome.
        if rejected { Err(HttpError::new(HttpErrorKind::Decode, RejectedResponse)) } else { response }
    }
}

/// Why there is no answer, where the way to the origin is not the reason.
fn no_answer(error: &HttpError) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_redirect) {
            return Some("it redirects in a circle, or too often".to_owned());
        }
        if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_builder) {
            return Some("it redirects to what is no http or https URL".to_owned());
        }
        // It would not be sent the next time either.
        if error.is::<NotAllowed>() {
            return Some(NotAllowed.to_string());
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Some(format!("its head is none ({})", innermost(error)));
        }
        cause = error.source();
    }
    None
}

/// Whether who answered speaks no TLS, or has no certificate to be trusted: the TLS library says both as data that is
/// invalid, and nothing else between a client and a response does.
fn is_tls(error: &HttpError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut connecting = false;
    while let Some(error) = cause {
        connecting |= error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect);
        let Some(io) = error.downcast_ref::<io::Error>() else {
            cause = error.source();
            continue;
        };
        if connecting && io.kind() == io::ErrorKind::InvalidData {
            return true;
        }
        // Its source would be that of the error that it wraps.
        cause = io.get_ref().map(|inner| inner as &(dyn Error + 'static));
    }
    false
}

#[derive(Debug, thiserror::Error)]
#[error("the response was rejected")]
struct RejectedResponse;

#[derive(Debug, thiserror::Error)]
#[error("no response came for {0:?}")]
struct Silent(Duration);

#[derive(Debug, thiserror::Error)]
#[error("plain http:// is not allowed; set the option allow_http to true if it is to be")]
struct NotAllowed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_known() {
        for (url, loopback) in [
            ("http://127.0.0.1:80/a", true),
            ("http://127.9.9.9/a", true),
            ("http://[::1]:80/a", true),
            ("http://LOCALHOST/a", true),
            ("http://localhost.example.org/a", false),
            ("http://10.0.0.1/a", false),
        ] {
            let uri: Uri = url.parse().unwrap();
            assert_eq!(is_loopback(uri.host().unwrap()), loopback, "{url}");
        }
    }

    #[test]
    fn who_sets_up_a_client_gets_his_own() {
        let usual = ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(1));
        assert!(is_usual(&usual));
        assert!(!is_usual(&usual.clone().with_proxy_url("http://host")));
        assert!(!is_usual(&usual.with_allow_invalid_certificates(true)));
    }
}
