//! What a process inherits by a fork, and must not use.
//!
//! A child has its parent's memory as it was at one moment, with mutexes that threads held which it does not have, and
//! its parent's descriptors, on which locks lie that are its parent's. So before the first mutex of anything that is
//! not a hit the process is compared, and a child makes its own tables ([`PerProcess`]) and closes the descriptors that
//! hold locks ([`Descriptor`]): never unlocking, which would unlock for the parent too.
//!
//! A fork copies descriptors first and memory later, while other threads go on. So it waits until nobody is between
//! opening a descriptor and noting it, or between the note and the closing ([`Changing`]): what a child then finds
//! noted is what it has.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::process::process;

/// A value of which each process has its own: a child never touches its parent's, not even to drop it.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    newest: AtomicPtr<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    process: u32,
    value: T,
    older: *mut Node<T>,
}

// SAFETY: a node is reached only through its owner, is shared by reference once it is there, and freed by the owner's
// drop; so sharing the owner shares `T`s, and sending it sends them.
#[expect(unsafe_code)]
unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}
// SAFETY: as above.
#[expect(unsafe_code)]
unsafe impl<T: Send + Sync> Send for PerProcess<T> {}

impl<T> PerProcess<T> {
    pub(crate) const fn empty() -> Self {
        Self { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    pub(crate) fn new(value: T) -> Self {
        let node = Box::new(Node { process: process(), value, older: ptr::null_mut() });
        Self { newest: AtomicPtr::new(Box::into_raw(node)) }
    }

    /// The newest value, be it this process's or its parent's: for what touches no mutex and no lock.
    pub(crate) fn peek(&self) -> Option<&T> {
        // SAFETY: a node that was published stays until `self` is dropped, and nobody changes it.
        #[expect(unsafe_code)]
        unsafe { self.newest.load(Ordering::Acquire).as_ref() }.map(|node| &node.value)
    }

    /// This process's value, if it has one, to be dropped.
    pub(crate) fn take(&mut self) -> Option<T> {
        let newest = *self.newest.get_mut();
        own(newest, process())?;
        // SAFETY: the node was made by `Box::into_raw`, and nobody else borrows `self`.
        #[expect(unsafe_code)]
        let node = unsafe { Box::from_raw(newest) };
        *self.newest.get_mut() = node.older;
        Some(node.value)
    }

    /// This process's value, made now if it has none yet. Of threads that make one at once, one wins.
    pub(crate) fn get(&self, make: impl FnOnce() -> T) -> &T {
        let made: Result<&T, Infallible> = self.get_or_try(|| Ok(make()));
        match made {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The same, if it can be made; if not, who asks next tries again.
    pub(crate) fn get_or_try<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let this = process();
        let newest = self.newest.load(Ordering::Acquire);
        if let Some(value) = own(newest, this) {
            return Ok(value);
        }
        close_inherited(this);
        let mut node = Box::new(Node { process: this, value: make()?, older: newest });
        loop {
            let (older, raw) = (node.older, Box::into_raw(node));
            match self.newest.compare_exchange(older, raw, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    // SAFETY: it was just published, so it stays until `self` is dropped.
                    #[expect(unsafe_code)]
                    return Ok(unsafe { &(*raw).value });
                }
                Err(newer) => {
                    // SAFETY: it was made by `Box::into_raw` above, and nobody else has seen it.
                    #[expect(unsafe_code)]
                    let unused = unsafe { Box::from_raw(raw) };
                    if let Some(value) = own(newer, this) {
                        return Ok(value);
                    }
                    node = unused;
                    node.older = newer;
                }
            }
        }
    }
}

/// The value of a node, if this process made it.
fn own<'a, T>(node: *mut Node<T>, this: u32) -> Option<&'a T> {
    // SAFETY: callers pass what they loaded from an owner that they borrow, for as long as they use the result.
    #[expect(unsafe_code)]
    unsafe { node.as_ref() }.filter(|node| node.process == this).map(|node| &node.value)
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let (this, mut next) = (process(), *self.newest.get_mut());
        while !next.is_null() {
            // SAFETY: every node was made by `Box::into_raw`, and nobody borrows `self` any more.
            #[expect(unsafe_code)]
            let node = unsafe { Box::from_raw(next) };
            next = node.older;
            if node.process != this {
                // A parent's value has mutexes and locks that are not ours: its memory is given up.
                std::mem::forget(node);
            }
        }
    }
}

/// A descriptor that holds locks: a child closes it, once, and does nothing else with it.
#[derive(Debug)]
pub(crate) struct Descriptor {
    slot: &'static Slot,
    descriptor: RawFd,
    process: u32,
}

/// A place in the list of all such descriptors, which is walked without a lock and only ever grows.
#[derive(Debug)]
struct Slot {
    /// Process and descriptor, or `FREE`. Who changes it to `FREE` closes.
    holder: AtomicU64,
    next: AtomicPtr<Slot>,
}

const FREE: u64 = u64::MAX;
static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

impl Descriptor {
    pub(crate) fn open(open: impl FnOnce() -> io::Result<File>) -> io::Result<Self> {
        let _changing = Changing::begin();
        watch_forks()?;
        let (this, descriptor) = (process(), open()?.into_raw_fd());
        let holder = holder(this, descriptor);
        let reused = slots()
            .find(|slot| slot.holder.compare_exchange(FREE, holder, Ordering::AcqRel, Ordering::Relaxed).is_ok());
        let slot = reused.unwrap_or_else(|| add_slot(holder));
        Ok(Self { slot, descriptor, process: this })
    }

