//! Origins over stores that somebody has: in memory, in a directory, and some that do not keep their word.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use page_cache::{Cache, CachedFile, ObjectStoreOrigin, Origin, OriginError, ReadError, Timeouts};
use tempfile::TempDir;

use crate::child;
use crate::memory_origin::pattern;
use crate::retry::quick;

const LEN: usize = 300_000;
const PAGE: u64 = 4096;

fn path() -> Path {
    Path::from("a b/object.bin")
}

fn put(store: &dyn ObjectStore, bytes: Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.put(&path(), bytes.into())).unwrap();
}

fn in_memory() -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    put(&*store, pattern(LEN, 1));
    store
}

fn cache() -> (Cache, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Cache::builder(directory.path()).page_size(PAGE).retry(quick()).open().unwrap(), directory)
}

fn open(cache: &Cache, store: &Arc<impl ObjectStore>) -> CachedFile {
    cache.file(ObjectStoreOrigin::new(Arc::clone(store) as _, path(), "test")).unwrap()
}

fn read(file: &CachedFile, range: Range<u64>, seed: u64) {
    let expected = &pattern(LEN, seed)[range.start as usize..range.end as usize];
    assert!(file.bytes(range.clone()).unwrap() == *expected, "wrong bytes in {range:?}");
}

fn changes(file: &CachedFile) {
    let error = file.bytes(100_000..100_010).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    assert_eq!(file.held().num_bytes(), PAGE, "the change left something behind");
}

#[test]
fn an_object_in_memory_is_read_and_a_change_of_it_noticed() {
    let ((cache, _directory), store) = (cache(), in_memory());
    let file = open(&cache, &store);
    assert_eq!((file.len(), file.page_size()), (LEN as u64, Some(PAGE)));
    read(&file, 0..LEN as u64, 1);
    // Held, so the store is not asked.
    put(&*store, pattern(LEN, 2));
    read(&open(&cache, &store), 100..200, 1);

    let file = cache.file(ObjectStoreOrigin::new(store.clone(), path(), "other")).unwrap();
    read(&file, 0..10, 2);
    put(&*store, pattern(LEN, 3));
    changes(&file);
}

#[test]
fn an_object_in_a_directory_is_read_and_a_change_of_it_noticed() {
    let ((cache, _directory), files) = (cache(), tempfile::tempdir().unwrap());
    let store = Arc::new(LocalFileSystem::new_with_prefix(files.path()).unwrap());
    put(&*store, pattern(LEN, 1));
    let file = open(&cache, &store);
    assert_eq!((file.len(), file.page_size()), (LEN as u64, Some(PAGE)));
    read(&file, 0..10, 1);
    read(&file, LEN as u64 - 10..LEN as u64, 1);
    read(&file, 0..LEN as u64, 1);

    let (cache, _directory) = self::cache();
    let file = open(&cache, &store);
    read(&file, 0..10, 1);
    put(&*store, pattern(LEN, 2));
    changes(&file);
}

#[test]
fn what_does_not_exist() {
    let (cache, _directory) = cache();
    let files = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn ObjectStore>; 2] =
        [Arc::new(InMemory::new()), Arc::new(LocalFileSystem::new_with_prefix(files.path()).unwrap())];
    for store in stores {
        let error = cache.file(ObjectStoreOrigin::new(store, path(), "test")).unwrap_err();
        assert!(
            matches!(&error, OriginError::NotFound { key } if key == "object-store:test/a b/object.bin"),
            "{error}"
        );
    }
}

#[test]
fn no_two_namespaces_have_one_key() {
    let key = |namespace: &str, path: &str| {
        ObjectStoreOrigin::new(Arc::new(InMemory::new()), Path::from(path), namespace).key().to_owned()
    };
    assert_eq!(key("n", "a/b"), key("n", "a/b"));
    assert_ne!(key("n/a", "b"), key("n", "a/b"));
    assert_ne!(key("n%2Fa", "b"), key("n/a", "b"));
    assert_ne!(key("n", "a/b"), key("m", "a/b"));
}

#[test]
fn it_works_inside_of_any_runtime() {
    let store = in_memory();
    let read_all = |namespace: &str| {
        let (cache, _directory) = cache();
        let file = cache.file(ObjectStoreOrigin::new(store.clone(), path(), namespace)).unwrap();
        read(&file, 0..LEN as u64, 1);
    };
    read_all("none");
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    current.block_on(async { read_all("current") });
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    multi.block_on(async { read_all("multi") });
    multi.block_on(async { tokio::task::spawn_blocking(move || ()).await.unwrap() });
}

