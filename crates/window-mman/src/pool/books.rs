//! What a pool writes down under its lock.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::recency::Order;
use super::{Key, Limits, NONE, Tally};

/// The books of a pool.
#[derive(Debug)]
pub(crate) struct Books<K: Key> {
    pub(crate) order: Order,
    pub(crate) tally: Tally,
    /// What counts against the limit of what is in use.
    charged: u64,
    /// Room for what is being made without the lock: bytes and cells.
    reserved: (u64, usize),
    /// The cell of a victim that was filled again last, if nobody has looked at it since: it is listed, and in no other
    /// list of what may go. [`NONE`] otherwise.
    pub(crate) latest: u32,
    /// Cells that are empty.
    free: Vec<u32>,
    /// For each cell that was ever used its place in the list of its group: the one it is in, or was in last. Mostly it
    /// is used for the same again, and nothing changes here.
    links: Vec<Link<K::Group>>,
    /// The first cell of each group that has any.
    groups: HashMap<K::Group, u32, BuildHasherDefault<Spread>>,
}

/// Groups are numbers of our own making, which nobody chooses to collide.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Debug)]
struct Link<G> {
    group: G,
    before: u32,
    behind: u32,
}

impl<K: Key> Books<K> {
    pub(crate) fn new() -> Self {
        Self {
            order: Order::default(),
            tally: Tally::default(),
            charged: 0,
            reserved: (0, 0),
            latest: NONE,
            free: Vec::new(),
            links: Vec::new(),
            groups: HashMap::default(),
        }
    }

    /// All cells have numbers below this.
    pub(crate) fn cells(&self) -> u32 {
        u32::try_from(self.links.len()).unwrap_or(NONE)
    }

    /// A cell that is empty, for who fills and adds it.
    pub(crate) fn free_cell(&mut self) -> u32 {
        self.free.pop().unwrap_or(self.cells())
    }

    /// Takes down that a cell is empty.
    pub(crate) fn free(&mut self, number: u32) {
        self.free.push(number);
    }

    /// Whether so many bytes in so many more cells are beyond the limits, beside what is reserved.
    pub(crate) fn exceeds(&self, limits: &Limits, bytes: u64, count: usize) -> bool {
        self.exceeds_without((0, 0), limits, bytes, count)
    }

    /// The same if so many bytes in so many cells were not there.
    pub(crate) fn exceeds_without(&self, gone: (u64, usize), limits: &Limits, bytes: u64, count: usize) -> bool {
        let (reserved_bytes, reserved_count) = self.reserved;
        let left_bytes = self.charged.saturating_sub(gone.0);
        let left_count = self.tally.count.saturating_sub(gone.1);
        left_bytes.saturating_add(reserved_bytes).saturating_add(bytes) > limits.bytes
            || left_count.saturating_add(reserved_count).saturating_add(count) > limits.count
    }

    /// Keeps room for one more cell that counts so much.
    pub(crate) fn reserve(&mut self, charge: u64) {
        // No saturation, or what is given back would be another number. No sum of sizes is 2^64: each is that of memory
        // or of a file, and a wrapped sum would only make a limit softer until it is given back.
        self.reserved = (self.reserved.0.wrapping_add(charge), self.reserved.1 + 1);
    }

    /// Gives up the room.
    pub(crate) fn unreserve(&mut self, charge: u64) {
        self.reserved = (self.reserved.0.wrapping_sub(charge), self.reserved.1 - 1);
    }

    /// Takes down that what is put into a cell is of this group.
    #[inline]
    pub(crate) fn join_group(&mut self, number: u32, group: K::Group) {
        if self.links.get(number as usize).is_none_or(|link| link.group != group) {
            self.change_group(number, group);
        }
    }

    /// Takes down that there is something more.
    #[inline]
    pub(crate) fn add(&mut self, size: u64, charge: u64) {
        self.tally.bytes = self.tally.bytes.saturating_add(size);
        self.charged = self.charged.saturating_add(charge);
        self.tally.count += 1;
        self.tally.made += 1;
    }

    /// Takes down that something has gone. Its cell stays in the list of its group until it is added to another.
    #[inline]
    pub(crate) fn remove(&mut self, size: u64, charge: u64) {
        self.tally.bytes = self.tally.bytes.saturating_sub(size);
        self.charged = self.charged.saturating_sub(charge);
        self.tally.count = self.tally.count.saturating_sub(1);
    }

    #[cold]
    fn change_group(&mut self, number: u32, group: K::Group) {
        self.leave_group(number);
        let first = self.groups.insert(group, number).unwrap_or(NONE);
        let link = Link { group, before: NONE, behind: first };
        if let Some(first) = self.links.get_mut(first as usize) {
            first.before = number;
        }
        match self.links.get_mut(number as usize) {
            Some(place) => *place = link,
            None => self.links.push(link),
        }
    }

    fn leave_group(&mut self, number: u32) {
        let Some(Link { group, before, behind }) = self.links.get(number as usize).copied() else { return };
        if let Some(behind) = self.links.get_mut(behind as usize) {
            behind.before = before;
        }
        if let Some(before) = self.links.get_mut(before as usize) {
            before.behind = behind;
        } else if behind == NONE {
            self.groups.remove(&group);
        } else {
            self.groups.insert(group, behind);
        }
    }

    /// The cells of a group, and such as are free.
    pub(crate) fn group(&self, group: &K::Group) -> Vec<u32> {
        let first = self.groups.get(group).copied();
        std::iter::successors(first, |number| self.links.get(*number as usize).map(|link| link.behind))
            .take_while(|number| *number != NONE)
            .collect()
    }
}
