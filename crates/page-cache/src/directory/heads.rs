//! Finding, writing and distrusting heads.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::files::{Files, is_damage};
use super::head::{self, Head};
use super::name::{self, KeyHash};
use crate::origin::Stat;
use crate::sys::Access;

/// The head of `key`, if there is one that can be trusted. Nothing is done about one that cannot.
///
/// # Errors
///
/// That it cannot be read, or is damaged.
pub(crate) fn peek(files: &Files, key: &str) -> io::Result<Option<Head>> {
    Ok(read(files, &files.head(&KeyHash::of(key)))?.filter(|head| head.key == key))
}

/// The head of `key`, if there is one that can be trusted. One that cannot is set aside, so this is done under its
/// lock.
///
/// # Errors
///
/// That it cannot be read now: what it says may be right, so nothing may take its place.
pub(crate) fn load(files: &Files, key: &str) -> io::Result<Option<Head>> {
    let path = files.head(&KeyHash::of(key));
    let reason = match read(files, &path) {
        Ok(Some(head)) if head.key == key => return Ok(Some(head)),
        Ok(None) => return Ok(None),
        Ok(Some(_)) => "it belongs to another key".to_owned(),
        Err(error) if is_damage(&error) => error.to_string(),
        Err(error) => return Err(error),
    };
    files.set_aside(&path, &reason);
    Ok(None)
}

/// Whether a version of an object can have a head: an error says why not.
pub(crate) fn check(key: &str, stat: &Stat, attributes: &BTreeMap<String, String>) -> io::Result<()> {
    let pair = name::pair_name(&KeyHash::of(key), &name::version_hash(stat), 0);
    Head::new(key.to_owned(), stat.clone(), pair).with_attributes(attributes.clone()).to_bytes().map(drop)
}

/// Writes the head of a key, in the place of the one there was. Only under its lock. If it is to be `durable`, no power
/// cut leaves half of it.
pub(crate) fn save(files: &Files, head: &Head, durable: bool) -> io::Result<()> {
    files.replace_alone(&files.head(&KeyHash::of(&head.key)), &head.to_bytes()?, durable)
}

/// Waits until the head of a key and the names of all files are on the medium.
pub(crate) fn sync(files: &Files, key: &str) -> io::Result<()> {
    files.disk.open(&files.head(&KeyHash::of(key)), Access::Read)?.sync()?;
    [files.heads(), files.pairs(), files.root.clone()].iter().try_for_each(|directory| files.disk.sync_dir(directory))
}

/// The head in a file, whosever it is; none if there is no such file. What it names can only be a pair of its own:
/// files are moved and deleted by that name.
pub(crate) fn read(files: &Files, path: &Path) -> io::Result<Option<Head>> {
    let file = match files.disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let len = file.len()?;
    if len > head::MAX_LEN {
        return Err(damaged(format!("it is {len} bytes long")));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0)?;
    let head = Head::from_bytes(&bytes).map_err(damaged)?;
    let file_name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if !name::is_pair_of(&head.pair, file_name) {
        return Err(damaged(format!("{:?} is no name of a pair of its key", head.pair)));
    }
    Ok(Some(head))
}

/// Whether the head of its key names a pair; also if that cannot be found out.
pub(crate) fn is_named(files: &Files, pair: &str) -> bool {
    let head = name::head_of_pair(pair).map(|head| read(files, &files.heads().join(head)));
    match head {
        Some(Ok(Some(head))) => head.pair == pair,
        Some(Ok(None)) | None => false,
        Some(Err(error)) => !is_damage(&error),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::Cache;
    use crate::freshness::Freshness;
    use crate::origin::{FnOrigin, Origin, Validators};

    fn origin(version: &str) -> impl Origin + use<> {
        let validators = Validators { version: Some(version.into()), ..Validators::default() };
        FnOrigin::new("sevens", Stat { length: 10_000, validators }, |range| {
            Ok(vec![7; (range.end - range.start) as usize].into())
        })
    }

    fn open(dir: &Path) -> Cache {
        Cache::builder(dir).page_size(4096).freshness(Freshness::Always).open().unwrap()
    }

    /// A head that names what is no pair of its key would have files deleted or moved that are somebody else's.
    #[test]
    fn a_head_that_names_no_pair_of_its_key_is_damaged() {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("cache");
        open(&dir).file(origin("1")).unwrap().bytes(0..10_000).unwrap();
        let key = KeyHash::of("sevens");
        let path = dir.join("heads").join(key.file_name());
        let good = Head::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
        let precious = ["index", "data"].map(|ending| outer.path().join(format!("precious.{ending}")));
        let tail = &good.pair[32..];
        let upper = format!("{}{}", key.file_name().to_uppercase(), tail);
        let names = [
            "../../precious".to_owned(),
            outer.path().join("precious").to_str().unwrap().to_owned(),
            format!("{}/../../../precious", good.pair),
            String::new(),
            "pair".to_owned(),
            format!("{}{tail}", "0".repeat(32)),
            upper,
            format!("{}0", good.pair),
            good.pair[..good.pair.len() - 1].to_owned(),
            good.pair.replace('-', "+"),
            format!("{}é", &good.pair[..good.pair.len() - 2]),
        ];
        for name in names {
            for path in &precious {
                std::fs::write(path, b"precious").unwrap();
            }
            let head = Head::new(good.key.clone(), good.stat.clone(), name.clone());
            std::fs::write(&path, head.to_bytes().unwrap()).unwrap();
            let cache = open(&dir);
            assert_eq!(cache.entry("sevens"), None, "{name}");
            assert_eq!(cache.entries(), [], "{name}");
            // Another version, so that the pair that the head names is to be deleted.
            let file = cache.file(origin(&format!("2 {name}"))).unwrap();
            assert_eq!(file.bytes(0..10_000).unwrap(), vec![7; 10_000]);
            drop((file, cache));
            let there: Vec<PathBuf> = precious.iter().filter(|path| path.exists()).cloned().collect();
            assert_eq!(there, precious, "{name}");
            // The key has a good head again.
            assert_eq!(open(&dir).entry("sevens").unwrap().held.num_bytes(), 10_000, "{name}");
        }
    }
}
