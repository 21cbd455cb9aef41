//! One request to a store, sent once, within time limits.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore};
use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, Rejected};
use super::version::looked_at;
use crate::origin::Stat;
use crate::runtime::{self, Abandoned};

/// How long one request may take. What came of a body before the time was up is not lost: the rest is asked for by
/// another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long no byte may come, before the response begins or within it. Default: 30 s.
    pub stall: Duration,
    /// How long the request may take in all, from the connection to the last byte. Default: 2 min.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // A server that has gone silent is given up soon, one that is merely slow is not.
        Self { stall: Duration::from_secs(30), total: Duration::from_secs(120) }
    }
}

impl Timeouts {
    /// The same with another [`stall`](Self::stall).
    #[must_use = "this gives changed timeouts back"]
    pub fn with_stall(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    /// The same with another [`total`](Self::total).
    #[must_use = "this gives changed timeouts back"]
    pub fn with_total(self, total: Duration) -> Self {
        Self { total, ..self }
    }
}

/// One request about the object at a path of a store.
pub(in crate::origin) struct Attempt {
    pub(in crate::origin) store: Arc<dyn ObjectStore>,
    pub(in crate::origin) path: Path,
    pub(in crate::origin) options: GetOptions,
    pub(in crate::origin) timeouts: Timeouts,
}

impl Attempt {
    /// The object's length and validators. Blocks.
    pub(in crate::origin) fn stat(self) -> Result<Stat, Failure> {
        block_on(self.timeouts, async move {
            let deadline = Deadline::of(self.timeouts);
            let response = deadline.bound(self.store.get_opts(&self.path, self.options)).await??;
            Ok(looked_at(&response.meta))
        })
    }

    /// The bytes of a range, which must be the one in the options, or the first of them if no more came. `check` sees
    /// the response before its body is read. Blocks.
    pub(in crate::origin) fn read(
        self,
        range: Range<u64>,
        check: impl FnOnce(&GetResult) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Bytes, Failure> {
        block_on(self.timeouts, async move {
            let deadline = Deadline::of(self.timeouts);
            let response = deadline.bound(self.store.get_opts(&self.path, self.options)).await??;
            check(&response)?;
            collect(response, range, deadline).await
        })
    }
}

/// How much later than the future itself who waits for it gives up: only if the future cannot do so.
const GRACE: Duration = Duration::from_secs(1);

fn block_on<T: Send + 'static>(
    timeouts: Timeouts,
    future: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    runtime::block_on(future, timeouts.total.checked_add(GRACE)).unwrap_or_else(|abandoned| {
        let reason = abandoned.to_string();
        Err(match abandoned {
            Abandoned::Late(_) => Failure::TimedOut(reason),
            Abandoned::OnItsOwnThread => Failure::NotSent(reason),
            Abandoned::NotStarted(_) | Abandoned::Died => Failure::Abandoned(reason),
        })
    })
}

/// When a request must be at its end.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    timeouts: Timeouts,
    end: Option<Instant>,
}

impl Deadline {
    fn of(timeouts: Timeouts) -> Self {
        Self { timeouts, end: Instant::now().checked_add(timeouts.total) }
    }

    /// Waits for something until the end. A store may send several requests for one, for credentials perhaps, and so
    /// how long one of them may be silent is left to it.
    async fn bound<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let Some(end) = self.end else { return Ok(future.await) };
        timeout_at(end, future).await.map_err(|_| self.passed())
    }

    /// Waits for a part of a body.
    async fn bound_part<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let silent = Instant::now().checked_add(self.timeouts.stall);
        match (silent, self.end) {
            (Some(silent), end) if end.is_none_or(|end| silent < end) => {
                let stall = self.timeouts.stall;
                timeout_at(silent, future).await.map_err(|_| Failure::TimedOut(format!("nothing came for {stall:?}")))
            }
            _ => self.bound(future).await,
        }
    }

    fn passed(&self) -> Failure {
        Failure::TimedOut(format!("the response was not complete within {:?}", self.timeouts.total))
    }
}

/// The body, if it is exactly as long as was asked for, or what came of it if it breaks off; no more of a longer one is
/// read than tells that it is.
async fn collect(response: GetResult, asked: Range<u64>, deadline: Deadline) -> Result<Bytes, Failure> {
    if response.range != asked {
        return Err(Rejected::Invalid(format!("it is bytes {}..{}", response.range.start, response.range.end)).into());
    }
    let expected = asked.end - asked.start;
    let mut body = response.into_stream();
    let mut bytes = BytesMut::with_capacity(expected as usize);
    loop {
        let broken = match deadline.bound_part(body.next()).await {
            Ok(Some(Ok(part))) => {
                if (bytes.len() + part.len()) as u64 > expected {
                    let reason = format!("its body is longer than the {expected} bytes asked for");
                    return Err(Rejected::Invalid(reason).into());
                }
                bytes.extend_from_slice(&part);
                continue;
            }
            Ok(None) => break,
            Ok(Some(Err(error))) => Failure::Store(error),
            Err(late) => late,
        };
        if bytes.is_empty() {
            return Err(broken);
        }
        tracing::debug!(got = bytes.len(), expected, reason = broken.reason(), "a response broke off");
        return Ok(bytes.freeze());
    }
    // One that ends too early without a sign of trouble is a beginning as well.
    if bytes.is_empty() {
        return Err(Rejected::Invalid("its body is empty".to_owned()).into());
    }
    Ok(bytes.freeze())
}
