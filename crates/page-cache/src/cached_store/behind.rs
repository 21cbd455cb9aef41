//! What is done behind answers, and beside the first request of an object: in bounds, so that memory is.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many objects are opened and stored at once behind answers that were given; who comes beyond that answers only
/// when his is stored.
const MAX_BEHIND: u32 = 16;

/// What a store may do at once in this process.
#[derive(Debug)]
pub(super) struct Behind {
    openings: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

/// May be held on to until something is done.
pub(super) type Permit = OwnedSemaphorePermit;

impl Behind {
    /// With so many requests beyond the first one of each object.
    pub(super) fn new(requests: usize) -> Self {
        let semaphore = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { openings: semaphore(MAX_BEHIND as usize), requests: semaphore(requests) }
    }

    /// Whether one more answer may be given before its bytes are stored.
    pub(super) fn answer_before(&self) -> Option<Permit> {
        Arc::clone(&self.openings).try_acquire_owned().ok()
    }

    /// As many further requests as there may be just now, but no more than so many. Nobody waits for them: what is not
    /// asked for now is when it is read.
    pub(super) fn further_requests(&self, count: usize) -> Vec<Permit> {
        (0..count).map_while(|_| Arc::clone(&self.requests).try_acquire_owned().ok()).collect()
    }

    /// Waits until nothing is under way behind an answer.
    pub(super) async fn settled(&self) {
        // It is never closed.
        _ = self.openings.acquire_many(MAX_BEHIND).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn there_are_bounds() {
        let behind = Behind::new(3);
        let some = behind.further_requests(2);
        assert_eq!((some.len(), behind.further_requests(5).len()), (2, 1));
        drop(some);
        assert_eq!(behind.further_requests(5).len(), 3);

        let mut permits: Vec<_> = (0..MAX_BEHIND).map_while(|_| behind.answer_before()).collect();
        assert!(permits.len() == MAX_BEHIND as usize && behind.answer_before().is_none());
        let mut settled = pin!(behind.settled());
        let mut context = Context::from_waker(Waker::noop());
        while let Some(permit) = permits.pop() {
            assert!(settled.as_mut().poll(&mut context).is_pending());
            drop(permit);
        }
        assert!(settled.as_mut().poll(&mut context).is_ready());
        assert!(behind.answer_before().is_some());
    }
}
