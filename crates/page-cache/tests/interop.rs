//! What `cargo xtask interop` runs against real servers: a program without the test harness, which is told by the
//! environment whom to read from. Untold it reads from the loopback server of all the other tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

#[path = "it/cached_store/suite.rs"]
mod suite;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use loopback_origin::{Object, Origin as Server};
use object_store::integration::MarkerHttpConnector;
use page_cache::object_store::ObjectStoreExt;
use page_cache::object_store::aws::{AmazonS3, AmazonS3Builder, S3CopyIfNotExists};
use page_cache::{Cache, CachedFile, Freshness, OriginError, ReadError, UrlOrigin};

const LEN: usize = 3_000_000;
const PAGE: u64 = 64 << 10;

/// Who has the object, and how another version is put there.
enum Place {
    Loopback(Server),
    /// A web server for the files of a directory.
    Files {
        directory: PathBuf,
        address: SocketAddr,
    },
    /// A server of the S3 protocol with a bucket `bucket`.
    S3 {
        address: SocketAddr,
    },
}

impl Place {
    fn told() -> Self {
        let address = || std::env::var("INTEROP_ADDRESS").unwrap().parse().unwrap();
        match std::env::var("INTEROP").as_deref() {
            Err(_) => Self::Loopback(Server::builder().start().unwrap()),
            Ok("files") => {
                let directory = std::env::var_os("INTEROP_DIRECTORY").unwrap().into();
                Self::Files { directory, address: address() }
            }
            Ok("s3") => {
                make_bucket(address(), "bucket");
                Self::S3 { address: address() }
            }
            Ok(other) => panic!("{other} is no kind of server"),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Loopback(server) => server.address(),
            Self::Files { address, .. } | Self::S3 { address } => *address,
        }
    }

    fn put(&self, version: u64) {
        // Validators of files know no fractions of a second.
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs((1 << 30) + version * 100);
        match self {
            Self::Loopback(server) => {
                server.put("/bucket/object", Object::from_bytes(bytes(version)).with_last_modified(date));
            }
            Self::Files { directory, .. } => {
                let (path, temporary) = (directory.join("bucket/object"), directory.join("temporary"));
                std::fs::create_dir_all(directory.join("bucket")).unwrap();
                std::fs::write(&temporary, bytes(version)).unwrap();
                std::fs::File::options().write(true).open(&temporary).unwrap().set_modified(date).unwrap();
                std::fs::rename(&temporary, &path).unwrap();
            }
            Self::S3 { address } => {
                let store = s3(*address, "bucket");
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(store.put(&"object".into(), bytes(version).into())).unwrap();
            }
        }
    }

    /// An object, by way of a forwarder.
    fn origin(&self, forwarder: &Forwarder, name: &str) -> UrlOrigin {
        let endpoint = format!("http://{}", forwarder.address);
        match self {
            Self::S3 { .. } => {
                let options = [
                    ("endpoint", endpoint.as_str()),
                    ("allow_http", "true"),
                    ("access_key_id", "id"),
                    ("secret_access_key", "key"),
                ];
                UrlOrigin::with_options(&format!("s3://bucket/{name}"), options).unwrap()
            }
            _ => UrlOrigin::new(&format!("{endpoint}/bucket/{name}")).unwrap(),
        }
    }
}

