//! Objects by `s3://`, `gs://` and `az://` URLs, against a server that answers as the stores do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use loopback_origin::{Fault, Object, On, Origin as Server, Times};
use page_cache::{Cache, CachedFile, Origin, OriginError, ReadError, UrlOrigin};
use tempfile::TempDir;

use crate::child;
use crate::memory_origin::pattern;
use crate::retry::quick;

const LEN: usize = 300_000;
const PAGE: u64 = 4096;
const PATH: &str = "/bucket/a b/object.bin";

type Options = Vec<(&'static str, String)>;

/// The URL and options of each kind of store, of which the server has one object.
fn stores(server: &Server) -> Vec<(&'static str, Options)> {
    let base = server.url("").trim_end_matches('/').to_owned();
    let both = |more: Options| [vec![("allow_http", "true".into()), ("skip_signature", "true".into())], more].concat();
    vec![
        ("s3://bucket/a b/object.bin", both(vec![("endpoint", base.clone())])),
        ("gs://bucket/a b/object.bin", both(vec![("base_url", base.clone())])),
        ("az://bucket/a b/object.bin", both(vec![("endpoint", base.clone()), ("account_name", "me".into())])),
        // Signed, which this server does not look at.
        (
            "s3a://bucket/a%20b/object.bin",
            vec![
                ("endpoint", base),
                ("allow_http", "true".into()),
                ("access_key_id", "id".into()),
                ("secret_access_key", "key".into()),
            ],
        ),
    ]
}

fn server() -> Server {
    Server::builder().serve(PATH, object(1)).start().unwrap()
}

/// With the headers that all of them send.
fn object(seed: u64) -> Object {
    Object::from_bytes(pattern(LEN, seed)).with_last_modified(SystemTime::now() - Duration::from_secs(100_000))
}

fn cache() -> (Cache, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Cache::builder(directory.path()).page_size(PAGE).retry(quick()).open().unwrap(), directory)
}

