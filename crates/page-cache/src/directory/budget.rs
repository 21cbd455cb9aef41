//! Budget sections: who changes what is charged does so inside of one, and a recount waits until nobody is.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::charges::DIRECTORY_CHARGE;
use super::control::Control;
use super::eviction::{PERIODS, Period};
use crate::sync::{BackOff, Condvar, Mutex};
use crate::sys::{BootId, Lock, process};

/// From this limit on, in bytes, room is made ahead of need.
const MIN_AHEAD: u64 = 64 << 20;
/// And never more than this.
const MAX_AHEAD: u64 = 512 << 20;

/// How long the threads of this process that are in sections are waited for at a time.
const OWN_SECTIONS: Duration = Duration::from_millis(5);

/// The budget of a directory, as this process sees it.
#[derive(Debug)]
pub(crate) struct Budget {
    control: Control,
    boot_id: BootId,
    sections: Mutex<Sections>,
    /// That no thread of this process is in a section, for who keeps them out.
    emptied: Condvar,
    /// Whether somebody seems to have died in a section. What that was is counted by nobody but a recount.
    death: AtomicBool,
    /// How many pages this process has evicted.
    evicted: AtomicU64,
    /// Whether room is made ahead of need whatever the limit.
    eager: AtomicBool,
    process: u32,
}

/// The kernel's lock does not count and converts silently, so the threads of a process are counted here.
#[derive(Debug, Default)]
struct Sections {
    /// How many threads are in a section. The first takes the kernel's lock, the last gives it back.
    open: usize,
    /// Whether a thread of this process is recounting, or about to.
    closed: bool,
}

impl Budget {
    pub(crate) fn new(control: Control, boot_id: BootId) -> Self {
        Self {
            control,
            boot_id,
            sections: Mutex::default(),
            emptied: Condvar::new(),
            death: AtomicBool::new(false),
            evicted: AtomicU64::new(0),
            eager: AtomicBool::new(false),
            process: process(),
        }
    }

    /// Whether this process opened it, and not one that it was forked from.
    pub(crate) fn is_own(&self) -> bool {
        self.process == process()
    }

    /// How many pages this process has evicted.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// The boot of the system that this process runs in.
    pub(crate) fn boot_id(&self) -> BootId {
        self.boot_id
    }

