//! An object by its URL, whatever the scheme.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

#[cfg(feature = "_client")]
use super::client::Options;
use super::secrets::without_secrets;
use super::{LocalFile, Origin, OriginError, Stat};

/// An object by its URL.
///
/// | scheme | what it names | feature |
/// |---|---|---|
/// | `http`, `https` | whatever a server has there: see `HttpOrigin` | `http` |
/// | `s3`, `s3a` | `s3://bucket/path`, in S3 or what speaks as it does | `aws` |
/// | `gs` | `gs://bucket/path`, in Google Cloud Storage | `gcp` |
/// | `az`, `abfs`, `abfss` | `az://container/path` or `abfss://container@account.dfs.core.windows.net/path`, in Azure | `azure` |
/// | `file` | `file:///path`, a local file: see [`LocalFile`] | none |
///
/// # Credentials and options
///
/// Each store is set up by the environment as the crate `object_store` reads it (`AWS_ACCESS_KEY_ID`,
/// `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME` and so on; else by the metadata
/// service of the machine), and then by options of the same names or without the prefix (`access_key_id`, `endpoint`,
/// `region`, `skip_signature`, `allow_http`, `proxy_url` and so on). `read_timeout` and `timeout` are the two
/// `Timeouts` of a request.
///
/// None of their values is in the [`key`](Origin::key), in a message, a log or a file, but for what tells one store
/// from another: the endpoint without user, password and signature, and the account.
///
/// # Forks
///
/// A child of the process that made it builds a store of its own at its first request.
///
/// # Examples
///
/// ```
/// use page_cache::{Cache, UrlOrigin};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("file");
/// # std::fs::write(&path, [7; 1000])?;
/// # let (url, dir) = (format!("file://{}", path.display()), directory.path().join("cache"));
/// let file = Cache::builder(dir).open()?.file(UrlOrigin::new(&url)?)?;
/// assert_eq!(file.bytes(500..503)?, [7; 3][..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```no_run
/// # #[cfg(feature = "aws")]
/// # fn example() -> Result<(), page_cache::OriginError> {
/// use page_cache::UrlOrigin;
///
/// let options = [("endpoint", "http://127.0.0.1:9000"), ("allow_http", "true"), ("skip_signature", "true")];
/// let origin = UrlOrigin::with_options("s3://bucket/path/object.tif", options)?;
/// # Ok(())
/// # }
/// ```
pub struct UrlOrigin(Box<dyn Origin>);

impl UrlOrigin {
    /// The object behind `url`, by what the environment says. Sends no request yet.
    ///
    /// # Errors
    ///
    /// [`OriginError::UnsupportedScheme`] if this build cannot read such URLs; [`OriginError::InvalidUrl`] if it names
    /// no object, or its store cannot be set up; for a local file as [`LocalFile::new`].
    pub fn new(url: &str) -> Result<Self, OriginError> {
        Self::with_options(url, std::iter::empty::<(&str, &str)>())
    }

    /// The same, with options by name and value, which take precedence over the environment.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and [`OriginError::InvalidUrl`] for an option that the store does not know.
    pub fn with_options<K, V>(url: &str, options: impl IntoIterator<Item = (K, V)>) -> Result<Self, OriginError>
    where
        K: AsRef<str>,
        V: Into<String>,
    {
        let options = options.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.into())).collect();
        Ok(Self(open(url, options)?))
    }
}

