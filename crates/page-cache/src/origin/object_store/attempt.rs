//! One request to a store, sent once, within time limits.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Attributes, Extensions, GetOptions, GetResult, ObjectMeta, ObjectStore};
use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, Rejected};
use super::version::looked_at;
use crate::origin::Stat;
use crate::runtime;

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
pub(crate) struct Attempt {
    pub(in crate::origin) store: Arc<dyn ObjectStore>,
    pub(in crate::origin) path: Path,
    pub(in crate::origin) options: GetOptions,
    pub(in crate::origin) timeouts: Timeouts,
}

/// An answer of which the body has not been read yet.
pub(crate) struct Begun {
    response: GetResult,
    deadline: Deadline,
}

/// What a store says of an object, and what it gives of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) meta: ObjectMeta,
    pub(crate) attributes: Attributes,
    pub(crate) extensions: Extensions,
    /// Where its bytes start, and the bytes; none if there are too many of them, or not as many as it says.
    pub(crate) bytes: Option<(u64, Bytes)>,
}

impl Attempt {
    /// Sends it, and waits until the answer begins.
    pub(crate) async fn begin(self) -> Result<Begun, Failure> {
        let deadline = Deadline::of(self.timeouts);
        let response = deadline.bound(self.store.get_opts(&self.path, self.options)).await??;
        Ok(Begun { response, deadline })
    }

    /// The object's length and validators. Blocks.
    pub(in crate::origin) fn stat(self) -> Result<Stat, Failure> {
        block_on(self.timeouts, async move { Ok(self.begin().await?.stat()) })
    }

    /// The bytes of a range, which must be the one in the options, or the first of them if no more came. `check` sees
    /// the response before its body is read. Blocks.
    pub(in crate::origin) fn read(
        self,
        range: Range<u64>,
        check: impl FnOnce(&GetResult) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Bytes, Failure> {
        block_on(self.timeouts, async move {
            let Begun { response, deadline } = self.begin().await?;
            check(&response)?;
            collect(response, range, deadline).await
        })
    }
}

impl Begun {
    /// What it says of the object, which was looked at just now.
    pub(crate) fn stat(&self) -> Stat {
        looked_at(&self.response.meta)
    }

    /// The whole of it, but no more than `longest` bytes.
    pub(crate) async fn finish(self, longest: u64) -> Result<Answer, Failure> {
        let Self { response, deadline } = self;
        let GetResult { meta, attributes, range, .. } = &response;
        let (meta, attributes, extensions) = (meta.clone(), attributes.clone(), response.extensions.clone());
        let (start, expected) = (range.start, range.end.saturating_sub(range.start));
        let mut bytes = None;
        if expected > 0 && expected <= longest {
            let range = range.clone();
            // What is not as long as it says, or breaks off, is fetched again, with all checks.
            match collect(response, range, deadline).await {
                Ok(whole) if whole.len() as u64 == expected => bytes = Some((start, whole)),
                Ok(part) => tracing::debug!(got = part.len(), expected, "a first answer is not complete"),
                Err(failed) => tracing::debug!(reason = failed.reason(), "a first answer brings no bytes"),
            }
        }
        Ok(Answer { meta, attributes, extensions, bytes })
    }
}

/// How much later than the future itself who waits for it gives up: only if the future cannot do so.
const GRACE: Duration = Duration::from_secs(1);

fn block_on<T: Send + 'static>(
    timeouts: Timeouts,
    future: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    runtime::block_on(future, timeouts.total.checked_add(GRACE)).unwrap_or_else(|abandoned| Err(abandoned.into()))
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
    // One that comes in one part is not copied.
    let (mut whole, mut bytes) = (Bytes::new(), BytesMut::new());
    loop {
        let broken = match deadline.bound_part(body.next()).await {
            Ok(Some(Ok(part))) => {
                if (whole.len() + bytes.len() + part.len()) as u64 > expected {
                    let reason = format!("its body is longer than the {expected} bytes asked for");
                    return Err(Rejected::Invalid(reason).into());
                }
                if part.len() as u64 == expected {
                    whole = part;
                } else {
                    bytes.reserve(expected as usize - bytes.len());
                    bytes.extend_from_slice(&part);
                }
                continue;
            }
            Ok(None) => break,
            Ok(Some(Err(error))) => Failure::Store(error),
            Err(late) => late,
        };
        if whole.is_empty() && bytes.is_empty() {
            return Err(broken);
        }
        tracing::debug!(got = whole.len() + bytes.len(), expected, reason = broken.reason(), "a response broke off");
        break;
    }
    let bytes = if whole.is_empty() { bytes.freeze() } else { whole };
    // One that ends too early without a sign of trouble is a beginning as well.
    if bytes.is_empty() {
        return Err(Rejected::Invalid("its body is empty".to_owned()).into());
    }
    Ok(bytes)
}
