//! The file behind a URL: a loopback server on a port that is the same the next time.

use std::path::Path;

use loopback_origin::{Counters, Object, Origin};

use crate::exit::Failure;

/// A file that is being served.
#[derive(Debug)]
pub(crate) struct Served {
    origin: Origin,
    url: String,
}

impl Served {
    /// Serves `path` on the port that is remembered in the directory `beside`, or on another if that is taken.
    ///
    /// The same file has the same URL and the same ETag the next time, so what was kept of it is found again.
    pub(crate) fn start(path: &Path, beside: &Path) -> Result<Self, Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let url_path = format!("/{name}");
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
        Ok(Self { origin, url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn counters(&self) -> Counters {
        self.origin.counters()
    }

    pub(crate) fn reset_counters(&self) {
        self.origin.reset_counters();
    }
}