    /// Enters a section, if that is possible without waiting; else somebody recounts, or the locks do not work.
    pub(crate) fn enter(&self) -> Option<Section<'_>> {
        let mut sections = self.sections.lock();
        // Whoever recounts is let through also by a process whose threads are never all outside.
        if sections.closed || self.control.gate_is_closed() {
            return None;
        }
        if sections.open == 0 {
            match self.control.try_lock_sections(Lock::Shared) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    tracing::warn!(%error, "the budget cannot be locked");
                    return None;
                }
            }
            if self.control.note_in_section() > 0 {
                self.look_for_the_dead();
            }
        }
        sections.open += 1;
        Some(Section { budget: self })
    }

    /// Looks whether somebody died in a section: processes are noted in one, and nobody is. If others come and go just
    /// now it may only seem so; whoever recounts knows.
    pub(crate) fn look_for_the_dead(&self) {
        match self.control.others_in_sections() {
            Ok(true) => {}
            Ok(false) => self.death.store(true, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "it cannot be found out whether somebody has died"),
        }
    }

    /// Whether what is charged has not been counted since the system was started, or was found to be too much, or
    /// somebody seems to have died while changing it.
    pub(crate) fn is_recount_due(&self) -> bool {
        !self.is_counted() || self.control.recount_wanted() || self.death.load(Ordering::Relaxed)
    }

    /// Enters a section, and waits while somebody recounts, in bounded steps and for no longer than `patience`.
    pub(crate) fn enter_within(&self, patience: Duration) -> Option<Section<'_>> {
        within(patience, || self.enter())
    }

    /// Waits until nobody in any process is in a section, and keeps everybody out until the result drops. None if
    /// somebody stays in, or recounts, for longer than `patience`.
    pub(crate) fn exclude(&self, patience: Duration) -> io::Result<Option<Exclusion<'_>>> {
        let start = Instant::now();
        // Another thread may be recounting.
        let close = || (!std::mem::replace(&mut self.sections.lock().closed, true)).then_some(());
        if within(patience, close).is_none() {
            return Ok(None);
        }
        // From here on the drop of this opens what is closed, whatever happens.
        let mut exclusion = Exclusion { budget: self, gate: false, locked: false };
        let rest = patience.saturating_sub(start.elapsed());
        let tried = within(rest, || exclusion.try_step().transpose()).transpose()?;
        Ok(tried.map(|()| exclusion))
    }

    /// Whether no thread of this process is in a section, or none soon: nobody is kept out for longer than that takes.
    fn has_no_sections(&self, patience: Duration) -> bool {
        let mut sections = self.sections.lock();
        if sections.open > 0 {
            sections = self.emptied.wait_for(sections, patience);
        }
        sections.open == 0
    }

    /// Whether what is charged has been counted since the system was started; before that nothing more is charged.
    pub(crate) fn is_counted(&self) -> bool {
        self.control.boot_id() == self.boot_id
    }

    /// What is charged, in bytes.
    pub(crate) fn used(&self) -> u64 {
        self.control.used()
    }

    /// The time by which uses are compared.
    pub(crate) fn now(&self) -> Period {
        Period(self.control.period() as u16)
    }

    /// The same in bytes that were filled, ever, if the limit has always been what it is now: by which it can be told
    /// how much was filled between two moments.
    pub(crate) fn filled(&self) -> u64 {
        self.control.period().wrapping_mul(period(self.max_bytes())).wrapping_add(self.control.filled())
    }

    /// Whether so little of the limit is left that room should be made before somebody needs it; in small caches only
    /// if more is charged than the limit, since too much of what they have would go.
    pub(crate) fn is_short(&self) -> bool {
        self.is_beyond(64)
    }

    /// Whether enough room has been made.
    pub(crate) fn is_short_no_more(&self) -> bool {
        !self.is_beyond(32)
    }

    /// Whether more is charged than may be, as what is found after a restart.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_beyond(u64::MAX)
    }

    /// Has room made ahead of need whatever the limit, and little things given back.
    pub(crate) fn be_eager(&self) {
        self.eager.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_eager(&self) -> bool {
        self.eager.load(Ordering::Relaxed)
    }

    /// Whether less than one part of so many is left of the limit.
    fn is_beyond(&self, parts: u64) -> bool {
        let limit = self.max_bytes();
        let ahead = if limit >= MIN_AHEAD || self.is_eager() { (limit / parts).min(MAX_AHEAD) } else { 0 };
        // What a directory is charged without anything in it cannot go.
        self.used() > (limit - ahead).max(self.fixed())
    }

    /// What the directory is charged without anything in it, in bytes: that cannot go.
    pub(crate) fn fixed(&self) -> u64 {
        DIRECTORY_CHARGE.saturating_add(self.control.directories())
    }

    /// The limit in bytes.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.control.max_bytes().unwrap_or(u64::MAX)
    }
}

/// How many bytes are filled in a period.
fn period(limit: u64) -> u64 {
    (limit / PERIODS).max(1)
}

/// Repeats an attempt with growing pauses until it gives something, for no longer than `patience`.
pub(crate) fn within<T>(patience: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let (start, mut pauses) = (Instant::now(), BackOff::new());
    loop {
        if let Some(result) = attempt() {
            return Some(result);
        }
        if start.elapsed() >= patience {
            return None;
        }
        std::thread::sleep(pauses.next());
    }
}

/// Lets its thread change what is charged, until it drops.
#[derive(Debug)]
#[must_use = "the section ends as soon as this drops"]
pub(crate) struct Section<'a> {
    budget: &'a Budget,
}