#[test]
fn a_store_that_waits_for_its_callers_thread_is_given_up() {
    let tied = |runtime: &tokio::runtime::Runtime| {
        let mut store = Altered::new(Ok);
        Arc::get_mut(&mut store).unwrap().runtime = Some(runtime.handle().clone());
        let timeouts = Timeouts::default().with_total(Duration::from_millis(500));
        ObjectStoreOrigin::new(store, path(), "test").with_timeouts(timeouts)
    };
    let read = |origin: ObjectStoreOrigin| origin.stat().and_then(|stat| origin.read(0..10, &stat));
    // Its own threads answer while this one waits.
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    assert!(read(tied(&multi)).unwrap() == pattern(LEN, 1)[..10]);
    // The only thread there is waits.
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let origin = tied(&current);
    let error = current.block_on(async { read(origin) }).unwrap_err();
    assert!(matches!(error, OriginError::Unreachable { .. }), "{error}");
}

#[test]
fn a_store_that_reads_through_a_cached_file_is_told_so_and_holds_up_nobody() {
    let (inner, _directory) = cache();
    let beneath = open(&inner, &in_memory());
    let store = Altered::new(move |result| beneath.bytes(0..10).map(|_| result).map_err(failing));
    let (outer, _other_directory) = cache();
    let file = open(&outer, &store);
    for _ in 0..4 {
        let error = file.bytes(0..10).unwrap_err();
        assert!(matches!(&error, ReadError::Origin(OriginError::Store { .. })), "{error:?}");
        assert!(error.to_string().contains("would wait for its own thread"), "{error}");
    }
    let (third, _third_directory) = cache();
    read(&open(&third, &in_memory()), 0..10, 1);
}

type Alter = Box<dyn Fn(GetResult) -> Result<GetResult> + Send + Sync>;

/// A store that ignores all conditions and alters its answers.
struct Altered {
    inner: InMemory,
    alter: Alter,
    heads_too: bool,
    /// Where it answers, if it is tied to a runtime.
    runtime: Option<tokio::runtime::Handle>,
}

impl Altered {
    fn new(alter: impl Fn(GetResult) -> Result<GetResult> + Send + Sync + 'static) -> Arc<Self> {
        let inner = InMemory::new();
        put(&inner, pattern(LEN, 1));
        Arc::new(Self { inner, alter: Box::new(alter), heads_too: false, runtime: None })
    }
}

#[async_trait::async_trait]
impl ObjectStore for Altered {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async {}).await.unwrap();
        }
        let GetOptions { range, head, .. } = options;
        let result = self.inner.get_opts(location, GetOptions { range, head, ..GetOptions::default() }).await?;
        if head && !self.heads_too { Ok(result) } else { (self.alter)(result) }
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Debug for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Altered { password: \"secret\" }")
    }
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Altered")
    }
}

fn failing(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "Altered", source: what.into() }
}

fn with_body(mut result: GetResult, body: BoxStream<'static, Result<Bytes>>) -> Result<GetResult> {
    result.payload = GetResultPayload::Stream(body);
    Ok(result)
}

#[test]
fn a_change_is_noticed_also_if_the_store_ignores_conditions() {
    let (cache, _directory) = cache();
    let store = Altered::new(Ok);
    let file = open(&cache, &store);
    read(&file, 0..10, 1);
    put(&store.inner, pattern(LEN, 2));
    changes(&file);

    // A length that differs tells it too.
    let (cache, _directory) = self::cache();
    let store = Altered::new(|mut result| {
        result.meta.size += 1;
        Ok(result)
    });
    let error = open(&cache, &store).bytes(0..10).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
}

