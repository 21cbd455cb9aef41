//! Tidying up what earlier processes left behind.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::path::Path;

use super::files::{Files, is_temporary};
use super::{heads, name};

/// Removes temporary files, what was set aside, and pairs that no head names.
///
/// Of the heads only those are read whose key has several pairs, so it costs listings and little more. What cannot be
/// removed stays, with a warning: it is in nobody's way.
pub(crate) fn sweep(files: &Files) {
    files.clear_aside(list(files, &files.aside()));
    for directory in [files.root.clone(), files.heads(), files.pairs()] {
        for name in list(files, &directory).into_iter().filter(|name| is_temporary(name)) {
            files.remove(&directory.join(name));
        }
    }
    let heads: HashSet<OsString> = list(files, &files.heads()).into_iter().collect();
    for (head, pairs) in pairs_by_head(files) {
        let current = match (heads.contains(OsString::from(&head).as_os_str()), pairs.len()) {
            (true, 1) => continue,
            (true, _) => match heads::read(files, &files.heads().join(head)) {
                Ok(head) => head.map(|head| head.pair),
                // Whoever opens the object finds out what is wrong with its head; until then its pairs may be good.
                Err(_) => continue,
            },
            (false, _) => None,
        };
        for pair in pairs.iter().filter(|pair| Some(*pair) != current.as_ref()) {
            tracing::debug!(pair, "a pair that no head names is removed");
            for path in files.pair(pair) {
                files.remove(&path);
            }
        }
    }
}

/// The names of all pairs of which there is a file, by the name of the head that they belong to.
fn pairs_by_head(files: &Files) -> HashMap<String, BTreeSet<String>> {
    let mut pairs_by_head = HashMap::<String, BTreeSet<String>>::new();
    for file in list(files, &files.pairs()) {
        let pair = file.to_str().and_then(|file| file.rsplit_once('.')).map(|(pair, _)| pair);
        if let Some((pair, head)) = pair.and_then(|pair| Some((pair, name::head_of_pair(pair)?))) {
            pairs_by_head.entry(head.to_owned()).or_default().insert(pair.to_owned());
        }
    }
    pairs_by_head
}

fn list(files: &Files, path: &Path) -> Vec<OsString> {
    files.disk.read_dir(path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "a directory cannot be listed and is not tidied up");
        Vec::new()
    })
}
