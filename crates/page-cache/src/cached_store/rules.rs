//! Which objects of a store are cached at all.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use object_store::ObjectMeta;
use object_store::path::Path;

type Rule = dyn Fn(&ObjectMeta) -> bool + Send + Sync;

/// What an object must be like to be cached. What is not is read from the store below, and nothing of it is kept.
#[derive(Clone, Default)]
pub(super) struct Rules {
    /// Any of these; all paths if there are none.
    pub(super) prefixes: Vec<Path>,
    /// The lengths in bytes.
    pub(super) sizes: Option<Range<u64>>,
    pub(super) rule: Option<Arc<Rule>>,
}

impl Rules {
    /// What can be said before anything is known of the object but its path.
    pub(super) fn admit_path(&self, path: &Path) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| path.prefix_matches(prefix))
    }

    pub(super) fn admit(&self, meta: &ObjectMeta) -> bool {
        self.admit_path(&meta.location)
            && self.sizes.as_ref().is_none_or(|sizes| sizes.contains(&meta.size))
            && self.rule.as_ref().is_none_or(|rule| rule(meta))
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = if self.rule.is_some() { "by a rule" } else { "everything" };
        let Self { prefixes, sizes, .. } = self;
        f.debug_struct("Rules").field("prefixes", prefixes).field("sizes", sizes).field("rule", &rule).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(path: &str, size: u64) -> ObjectMeta {
        let last_modified = Default::default();
        ObjectMeta { location: path.into(), last_modified, size, e_tag: None, version: None }
    }

    #[test]
    fn all_rules_must_admit_an_object() {
        assert!(Rules::default().admit(&meta("any", 0)));
        let rules = Rules {
            prefixes: vec!["a".into(), "b/c".into()],
            sizes: Some(10..20),
            rule: Some(Arc::new(|meta: &ObjectMeta| meta.location.extension() == Some("tif"))),
        };
        assert!(rules.admit(&meta("a/1.tif", 10)) && rules.admit(&meta("b/c/1.tif", 19)));
        for (path, size) in [("a/1.tif", 9), ("a/1.tif", 20), ("ab/1.tif", 10), ("b/1.tif", 10), ("a/1.zip", 10)] {
            assert!(!rules.admit(&meta(path, size)), "{path} {size}");
        }
        // By whole segments.
        assert!(!rules.admit_path(&"ab/1.zip".into()) && rules.admit_path(&"a/1.zip".into()));
    }
}
