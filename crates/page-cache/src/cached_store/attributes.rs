//! The attributes of an object (its content type and the like) as a head keeps them: names and values.

use std::collections::BTreeMap;

use object_store::{Attribute, Attributes, ObjectMeta};

use crate::origin::UNVERSIONED;

/// Before the name of what a user has set.
const METADATA: &str = "metadata:";
/// The name of a version id that tells no versions apart. It is no attribute, but stands among what is told beside
/// them.
const VERSION: &str = "version";

/// As a head keeps them. What this version of `object_store` does not know is not kept.
pub(super) fn to_head(meta: &ObjectMeta, attributes: &Attributes) -> BTreeMap<String, String> {
    let named = attributes.iter().filter_map(|(attribute, value)| Some((name_of(attribute)?, value.to_string())));
    let unversioned = meta.version.clone().filter(|version| version == UNVERSIONED);
    named.chain(unversioned.map(|version| (VERSION.to_owned(), version))).collect()
}

/// The version id that a store gave, if it tells no versions apart.
pub(super) fn unversioned(kept: &BTreeMap<String, String>) -> Option<String> {
    kept.get(VERSION).cloned()
}

/// As an object store gives them.
pub(super) fn from_head(kept: &BTreeMap<String, String>) -> Attributes {
    let known = kept.iter().filter_map(|(name, value)| Some((attribute_of(name)?, value.clone())));
    known.collect()
}

fn name_of(attribute: &Attribute) -> Option<String> {
    Some(match attribute {
        Attribute::ContentDisposition => "content-disposition".to_owned(),
        Attribute::ContentEncoding => "content-encoding".to_owned(),
        Attribute::ContentLanguage => "content-language".to_owned(),
        Attribute::ContentType => "content-type".to_owned(),
        Attribute::CacheControl => "cache-control".to_owned(),
        Attribute::StorageClass => "storage-class".to_owned(),
        Attribute::Metadata(name) => format!("{METADATA}{name}"),
        _ => return None,
    })
}

fn attribute_of(name: &str) -> Option<Attribute> {
    Some(match name {
        "content-disposition" => Attribute::ContentDisposition,
        "content-encoding" => Attribute::ContentEncoding,
        "content-language" => Attribute::ContentLanguage,
        "content-type" => Attribute::ContentType,
        "cache-control" => Attribute::CacheControl,
        "storage-class" => Attribute::StorageClass,
        name => Attribute::Metadata(name.strip_prefix(METADATA)?.to_owned().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_were() {
        let attributes: Attributes = [
            (Attribute::ContentDisposition, "attachment"),
            (Attribute::ContentEncoding, "zstd"),
            (Attribute::ContentLanguage, "en"),
            (Attribute::ContentType, "image/tiff"),
            (Attribute::CacheControl, "max-age=1"),
            (Attribute::StorageClass, "COLD"),
            (Attribute::Metadata("content-type".into()), "a user's own"),
            (Attribute::Metadata("".into()), ""),
        ]
        .into_iter()
        .collect();
        let mut meta = ObjectMeta {
            location: "a".into(),
            last_modified: Default::default(),
            size: 1,
            e_tag: None,
            version: Some("1".to_owned()),
        };
        let kept = to_head(&meta, &attributes);
        assert_eq!(kept.len(), attributes.len());
        assert_eq!((from_head(&kept), unversioned(&kept)), (attributes.clone(), None));
        // As a bucket gives it that keeps no versions any more.
        meta.version = Some("null".to_owned());
        let kept = to_head(&meta, &attributes);
        assert_eq!((from_head(&kept), unversioned(&kept)), (attributes, meta.version));
    }
}
