//! Whatever is asked in whatever order, the answer is the one that the store below gives.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, Error, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutOptions, RenameOptions, Result,
};
use page_cache::{Cache, CachedStore, Freshness};
use proptest::prelude::*;

use super::PAGE;
use crate::memory_origin::pattern;

const PATHS: u8 = 3;

#[derive(Debug, Clone)]
enum Step {
    Put {
        path: u8,
        len: usize,
        seed: u64,
        create: bool,
        behind: bool,
    },
    Delete {
        path: u8,
        behind: bool,
    },
    Copy {
        from: u8,
        to: u8,
        rename: bool,
        create: bool,
    },
    Get {
        path: u8,
        range: Option<GetRange>,
        condition: Condition,
        head: bool,
    },
    Ranges {
        path: u8,
        ranges: Vec<Range<u64>>,
    },
    /// The store as another process would have it.
    Anew,
}

/// Of a request; tags and dates are those of the object as it is now, or not.
#[derive(Debug, Clone, Copy)]
enum Condition {
    None,
    Match(bool),
    NoneMatch(bool),
    ModifiedSince(i64),
    UnmodifiedSince(i64),
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..30_000u64,
        Just(0),
        Just(PAGE),
        (0..8u64).prop_map(|page| page * PAGE),
        Just(1 << 40),
        Just(u64::MAX)
    ]
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (offset(), prop_oneof![0..10_000u64, Just(1), Just(u64::MAX)])
        .prop_map(|(start, length)| start..start.saturating_add(length))
}

fn get_range() -> impl Strategy<Value = Option<GetRange>> {
    prop_oneof![
        Just(None),
        range().prop_map(|range| Some(GetRange::Bounded(range))),
        offset().prop_map(|start| Some(GetRange::Offset(start))),
        offset().prop_map(|length| Some(GetRange::Suffix(length))),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        4 => Just(Condition::None),
        1 => any::<bool>().prop_map(Condition::Match),
        1 => any::<bool>().prop_map(Condition::NoneMatch),
        1 => (-1..2i64).prop_map(Condition::ModifiedSince),
        1 => (-1..2i64).prop_map(Condition::UnmodifiedSince),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS;
    prop_oneof![
        3 => (path(), 0..20_000usize, 0..4u64, any::<bool>(), any::<bool>())
            .prop_map(|(path, len, seed, create, behind)| Step::Put { path, len, seed, create, behind }),
        1 => (path(), any::<bool>()).prop_map(|(path, behind)| Step::Delete { path, behind }),
        1 => (path(), path(), any::<bool>(), any::<bool>())
            .prop_map(|(from, to, rename, create)| Step::Copy { from, to, rename, create }),
        6 => (path(), get_range(), condition(), any::<bool>())
            .prop_map(|(path, range, condition, head)| Step::Get { path, range, condition, head }),
        3 => (path(), prop::collection::vec(range(), 0..4)).prop_map(|(path, ranges)| Step::Ranges { path, ranges }),
        1 => Just(Step::Anew),
    ]
}

fn path(number: u8) -> Path {
    Path::from(format!("{number}"))
}

/// What an error is to a program.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::NotFound { .. } => "not found",
        Error::Precondition { .. } => "precondition",
        Error::NotModified { .. } => "not modified",
        Error::AlreadyExists { .. } => "exists",
        _ => "another",
    }
}

type Got = Result<(Vec<u8>, ObjectMeta, Range<u64>, Attributes), &'static str>;

async fn got(result: Result<GetResult>, head: bool) -> Got {
    let result = result.map_err(|error| kind(&error))?;
    let (meta, range, attributes) = (result.meta.clone(), result.range.clone(), result.attributes.clone());
    // A head has no body.
    let bytes = if head { Vec::new() } else { result.bytes().await.map_err(|error| kind(&error))?.to_vec() };
    Ok((bytes, meta, range, attributes))
}

async fn options(below: &InMemory, path: &Path, range: Option<GetRange>, condition: Condition) -> GetOptions {
    let now = below.head(path).await.ok();
    let tag = |is_now: bool| match &now {
        Some(now) if is_now => now.e_tag.clone(),
        _ => Some("\"another\"".to_owned()),
    };
    let date =
        |seconds: i64| -> Option<DateTime<Utc>> { Some(now.as_ref()?.last_modified + TimeDelta::seconds(seconds)) };
    let options = GetOptions::new().with_range(range);
    match condition {
        Condition::None => options,
        Condition::Match(is_now) => options.with_if_match(tag(is_now)),
        Condition::NoneMatch(is_now) => options.with_if_none_match(tag(is_now)),
        Condition::ModifiedSince(seconds) => options.with_if_modified_since(date(seconds)),
        Condition::UnmodifiedSince(seconds) => options.with_if_unmodified_since(date(seconds)),
    }
}

/// With changes behind the cache's back, if they are to be seen.
async fn check(steps: Vec<Step>, freshness: Freshness) {
    let behind_too = freshness == Freshness::Always;
    let (directory, below) = (tempfile::tempdir().unwrap(), Arc::new(InMemory::new()));
    let anew = || {
        let cache = Cache::builder(directory.path()).page_size(PAGE).freshness(freshness).open().unwrap();
        CachedStore::new(Arc::clone(&below) as _, cache, "tests")
    };
    let mut store = anew();
    for (number, step) in steps.into_iter().enumerate() {
        match step.clone() {
            Step::Put { path: to, len, seed, create, behind } => {
                let attributes = Attributes::from_iter([(Attribute::ContentType, format!("{number}"))]);
                let mode = if create { PutMode::Create } else { PutMode::Overwrite };
                let options = PutOptions { mode, attributes, ..PutOptions::default() };
                let to_store: &dyn ObjectStore = if behind && behind_too { &*below } else { &store };
                _ = to_store.put_opts(&path(to), pattern(len, seed).into(), options).await;
            }
            Step::Delete { path: from, behind } => {
                let from_store: &dyn ObjectStore = if behind && behind_too { &*below } else { &store };
                _ = from_store.delete(&path(from)).await;
            }
            Step::Copy { from, to, rename, create } => {
                let (from, to) = (path(from), path(to));
                let mode = if create { CopyMode::Create } else { CopyMode::Overwrite };
                _ = if rename && from != to {
                    store.rename_opts(&from, &to, RenameOptions::default()).await
                } else {
                    store.copy_opts(&from, &to, CopyOptions::default().with_mode(mode)).await
                };
            }
            Step::Get { path: of, range, condition, head } => {
                let path = path(of);
                let options = options(&below, &path, range, condition).await.with_head(head);
                let expected = got(below.get_opts(&path, options.clone()).await, head).await;
                let read = got(store.get_opts(&path, options).await, head).await;
                assert_eq!(read, expected, "{step:?}");
            }
            Step::Ranges { path: of, ranges } => {
                let expected = below.get_ranges(&path(of), &ranges).await.map_err(|error| kind(&error));
                let read = store.get_ranges(&path(of), &ranges).await.map_err(|error| kind(&error));
                assert_eq!(read, expected, "{step:?}");
            }
            Step::Anew => {
                // What is still to be stored is another process's.
                store = anew();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_answer_is_the_one_of_the_store_below(steps in prop::collection::vec(step(), 1..40), sees_all: bool) {
        let freshness = if sees_all { Freshness::Always } else { Freshness::Immutable };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(steps, freshness));
    }
}
