//! The file behind a URL: a loopback server on a port that is the same the next time.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use loopback_origin::{Counters, Object, Origin};
use sha2::{Digest, Sha256};

use super::subject::hex;
use crate::exit::Failure;

/// A file that is being served.
#[derive(Debug)]
pub(crate) struct Served {
    origin: Origin,
    url: String,
    path: PathBuf,
}

impl Served {
    /// Serves `path` on the port that is remembered in the directory `beside`, or on another if that is taken.
    ///
    /// The same file has the same URL and the same ETag the next time, so what was kept of it is found again. Another
    /// file, or another version of it, has another URL: within a minute nobody would ask whether it has changed.
    pub(crate) fn start(path: &Path, beside: &Path) -> Result<Self, Failure> {
        let url_path = url_path(path).map_err(Failure::io(format!("cannot read {}", path.display())))?;
        let remembered = beside.join("port");
        let port = std::fs::read_to_string(&remembered).ok().and_then(|port| port.trim().parse().ok()).unwrap_or(0);
        let serve = |port| -> Result<Origin, loopback_origin::Error> {
            Origin::builder().port(port).serve(&url_path, Object::from_file(path)?).start()
        };
        let origin = match serve(port) {
            Err(_) if port != 0 => serve(0)?,
            started => started?,
        };
        if origin.port() != port {
            std::fs::write(&remembered, origin.port().to_string())
                .map_err(Failure::io(format!("cannot write {}", remembered.display())))?;
        }
        let url = origin.url(&url_path);
        Ok(Self { origin, url, path: path.to_owned() })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The file itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn counters(&self) -> Counters {
        self.origin.counters()
    }

    pub(crate) fn reset_counters(&self) {
        self.origin.reset_counters();
    }
}

/// A path that names a file and its version: a digest of where it is, how long it is, and when it was written.
fn url_path(path: &Path) -> io::Result<String> {
    let canonical = path.canonicalize()?;
    let metadata = canonical.metadata()?;
    let digest = Sha256::new_with_prefix(canonical.as_os_str().as_bytes())
        .chain_update(metadata.len().to_le_bytes())
        .chain_update(metadata.mtime().to_le_bytes())
        .chain_update(metadata.mtime_nsec().to_le_bytes())
        .finalize();
    let name = canonical.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("/{}/{name}", &hex(&digest)[..12]))
}
