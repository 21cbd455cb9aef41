//! `AsyncFileReader` of the crate `parquet` over a cached file.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::cached_file::CachedFile;
use crate::error::ReadError;

/// As many bytes at the end of a file hold the metadata of most: what is held of them is copied at once.
const FOOTER: usize = 64 << 10;

/// A [`CachedFile`] that is read as Parquet by `parquet`'s asynchronous readers.
///
/// The metadata are read from the last 64 KiB, with a second read if they are longer; the column chunks that a reader
/// wants at once are read as one batch ([`read_ranges_async`](CachedFile::read_ranges_async)). Nothing blocks who
/// polls, and no runtime is needed. A file that ends before what it says of itself is an error.
///
/// Files with an encrypted footer cannot be read by it; through a [`CachedStore`](crate::CachedStore) they can.
///
/// # Examples
///
/// ```no_run
/// # async fn example(cache: page_cache::Cache, origin: impl page_cache::Origin + 'static)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// use page_cache::ParquetReader;
/// use parquet::arrow::ParquetRecordBatchStreamBuilder;
///
/// let file = cache.file(origin)?;
/// let rows = ParquetRecordBatchStreamBuilder::new(ParquetReader::new(file)).await?.with_batch_size(8192).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ParquetReader {
    file: CachedFile,
    footer_size_hint: usize,
}

impl ParquetReader {
    /// A reader of this file.
    pub fn new(file: CachedFile) -> Self {
        Self { file, footer_size_hint: FOOTER }
    }

    /// How many bytes at the end of the file are read first. Default: 64 KiB.
    pub fn with_footer_size_hint(self, bytes: usize) -> Self {
        Self { footer_size_hint: bytes, ..self }
    }

    /// The file that is read.
    pub fn file(&self) -> &CachedFile {
        &self.file
    }

    /// What is asked for is in the metadata, so a file that does not have it is damaged.
    fn check(&self, range: &Range<u64>) -> Result<()> {
        let (key, length) = (self.file.key(), self.file.len());
        if range.end > length {
            return Err(ParquetError::EOF(format!("{key}: bytes {range:?} are wanted of {length}")));
        }
        Ok(())
    }
}

fn external(error: ReadError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for ParquetReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        Box::pin(async move {
            self.check(&range)?;
            self.file.bytes_async(range).await.map_err(external)
        })
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        Box::pin(async move {
            ranges.iter().try_for_each(|range| self.check(range))?;
            self.file.read_ranges_async(ranges).await.map_err(external)
        })
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        Box::pin(async move {
            let mut metadata = ParquetMetaDataReader::new().with_prefetch_hint(Some(self.footer_size_hint));
            if let Some(options) = options {
                metadata = metadata
                    .with_metadata_options(Some(options.metadata_options().clone()))
                    .with_column_index_policy(options.column_index_policy())
                    .with_offset_index_policy(options.offset_index_policy())
                    .with_column_index_mask(options.column_index_mask().clone())
                    .with_offset_index_mask(options.offset_index_mask().clone());
            }
            let length = self.file.len();
            metadata.load_and_finish(self, length).await.map(Arc::new)
        })
    }
}
