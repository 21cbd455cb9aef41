//! Where the chunks lie: a B+tree of plain vectors, in order of offset.
//!
//! ```text
//!              Inner  [ start end bytes │ start end bytes │ … ]        up to 64 branches
//!                          │                  │
//!            Leaf  [ start len slot, … ]   Leaf  [ … ]                 up to 128 chunks
//!                              │
//!                            slab: the bytes, and when they were used
//! ```
//!
//! Beside the pointer to a node stands what is known of it: where its first chunk starts, where its last one ends,
//! and how many bytes lie between. A node whose bytes fill its range is one unbroken run, so that walks along a run
//! skip whole subtrees, and counts of gaps need not be kept. The tree knows nothing of the bytes themselves.

use std::mem;

use super::cursor::Cursor;
use super::leaf_edit::LeafEdit;

/// The most chunks of a leaf: a search and a shift within 2 KiB.
pub(super) const LEAF: usize = 128;
/// The most branches of an inner node.
pub(super) const FANOUT: usize = 64;

/// A piece of the file. None is empty, and none ends beyond 2^64 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) start: u64,
    pub(super) len: u32,
    pub(super) slot: u32,
}

impl Chunk {
    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.len)
    }
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Leaf(Vec<Chunk>),
    Inner(Vec<Branch>),
}

/// A node, with what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) bytes: u64,
    pub(super) node: Node,
}

/// Where an offset belongs: the leaf, and how many of its chunks start at or before the offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) chunks: &'a [Chunk],
    pub(super) rank: usize,
    /// Where the first chunk behind this leaf starts.
    pub(super) after: Option<u64>,
}

impl Place<'_> {
    /// The last chunk that starts at or before the offset.
    pub(super) fn before(&self) -> Option<Chunk> {
        self.rank.checked_sub(1).and_then(|index| self.chunks.get(index)).copied()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) root: Branch,
    pub(super) num_blocks: usize,
}

impl Tree {
    pub(super) const fn new() -> Self {
        Self { root: Branch { start: 0, end: 0, bytes: 0, node: Node::Leaf(Vec::new()) }, num_blocks: 0 }
    }

    pub(super) fn find(&self, offset: u64) -> Place<'_> {
        let mut after = None;
        let mut node = &self.root.node;
        loop {
            match node {
                Node::Leaf(chunks) => return Place { chunks, rank: rank_of_chunk(chunks, offset), after },
                Node::Inner(branches) => {
                    let index = rank_of_branch(branches, offset).saturating_sub(1);
                    after = branches.get(index + 1).map(|next| next.start).or(after);
                    node = &branches[index].node;
                }
            }
        }
    }

    /// The chunks that end behind `offset`, from the first one on.
    pub(super) fn cursor(&self, offset: u64) -> Cursor<'_> {
        Cursor::new(self, offset)
    }

    /// How far the run goes on from `offset`, which is held. Looks no farther than it must to know whether `limit` is
    /// reached.
    pub(super) fn run_end(&self, offset: u64, limit: u64) -> u64 {
        run_end(&self.root.node, offset, limit).0
    }

    /// How far back the run goes from `offset`, which is held.
    pub(super) fn run_start(&self, offset: u64) -> u64 {
        run_start(&self.root.node, offset).0
    }

    /// Adds a chunk if the leaf in which it belongs has room, and `slot` has one for it: it is asked with the end of
    /// the chunk before and the start of the chunk behind. No node is split for it, and nothing is looked at but the
    /// way there. Whether the chunk was added.
    pub(super) fn add(
        &mut self,
        offset: u64,
        len: u32,
        slot: impl FnOnce(Option<u64>, Option<u64>) -> Option<u32>,
    ) -> bool {
        let touching = self.root.add(offset, len, None, slot);
        if let Some(touching) = touching {
            self.num_blocks = self.num_blocks + 1 - touching;
        }
        touching.is_some()
    }

    /// Changes the leaf in which `offset` belongs. `edit` may add one chunk to it, and take away any number.
    pub(super) fn change<R>(&mut self, offset: u64, edit: impl FnOnce(&mut LeafEdit<'_>) -> R) -> R {
        if self.root.is_full() {
            let right = self.root.split(offset);
            let Branch { start, end, bytes, .. } = self.root;
            let (all_bytes, last) = (bytes + right.bytes, right.end);
            let left = mem::replace(&mut self.root.node, Node::Inner(Vec::with_capacity(FANOUT)));
            if let Node::Inner(branches) = &mut self.root.node {
                branches.push(Branch { start, end, bytes, node: left });
                branches.push(right);
            }
            (self.root.bytes, self.root.end) = (all_bytes, last);
        }
        let result = self.root.change(offset, None, None, &mut self.num_blocks, edit);
        while let Node::Inner(branches) = &mut self.root.node
            && branches.len() == 1
            && let Some(only) = branches.pop()
        {
            self.root = only;
        }
        result
    }

    /// The last leaf. No chunk starts behind those in it.
    pub(super) fn last_leaf(&self) -> &Vec<Chunk> {
        let mut node = &self.root.node;
        loop {
            match node {
                Node::Leaf(chunks) => return chunks,
                Node::Inner(branches) => node = &branches[branches.len() - 1].node,
            }
        }
    }

    /// Changes the end of the last leaf: by `edit` there are so many `bytes` more, and the last of them ends at `end`.
    /// No node is split for it, and none merged.
    pub(super) fn change_end(&mut self, bytes: u64, end: u64, edit: impl FnOnce(&mut Vec<Chunk>)) {
        let mut branch = &mut self.root;
        loop {
            branch.bytes += bytes;
            branch.end = end;
            match &mut branch.node {
                Node::Leaf(chunks) => return edit(chunks),
                Node::Inner(branches) => {
                    let last = branches.len() - 1;
                    branch = &mut branches[last];
                }
            }
        }
    }

    /// The heap memory of all nodes, in bytes.
    pub(super) fn memory_size(&self) -> usize {
        fn of(node: &Node) -> usize {
            match node {
                Node::Leaf(chunks) => chunks.capacity() * size_of::<Chunk>(),
                Node::Inner(branches) => {
                    branches.capacity() * size_of::<Branch>()
                        + branches.iter().map(|branch| of(&branch.node)).sum::<usize>()
                }
            }
        }
        of(&self.root.node)
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut blocks = 0;
        let mut last_end = None;
        let mut bytes = 0;
        for chunk in self.cursor(0) {
            assert!(chunk.len > 0, "no chunk is empty");
            assert!(last_end.is_none_or(|end| end <= chunk.start), "sorted and disjoint");
            blocks += usize::from(last_end != Some(chunk.start));
            last_end = Some(chunk.end());
            bytes += u64::from(chunk.len);
        }
        assert_eq!(blocks, self.num_blocks);
        assert_eq!(bytes, self.root.bytes);
        self.root.check(true);
    }
}

