//! Many files by id, with a limit on all of them together.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::error::{InsertError, UnknownFile};
use crate::sparse_virtual_file::{SharedBound, SparseVirtualFile, SparseVirtualFileOptions};
use crate::stats::Stats;
use crate::version::Version;

/// Many [`SparseVirtualFile`]s by id, for many threads, with a limit on the bytes of all of them together.
///
/// A file that is removed or replaced stays valid for whoever holds it: it counts no more, and its bytes go with the
/// last handle. The limit drops what was used least recently in any of the files; it is kept whenever a write
/// returns, and writes on other threads that have not returned yet may exceed it by what they are writing.
///
/// # Examples
///
/// ```
/// use svf_core::{SparseVirtualFileSystem, SparseVirtualFileSystemOptions, Version};
///
/// let files = SparseVirtualFileSystem::with_options(SparseVirtualFileSystemOptions::new().max_bytes(10));
/// let tiff = files.open("survey.tif");
/// tiff.write(100, b"oldest")?;
/// files.open("well.las").write(0, b"newest")?;
/// assert_eq!((files.len(), files.num_bytes()), (2, 6));
/// assert!(tiff.is_empty(), "12 bytes are over the limit, and these were used least recently");
///
/// // The file changed on its server: a new one takes its place.
/// let changed = files.open_version("well.las", Version::new().etag("\"2\""));
/// assert!(changed.is_empty());
/// # Ok::<(), svf_core::Error>(())
/// ```
#[doc(alias = "cSVFS")]
pub struct SparseVirtualFileSystem {
    files: DashMap<Box<str>, Arc<SparseVirtualFile>, RandomState>,
    file_options: SparseVirtualFileOptions,
    bound: Arc<SharedBound>,
}

/// How a [`SparseVirtualFileSystem`] behaves.
///
/// # Examples
///
/// ```
/// use svf_core::{SparseVirtualFileOptions, SparseVirtualFileSystem, SparseVirtualFileSystemOptions};
///
/// let options = SparseVirtualFileSystemOptions::new().max_bytes(1 << 30);
/// let options = options.files(SparseVirtualFileOptions::new().max_bytes(1 << 26).scrub(true));
/// let files = SparseVirtualFileSystem::with_options(options);
/// assert_eq!(files.options(), options);
/// ```
#[doc(alias = "config")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct SparseVirtualFileSystemOptions {
    /// How files behave that are made here.
    pub files: SparseVirtualFileOptions,
    /// How many bytes all files hold together at most.
    pub max_bytes: Option<u64>,
}

impl SparseVirtualFileSystemOptions {
    /// The default: files as they are by default, and no limit.
    pub const fn new() -> Self {
        Self { files: SparseVirtualFileOptions::new(), max_bytes: None }
    }

    /// How files behave that are made here.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn files(self, files: SparseVirtualFileOptions) -> Self {
        Self { files, ..self }
    }

    /// Holds at most so many bytes in all files together.
    #[must_use = "the options are returned, not changed in place"]
    pub const fn max_bytes(self, bytes: u64) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }
}

impl SparseVirtualFileSystem {
    /// An empty file system without a limit.
    pub fn new() -> Self {
        Self::with_options(SparseVirtualFileSystemOptions::new())
    }

    /// An empty file system.
    pub fn with_options(options: SparseVirtualFileSystemOptions) -> Self {
        Self {
            files: DashMap::with_hasher(RandomState::new()),
            file_options: options.files,
            bound: Arc::new(SharedBound::new(options.max_bytes)),
        }
    }

    /// How this file system behaves.
    #[doc(alias = "config")]
    pub fn options(&self) -> SparseVirtualFileSystemOptions {
        SparseVirtualFileSystemOptions { files: self.file_options, max_bytes: self.bound.limit() }
    }

    /// The file of this id, whatever its version; a new one without a version if there is none.
    pub fn open(&self, id: &str) -> Arc<SparseVirtualFile> {
        self.open_if(id, None, |_| true)
    }

    /// The file of this id and version. One that is not known to be of this version is replaced by an empty one; so
    /// if the version has nothing to tell, but a weak ETag, each call begins anew.
    pub fn open_version(&self, id: &str, version: Version) -> Arc<SparseVirtualFile> {
        self.open_if(id, Some(version.clone()), |file| file.matches_version(&version))
    }

    fn open_if(
        &self,
        id: &str,
        version: Option<Version>,
        is_usable: impl Fn(&SparseVirtualFile) -> bool,
    ) -> Arc<SparseVirtualFile> {
        loop {
            let unusable = match self.get(id) {
                Some(file) if is_usable(&file) => return file,
                file => file,
            };
            // It joins before it can be found, and while nothing is locked.
            let new = Arc::new(SparseVirtualFile::with_options(id, version.clone(), self.file_options));
            new.join(&self.bound);
            let replaced = match self.files.entry(id.into()) {
                Entry::Vacant(entry) => {
                    entry.insert(Arc::clone(&new));
                    Some(None)
                }
                Entry::Occupied(mut entry) if unusable.as_ref().is_some_and(|file| Arc::ptr_eq(file, entry.get())) => {
                    Some(Some(entry.insert(Arc::clone(&new))))
                }
                // Somebody else was faster.
                Entry::Occupied(_) => None,
            };
            match replaced {
                Some(replaced) => {
                    if let Some(replaced) = replaced {
                        replaced.leave();
                    }
                    return new;
                }
                None => new.leave(),
            }
        }
    }

