//! Feature `serde`: what is held goes round, with version, options and the order of use; what is wrong is refused.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::time::SystemTime;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, from_value, json, to_value};
use svf_core::{
    BlockMap, BlockMapOptions, NeedOptions, OnOverlap, RangeSet, SparseVirtualFile, SparseVirtualFileOptions, Version,
};

fn round<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn a_file_goes_round_with_version_options_and_recency() {
    let version = Version::new().modified(SystemTime::now()).len(9_000).etag("\"x\"");
    let options = SparseVirtualFileOptions::new().on_overlap(OnOverlap::Keep).max_bytes(5_000).scrub(true).times(false);
    let file = SparseVirtualFile::with_options("a file", version.clone(), options);
    for offset in [4_000, 0, 2_000] {
        file.write_bytes(offset, Bytes::from(vec![offset as u8; 1_500])).unwrap();
    }
    file.read(4_000..4_010).unwrap();
    let again: SparseVirtualFile = round(&file);
    assert_eq!((again.id(), again.version(), again.options()), ("a file", Some(version), options));
    assert_eq!(again.snapshot(), file.snapshot());
    assert_eq!(again.recency(), file.recency());
    assert_eq!(file.recency(), [0..1_500, 2_000..3_500, 4_000..5_500]);
    // And behaves as the first would: the limit drops what was used least recently.
    for file in [&file, &again] {
        file.write(8_000, &[1; 1_500]).unwrap();
        assert_eq!(file.blocks(), [2_000..3_500, 4_000..5_500, 8_000..9_500]);
    }
}

#[cfg(feature = "dashmap")]
#[test]
fn a_file_system_goes_round_with_the_order_of_use_over_all_files() {
    use svf_core::{SparseVirtualFileSystem, SparseVirtualFileSystemOptions};

    let files = SparseVirtualFileSystem::with_options(SparseVirtualFileSystemOptions::new().max_bytes(400));
    for (id, offset) in [("a", 0), ("b", 0), ("a", 500), ("c", 0)] {
        files.open(id).write(offset, &[1; 100]).unwrap();
    }
    files.open("a").read(0..1).unwrap();
    let again: SparseVirtualFileSystem = round(&files);
    assert_eq!((again.options(), again.num_bytes(), again.len()), (files.options(), 400, 3));
    for files in [&files, &again] {
        files.open("d").write(0, &[1; 200]).unwrap();
        let held = |id| files.open(id).blocks();
        assert_eq!((held("a"), held("b"), held("c")), (vec![0..100], vec![], vec![0..100]));
    }

    let mut twice = to_value(&files).unwrap();
    twice["files"][1]["id"] = twice["files"][0]["id"].clone();
    let error = from_value::<SparseVirtualFileSystem>(twice).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    // Files that are in use are written down one after the other, so all may be more than the limit.
    let mut small = to_value(&files).unwrap();
    small["options"]["max_bytes"] = json!(399);
    let small: SparseVirtualFileSystem = from_value(small).unwrap();
    assert!(small.num_bytes() <= 399 && !small.open("d").is_empty(), "the least recently used is dropped");
}

#[test]
fn sets_and_options_go_round() {
    let set: RangeSet = [0..4, 9..10, u64::MAX - 1..u64::MAX].into_iter().collect();
    assert_eq!(round(&set), set);
    assert_eq!(round(&RangeSet::new()), RangeSet::new());
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    for wrong in [5..5, 6..5] {
        assert!(from_value::<RangeSet>(json!([wrong])).is_err());
    }
    let options = NeedOptions::new().greedy(5).align(7).end_of_file(9).max_len(3);
    assert_eq!(round(&options), options);
    assert_eq!(from_value::<NeedOptions>(json!({})).unwrap(), NeedOptions::new(), "what is left out is the default");
    assert_eq!(from_value::<BlockMapOptions>(json!({})).unwrap(), BlockMapOptions::new());
    assert_eq!(from_value::<SparseVirtualFileOptions>(json!({})).unwrap(), SparseVirtualFileOptions::new());
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let mut map = BlockMap::with_options(BlockMapOptions::new().max_bytes(5_000));
    map.write_bytes(100, Bytes::from(vec![1; 2_000])).unwrap();
    map.write_bytes(3_000, Bytes::from(vec![2; 2_000])).unwrap();
    let good = to_value(&map).unwrap();
    assert_eq!(from_value::<BlockMap>(good.clone()).unwrap(), map);
    let spoil = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        from_value::<BlockMap>(value).unwrap_err().to_string()
    };
    for (change, reason) in [
        (&(|v: &mut Value| v["chunks"][0]["offset"] = json!(1_500)) as &dyn Fn(&mut Value), "before the end"),
        (&|v| v["chunks"].as_array_mut().unwrap().reverse(), "before the end"),
        (&|v| v["chunks"][1]["bytes"] = json!([]), "is empty"),
        (&|v| v["chunks"][1]["offset"] = json!(u64::MAX - 5), "beyond 2^64 - 1"),
        (&|v| v["chunks"][0]["epoch"] = json!(1_000), "later than"),
        (&|v| v["epoch"] = json!(u64::MAX), "later than any"),
        (&|v| v["options"]["max_bytes"] = json!(10), "more than the limit of 10"),
        (&|v| v["chunks"][0]["bytes"][3] = json!(256), "256"),
        (&|v| v["options"]["on_overlap"] = json!("Maybe"), "Maybe"),
    ] {
        let error = spoil(change);
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

proptest! {
    #[test]
    fn maps_go_round(
        writes in prop::collection::vec((0u64..20_000, 1usize..3_000, any::<bool>()), 0..20),
        reads in prop::collection::vec((0u64..20_000, 1u64..3_000), 0..5),
        scrub in any::<bool>(),
    ) {
        let mut map = BlockMap::with_options(BlockMapOptions::new().scrub(scrub).on_overlap(OnOverlap::Replace));
        for (offset, len, taken) in writes {
            let data: Vec<u8> = (0..len).map(|n| (offset as usize + n) as u8).collect();
            if taken { map.write_bytes(offset, data.into()).unwrap() } else { map.write(offset, &data).unwrap() };
        }
        for (start, len) in reads {
            map.advance_epoch();
            map.touch(start..start + len);
        }
        let mut again: BlockMap = round(&map);
        prop_assert_eq!(&again, &map);
        prop_assert_eq!(again.recency(), map.recency());
        prop_assert_eq!((again.options(), again.epoch(), again.num_chunks()), (map.options(), map.epoch(), map.num_chunks()));
        let half = map.num_bytes() / 2;
        map.evict_to(half);
        again.evict_to(half);
        prop_assert_eq!(again, map);
    }
}