impl Branch {
    fn is_full(&self) -> bool {
        match &self.node {
            Node::Leaf(chunks) => chunks.len() >= LEAF,
            Node::Inner(branches) => branches.len() >= FANOUT,
        }
    }

    fn is_empty(&self) -> bool {
        match &self.node {
            Node::Leaf(chunks) => chunks.is_empty(),
            Node::Inner(branches) => branches.is_empty(),
        }
    }

    /// Whether there is no gap between its first and its last byte.
    fn is_unbroken(&self) -> bool {
        self.bytes == self.end - self.start
    }

    /// Splits a full node where `offset` is about to be added, and returns the right part. Who writes in order, in
    /// either direction, leaves nearly full nodes behind.
    fn split(&mut self, offset: u64) -> Self {
        let right = match &mut self.node {
            Node::Leaf(chunks) => {
                let at = split_at(rank_of_chunk(chunks, offset), chunks.len());
                let mut right = Vec::with_capacity(LEAF);
                right.extend_from_slice(&chunks[at..]);
                chunks.truncate(at);
                Self::of_leaf(right)
            }
            Node::Inner(branches) => {
                let at = split_at(rank_of_branch(branches, offset), branches.len());
                let mut right = Vec::with_capacity(FANOUT);
                right.extend(branches.drain(at..));
                Self::of_inner(right)
            }
        };
        self.bytes -= right.bytes;
        self.find_ends();
        right
    }

    fn of_leaf(chunks: Vec<Chunk>) -> Self {
        let bytes = chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
        let mut branch = Self { start: 0, end: 0, bytes, node: Node::Leaf(chunks) };
        branch.find_ends();
        branch
    }

    fn of_inner(branches: Vec<Self>) -> Self {
        let bytes = branches.iter().map(|branch| branch.bytes).sum();
        let mut branch = Self { start: 0, end: 0, bytes, node: Node::Inner(branches) };
        branch.find_ends();
        branch
    }

    fn find_ends(&mut self) {
        (self.start, self.end) = match &self.node {
            Node::Leaf(chunks) => (chunks.first().map_or(0, |c| c.start), chunks.last().map_or(0, Chunk::end)),
            Node::Inner(branches) => (branches.first().map_or(0, |b| b.start), branches.last().map_or(0, |b| b.end)),
        };
    }

