//! What is stored at all.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A read of bytes that are not held, which asks whether they are to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admission<'a> {
    /// What names the object.
    pub key: &'a str,
    /// The length of the object, in bytes.
    pub length: u64,
    /// The range of the object, in bytes, within which all lies that is missing.
    pub missing: Range<u64>,
}

/// Says which reads store what they fetch.
#[derive(Clone, Default)]
pub(crate) struct Admit(Option<Arc<Rule>>);

type Rule = dyn Fn(&Admission<'_>) -> bool + Send + Sync;

impl Admit {
    pub(crate) fn by(rule: impl Fn(&Admission<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    pub(crate) fn admits(&self, admission: &Admission<'_>) -> bool {
        self.0.as_ref().is_none_or(|rule| rule(admission))
    }
}

impl fmt::Debug for Admit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "by a rule" } else { "everything" })
    }
}
