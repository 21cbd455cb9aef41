//! Objects in S3 and in stores that speak as it does.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ClientConfigKey, ObjectStore};

use super::super::client::{Options, Remote, is_on, no_retries};
use super::{CloudOrigin, CloudUrl, connector, endpoint_key};
use crate::origin::OriginError;

/// The object behind an `s3://bucket/path` URL.
pub(in crate::origin) fn s3(text: &str, options: &Options) -> Result<CloudOrigin, OriginError> {
    let url = CloudUrl::parse(text)?;
    let builder = options.configure(text, AmazonS3Builder::from_env(), AmazonS3Builder::with_config)?;
    let builder = builder.with_bucket_name(url.bucket()).with_retry(no_retries()).with_http_connector(connector());
    // That for S3 takes precedence.
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
        .iter()
        .find_map(|key| builder.get_config_value(key));
    let allow_http = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
    let allow_http = builder.get_config_value(&allow_http).is_some_and(|value| is_on(&value));
    let key = url.key("s3", url.bucket(), &[("endpoint", endpoint_key(text, endpoint, allow_http)?)]);
    let build = move || Ok(Arc::new(builder.clone().build()?) as Arc<dyn ObjectStore>);
    Ok(CloudOrigin { remote: Remote::new(key, url.path, options, build)? })
}
