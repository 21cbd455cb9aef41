//! A server with a file, a cache directory, and the command between them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use loopback_origin::Origin;
use tempfile::TempDir;

pub(crate) const LEN: usize = 1_000_003;

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

pub(crate) struct Scene {
    pub(crate) origin: Origin,
    pub(crate) bytes: Vec<u8>,
    pub(crate) directory: TempDir,
}

pub(crate) fn scene() -> Scene {
    let bytes = pattern(LEN);
    let origin = Origin::builder().serve_bytes("/huge.bin", bytes.clone()).start().unwrap();
    Scene { origin, bytes, directory: tempfile::tempdir().unwrap() }
}

impl Scene {
    pub(crate) fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    pub(crate) fn url(&self) -> String {
        self.origin.url("/huge.bin")
    }

    pub(crate) fn svf(&self, arguments: &[&str]) -> Output {
        svf(&self.cache(), arguments)
    }

    pub(crate) fn get(&self, range: &str) -> Output {
        self.svf(&["get", &self.url(), "--range", range])
    }
}

pub(crate) fn svf(cache: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svf"));
    command.args(arguments).arg("--cache-dir").arg(cache).env_remove("XDG_CACHE_HOME").env_remove("HOME");
    command.stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn stdout_of(output: &Output) -> &[u8] {
    assert!(output.status.success(), "{output:?}");
    &output.stdout
}

/// The one line of a failure with this code; nothing else was printed.
pub(crate) fn failure(output: &Output, code: i32) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(output.stdout, b"", "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("svf: "), "{error}");
    error
}