impl Section<'_> {
    /// Charges bytes, only if all that is charged stays within the limit; whether it did.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        self.reserve_within(self.budget.max_bytes(), bytes)
    }

    /// The same by a limit that was looked at before.
    fn reserve_within(&self, limit: u64, bytes: u64) -> bool {
        let (control, mut sum) = (&self.budget.control, 0);
        let reserved = self.budget.is_counted()
            && control.update_used(|used| {
                sum = used.checked_add(bytes).filter(|&sum| sum <= limit)?;
                Some(sum)
            });
        if !reserved {
            return false;
        }
        // Whoever has lowered the limit in between may not have seen this, and counts on it that no more is charged.
        if sum > self.budget.max_bytes() {
            self.uncharge(bytes);
            return false;
        }
        control.pass(bytes, period(limit));
        true
    }

    /// Charges bytes that are on the disk already, whatever the limit.
    pub(crate) fn charge(&self, bytes: u64) {
        self.budget.control.update_used(|used| Some(used.saturating_add(bytes)));
    }

    /// Gives a charge back, once there is nothing left that it stands for.
    pub(crate) fn uncharge(&self, bytes: u64) {
        self.budget.control.update_used(|used| Some(used.saturating_sub(bytes)));
    }

    /// Counts pages that were evicted, for the statistics.
    pub(crate) fn count_evicted(&self, pages: u64) {
        self.budget.evicted.fetch_add(pages, Ordering::Relaxed);
    }

    /// Asks for a recount, since what is charged may be too much.
    pub(crate) fn want_recount(&self) {
        self.budget.control.want_recount(true);
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        // A child has its parent's sections in its memory, and none of its own.
        if self.budget.process != process() {
            return;
        }
        let mut sections = self.budget.sections.lock();
        sections.open -= 1;
        if sections.open == 0 {
            self.budget.control.note_out_of_section();
            self.budget.control.unlock_sections();
            if sections.closed {
                self.budget.emptied.notify_all();
            }
        }
    }
}

/// Keeps everybody out of sections, until it drops.
#[derive(Debug)]
#[must_use = "everybody is let in again as soon as this drops"]
pub(crate) struct Exclusion<'a> {
    budget: &'a Budget,
    gate: bool,
    locked: bool,
}

impl Exclusion<'_> {
    /// Takes what can be taken now; something once all of it is.
    fn try_step(&mut self) -> io::Result<Option<()>> {
        let control = &self.budget.control;
        if !self.gate {
            self.gate = control.try_close_gate()?;
        }
        // The lock of this process's own sections would silently become the exclusive one.
        if self.gate && self.budget.has_no_sections(OWN_SECTIONS) {
            self.locked = control.try_lock_sections(Lock::Exclusive)?;
        }
        Ok(self.locked.then_some(()))
    }

    /// Gives a charge back, as [`Section::uncharge`].
    pub(crate) fn uncharge(&self, bytes: u64) {
        self.budget.control.update_used(|used| Some(used.saturating_sub(bytes)));
    }

    /// Whether a recount is due. What only seemed so is forgotten: nobody is in a section, so whoever is noted is dead.
    pub(crate) fn is_recount_due(&self) -> bool {
        let died = self.budget.control.in_sections() > 0;
        self.budget.death.store(died, Ordering::Relaxed);
        self.budget.is_recount_due()
    }

    /// Says what is charged, counted now.
    pub(crate) fn set_used(&self, bytes: u64) {
        let control = &self.budget.control;
        control.set_used(bytes);
        control.forget_the_dead();
        self.budget.death.store(false, Ordering::Relaxed);
        control.want_recount(false);
        control.set_boot_id(self.budget.boot_id);
    }
}

impl Drop for Exclusion<'_> {
    fn drop(&mut self) {
        if self.budget.process != process() {
            return;
        }
        if self.locked {
            self.budget.control.unlock_sections();
        }
        if self.gate {
            self.budget.control.open_gate();
        }
        self.budget.sections.lock().closed = false;
    }
}

#[cfg(test)]
mod tests {
    use crate::directory::{Directory, Settings};

    /// Whoever lowered it has looked at what is charged by then, and goes by it.
    #[test]
    fn a_reservation_by_a_limit_that_was_lowered_meanwhile_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Directory::open(directory.path(), &Settings::default()).unwrap();
        let (budget, before) = (directory.budget(), directory.budget().max_bytes());
        let (used, section) = (budget.used(), budget.enter().unwrap());
        budget.control().set_max_bytes(used + 10_000);
        assert!(!section.reserve_within(before, 10_001));
        assert_eq!(budget.used(), used);
        assert!(section.reserve_within(before, 10_000));
        assert_eq!(budget.used(), used + 10_000);
        section.uncharge(10_000);
    }
}
