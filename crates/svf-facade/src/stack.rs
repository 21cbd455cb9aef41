//! The layers put together.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use page_cache::{
    Admission, Cache, CacheBuilder, Freshness, LocalFile, Origin, OriginError, RetryPolicy, UrlOrigin, WhenFull,
};
use window_mman::MapManager;

use crate::error::Error;
use crate::file::File;

/// Where remote files are kept unless told otherwise: `$XDG_CACHE_HOME/svf`, or `~/.cache/svf`; `None` if neither
/// `XDG_CACHE_HOME` nor `HOME` says where that is.
pub fn default_cache_dir() -> Option<PathBuf> {
    let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("svf"))
}

/// How files are opened: the cache for remote ones, the mappings for local ones.
///
/// Nothing is opened or created before it is needed: a program that reads only local files needs no cache directory,
/// and the directory is in use only while a file is open through it, or a [`cache`](Self::cache) is kept.
#[derive(Debug, Clone)]
pub struct Stack {
    options: StackBuilder,
    manager: MapManager,
}

impl Stack {
    /// Options, all with good defaults.
    pub fn builder() -> StackBuilder {
        StackBuilder {
            cache_dir: None,
            page_size: CacheBuilder::DEFAULT_PAGE_SIZE,
            freshness: Freshness::default(),
            offline: false,
            retry: RetryPolicy::default(),
            max_bytes: None,
            when_full: WhenFull::default(),
            admit: None,
            origin_options: OriginOptions::default(),
            manager: None,
        }
    }