    /// The descriptor, for the process that opened it; none for a child of that.
    pub(crate) fn get(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: in the process that opened it, it is closed by the drop of `self` only.
        #[expect(unsafe_code)]
        (self.process == process()).then(|| unsafe { BorrowedFd::borrow_raw(self.descriptor) })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        release(self.slot, holder(self.process, self.descriptor));
    }
}

fn holder(this: u32, descriptor: RawFd) -> u64 {
    u64::from(this) << 32 | u64::from(descriptor.as_raw_fd().cast_unsigned())
}

fn slots() -> impl Iterator<Item = &'static Slot> {
    // SAFETY: slots are leaked, so what the list leads to is there for ever.
    #[expect(unsafe_code)]
    let follow = |slot: *mut Slot| unsafe { slot.as_ref() };
    std::iter::successors(follow(SLOTS.load(Ordering::Acquire)), move |slot| follow(slot.next.load(Ordering::Acquire)))
}

fn add_slot(holder: u64) -> &'static Slot {
    let slot: &'static Slot =
        Box::leak(Box::new(Slot { holder: AtomicU64::new(holder), next: AtomicPtr::new(ptr::null_mut()) }));
    let mut first = SLOTS.load(Ordering::Acquire);
    loop {
        slot.next.store(first, Ordering::Release);
        match SLOTS.compare_exchange(first, ptr::from_ref(slot).cast_mut(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return slot,
            Err(newer) => first = newer,
        }
    }
}

/// Closes the descriptors with locks that other processes than `this` opened: this one's ancestors.
fn close_inherited(this: u32) {
    for slot in slots() {
        let holder = slot.holder.load(Ordering::Acquire);
        if holder != FREE && (holder >> 32) as u32 != this {
            release(slot, holder);
        }
    }
}

/// Closes what a slot holds, if it still holds that.
fn release(slot: &Slot, holder: u64) {
    let _changing = Changing::begin();
    if slot.holder.compare_exchange(holder, FREE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        // SAFETY: the exchange gave this thread, and no other, what `into_raw_fd` gave the slot.
        #[expect(unsafe_code)]
        drop(unsafe { OwnedFd::from_raw_fd(holder as u32 as RawFd) });
    }
}

/// Keeps other threads from changing what is open and noted, and from forking, until it drops.
#[derive(Debug)]
struct Changing;

/// The number of the process in which a thread is changing something, or which is being forked; 0 if nobody is. A mutex
/// would be inherited locked; the number of an ancestor means nothing to a child.
static CHANGING: AtomicU32 = AtomicU32::new(0);
static WATCHED: AtomicBool = AtomicBool::new(false);
/// How often a thread that waits looks before it sleeps, and for how long it does: opening takes microseconds, unless
/// the disk is slow.
const LOOKS: u32 = 64;
const PAUSE: Duration = Duration::from_micros(100);

impl Changing {
    fn begin() -> Self {
        let this = process();
        let mut looks = 0;
        loop {
            let holder = CHANGING.load(Ordering::Relaxed);
            let free = holder != this;
            if free && CHANGING.compare_exchange(holder, this, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return Self;
            }
            looks += 1;
            if looks < LOOKS { std::thread::yield_now() } else { std::thread::sleep(PAUSE) }
        }
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        CHANGING.store(0, Ordering::Release);
    }
}

/// Has every fork wait, from now on, until nobody is changing anything.
///
/// Noted before it is done: the child of a fork at just that moment may go unwatched, but none waits for itself because
/// it was asked to twice.
fn watch_forks() -> io::Result<()> {
    if WATCHED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    // SAFETY: the functions are there for as long as the program, and do nothing but change a word. The child's word is
    // its parent's number, which is nobody's there.
    #[expect(unsafe_code)]
    let error = unsafe { libc::pthread_atfork(Some(before_a_fork), Some(after_a_fork), None) };
    if error == 0 {
        return Ok(());
    }
    WATCHED.store(false, Ordering::Release);
    Err(io::Error::from_raw_os_error(error))
}

extern "C" fn before_a_fork() {
    std::mem::forget(Changing::begin());
}

/// In the parent, by the thread that forked.
extern "C" fn after_a_fork() {
    drop(Changing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_and_dropped_with_its_owner() {
        let (value, owner) = (std::sync::Arc::new(()), PerProcess::empty());
        assert!(owner.peek().is_none());
        for _ in 0..2 {
            owner.get(|| std::sync::Arc::clone(&value));
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| owner.get(|| unreachable!("it is there")));
            }
        });
        assert_eq!(std::sync::Arc::strong_count(&value), 2);
        drop(owner);
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_descriptor_is_closed_when_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Descriptor::open(|| File::create(directory.path().join("file"))).unwrap();
        let (one, other) = (open(), open());
        assert!(one.get().is_some() && other.get().is_some());
        drop(one);
        let again = open();
        assert!(again.get().is_some());
    }
}
