//! Objects in S3, in Google Cloud Storage and in Azure, and in what speaks as one of them.

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcp")]
mod gcs;
#[cfg(feature = "aws")]
mod s3;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use object_store::path::Path;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

#[cfg(feature = "azure")]
pub(super) use self::azure::azure;
#[cfg(feature = "gcp")]
pub(super) use self::gcs::gcs;
#[cfg(feature = "aws")]
pub(super) use self::s3::s3;
use super::client::{ObservingConnector, Remote, UrlParts};
use super::object_store::Request;
use super::secrets::without_secrets;
use super::{Origin, OriginError, Stat};

/// What would end a path in a key.
const NOT_IN_A_PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');
/// What would end a value behind the path.
const NOT_IN_A_VALUE: &AsciiSet = &NOT_IN_A_PATH.add(b'&');

/// An object in a store that was built from a URL, options and the environment.
pub(super) struct CloudOrigin {
    remote: Remote,
}

impl Origin for CloudOrigin {
    fn key(&self) -> &str {
        &self.remote.key
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        self.remote.head().map_err(|refused| refused.explain(&self.remote.key, &Request::Length))
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        self.remote.read(range, pinned)
    }
}

impl fmt::Debug for CloudOrigin {
    /// The key alone: a store shows its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudOrigin").field("key", &self.remote.key).finish_non_exhaustive()
    }
}

/// What is sent to an object store is what it keeps, whatever that is encoded in.
fn connector() -> ObservingConnector {
    ObservingConnector { authorization: None, encoded: true }
}

/// A URL that names an object in a bucket or container.
struct CloudUrl {
    url: Url,
    path: Path,
}

impl CloudUrl {
    /// # Errors
    ///
    /// [`OriginError::InvalidUrl`] if it names no object, or says more than that.
    fn parse(text: &str) -> Result<Self, OriginError> {
        let invalid = |reason: String| OriginError::InvalidUrl { url: without_secrets(text), reason };
        let url = Url::parse(text).map_err(|error| invalid(format!("{error}; give a URL like s3://bucket/path")))?;
        if url.query().is_some() || url.fragment().is_some() {
            let reason =
                "it has a query or a fragment; write %3F for ? and %23 for # in a path, and give options apart";
            return Err(invalid(reason.to_owned()));
        }
        let azure = matches!(url.scheme(), "az" | "abfs" | "abfss");
        if url.password().is_some() || (!azure && !url.username().is_empty()) {
            let reason = "it has a user name or password; give credentials by the environment or by options";
            return Err(invalid(reason.to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it does not name a bucket; give a URL like s3://bucket/path".to_owned()));
        }
        let path = Path::from_url_path(url.path())
            .map_err(|_| invalid("its path has empty or relative parts, which cannot be read".to_owned()))?;
        if path.as_ref().is_empty() {
            return Err(invalid("it does not name an object; give a URL like s3://bucket/path".to_owned()));
        }
        Ok(Self { url, path })
    }

    fn bucket(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// What names the object: the bucket and path, and which store they are of if that is not clear from the scheme.
    fn key(&self, scheme: &str, bucket: &str, store: &[(&str, Option<String>)]) -> String {
        let mut key = format!("{scheme}://{bucket}/{}", utf8_percent_encode(self.path.as_ref(), NOT_IN_A_PATH));
        let given = store.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
        for (index, (name, value)) in given.enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            key.push_str(&format!("{separator}{name}={}", utf8_percent_encode(value, NOT_IN_A_VALUE)));
        }
        key
    }
}

/// An endpoint as it stands in a key.
///
/// # Errors
///
/// [`OriginError::InvalidUrl`] if it is no URL, or has anything in it that may be secret, which no client would use; or
/// if it is one by plain `http` where that is not allowed.
fn endpoint_key(url: &str, endpoint: Option<String>, allow_http: bool) -> Result<Option<String>, OriginError> {
    let Some(endpoint) = endpoint else { return Ok(None) };
    let invalid = |reason: &str| Err(OriginError::InvalidUrl { url: without_secrets(url), reason: reason.to_owned() });
    let key = match UrlParts::parse(&endpoint) {
        Ok(UrlParts { key, request, authorization: None }) if key == request && !endpoint.contains(['?', '#']) => key,
        _ => return invalid("its endpoint is no http or https URL without user, password and query"),
    };
    if key.starts_with("http:") && !allow_http {
        return invalid("its endpoint is one by plain http; set the option allow_http to true if that is to be");
    }
    Ok(Some(key))
}
