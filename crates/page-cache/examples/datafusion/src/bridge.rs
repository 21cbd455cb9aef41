//! DataFusion 55 takes stores of `object_store` 0.13, and this cache is one of 0.14: a bridge from the one to the
//! other, for reading. It is needed no more once both are of one version.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store as old;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use old::path::Path;
use old::{GetOptions, GetResult, GetResultPayload, ListResult, ObjectMeta, ObjectStore, PutResult, Result};

/// A store of 0.14 as one of 0.13.
#[derive(Debug)]
pub struct Bridge(pub Arc<dyn object_store::ObjectStore>);

fn to_new(path: &Path) -> object_store::path::Path {
    path.as_ref().into()
}

fn to_old(path: &object_store::path::Path) -> Path {
    path.as_ref().into()
}

fn meta(meta: object_store::ObjectMeta) -> ObjectMeta {
    let object_store::ObjectMeta { location, last_modified, size, e_tag, version } = meta;
    ObjectMeta { location: to_old(&location), last_modified, size, e_tag, version }
}

fn error(error: object_store::Error) -> old::Error {
    use object_store::Error as New;
    match error {
        New::NotFound { path, source } => old::Error::NotFound { path, source },
        New::Precondition { path, source } => old::Error::Precondition { path, source },
        New::NotModified { path, source } => old::Error::NotModified { path, source },
        New::PermissionDenied { path, source } => old::Error::PermissionDenied { path, source },
        New::Unauthenticated { path, source } => old::Error::Unauthenticated { path, source },
        error => old::Error::Generic { store: "Bridge", source: error.into() },
    }
}

fn only_reads<T>() -> Result<T> {
    Err(old::Error::NotSupported { source: "the bridge is for reading".into() })
}

#[async_trait]
impl ObjectStore for Bridge {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let range = options.range.map(|range| match range {
            old::GetRange::Bounded(range) => object_store::GetRange::Bounded(range),
            old::GetRange::Offset(start) => object_store::GetRange::Offset(start),
            old::GetRange::Suffix(length) => object_store::GetRange::Suffix(length),
        });
        let options = object_store::GetOptions {
            range,
            if_match: options.if_match,
            if_none_match: options.if_none_match,
            if_modified_since: options.if_modified_since,
            if_unmodified_since: options.if_unmodified_since,
            version: options.version,
            head: options.head,
            ..object_store::GetOptions::default()
        };
        let result = self.0.get_opts(&to_new(location), options).await.map_err(error)?;
        let (about, range) = (meta(result.meta.clone()), result.range.clone());
        let payload = GetResultPayload::Stream(result.into_stream().map_err(error).boxed());
        Ok(GetResult { payload, meta: about, range, attributes: old::Attributes::new() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(&to_new(location), ranges).await.map_err(error)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix.map(to_new).as_ref()).map_ok(meta).map_err(error).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.0.list_with_delimiter(prefix.map(to_new).as_ref()).await.map_err(error)?;
        Ok(ListResult {
            common_prefixes: listed.common_prefixes.iter().map(to_old).collect(),
            objects: listed.objects.into_iter().map(meta).collect(),
        })
    }

    async fn put_opts(&self, _: &Path, _: old::PutPayload, _: old::PutOptions) -> Result<PutResult> {
        only_reads()
    }

    async fn put_multipart_opts(&self, _: &Path, _: old::PutMultipartOptions) -> Result<Box<dyn old::MultipartUpload>> {
        only_reads()
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([only_reads()]).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: old::CopyOptions) -> Result<()> {
        only_reads()
    }
}

impl fmt::Display for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bridge({})", self.0)
    }
}