fn make_bucket(address: SocketAddr, bucket: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("PUT /{bucket} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn s3(address: SocketAddr, bucket: &str) -> AmazonS3 {
    let builder = AmazonS3Builder::new().with_bucket_name(bucket).with_endpoint(format!("http://{address}"));
    let builder = builder.with_allow_http(true).with_access_key_id("id").with_secret_access_key("key");
    let builder = builder.with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
    builder.with_http_connector(MarkerHttpConnector::default()).build().unwrap()
}

/// The functions of `object_store` itself, each in a bucket of its own. There is none that the server fails alone.
fn conforms(address: SocketAddr) {
    let made = AtomicU64::new(0);
    let make = || {
        let bucket = format!("suite-{}", made.fetch_add(1, Ordering::Relaxed));
        make_bucket(address, &bucket);
        Arc::new(s3(address, &bucket)) as _
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(suite::run(make, true, &[]));
}

fn bytes(version: u64) -> Vec<u8> {
    (0..LEN as u64).map(|at| (at.wrapping_mul(2_654_435_761 + version) >> 13) as u8).collect()
}

/// Between the client and the server; it keeps what the client sends, which are heads of requests without bodies.
struct Forwarder {
    address: SocketAddr,
    sent: Arc<Mutex<String>>,
}

impl Forwarder {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, sent) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(String::new())));
        let kept = Arc::clone(&sent);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || forward(back.0, back.1, None));
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || forward(client, server, Some(kept)));
            }
        });
        Self { address, sent }
    }

    /// The requests since the last call, in lower case.
    fn requests(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.sent.lock().unwrap()).to_lowercase();
        text.split_terminator("\r\n\r\n").map(str::to_owned).collect()
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, keep: Option<Arc<Mutex<String>>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(got @ 1..) = from.read(&mut buffer) {
        if let Some(keep) = &keep {
            keep.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..got]));
        }
        if to.write_all(&buffer[..got]).is_err() {
            break;
        }
    }
    // Whether the other side is still there does not matter.
    _ = to.shutdown(Shutdown::Write);
}

fn cache(directory: &Path, freshness: Freshness) -> Cache {
    Cache::builder(directory).page_size(PAGE).freshness(freshness).open().unwrap()
}

fn read(file: &CachedFile, range: std::ops::Range<u64>, version: u64) {
    let expected = &bytes(version)[range.start as usize..range.end as usize];
    assert!(file.bytes(range.clone()).unwrap() == *expected, "wrong bytes in {range:?}");
}

fn main() {
    let place = Place::told();
    let forwarder = Forwarder::start(place.address());
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
    place.put(1);

    // Cold: the metadata, and the bytes, each once.
    let file = cache(&one, Freshness::default()).file(place.origin(&forwarder, "object")).unwrap();
    read(&file, 0..LEN as u64, 1);
    assert_eq!(file.stats().origin_bytes, LEN as u64);
    let requests = forwarder.requests();
    assert!(requests[0].starts_with("head ") && requests.len() > 1, "{requests:#?}");
    drop(file);

    // Warm: by another handle, without any request.
    let file = cache(&one, Freshness::default()).file(place.origin(&forwarder, "object")).unwrap();
    read(&file, 0..LEN as u64, 1);
    assert_eq!(forwarder.requests(), [""; 0]);

    // The end, by a request for the last page that is conditional on the version.
    let file = cache(&two, Freshness::default()).file(place.origin(&forwarder, "object")).unwrap();
    read(&file, LEN as u64 - 10..LEN as u64, 1);
    let requests = forwarder.requests();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    let last_page = format!("range: bytes={}-{}", (LEN as u64 - 1) / PAGE * PAGE, LEN - 1);
    assert!(requests[1].starts_with("get ") && requests[1].contains(&last_page), "{requests:#?}");
    assert!(requests[1].contains("if-match: "), "{requests:#?}");

    // Another version: seen by who reads on, refused by the server, and read by who opens anew.
    place.put(2);
    let error = file.bytes(0..10).unwrap_err();
    assert!(matches!(error, ReadError::Origin(OriginError::Changed { .. })), "{error}");
    read(&file, LEN as u64 - 10..LEN as u64, 1);
    let file = cache(&two, Freshness::Always).file(place.origin(&forwarder, "object")).unwrap();
    read(&file, 0..LEN as u64, 2);

    // Nothing.
    let error = cache(&two, Freshness::default()).file(place.origin(&forwarder, "absent")).unwrap_err();
    assert!(matches!(error, OriginError::NotFound { .. }), "{error}");
    if let Place::S3 { address } = place {
        conforms(address);
    }
    println!("cold, warm, the end, another version, nothing: as it should be");
}
