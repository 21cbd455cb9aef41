//! How long one attempt at a request may take.

use std::time::Duration;

/// How long one attempt at a request may take. An attempt that is given up has brought what had come by then; the cache
/// asks for the rest, or tries again, by its [`RetryPolicy`](crate::RetryPolicy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimits {
    /// How long nothing may come: no head of the response, connecting included, or no further byte of its body.
    pub stall: Duration,
    /// How long all of it may take. Of a response that trickles so much is waited for.
    pub total: Duration,
}

impl Default for AttemptLimits {
    /// Half a minute of silence, and a minute in all: a server that is merely slow answers within that, and of one that
    /// trickles a fresh connection may get more.
    fn default() -> Self {
        Self { stall: Duration::from_secs(30), total: Duration::from_secs(60) }
    }
}
