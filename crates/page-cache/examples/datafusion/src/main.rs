//! A DataFusion query of a remote Parquet file, through a cache: `cargo run` in this directory.
//!
//! A store in memory behind a delay of 50 ms a request stands for the remote store. A program of yours puts
//! `AmazonS3Builder::from_env().with_bucket_name(..).build()?` in its place, and its bucket into the URL.

mod bridge;

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt};
use page_cache::{Cache, CachedStore};
use url::Url;

use self::bridge::Bridge;

const QUERY: &str = "SELECT station, count(*) AS measured, max(degrees) AS warmest FROM measurements
                     WHERE hour BETWEEN 400000 AND 500000 GROUP BY station ORDER BY station LIMIT 3";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    // A million rows, in row groups of 100 000.
    let path = directory.path().join("measurements.parquet");
    let rows = "SELECT value AS hour, value % 10 AS station, value * 7919 % 451 / 10.0 AS degrees
                FROM generate_series(1, 1000000)";
    let options = "OPTIONS ('max_row_group_size' '100000', 'compression' 'uncompressed')";
    let copy = format!("COPY ({rows}) TO '{}' STORED AS PARQUET {options}", path.display());
    SessionContext::new().sql(&copy).await?.collect().await?;
    let parquet = std::fs::read(&path)?;
    println!("{} bytes of Parquet", parquet.len());

    let delay = ThrottleConfig { wait_get_per_call: Duration::from_millis(50), ..ThrottleConfig::default() };
    let remote: Arc<dyn ObjectStore> = Arc::new(ThrottledStore::new(InMemory::new(), delay));
    remote.put(&"measurements.parquet".into(), parquet.into()).await?;
    query("without a cache", Arc::clone(&remote)).await?;

    // Row groups are read in pieces of some 100 KiB, so larger pages than the default's save requests.
    let cache = Cache::builder(directory.path().join("cache")).page_size(256 << 10).open()?;
    // The namespace tells this store from others in the same cache.
    let store = Arc::new(CachedStore::new(remote, cache.clone(), "measurements of the example"));
    for run in ["cold", "warm"] {
        let before = cache.stats();
        query(run, store.clone()).await?;
        let (requests, bytes) = (cache.stats().requests, cache.stats().origin_bytes);
        println!("  the engine sent {} requests for {} bytes", requests - before.requests, bytes - before.origin_bytes);
    }
    Ok(())
}

/// Each time in a new session, which has no metadata in memory.
async fn query(name: &str, store: Arc<dyn ObjectStore>) -> Result<()> {
    let begun = Instant::now();
    let session = SessionContext::new();
    let url = Url::parse("remote://bucket").map_err(|error| DataFusionError::External(error.into()))?;
    session.register_object_store(&url, Arc::new(Bridge(store)));
    let options = ParquetReadOptions::default();
    session.register_parquet("measurements", "remote://bucket/measurements.parquet", options).await?;
    let rows = session.sql(QUERY).await?;
    let text = rows.to_string().await?;
    println!("{name}: {:?}\n{text}", begun.elapsed());
    Ok(())
}