#[test]
fn an_answer_without_the_validators_or_with_other_bytes_is_not_used() {
    let alterations: [fn(GetResult) -> Result<GetResult>; 5] = [
        |mut result| {
            result.meta.e_tag = None;
            result.meta.last_modified = SystemTime::UNIX_EPOCH.into();
            Ok(result)
        },
        |mut result| {
            result.range = result.range.start + 1..result.range.end + 1;
            Ok(result)
        },
        |result| with_body(result, stream::iter([Ok(Bytes::from_static(&[0; 4097]))]).boxed()),
        |result| with_body(result, stream::iter([Ok(Bytes::from_static(&[0; 4095]))]).boxed()),
        |result| with_body(result, stream::repeat_with(|| Ok(Bytes::from_static(&[0; 1000]))).boxed()),
    ];
    for (which, alter) in alterations.into_iter().enumerate() {
        let (cache, _directory) = cache();
        let file = open(&cache, &Altered::new(alter));
        let error = file.bytes(0..10).unwrap_err();
        assert!(matches!(error, ReadError::Origin(OriginError::InvalidResponse { .. })), "{which}: {error}");
        assert!(file.held().is_empty());
    }
}

#[test]
fn what_came_of_a_body_is_given_and_a_body_that_hangs_is_given_up() {
    let origin = |alter: fn(GetResult) -> Result<GetResult>| {
        let timeouts = Timeouts::default().with_stall(Duration::from_millis(200));
        ObjectStoreOrigin::new(Altered::new(alter), path(), "test").with_timeouts(timeouts)
    };
    let breaks = origin(|result| {
        let start = Bytes::from(pattern(LEN, 1)[50..150].to_vec());
        with_body(result, stream::iter([Ok(start), Err(failing("broken"))]).boxed())
    });
    let stat = breaks.stat().unwrap();
    assert!(breaks.read(50..1000, &stat).unwrap() == pattern(LEN, 1)[50..150]);
    let hangs = origin(|result| {
        let start = Bytes::from(pattern(LEN, 1)[50..150].to_vec());
        with_body(result, stream::iter([Ok(start)]).chain(stream::pending()).boxed())
    });
    let stat = hangs.stat().unwrap();
    assert!(hangs.read(50..1000, &stat).unwrap() == pattern(LEN, 1)[50..150]);
    let silent = origin(|result| with_body(result, stream::pending().boxed()));
    let stat = silent.stat().unwrap();
    let error = silent.read(50..1000, &stat).unwrap_err();
    assert!(matches!(error, OriginError::Unreachable { .. }), "{error}");
}

#[test]
fn a_store_that_fails_is_quoted_without_what_may_be_secret() {
    let said = "GET http://me:secret@host/a?sig=secret\nsecret";
    let store = Altered::new(move |_| Err(failing(said)));
    let origin = ObjectStoreOrigin::new(store, path(), "test");
    let error = origin.read(0..10, &origin.stat().unwrap()).unwrap_err();
    assert!(matches!(&error, OriginError::Store { .. }) && error.to_string().contains("GET http://host/a"), "{error}");
    assert!(!format!("{error} {error:?} {origin:?}").contains("secret"), "{error:?}");
}

#[test]
fn an_object_without_validators_is_read_and_not_stored() {
    let (cache, _directory) = cache();
    let mut store = Altered::new(|mut result| {
        result.meta.e_tag = None;
        result.meta.last_modified = SystemTime::UNIX_EPOCH.into();
        Ok(result)
    });
    Arc::get_mut(&mut store).unwrap().heads_too = true;
    let file = open(&cache, &store);
    assert_eq!(file.page_size(), None);
    read(&file, 1_000..5_000, 1);
    assert!(file.held().is_empty());
}

#[test]
fn a_child_of_a_fork_is_refused_its_parents_store() {
    if !child::is_child() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = child::command(a_child_of_a_fork_is_refused_its_parents_store);
        let output = command.env("DIR", directory.path().join("cache")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let cache = Cache::builder(PathBuf::from(std::env::var_os("DIR").unwrap())).page_size(PAGE).open().unwrap();
    let file = open(&cache, &in_memory());
    read(&file, 0..10, 1);
    // SAFETY: the child uses nothing that another thread of this process may have locked, but for the allocator, which
    // the C library sees to.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let work = || {
            // What is held is read, and what is missing is refused, at once.
            read(&file, 0..10, 1);
            let error = file.bytes(100_000..100_010).unwrap_err();
            assert!(matches!(error, ReadError::Origin(OriginError::Store { .. })), "{error}");
            assert!(error.to_string().contains("parent process"), "{error}");
            // A store of its own is as good as any.
            read(&open(&cache, &in_memory()), 100_000..100_010, 1);
        };
        let code = i32::from(catch_unwind(AssertUnwindSafe(work)).is_err());
        // SAFETY: as above.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: as above.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
    read(&file, 100_000..100_010, 1);
}