fn open(url: &str, options: Vec<(String, String)>) -> Result<Box<dyn Origin>, OriginError> {
    // A URL whose slashes were forgotten is malformed, and of its scheme all the same.
    let scheme = url.trim_start().split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    match scheme.as_str() {
        "file" if options.is_empty() => Ok(Box::new(LocalFile::from_url(url)?)),
        "file" => {
            let reason = "a local file has no options".to_owned();
            Err(OriginError::InvalidUrl { url: without_secrets(url), reason })
        }
        #[cfg(feature = "http")]
        "http" | "https" => Ok(Box::new(super::HttpOrigin::with_options(url, &Options::new(url, options)?)?)),
        #[cfg(feature = "aws")]
        "s3" | "s3a" => Ok(Box::new(super::cloud::s3(url, &Options::new(url, options)?)?)),
        #[cfg(feature = "gcp")]
        "gs" => Ok(Box::new(super::cloud::gcs(url, &Options::new(url, options)?)?)),
        #[cfg(feature = "azure")]
        "az" | "abfs" | "abfss" => Ok(Box::new(super::cloud::azure(url, &Options::new(url, options)?)?)),
        _ if is_scheme(&scheme) => Err(OriginError::UnsupportedScheme { remedy: remedy(&scheme), scheme }),
        _ => {
            // It may be anything, a secret too.
            let (url, reason) = ("what was given for a URL".to_owned(), format!("it has no scheme; {}", remedy("")));
            Err(OriginError::InvalidUrl { url, reason })
        }
    }
}

fn is_scheme(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|next| next.is_ascii_alphanumeric() || matches!(next, '+' | '-' | '.'))
}

/// What who wants a scheme has to do.
fn remedy(scheme: &str) -> &'static str {
    match scheme {
        "http" | "https" => "build with the feature http",
        "s3" | "s3a" => "build with the feature aws",
        "gs" => "build with the feature gcp",
        "az" | "abfs" | "abfss" => "build with the feature azure",
        _ => "give an http, https, s3, gs, az, abfs, abfss or file URL, or the path of a local file",
    }
}

impl Origin for UrlOrigin {
    fn key(&self) -> &str {
        self.0.key()
    }

    fn stat(&self) -> Result<Stat, OriginError> {
        self.0.stat()
    }

    fn read(&self, range: Range<u64>, pinned: &Stat) -> Result<Bytes, OriginError> {
        self.0.read(range, pinned)
    }

    fn reads_into(&self) -> bool {
        self.0.reads_into()
    }

    fn read_into(&self, start: u64, out: &mut [u8], pinned: &Stat) -> Result<(), OriginError> {
        self.0.read_into(start, out, pinned)
    }

    fn is_near(&self) -> bool {
        self.0.is_near()
    }
}

impl fmt::Debug for UrlOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UrlOrigin").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_that_this_build_cannot_read_is_refused_with_a_remedy() {
        for (url, known) in [("gopher://host/a", false), ("s3://b/k", true), ("gs://b/k", true), ("az://c/k", true)] {
            match UrlOrigin::new(url) {
                Err(error @ OriginError::UnsupportedScheme { .. }) => {
                    assert_eq!(error.to_string().contains("build with the feature"), known, "{error}");
                }
                other => assert!(known, "{other:?}"),
            }
        }
        for text in ["no url", "", ":", "secret\u{1b}://host/a"] {
            let Err(error @ OriginError::InvalidUrl { .. }) = UrlOrigin::new(text) else { panic!("{text} is no URL") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_local_file_by_its_url() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a %?#ü");
        std::fs::write(&path, b"content").unwrap();
        let url = LocalFile::new(&path).unwrap().key().replace(['?'], "%3f").replace('#', "%23").replace(' ', "%20");
        let origin = UrlOrigin::new(&url).unwrap();
        assert_eq!(origin.key(), LocalFile::new(&path).unwrap().key());
        assert_eq!(origin.read(3..7, &origin.stat().unwrap()).unwrap(), "tent");
        let bad = ["file://host/a", "file:a", "file:///a?sig=SECRET", "file:///a#SECRET", "file://me:SECRET@host/a"];
        for error in bad.map(|bad| UrlOrigin::new(bad).unwrap_err()) {
            assert!(
                matches!(error, OriginError::InvalidUrl { .. }) && !error.to_string().contains("SECRET"),
                "{error}"
            );
        }
        assert!(matches!(UrlOrigin::new("file:///does/not/exist"), Err(OriginError::NotFound { .. })));
        let error = UrlOrigin::with_options("file:///a?sig=SECRET", [("a", "b")]).unwrap_err();
        assert!(matches!(error, OriginError::InvalidUrl { .. }) && !error.to_string().contains("SECRET"), "{error}");
    }
}
