//! Objects in Google Cloud Storage.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

use super::super::client::{Options, Remote, no_retries};
use super::{CloudOrigin, CloudUrl, connector, endpoint_key};
use crate::origin::OriginError;

/// The object behind a `gs://bucket/path` URL.
pub(in crate::origin) fn gcs(text: &str, options: &Options) -> Result<CloudOrigin, OriginError> {
    let url = CloudUrl::parse(text)?;
    let from_env = GoogleCloudStorageBuilder::from_env();
    let builder = options.configure(text, from_env, GoogleCloudStorageBuilder::with_config)?;
    let builder = builder.with_bucket_name(url.bucket()).with_retry(no_retries()).with_http_connector(connector());
    // Its builder takes a URL by http for a permission.
    let endpoint = endpoint_key(text, builder.get_config_value(&GoogleConfigKey::BaseUrl), true)?;
    let key = url.key("gs", url.bucket(), &[("endpoint", endpoint)]);
    let build = move || Ok(Arc::new(builder.clone().build()?) as Arc<dyn ObjectStore>);
    Ok(CloudOrigin { remote: Remote::new(key, url.path, options, build)? })
}