    /// Returns how many neighbours the chunk touches that was added. `after` is the start of what is behind this node.
    fn add(
        &mut self,
        offset: u64,
        len: u32,
        after: Option<u64>,
        slot: impl FnOnce(Option<u64>, Option<u64>) -> Option<u32>,
    ) -> Option<usize> {
        let end = offset + u64::from(len);
        let touching = match &mut self.node {
            Node::Leaf(chunks) => {
                if chunks.is_empty() || chunks.len() == chunks.capacity() {
                    return None;
                }
                let rank = rank_for_change(chunks, offset, |chunk| chunk.start);
                // What belongs before the first chunk of a leaf is before all chunks.
                let before = rank.checked_sub(1).map(|index| chunks[index].end());
                let after = chunks.get(rank).map(|next| next.start).or(after);
                chunks.insert(rank, Chunk { start: offset, len, slot: slot(before, after)? });
                usize::from(before == Some(offset)) + usize::from(after == Some(end))
            }
            Node::Inner(branches) => {
                let index = rank_for_change(branches, offset, |branch| branch.start).saturating_sub(1);
                let after = branches.get(index + 1).map(|next| next.start).or(after);
                branches[index].add(offset, len, after, slot)?
            }
        };
        self.bytes += u64::from(len);
        (self.start, self.end) = (self.start.min(offset), self.end.max(end));
        Some(touching)
    }

