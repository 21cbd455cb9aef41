//! A URL taken apart: what names the object, what is sent, and what is secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

use super::query::{digest, without_signature};
use crate::origin::OriginError;
use crate::origin::secrets::without_secrets;

/// A valid `http` or `https` URL by the use of its parts.
pub(in crate::origin) struct UrlParts {
    /// Without credentials, signature and fragment: the same whenever the same object is meant.
    pub(in crate::origin) key: String,
    /// As it is to be requested, with its signature.
    pub(in crate::origin) request: String,
    /// The value of an `Authorization` header.
    pub(in crate::origin) authorization: Option<HeaderValue>,
}

impl UrlParts {
    pub(in crate::origin) fn parse(text: &str) -> Result<Self, OriginError> {
        let shown = || without_secrets(text);
        let invalid = |url: String, reason: String| OriginError::InvalidUrl { url, reason };
        let mut url = Url::parse(text)
            .map_err(|error| invalid(shown(), format!("{error}; give a URL like https://host/path")))?;
        if !matches!(url.scheme(), "http" | "https") {
            let reason = format!("the scheme {}:// is not supported; use http:// or https://", url.scheme());
            return Err(invalid(shown(), reason));
        }
        let authorization = basic_authorization(&url);
        // Setting these fails only for URLs without a host, which http URLs always have.
        let user = authorization.is_some().then(|| digest(url.username().as_bytes()));
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        if cleared.is_err() {
            return Err(invalid(shown(), "it has no host".to_owned()));
        }
        url.set_fragment(None);
        let request = url.to_string();

        let query = url.query().and_then(without_signature);
        url.set_query(query.as_deref());
        // Another user may be given another object at the same address. His password decides nothing about that, and a
        // digest of it, which anybody can try words against, is not to stand in logs and files.
        if let Some(user) = user {
            _ = url.set_username(&user);
        }
        Ok(Self { key: url.to_string(), request, authorization })
    }
}

/// The credentials of a URL as the value of a header that no log shows.
fn basic_authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let [user, password] =
        [url.username(), url.password().unwrap_or_default()].map(|part| percent_decode_str(part).decode_utf8_lossy());
    // Base 64 has only characters that a header may have.
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(url: &str) -> String {
        UrlParts::parse(url).unwrap().key
    }

    #[test]
    fn a_plain_url_is_its_own_key() {
        for url in ["http://host/a%20b/c.tif", "https://host:8443/x?versionId=7&file=a+b", "http://127.0.0.1:8080/"] {
            let parts = UrlParts::parse(url).unwrap();
            assert_eq!((parts.key.as_str(), parts.request.as_str()), (url, url));
            assert_eq!(parts.authorization, None);
        }
        assert_eq!(key("HTTP://Host:80/a#fragment"), "http://host/a");
    }

    #[test]
    fn credentials_are_sent_and_not_kept() {
        let parts = UrlParts::parse("http://user:p%40ss+word@host/a").unwrap();
        assert!(parts.key.starts_with("http://sha256-") && parts.key.ends_with("@host/a"), "{}", parts.key);
        assert_eq!(parts.request, "http://host/a");
        let expected = STANDARD.encode("user:p@ss+word");
        assert_eq!(parts.authorization.unwrap(), format!("Basic {expected}"));
    }

    #[test]
    fn signatures_are_sent_and_not_kept() {
        let s3 = "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Signature=S&versionId=3";
        let parts = UrlParts::parse(s3).unwrap();
        assert_eq!(parts.key, "https://b.s3.amazonaws.com/k?versionId=3");
        assert_eq!(parts.request, s3);
        assert_eq!(
            key("https://a.blob.core.windows.net/c/b?sv=2024&sp=r&sig=x"),
            "https://a.blob.core.windows.net/c/b"
        );
        assert_eq!(key("https://host/c/b?sv=2024"), "https://host/c/b?sv=2024", "unsigned, so not Azure's");
        assert_eq!(key("https://host/x?Expires=1&Signature=2&Key-Pair-Id=3"), "https://host/x");
        assert_eq!(key("https://host/x?expires=1&policy=2"), "https://host/x?expires=1&policy=2", "nobody signs it");
    }

    #[test]
    fn who_has_another_secret_may_be_given_another_object() {
        for (one, other) in [
            ("http://host/a?token=A", "http://host/a?token=B"),
            ("http://host/a?x=1&api_key=A", "http://host/a?x=1&api_key=B"),
            ("http://host/a?token=%FF", "http://host/a?token=%FE"),
            ("http://alice:x@host/a", "http://bob:x@host/a"),
            ("http://alice:x@host/a", "http://host/a"),
        ] {
            assert_ne!(key(one), key(other));
            assert_eq!(key(one), key(one));
        }
        assert_eq!(key("http://alice:old@host/a"), key("http://alice:new@host/a"), "one user, one object");
    }

    #[test]
    fn an_error_shows_no_secret() {
        for url in [
            "ftp://user:secret@host/a",
            "no url?token=secret",
            "http://user:secret@",
            "http://user:secret#x@host/a",
            "http://user:secret?x@ho st/a",
            "s3://b/k?sig=secret",
        ] {
            let Err(error) = UrlParts::parse(url) else { panic!("{url} is no http URL") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
