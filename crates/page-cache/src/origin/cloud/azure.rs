//! Objects in Azure Blob Storage and Data Lake Storage.

use std::sync::Arc;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::{ClientConfigKey, ObjectStore};

use super::super::client::{Options, Remote, is_on, no_retries};
use super::{CloudOrigin, CloudUrl, connector, endpoint_key};
use crate::origin::OriginError;

/// The object behind an `az://container/path`, `abfs://container/path` or
/// `abfss://container@account.dfs.core.windows.net/path` URL.
pub(in crate::origin) fn azure(text: &str, options: &Options) -> Result<CloudOrigin, OriginError> {
    let url = CloudUrl::parse(text)?;
    let builder = options.configure(text, MicrosoftAzureBuilder::from_env(), MicrosoftAzureBuilder::with_config)?;
    // The URL names the container, and may name the account.
    let builder = builder.with_url(text).with_retry(no_retries()).with_http_connector(connector());
    let set = |key| builder.get_config_value(&key);
    let (container, account) = match url.url.username() {
        "" => (url.bucket(), set(AzureConfigKey::AccountName)),
        container => (container, Some(account_of(url.bucket()).to_owned())),
    };
    let on = |key| set(key).is_some_and(|value| is_on(&value));
    let emulator = on(AzureConfigKey::UseEmulator).then(|| "true".to_owned());
    let fabric = on(AzureConfigKey::UseFabricEndpoint).then(|| "true".to_owned());
    let allow_http = on(AzureConfigKey::Client(ClientConfigKey::AllowHttp));
    let endpoint = endpoint_key(text, set(AzureConfigKey::Endpoint), allow_http)?;
    let store = [("account", account), ("endpoint", endpoint), ("emulator", emulator), ("fabric", fabric)];
    let key = url.key("az", container, &store);
    let build = move || Ok(Arc::new(builder.clone().build()?) as Arc<dyn ObjectStore>);
    Ok(CloudOrigin { remote: Remote::new(key, url.path, options, build)? })
}

/// The account that a host stands for, which has two in one place.
fn account_of(host: &str) -> &str {
    let hosts = [".dfs.core.windows.net", ".blob.core.windows.net"];
    hosts.iter().find_map(|end| host.strip_suffix(end)).unwrap_or(host)
}