    /// `before` and `after` are the end and the start of the chunks around this node.
    fn change<R>(
        &mut self,
        offset: u64,
        mut before: Option<u64>,
        mut after: Option<u64>,
        num_blocks: &mut usize,
        edit: impl FnOnce(&mut LeafEdit<'_>) -> R,
    ) -> R {
        let result = match &mut self.node {
            Node::Leaf(chunks) => {
                let index = rank_of_chunk(chunks, offset);
                edit(&mut LeafEdit { chunks, index, before, after, bytes: &mut self.bytes, num_blocks })
            }
            Node::Inner(branches) => {
                let mut index = rank_of_branch(branches, offset).saturating_sub(1);
                if branches[index].is_full() {
                    let right = branches[index].split(offset);
                    let goes_right = right.start <= offset;
                    branches.insert(index + 1, right);
                    index += usize::from(goes_right);
                }
                if index > 0 {
                    before = Some(branches[index - 1].end);
                }
                after = branches.get(index + 1).map(|next| next.start).or(after);
                let branch = &mut branches[index];
                let bytes = branch.bytes;
                let result = branch.change(offset, before, after, num_blocks, edit);
                self.bytes = self.bytes - bytes + branch.bytes;
                if branch.is_sparse() {
                    merge(branches, index);
                }
                result
            }
        };
        self.find_ends();
        result
    }

    fn is_sparse(&self) -> bool {
        match &self.node {
            Node::Leaf(chunks) => chunks.len() < LEAF / 4,
            Node::Inner(branches) => branches.len() < FANOUT / 4,
        }
    }

    /// Takes over all of its right neighbour, if both together leave room to grow in.
    fn absorb(&mut self, right: &mut Self) -> bool {
        let absorbed = match (&mut self.node, &mut right.node) {
            (Node::Leaf(left), Node::Leaf(right)) if left.len() + right.len() <= LEAF * 3 / 4 => {
                left.reserve_exact(LEAF - left.len());
                left.append(right);
                true
            }
            (Node::Inner(left), Node::Inner(right)) if left.len() + right.len() <= FANOUT * 3 / 4 => {
                left.append(right);
                true
            }
            _ => false,
        };
        if absorbed {
            self.bytes += right.bytes;
            self.find_ends();
        }
        absorbed
    }

    #[cfg(test)]
    fn check(&self, is_root: bool) -> usize {
        let (start, end, bytes, depth) = match &self.node {
            Node::Leaf(chunks) => {
                assert!(chunks.len() <= LEAF && chunks.capacity() <= LEAF && (is_root || !chunks.is_empty()));
                let bytes = chunks.iter().map(|chunk| u64::from(chunk.len)).sum::<u64>();
                (chunks.first().map_or(0, |c| c.start), chunks.last().map_or(0, Chunk::end), bytes, 0)
            }
            Node::Inner(branches) => {
                assert!(branches.len() <= FANOUT && !branches.is_empty() && !(is_root && branches.len() == 1));
                let depths: Vec<_> = branches.iter().map(|branch| branch.check(false)).collect();
                assert!(depths.iter().all(|depth| *depth == depths[0]), "all leaves are as deep");
                for pair in branches.windows(2) {
                    let together = match (&pair[0].node, &pair[1].node) {
                        (Node::Leaf(left), Node::Leaf(right)) => (left.len() + right.len()) * 128 / LEAF,
                        (Node::Inner(left), Node::Inner(right)) => (left.len() + right.len()) * 128 / FANOUT,
                        _ => panic!("neighbours are of one kind"),
                    };
                    assert!(together > 12, "neighbours are not both nearly empty: {together} of 256");
                }
                let bytes = branches.iter().map(|branch| branch.bytes).sum::<u64>();
                (branches[0].start, branches[branches.len() - 1].end, bytes, depths[0] + 1)
            }
        };
        assert_eq!((self.start, self.end, self.bytes), (start, end, bytes));
        depth
    }
}

/// Merges a sparse branch with a neighbour, or drops it if nothing is left of it.
fn merge(branches: &mut Vec<Branch>, index: usize) {
    if branches[index].is_empty() {
        branches.remove(index);
        return;
    }
    for left in [index, index.wrapping_sub(1)] {
        if let Some([one, other]) = branches.get_mut(left..).and_then(|rest| rest.first_chunk_mut())
            && one.absorb(other)
        {
            branches.remove(left + 1);
            return;
        }
    }
}

/// Where a node of `len` is split if the next entry comes to `rank`.
fn split_at(rank: usize, len: usize) -> usize {
    match rank {
        0 => len / 8,
        _ if rank == len => len - len / 8,
        _ => len / 2,
    }
}

/// How many chunks start at or before `offset`.
fn rank_of_chunk(chunks: &[Chunk], offset: u64) -> usize {
    rank(chunks, offset, |chunk| chunk.start)
}

fn rank_of_branch(branches: &[Branch], offset: u64) -> usize {
    rank(branches, offset, |branch| branch.start)
}

/// How many entries start at or before `offset`. Writing in order is common enough to look at the last one first.
///
/// Halves what is left of them down to eight, and then looks at all of these. To look at every eighth first lets the
/// loads go on at once, but brings most of a node into the processor's caches, from where it drives out what is read
/// next.
fn rank<T>(entries: &[T], offset: u64, start: impl Fn(&T) -> u64) -> usize {
    if entries.last().is_none_or(|last| start(last) <= offset) {
        return entries.len();
    }
    let (mut first, mut len) = (0, entries.len());
    while len > 8 {
        let half = len / 2;
        first = if start(&entries[first + half]) <= offset { first + half } else { first };
        len -= half;
    }
    let rest = &entries[first..first + len];
    first + rest.iter().map(|entry| usize::from(start(entry) <= offset)).sum::<usize>()
}

/// The same for who changes what is found: half of a leaf is moved anyway, so every eighth is looked at first. No look
/// waits for another, and no branch of the processor depends on what they find.
fn rank_for_change<T>(entries: &[T], offset: u64, start: impl Fn(&T) -> u64) -> usize {
    let eighths = entries.chunks_exact(8).map(|eight| usize::from(start(&eight[7]) <= offset)).sum::<usize>() * 8;
    eighths + entries[eighths..].iter().take(8).map(|entry| usize::from(start(entry) <= offset)).sum::<usize>()
}

/// How far the run goes on, and whether it reaches the end of the node, so that it may go on behind it.
fn run_end(node: &Node, offset: u64, limit: u64) -> (u64, bool) {
    match node {
        Node::Leaf(chunks) => {
            let index = rank_of_chunk(chunks, offset).saturating_sub(1);
            let mut end = chunks.get(index).map_or(offset, Chunk::end);
            for chunk in chunks.iter().skip(index + 1) {
                if limit <= end || chunk.start != end {
                    return (end, false);
                }
                end = chunk.end();
            }
            (end, true)
        }
        Node::Inner(branches) => {
            let index = rank_of_branch(branches, offset).saturating_sub(1);
            let (mut end, mut open) = run_end(&branches[index].node, offset, limit);
            for branch in branches.iter().skip(index + 1) {
                if !open || limit <= end || branch.start != end {
                    return (end, false);
                }
                (end, open) = if branch.is_unbroken() { (branch.end, true) } else { run_end(&branch.node, end, limit) };
            }
            (end, open)
        }
    }
}

/// How far back the run goes, and whether it reaches the start of the node.
fn run_start(node: &Node, offset: u64) -> (u64, bool) {
    match node {
        Node::Leaf(chunks) => {
            let rank = rank_of_chunk(chunks, offset);
            let mut before = chunks.iter().take(rank).rev();
            let mut start = before.next().map_or(offset, |chunk| chunk.start);
            for chunk in before {
                if chunk.end() != start {
                    return (start, false);
                }
                start = chunk.start;
            }
            (start, true)
        }
        Node::Inner(branches) => {
            let index = rank_of_branch(branches, offset).saturating_sub(1);
            let (mut start, mut open) = run_start(&branches[index].node, offset);
            for branch in branches.iter().take(index).rev() {
                if !open || branch.end != start {
                    return (start, false);
                }
                (start, open) =
                    if branch.is_unbroken() { (branch.start, true) } else { run_start(&branch.node, u64::MAX) };
            }
            (start, open)
        }
    }
}