    /// Adds a file that was made elsewhere, with all that it holds. What exceeds the limit then is dropped. The uses of
    /// the file keep the epochs of its own clock, by which they compare with those of the other files.
    ///
    /// # Errors
    ///
    /// [`InsertError::Exists`] if there is a file of its id, [`InsertError::Taken`] if it is in a file system already.
    pub fn insert(&self, file: impl Into<Arc<SparseVirtualFile>>) -> Result<Arc<SparseVirtualFile>, InsertError> {
        let file = file.into();
        let exists = || InsertError::Exists { id: file.id().to_owned() };
        if self.contains(file.id()) {
            return Err(exists());
        }
        if !file.join(&self.bound) {
            return Err(InsertError::Taken { id: file.id().to_owned() });
        }
        let is_vacant = match self.files.entry(file.id().into()) {
            Entry::Vacant(entry) => {
                entry.insert(Arc::clone(&file));
                true
            }
            Entry::Occupied(_) => false,
        };
        if !is_vacant {
            file.leave();
            return Err(exists());
        }
        self.bound.keep_limit();
        Ok(file)
    }

    /// The file of this id, if there is one. Who reads a lot keeps it: finding it writes to what all threads share.
    pub fn get(&self, id: &str) -> Option<Arc<SparseVirtualFile>> {
        self.files.get(id).map(|file| Arc::clone(&file))
    }

    /// The same, for `files.file(id)?.read(range)?`.
    ///
    /// # Errors
    ///
    /// [`UnknownFile`].
    pub fn file(&self, id: &str) -> Result<Arc<SparseVirtualFile>, UnknownFile> {
        self.get(id).ok_or_else(|| UnknownFile { id: id.to_owned() })
    }

    /// Whether there is a file of this id.
    #[doc(alias = "has")]
    pub fn contains(&self, id: &str) -> bool {
        self.files.contains_key(id)
    }

    /// Takes a file out and returns it. It stays as it is, and does not count any more.
    pub fn remove(&self, id: &str) -> Option<Arc<SparseVirtualFile>> {
        let (_, file) = self.files.remove(id)?;
        file.leave();
        Some(file)
    }

    /// Takes out all files but those for which `keep` holds, such as those that were read of late.
    pub fn retain(&self, mut keep: impl FnMut(&Arc<SparseVirtualFile>) -> bool) {
        // `keep` is foreign code, and runs with nothing locked.
        for file in self.files().into_iter().filter(|file| !keep(file)) {
            if self.files.remove_if(file.id(), |_, held| Arc::ptr_eq(held, &file)).is_some() {
                file.leave();
            }
        }
    }

    /// Takes out all files.
    pub fn clear(&self) {
        self.retain(|_| false);
    }

    /// The ids of all files, in no order. Files that come and go meanwhile may be among them or not.
    #[doc(alias = "keys")]
    pub fn ids(&self) -> Vec<Box<str>> {
        self.files.iter().map(|entry| entry.key().clone()).collect()
    }

    /// All files, in no order.
    pub fn files(&self) -> Vec<Arc<SparseVirtualFile>> {
        self.files.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How many bytes all files hold together. O(1).
    #[doc(alias = "total_bytes")]
    pub fn num_bytes(&self) -> u64 {
        self.bound.used()
    }

    /// How many blocks all files hold together. O(n) in the number of files.
    #[doc(alias = "total_blocks")]
    pub fn num_blocks(&self) -> usize {
        self.files().iter().map(|file| file.num_blocks()).sum()
    }

    /// How many bytes of memory all files have allocated. See
    /// [`BlockMap::memory_size`](crate::BlockMap::memory_size).
    #[doc(alias = "total_size_of")]
    pub fn memory_size(&self) -> usize {
        let entry = |file: &Arc<SparseVirtualFile>| {
            file.memory_size() + file.id().len() + size_of::<(Box<str>, Arc<SparseVirtualFile>)>()
        };
        size_of::<Self>() + self.files().iter().map(entry).sum::<usize>()
    }

    /// What has been done with all files that are here, together.
    pub fn stats(&self) -> Stats {
        self.files().iter().map(|file| file.stats()).sum()
    }

    /// Drops what was used least recently in any file until all hold at most `bytes` bytes together, and returns how
    /// many bytes were dropped. Amortised O(log n) for each chunk that is dropped, in the number of chunks and files.
    pub fn evict_to(&self, bytes: u64) -> u64 {
        self.bound.evict_to(bytes)
    }

    /// Drops what was used least recently in each file until each of them holds at most `bytes` bytes, and returns how
    /// many bytes were dropped from all of them.
    #[doc(alias = "lru_punt_all")]
    pub fn evict_each_to(&self, bytes: u64) -> u64 {
        self.files().iter().map(|file| file.evict_to(bytes)).sum()
    }

    /// Sets the limit on the bytes of all files together, and drops at once what exceeds it. Returns how many bytes
    /// were dropped.
    pub fn set_max_bytes(&self, max_bytes: Option<u64>) -> u64 {
        self.bound.set_limit(max_bytes);
        self.files().iter().for_each(|file| file.limit_also_to(max_bytes));
        self.bound.keep_limit()
    }
}

impl Default for SparseVirtualFileSystem {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SparseVirtualFileSystem {
    /// Files that somebody still holds are no longer in a file system.
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for SparseVirtualFileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SparseVirtualFileSystem")
            .field("files", &self.ids())
            .field("num_bytes", &self.num_bytes())
            .field("options", &self.options())
            .finish()
    }
}
