//! What a user sets for a store by name and value. A value may be a secret, so none is ever shown.

use std::str::FromStr;
use std::time::Duration;

use crate::origin::OriginError;
use crate::origin::object_store::{Timeouts, innermost, presentable};
use crate::origin::secrets::without_secrets;

/// Options by the names that the stores' builders know, and two that are kept above the stores.
#[derive(Default)]
pub(in crate::origin) struct Options {
    values: Vec<(String, String)>,
    timeouts: Timeouts,
}

impl Options {
    /// # Errors
    ///
    /// [`OriginError::InvalidUrl`] if a time is none.
    pub(in crate::origin) fn new(url: &str, options: Vec<(String, String)>) -> Result<Self, OriginError> {
        let (mut values, mut timeouts) = (Vec::new(), Timeouts::default());
        for (name, value) in options {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "read_timeout" => timeouts.stall = duration(url, &name, &value)?,
                "timeout" => timeouts.total = duration(url, &name, &value)?,
                _ => values.push((name, value)),
            }
        }
        Ok(Self { values, timeouts })
    }

    pub(in crate::origin) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Sets all of them at a builder.
    ///
    /// # Errors
    ///
    /// [`OriginError::InvalidUrl`] if the builder has no such key.
    pub(in crate::origin) fn configure<B, K: FromStr>(
        &self,
        url: &str,
        builder: B,
        set: impl Fn(B, K, String) -> B,
    ) -> Result<B, OriginError> {
        self.values.iter().try_fold(builder, |builder, (name, value)| match name.parse() {
            Ok(key) => Ok(set(builder, key, value.clone())),
            Err(_) => Err(invalid(url, format!("there is no option {name:?} for it"))),
        })
    }

    /// Why a store could not be built. The builder's message is shown if nothing in it can be from a value, be that
    /// given or from the environment.
    pub(in crate::origin) fn refuse(&self, url: &str, error: &object_store::Error) -> OriginError {
        let reason = presentable(&innermost(error));
        let mut values = self.values.iter().map(|(_, value)| value.clone()).chain(from_environment());
        let words = || reason.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() >= 4);
        if values.any(|value| words().any(|word| value.contains(word))) {
            let reason = "the options or the environment have a value that does not fit (values are not shown)";
            return invalid(url, reason.to_owned());
        }
        invalid(url, reason)
    }
}

/// Values that the stores' builders may have taken.
fn from_environment() -> impl Iterator<Item = String> {
    const PREFIXES: [&str; 6] = ["AWS_", "AZURE_", "GOOGLE_", "SERVICE_ACCOUNT", "IDENTITY_", "MSI_"];
    let named = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    std::env::vars_os()
        .filter(move |(name, _)| name.to_str().is_some_and(named))
        .filter_map(|(_, value)| value.into_string().ok())
}

fn duration(url: &str, name: &str, value: &str) -> Result<Duration, OriginError> {
    let reason = || format!("the option {name} is no time; give one like 30s, 500ms or 2min");
    humantime::parse_duration(value).map_err(|_| invalid(url, reason()))
}

/// Whether a value that a builder was given means yes, which it finds out later than that is needed here.
pub(in crate::origin) fn is_on(value: &str) -> bool {
    ["1", "true", "on", "yes", "y"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

pub(in crate::origin) fn invalid(url: &str, reason: String) -> OriginError {
    OriginError::InvalidUrl { url: without_secrets(url), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Result<Options, OriginError> {
        Options::new(
            "s3://bucket/key",
            pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        )
    }

    #[test]
    fn times_are_kept_above_the_stores() {
        let set = options(&[("TIMEOUT", "2min"), ("read_timeout", "500ms"), ("region", "x")]).unwrap();
        let expected = Timeouts::default().with_stall(Duration::from_millis(500)).with_total(Duration::from_secs(120));
        assert_eq!((set.timeouts(), set.values.len()), (expected, 1));
        let Err(error) = options(&[("timeout", "secret")]) else { panic!("that is no time") };
        assert!(error.to_string().contains("timeout") && !error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn nothing_of_a_value_is_shown() {
        let said = |text: &str| object_store::Error::Generic { store: "S3", source: text.to_owned().into() };
        let set = options(&[("key", "a \"longsecret\" in JSON")]).unwrap();
        let shown = |text: &str| set.refuse("s3://bucket/key", &said(text)).to_string();
        assert!(shown("Missing bucket name").contains("Missing bucket name"));
        assert!(!shown("expected a number, got longsecret").contains("longsecret"));
    }
}
