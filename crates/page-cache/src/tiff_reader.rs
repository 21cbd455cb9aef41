//! `AsyncFileReader` of the crate `async-tiff` over a cached file.

use std::ops::Range;

use async_tiff::error::{AsyncTiffError, AsyncTiffResult};
use async_tiff::reader::AsyncFileReader;
use async_trait::async_trait;
use bytes::Bytes;

use crate::cached_file::CachedFile;
use crate::error::ReadError;

/// A [`CachedFile`] that is read as TIFF by `async-tiff`.
///
/// The tiles that are wanted at once are read as one batch ([`read_ranges_async`](CachedFile::read_ranges_async)); a
/// range that ends behind the end of the file is clipped. Nothing blocks who polls, and no runtime is needed.
///
/// `async-tiff` reads tags a few bytes at a time. They are held after the first, so each costs no request; its
/// `ReadaheadMetadataCache` in front spares the calls as well.
///
/// # Examples
///
/// ```no_run
/// # async fn example(cache: page_cache::Cache, origin: impl page_cache::Origin + 'static)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// use async_tiff::metadata::TiffMetadataReader;
/// use async_tiff::metadata::cache::ReadaheadMetadataCache;
/// use page_cache::TiffReader;
///
/// let reader = TiffReader::new(cache.file(origin)?);
/// let ahead = ReadaheadMetadataCache::new(reader.clone());
/// let directories = TiffMetadataReader::try_open(&ahead).await?.read_all_ifds(&ahead).await?;
/// let tile = directories[0].fetch_tile(0, 0, &reader).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TiffReader {
    file: CachedFile,
}

impl TiffReader {
    /// A reader of this file.
    pub fn new(file: CachedFile) -> Self {
        Self { file }
    }

    /// The file that is read.
    pub fn file(&self) -> &CachedFile {
        &self.file
    }
}

fn external(error: ReadError) -> AsyncTiffError {
    AsyncTiffError::External(Box::new(error))
}

#[async_trait]
impl AsyncFileReader for TiffReader {
    async fn get_bytes(&self, range: Range<u64>) -> AsyncTiffResult<Bytes> {
        self.file.bytes_async(range).await.map_err(external)
    }

    async fn get_byte_ranges(&self, ranges: Vec<Range<u64>>) -> AsyncTiffResult<Vec<Bytes>> {
        self.file.read_ranges_async(ranges).await.map_err(external)
    }
}