fn open(cache: &Cache, (url, options): &(&'static str, Options)) -> Result<CachedFile, OriginError> {
    cache.file(UrlOrigin::with_options(url, options.clone())?)
}

fn read(file: &CachedFile, range: std::ops::Range<u64>, seed: u64) {
    let expected = &pattern(LEN, seed)[range.start as usize..range.end as usize];
    assert!(file.bytes(range.clone()).unwrap() == *expected, "wrong bytes in {range:?}");
}

#[test]
fn each_store_is_read_by_ranges_conditional_on_the_etag() {
    for which in 0..4 {
        let ((cache, _directory), server) = (cache(), server());
        let store = stores(&server).swap_remove(which);
        let file = open(&cache, &store).unwrap();
        assert_eq!(file.len(), LEN as u64);
        read(&file, 100_000..100_001, 1);
        read(&file, LEN as u64 - 1..LEN as u64, 1);
        let requests = server.requests();
        let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
        assert_eq!(methods, ["HEAD", "GET", "GET"], "{}", store.0);
        let ranges: Vec<_> = requests.iter().filter_map(|request| request.range.clone()).collect();
        assert_eq!(ranges, [98_304..102_400, 299_008..300_000], "{}", store.0);
        assert!(requests[1].if_match.is_some() && requests[1].if_match == file.stat().validators.etag, "{}", store.0);
        server.reset_counters();
        read(&open(&cache, &store).unwrap(), 100_000..100_001, 1);
        assert_eq!(server.counters().requests, 0, "a second handle costs no request");
    }
}

#[test]
fn a_change_is_noticed() {
    for which in 0..4 {
        let ((cache, _directory), server) = (cache(), server());
        let store = stores(&server).swap_remove(which);
        let file = open(&cache, &store).unwrap();
        read(&file, 0..10, 1);
        server.put(PATH, object(2));
        let error = file.bytes(100_000..100_010).unwrap_err();
        assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
        assert_eq!(file.held().num_bytes(), PAGE);
        read(&open(&cache, &store).unwrap(), 0..LEN as u64, 2);
    }
}

#[test]
fn responses_are_checked_as_those_of_any_server() {
    let server = server();
    for store in stores(&server) {
        for (fault, changed) in [
            (Fault::FullInsteadOfPartial, false),
            (Fault::WrongRange { shift: PAGE }, false),
            (Fault::NoContentRange, false),
            (Fault::WrongTotal { total: 5 << 20 }, true),
            (Fault::ChangedEtag, true),
        ] {
            let (cache, _directory) = cache();
            let file = open(&cache, &store).unwrap();
            server.inject(fault.clone(), Times::every());
            let ReadError::Origin(error) = file.bytes(0..10).unwrap_err() else { panic!("not of the origin") };
            server.clear_faults();
            assert_eq!(matches!(error, OriginError::Changed { .. }), changed, "{fault:?}: {error}");
            assert!(!error.is_transient() && file.held().is_empty(), "{fault:?}: {error}");
        }
    }
}

#[test]
fn errors_tell_what_the_store_answered() {
    let server = server();
    for store in stores(&server) {
        let error_of = |status| {
            let (cache, _directory) = cache();
            server.inject(Fault::Status(status), Times::every().on(On::Both));
            let error = open(&cache, &store).unwrap_err();
            server.clear_faults();
            error
        };
        assert!(matches!(error_of(403), OriginError::Denied { status: 403, .. }));
        assert!(matches!(error_of(404), OriginError::NotFound { .. }));
        let error = error_of(503);
        assert!(matches!(error, OriginError::Status { status: 503, .. }) && error.is_transient(), "{error}");
        let error = error_of(301);
        assert!(error.to_string().contains("region") && !error.is_transient(), "{error}");
    }
}

#[test]
fn a_key_is_the_same_whenever_the_same_object_is_meant() {
    let key = |url: &str, options: &[(&str, &str)]| {
        let given = [("allow_http", "true"), ("skip_signature", "true")].iter().chain(options).copied();
        UrlOrigin::with_options(url, given).unwrap().key().to_owned()
    };
    let endpoint = [("endpoint", "http://127.0.0.1:9")];
    assert_eq!(key("s3://b/a/%3F", &endpoint), "s3://b/a/%3F?endpoint=http://127.0.0.1:9/");
    assert_eq!(key("s3://b/k", &endpoint), key("s3a://b/k", &endpoint));
    assert_eq!(
        key("s3://b/k", &endpoint),
        key("s3://b/k", &[endpoint[0], ("access_key_id", "a"), ("secret_access_key", "b")])
    );
    assert_ne!(key("s3://b/k", &endpoint), key("s3://b/k", &[("endpoint", "http://127.0.0.1:8")]));
    // An endpoint in a path is a path.
    assert_eq!(key("s3://b/k%3Fendpoint=a", &endpoint), "s3://b/k%3Fendpoint=a?endpoint=http://127.0.0.1:9/");

    let me = [("account_name", "me")];
    assert_eq!(key("az://c/k", &me), "az://c/k?account=me");
    assert_eq!(key("az://c/k", &me), key("abfss://c@me.dfs.core.windows.net/k", &[]));
    assert_eq!(key("az://c/k", &me), key("abfs://c@me.blob.core.windows.net/k", &[("account_name", "you")]));
    assert_ne!(key("az://c/k", &me), key("az://c/k", &[("account_name", "you")]));
    assert_ne!(key("gs://b/k", &[]), key("s3://b/k", &[]));
}

#[test]
fn urls_and_options_that_mean_nothing_are_refused() {
    for url in [
        "s3://bucket",
        "s3://bucket/",
        "s3:///path",
        "s3:bucket/path",
        "s3://bucket/a//b",
        "s3://bucket/a?versionId=secret",
        "s3://id:secret@bucket/a",
        "gs://secret@bucket/a",
        "az://container:secret@bucket/a",
        "abfs://container@host.example/a",
        "az://cont.ainer/a",
    ] {
        let options = [("skip_signature", "true"), ("account_name", "me")].into_iter().filter(|_| url.starts_with("a"));
        match UrlOrigin::with_options(url, options) {
            Err(error @ OriginError::InvalidUrl { .. }) => assert!(!error.to_string().contains("secret"), "{error}"),
            other => panic!("{url}: {other:?}"),
        }
    }
    let refused = |url, name, value| {
        let error = UrlOrigin::with_options(url, [(name, value)]).unwrap_err();
        assert!(matches!(error, OriginError::InvalidUrl { .. }), "{error}");
        error.to_string()
    };
    for url in ["s3://b/k", "gs://b/k", "az://c/k", "http://127.0.0.1/a"] {
        let error = refused(url, "no_such_option", "secret");
        assert!(error.contains("no_such_option") && !error.contains("secret"), "{error}");
        let error = refused(url, "read_timeout", "secret");
        assert!(error.contains("read_timeout") && !error.contains("secret"), "{error}");
    }
    for endpoint in ["secret", "http://me:secret@host", "http://host?sig=secret", "ftp://host/#secret"] {
        assert!(!refused("s3://b/k", "endpoint", endpoint).contains("secret@"), "{endpoint}");
    }
    assert!(!refused("gs://b/k", "service_account_key", "{\"private_key\": \"secret\"}").contains("secret"));
}

#[test]
fn credentials_that_cannot_be_had_are_an_error() {
    // Nobody listens at port 1, and so nobody gives credentials for this machine.
    let options =
        [("metadata_endpoint", "http://127.0.0.1:1"), ("endpoint", "http://127.0.0.1:1"), ("allow_http", "true")];
    let error = UrlOrigin::with_options("s3://bucket/key", options).unwrap().stat().unwrap_err();
    assert!(matches!(error, OriginError::Unreachable { .. }) && error.to_string().contains("refused"), "{error}");
}

#[test]
fn credentials_that_will_be_missing_again_are_not_waited_for() {
    let options = [
        ("account_name", "me"),
        ("client_id", "T0pSecret"),
        ("tenant_id", "tenant"),
        ("federated_token_file", "/does/not/exist"),
    ];
    let error = UrlOrigin::with_options("az://c/k", options).unwrap().stat().unwrap_err();
    assert!(matches!(error, OriginError::Store { .. }) && !error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("check the credentials"), "{error}");
}

#[test]
fn plain_http_is_an_option() {
    let ((cache, _directory), server) = (cache(), server());
    // Who gives Google's builder an endpoint by http has allowed that by it.
    for (url, mut options) in stores(&server).into_iter().filter(|(url, _)| !url.starts_with("gs")) {
        options.retain(|(name, _)| *name != "allow_http");
        let error = open(&cache, &(url, options)).unwrap_err();
        assert!(
            matches!(&error, OriginError::InvalidUrl { .. }) && error.to_string().contains("allow_http"),
            "{error}"
        );
    }
    assert_eq!(server.counters().requests, 0);
    // It is allowed in each way in which the builders take a yes.
    for yes in ["1", "ON", "Yes"] {
        let endpoint = server.url("");
        let options = [("endpoint", endpoint.as_str()), ("skip_signature", yes), ("allow_http", yes)];
        let origin = UrlOrigin::with_options("s3://bucket/a b/object.bin", options).unwrap();
        assert_eq!(origin.stat().unwrap().length, LEN as u64);
    }
}

#[test]
fn the_client_is_set_up_by_options() {
    let ((cache, _directory), server) = (cache(), server());
    // Nobody listens at port 1.
    let proxy = ("proxy_url", "http://127.0.0.1:1".to_owned());
    for (url, options) in stores(&server) {
        let error = open(&cache, &(url, [options, vec![proxy.clone()]].concat())).unwrap_err();
        assert!(matches!(error, OriginError::Unreachable { .. }), "{error}");
    }
    let error = UrlOrigin::with_options(&server.url(PATH), [proxy]).unwrap().stat().unwrap_err();
    assert!(matches!(error, OriginError::Unreachable { .. }), "{error}");
    assert_eq!(server.counters().requests, 0);
    let origin = UrlOrigin::with_options(&server.url(PATH), [("user_agent", "somebody")]).unwrap();
    assert_eq!(origin.stat().unwrap().length, LEN as u64);
}

#[test]
fn it_works_inside_of_any_runtime() {
    let server = server();
    let read_all = || {
        for store in stores(&server) {
            let (cache, _directory) = cache();
            read(&open(&cache, &store).unwrap(), 0..LEN as u64, 1);
        }
    };
    read_all();
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    current.block_on(async { read_all() });
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    multi.block_on(async { read_all() });
}

#[test]
fn a_child_of_a_fork_has_stores_of_its_own() {
    if !child::is_child() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = child::command(a_child_of_a_fork_has_stores_of_its_own);
        let output = command.env("DIR", directory.path().join("cache")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let server = server();
    let cache = Cache::builder(PathBuf::from(std::env::var_os("DIR").unwrap())).page_size(PAGE).open().unwrap();
    let mut stores = stores(&server);
    let http = UrlOrigin::new(&server.url(PATH)).unwrap();
    let mut files = vec![cache.file(http).unwrap()];
    // The last is the first by another name.
    stores.pop();
    files.extend(stores.iter().map(|store| open(&cache, store).unwrap()));
    for file in &files {
        read(file, 0..10, 1);
    }
    // SAFETY: the child uses nothing that another thread of this process may have locked, but for the allocator, which
    // the C library sees to.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let work = || files.iter().for_each(|file| read(file, 100_000..100_010, 1));
        let code = i32::from(catch_unwind(AssertUnwindSafe(work)).is_err());
        // SAFETY: as above.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: as above.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(status, 0, "the child failed");
    for file in &files {
        read(file, 200_000..200_010, 1);
    }
}
