//! Which requests a fault hits.

use crate::path;
use crate::request::{Method, RequestHead};

/// Which requests a fault hits: how many, after how many, of which method and path.
///
/// By default that is GET requests for any path, whether or not they have a range.
///
/// ```
/// use loopback_origin::{On, Times};
///
/// let third_only = Times::once().after(2);
/// let every_head = Times::every().on(On::Head);
/// let five_for_one_object = Times::next(5).at("/data.bin");
/// # let _ = (third_only, every_head, five_for_one_object);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// How many more matching requests go unharmed.
    pub(crate) skip: u64,
    /// How many more are hit; `None` for all.
    pub(crate) left: Option<u64>,
    on: On,
    path: Option<String>,
}

/// The methods that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum On {
    /// GET requests only, as by default.
    Get,
    /// HEAD requests only.
    Head,
    /// GET and HEAD requests.
    Both,
}

impl Times {
    /// The next matching request.
    #[must_use]
    pub fn once() -> Times {
        Times::next(1)
    }

    /// The next `count` matching requests.
    #[must_use]
    pub fn next(count: u64) -> Times {
        Times { left: Some(count), ..Times::every() }
    }

    /// All matching requests, until [`clear_faults`](crate::Origin::clear_faults).
    #[must_use]
    pub fn every() -> Times {
        Times { skip: 0, left: None, on: On::Get, path: None }
    }

    /// Lets the first `skipped` matching requests go unharmed.
    #[must_use = "this takes the times and gives them back changed"]
    pub fn after(mut self, skipped: u64) -> Times {
        self.skip = skipped;
        self
    }

    /// Matches requests with other methods than GET.
    #[must_use = "this takes the times and gives them back changed"]
    pub fn on(mut self, methods: On) -> Times {
        self.on = methods;
        self
    }

    /// Matches requests for this path only. It is written as for
    /// [`Origin::put`](crate::Origin::put).
    #[must_use = "this takes the times and gives them back changed"]
    pub fn at(mut self, path: &str) -> Times {
        self.path = Some(path::with_leading_slash(path));
        self
    }

    pub(crate) fn matches(&self, request: &RequestHead) -> bool {
        let method = match request.method {
            Method::Get => matches!(self.on, On::Get | On::Both),
            Method::Head => matches!(self.on, On::Head | On::Both),
            Method::Other(_) => false,
        };
        method && self.path.as_ref().is_none_or(|path| *path == request.path)
    }
}