    /// Opens a URL or the path of a local file, as [`open`](crate::open) does, with the options of this stack.
    ///
    /// A remote URL is what [`UrlOrigin::new`] takes; give any other origin by [`open_origin`](Self::open_origin).
    ///
    /// # Errors
    ///
    /// [`Error`], in one line that says what cannot be opened, why, and what to do.
    pub fn open(&self, source: impl AsRef<str>) -> Result<File, Error> {
        let source = source.as_ref();
        match scheme_of(source) {
            None => self.open_path(Path::new(source)),
            Some(scheme) if scheme.eq_ignore_ascii_case("file") => self.open_path(LocalFile::from_url(source)?.path()),
            Some(_) => match UrlOrigin::with_options(source, self.options.origin_options.0.iter().cloned()) {
                Ok(origin) => self.open_origin(origin),
                Err(OriginError::UnsupportedScheme { scheme, remedy }) => {
                    Err(Error::UnsupportedScheme { scheme, remedy })
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    fn open_path(&self, path: &Path) -> Result<File, Error> {
        Ok(File::local(self.manager.open(path).map_err(window_mman::Error::from)?))
    }

    /// Opens an object of any origin, your own or one of [`page_cache`], through the cache.
    ///
    /// # Errors
    ///
    /// [`Error::Cache`], [`Error::NoCacheDir`] or [`Error::Origin`].
    pub fn open_origin(&self, origin: impl Origin + 'static) -> Result<File, Error> {
        Ok(File::remote(self.cache()?.file(origin)?))
    }

    /// The cache for remote files.
    ///
    /// # Errors
    ///
    /// [`Error::Cache`] or [`Error::NoCacheDir`].
    pub fn cache(&self) -> Result<Cache, Error> {
        let dir = self.cache_dir().ok_or(Error::NoCacheDir)?;
        let StackBuilder { page_size, freshness, offline, retry, max_bytes, when_full, .. } = self.options.clone();
        let mut builder = Cache::builder(dir)
            .page_size(page_size)
            .freshness(freshness)
            .retry(retry)
            .offline(offline)
            .when_full(when_full);
        if let Some(bytes) = max_bytes {
            builder = builder.max_bytes(bytes);
        }
        if let Some(Rule(rule)) = self.options.admit.clone() {
            builder = builder.admit(move |read| rule(read));
        }
        Ok(builder.open()?)
    }

    /// Where pieces of remote files are kept, whether or not that exists yet; `None` if there is no default.
    pub fn cache_dir(&self) -> Option<PathBuf> {
        self.options.cache_dir.clone().or_else(default_cache_dir)
    }

    /// The mappings of local files.
    pub fn map_manager(&self) -> &MapManager {
        &self.manager
    }
}

/// Whether [`open`](crate::open) takes `source` for a local file: it does unless there is a scheme other than `file`.
pub fn is_local(source: &str) -> bool {
    scheme_of(source).is_none_or(|scheme| scheme.eq_ignore_ascii_case("file"))
}

/// The scheme of a URL. An `http:` whose slashes were forgotten is a URL that is malformed, and no path.
fn scheme_of(source: &str) -> Option<&str> {
    if let Some((scheme, _)) = source.split_once("://") {
        return Some(scheme.trim_start());
    }
    let (scheme, _) = source.split_once(':')?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(scheme)
}

impl Default for Stack {
    fn default() -> Self {
        Self::builder().build()
    }
}

/// Options of a [`Stack`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until build() is called"]
pub struct StackBuilder {
    cache_dir: Option<PathBuf>,
    page_size: u64,
    freshness: Freshness,
    offline: bool,
    retry: RetryPolicy,
    max_bytes: Option<u64>,
    when_full: WhenFull,
    admit: Option<Rule>,
    origin_options: OriginOptions,
    manager: Option<MapManager>,
}

/// A rule of what is stored.
#[derive(Clone)]
struct Rule(Arc<dyn Fn(&Admission<'_>) -> bool + Send + Sync>);

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule")
    }
}

/// Options of stores by name and value, which may be a secret.
#[derive(Clone, Default)]
struct OriginOptions(Vec<(String, String)>);

impl fmt::Debug for OriginOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl StackBuilder {
    /// The directory in which pieces of remote files are kept. Default: [`default_cache_dir`].
    pub fn cache_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { cache_dir: Some(dir.into()), ..self }
    }

    /// The size in bytes of the pages in which new remote files are kept: see [`CacheBuilder::page_size`].
    pub fn page_size(self, bytes: u64) -> Self {
        Self { page_size: bytes, ..self }
    }

    /// When the origin of a known file is asked whether it has changed: see [`CacheBuilder::freshness`].
    pub fn freshness(self, freshness: Freshness) -> Self {
        Self { freshness, ..self }
    }

    /// Whether no server is ever contacted: see [`CacheBuilder::offline`].
    pub fn offline(self, offline: bool) -> Self {
        Self { offline, ..self }
    }

    /// How long a request to an origin in trouble is tried again: see [`CacheBuilder::retry`].
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// How many bytes of the disk the cache may take: see [`CacheBuilder::max_bytes`].
    pub fn max_bytes(self, bytes: u64) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }

    /// What happens when the limit is reached: see [`CacheBuilder::when_full`].
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// Which reads store what they fetch: see [`CacheBuilder::admit`].
    pub fn admit(self, rule: impl Fn(&Admission<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self { admit: Some(Rule(Arc::new(rule))), ..self }
    }

    /// How the origins of URLs are spoken to, by names and values that precede the environment's: see
    /// [`UrlOrigin::with_options`]. They hold for every URL that is opened, so it must be one of a kind that knows
    /// them.
    pub fn origin_options<K, V>(self, options: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let options = options.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { origin_options: OriginOptions(options), ..self }
    }

    /// What maps local files, with its limits on memory and descriptors: see [`MapManager::builder`]. Default: one of
    /// the stack's own, with the defaults of that.
    pub fn map_manager(self, manager: MapManager) -> Self {
        Self { manager: Some(manager), ..self }
    }

    /// The stack. What is wrong with the options shows when a file is opened.
    pub fn build(self) -> Stack {
        let manager = self.manager.clone().unwrap_or_default();
        Stack { options: self, manager }
    }
}
