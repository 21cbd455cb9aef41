//! Asynchronous parsers over a server that counts: through a cached store, and by the readers of this crate.

#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "async-tiff")]
mod tiff;

use std::ops::Range;
use std::sync::Arc;

use loopback_origin::Origin as Server;
use object_store::ObjectStore;
use object_store::http::HttpBuilder;
use page_cache::{Cache, CachedFile, CachedStore, Freshness, ObjectStoreOrigin};
use svf_core::RangeSet;
use tempfile::TempDir;

const PAGE: u64 = 4096;
/// The name of the object in its bucket.
const NAME: &str = "object";

/// How the server is spoken to.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Http,
    #[cfg(feature = "aws")]
    S3,
}

const PROTOCOLS: &[Protocol] = &[
    Protocol::Http,
    #[cfg(feature = "aws")]
    Protocol::S3,
];

/// A server with one object, and a directory for caches of it.
struct Scene {
    server: Server,
    protocol: Protocol,
    length: u64,
    directory: TempDir,
}

impl Scene {
    fn new(protocol: Protocol, object: Vec<u8>) -> Self {
        let length = object.len() as u64;
        let server = Server::builder().serve_bytes(&format!("/bucket/{NAME}"), object).start().unwrap();
        Self { server, protocol, length, directory: tempfile::tempdir().unwrap() }
    }

    fn remote(&self) -> Arc<dyn ObjectStore> {
        let options = object_store::ClientOptions::new().with_allow_http(true);
        match self.protocol {
            Protocol::Http => {
                let url = self.server.url("/bucket");
                Arc::new(HttpBuilder::new().with_url(url).with_client_options(options).build().unwrap())
            }
            #[cfg(feature = "aws")]
            Protocol::S3 => {
                let s3 = object_store::aws::AmazonS3Builder::new()
                    .with_bucket_name("bucket")
                    .with_region("here")
                    .with_endpoint(self.server.url("").trim_end_matches('/'))
                    .with_virtual_hosted_style_request(false)
                    .with_access_key_id("who")
                    .with_secret_access_key("nobody")
                    .with_client_options(options);
                Arc::new(s3.build().unwrap())
            }
        }
    }

    /// A cache as another process would have it, which knows what is on the disk and nothing else.
    fn cache(&self) -> Cache {
        let cache = Cache::builder(self.directory.path()).page_size(PAGE).freshness(Freshness::Immutable);
        cache.open().unwrap()
    }

    fn store(&self) -> Arc<CachedStore> {
        Arc::new(CachedStore::new(self.remote(), self.cache(), "parsers"))
    }

    fn file(&self) -> CachedFile {
        self.cache().file(ObjectStoreOrigin::new(self.remote(), NAME.into(), "parsers")).unwrap()
    }

    /// The requests and the bytes that were sent since this was called last.
    fn sent(&self) -> (u64, u64) {
        let counters = self.server.counters();
        self.server.reset_counters();
        (counters.requests, counters.body_bytes)
    }

    /// The pages that some ranges touch.
    fn pages(&self, ranges: impl IntoIterator<Item = Range<u64>>) -> RangeSet {
        let pages = |range: Range<u64>| range.start - range.start % PAGE..range.end.next_multiple_of(PAGE);
        ranges.into_iter().map(pages).map(|range| range.start..range.end.min(self.length)).collect()
    }

    /// What the first request for a few bytes at the end brings, and what of that is kept.
    #[cfg(feature = "parquet")]
    fn end(&self, bytes: u64) -> (u64, Range<u64>) {
        let sent = bytes + PAGE;
        (sent, (self.length - sent).next_multiple_of(PAGE)..self.length)
    }
}

fn within(range: &Range<u64>, bytes: &[u8]) -> Vec<u8> {
    bytes[range.start as usize..range.end as usize].to_vec()
}
