//! What the origin and its threads share: the objects, the settings, the books and the stop signal.
//!
//! No lock in here is held across input or output.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, RwLock};

use crate::fault::{Fault, FaultQueue, Times};
use crate::ledger::Ledger;
use crate::object::Object;
use crate::request::RequestHead;

/// See the head of this module.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    objects: RwLock<HashMap<String, Arc<Object>>>,
    faults: Mutex<FaultQueue>,
    delay: Mutex<Duration>,
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

    pub(crate) fn clear_faults(&self) {
        self.faults.lock().clear();
    }

    pub(crate) fn take_fault(&self, request: &RequestHead) -> Option<Fault> {
        self.faults.lock().take(request)
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
