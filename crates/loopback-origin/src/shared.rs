//! What the origin and its threads share: the objects, the settings, the books and the stop signal.
//!
//! No lock in here is held across input or output.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::fault::Fault;
use crate::fault_queue::FaultQueue;
use crate::ledger::Ledger;
use crate::object::Object;
use crate::request::RequestHead;
use crate::times::Times;

/// See the head of this module.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    objects: RwLock<HashMap<String, Arc<Object>>>,
    faults: Mutex<FaultQueue>,
    delay: Mutex<Duration>,
    /// No connection is served before then.
    refusing: Mutex<Option<Instant>>,
    pub(crate) ledger: Ledger,
    pub(crate) stop: StopSignal,
}

impl Shared {
    pub(crate) fn object(&self, path: &str) -> Option<Arc<Object>> {
        self.objects.read().get(path).cloned()
    }

    pub(crate) fn put(&self, path: String, object: Object) {
        self.objects.write().insert(path, Arc::new(object));
    }

    pub(crate) fn remove(&self, path: &str) -> bool {
        self.objects.write().remove(path).is_some()
    }

    pub(crate) fn inject(&self, fault: Fault, times: Times) {
        self.faults.lock().push(fault, times);
    }

    pub(crate) fn inject_random(&self, seed: u64, rate: f64, faults: &[Fault]) {
        self.faults.lock().mix(seed, rate, faults);
    }

    pub(crate) fn clear_faults(&self) {
        self.faults.lock().clear();
    }

    pub(crate) fn take_fault(&self, request: &RequestHead) -> Option<Fault> {
        self.faults.lock().take(request)
    }

    /// Sets for how long connections are refused from now on.
    pub(crate) fn refuse(&self, duration: Duration) {
        // A time that no clock reaches is for ever as well as a century is.
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        *self.refusing.lock() = Some(Instant::now() + duration.min(century));
    }

    pub(crate) fn is_refusing(&self) -> bool {
        self.refusing.lock().is_some_and(|end| Instant::now() < end)
    }

    pub(crate) fn delay(&self) -> Duration {
        *self.delay.lock()
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        *self.delay.lock() = delay;
    }
}

/// Goes up once, and ends every wait on it.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    raised: Mutex<bool>,
    change: Condvar,
}

impl StopSignal {
    pub(crate) fn raise(&self) {
        *self.raised.lock() = true;
        self.change.notify_all();
    }

    pub(crate) fn is_raised(&self) -> bool {
        *self.raised.lock()
    }

    /// Waits for this long or until the signal is raised, and says whether it is.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let mut raised = self.raised.lock();
        if !duration.is_zero() {
            self.change.wait_while_for(&mut raised, |raised| !*raised, duration);
        }
        *raised
    }
}
