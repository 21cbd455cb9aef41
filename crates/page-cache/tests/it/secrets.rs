//! A secret given in any of the places where one may be given shows nowhere: in no message, log or file.

use std::fmt::{Debug, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use loopback_origin::{Fault, Object, On, Origin as Server, Times};
use page_cache::{Cache, Origin, RetryPolicy, UrlOrigin};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::child;
use crate::memory_origin::pattern;

/// Is in each of them, and is valid base 64, which some have to be.
const SECRET: &str = "T0pSecret";

/// By the environment.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("AWS_ACCESS_KEY_ID", "T0pSecretId"),
    ("AWS_SECRET_ACCESS_KEY", "T0pSecretKey"),
    ("AWS_SESSION_TOKEN", "T0pSecretToken"),
    ("AZURE_STORAGE_ACCOUNT_NAME", "me"),
    ("AZURE_STORAGE_ACCOUNT_KEY", "T0pSecretKey"),
    ("GOOGLE_BEARER_TOKEN", "T0pSecretToken"),
];

/// Keeps all that anybody in this process says, whatever its level.
struct Everything(Mutex<String>);

static EVERYTHING: Everything = Everything(Mutex::new(String::new()));

impl Everything {
    fn add(&self, record: impl FnOnce(&mut Text<'_>)) {
        record(&mut Text(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}

impl Subscriber for &'static Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.add(|text| attributes.record(text));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.add(|text| values.record(text));
    }

    fn event(&self, event: &Event<'_>) {
        self.add(|text| event.record(text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0, "{field}={value:?}").unwrap();
    }
}

/// Each place by URL and options, for a server.
fn places(server: &Server) -> Vec<(String, Vec<(&'static str, String)>)> {
    let base = server.url("").trim_end_matches('/').to_owned();
    let url = |query: &str| format!("{}{query}", server.url("/bucket/object"));
    let with_user = url("").replace("http://", "http://me:T0pSecret@");
    let s3 = |more: &[(&'static str, &str)]| {
        let more = more.iter().map(|&(name, value)| (name, value.to_owned()));
        let options = [("endpoint", base.clone()), ("allow_http", "true".into())].into_iter().chain(more).collect();
        ("s3://bucket/object".to_owned(), options)
    };
    let gs = |more: (&'static str, &str)| {
        let more = (more.0, more.1.to_owned());
        ("gs://bucket/object".to_owned(), vec![("base_url", base.clone()), ("allow_http", "true".into()), more])
    };
    let az = |more: (&'static str, &str)| {
        let more = (more.0, more.1.to_owned());
        ("az://bucket/object".to_owned(), vec![("endpoint", base.clone()), ("allow_http", "true".into()), more])
    };
    vec![
        (with_user, vec![]),
        (url("?X-Amz-Credential=T0pSecret&X-Amz-Signature=T0pSecret"), vec![]),
        (url("?sv=1&sig=T0pSecret"), vec![]),
        (url("?token=T0pSecret&api_key=T0pSecret&client_secret=T0pSecret&X-Plex-Token=T0pSecret"), vec![]),
        (url(""), vec![("proxy_url", "http://me:T0pSecret@127.0.0.1:1".into())]),
        // By the environment alone.
        s3(&[]),
        s3(&[("access_key_id", "T0pSecretId2"), ("secret_access_key", "T0pSecretKey2"), ("token", "T0pSecretToken2")]),
        s3(&[
            ("sse_customer_key_base64", "T0pSecretT0pSecretT0pSecretT0pSecretT0pSecre"),
            ("aws_server_side_encryption", "sse-c"),
        ]),
        s3(&[("proxy_url", "http://me:T0pSecret@127.0.0.1:1")]),
        s3(&[("region", "T0pSecret"), ("proxy_excludes", "T0pSecret"), ("user_agent", "T0pSecret")]),
        s3(&[("allow_invalid_certificates", "T0pSecret")]),
        s3(&[("no_such_option", "T0pSecret")]),
        s3(&[("timeout", "T0pSecret")]),
        s3(&[("endpoint", "http://me:T0pSecret@127.0.0.1:1")]),
        s3(&[("endpoint", "T0pSecret")]),
        ("s3://me:T0pSecret@bucket/object".to_owned(), vec![]),
        ("s3://bucket/object?versionId=T0pSecret".to_owned(), vec![]),
        gs(("bearer_token", "T0pSecret")),
        gs(("service_account_key", "{\"private_key\": \"T0pSecret\", \"private_key_id\": 5}")),
        gs(("service_account_path", "/T0pSecret")),
        az(("account_key", "T0pSecretKey2")),
        az(("account_key", "T0pSecret, which is no base 64")),
        az(("sas_token", "sv=1&sig=T0pSecret")),
        az(("bearer_token", "T0pSecret")),
        az(("client_secret", "T0pSecret")),
        ("abfss://bucket:T0pSecret@me.dfs.core.windows.net/object".to_owned(), vec![]),
    ]
}

#[test]
fn a_secret_shows_nowhere() {
    if !child::is_child() {
        let directory = tempfile::tempdir().unwrap();
        let mut command = child::command(a_secret_shows_nowhere);
        let output = command.env("DIR", directory.path()).envs(ENVIRONMENT).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&printed).contains(SECRET), "it was printed");
        assert_eq!(look_through(directory.path()), 0, "it is in a file, or in the name of one");
        return;
    }
    tracing::subscriber::set_global_default(&EVERYTHING).unwrap();
    let directory = std::env::var_os("DIR").unwrap();
    let object = Object::from_bytes(pattern(50_000, 1)).with_last_modified(UNIX_EPOCH + Duration::from_secs(1 << 30));
    let server = Server::builder().serve("/bucket/object", object).start().unwrap();
    let mut shown = String::new();
    let mut show = |what: &dyn Debug, text: &str| writeln!(shown, "{what:?} {text}").unwrap();
    let (mut read, mut failed) = (0, 0);
    for (index, (url, options)) in places(&server).into_iter().enumerate() {
        let origin = match UrlOrigin::with_options(&url, options) {
            Ok(origin) => origin,
            Err(error) => {
                show(&error, &error.to_string());
                failed += 1;
                continue;
            }
        };
        show(&origin, origin.key());
        // A directory each, since some of them are one object.
        let builder = Cache::builder(Path::new(&directory).join(index.to_string())).page_size(4096);
        let cache = builder.retry(RetryPolicy::never()).open().unwrap();
        show(&cache, "");
        let file = match cache.file(origin) {
            Ok(file) => file,
            Err(error) => {
                show(&error, &error.to_string());
                failed += 1;
                continue;
            }
        };
        assert!(file.bytes(0..10).unwrap() == pattern(50_000, 1)[..10]);
        read += 1;
        show(&file, file.key());
        for entry in cache.entries() {
            show(&entry, "");
        }
        for fault in [
            Fault::Status(400),
            Fault::Status(403),
            Fault::Status(404),
            Fault::Status(503),
            Fault::NoContentRange,
            Fault::FullInsteadOfPartial,
            Fault::ShortBody { missing: u64::MAX },
            Fault::ChangedEtag,
        ] {
            server.inject(fault, Times::every().on(On::Both));
            let error = file.bytes(20_000..20_010).unwrap_err();
            show(&error, &error.to_string());
            server.clear_faults();
        }
    }
    assert!(read >= 12 && failed >= 10, "{read} {failed} {}", shown.replace(SECRET, "???"));
    let log = EVERYTHING.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(log.contains("fetch") && log.contains("bucket/object"), "nothing was said, so nothing is shown by that");
    for (which, text) in [("messages", shown), ("log", log)] {
        let line = text.lines().find(|line| line.contains(SECRET));
        // Not to be printed, or the test's other half would not know what was at fault.
        assert_eq!(line.map(|line| line.replace(SECRET, "???")), None, "{which}");
    }
}

/// In how many files below a directory, or names of them, the secret is.
fn look_through(directory: &Path) -> usize {
    let (mut found, mut keys) = (0, 0);
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            found += usize::from(path.to_string_lossy().contains(SECRET));
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let content = std::fs::read(path).unwrap();
            let holds = |text: &str| content.windows(text.len()).any(|bytes| bytes == text.as_bytes());
            found += usize::from(holds(SECRET));
            keys += usize::from(holds("bucket/object"));
        }
    }
    assert!(keys >= 12, "what was read is in some file");
    found
}
