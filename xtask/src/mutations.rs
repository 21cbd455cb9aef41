//! `cargo xtask mutations`: breaks the rule behind each promise of docs/semantics.md, and looks whether the test that
//! holds the promise is red.
//!
//! A source file is changed in place while its test is built and run, and is as it was behind that, also if something
//! goes wrong in between.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::process::{Result, cargo, root};

/// Break each promise of docs/semantics.md on purpose, and see its test fail; do not edit the sources meanwhile
#[derive(Debug, Args)]
pub(crate) struct Mutations {
    /// Only the promises whose name contains this
    filter: Option<String>,
}

/// A promise, and how to break it.
struct Mutation {
    /// The paragraph of docs/semantics.md.
    promise: &'static str,
    file: &'static str,
    /// What stands there exactly once.
    before: &'static str,
    after: &'static str,
    /// What cargo tests.
    target: &'static [&'static str],
    /// The test, with its module where it has one.
    test: &'static str,
}

const IT: &[&str] = &["--package", "page-cache", "--features", "http", "--test", "it"];
const LIB: &[&str] = &["--package", "page-cache", "--features", "http", "--lib"];
const HITS: &[&str] = &["--package", "page-cache", "--features", "http", "--test", "hits"];
const SVFSC: &[&str] = &["--package", "svf-core", "--test", "coming_from_svfsc"];
const CORE: &[&str] = &["--package", "svf-core", "--lib"];
const THROUGH: &[&str] = &["--package", "svf-core", "--test", "read_through"];
const MMAN: &[&str] = &["--package", "window-mman", "--test", "it"];

const MUTATIONS: [Mutation; 32] = [
    Mutation {
        promise: "Versions",
        file: "crates/page-cache/src/origin/object_store/version.rs",
        before: "(Some(pinned), Some(now)) if pinned == now => Ok(()),",
        after: "(Some(_), Some(_)) => Ok(()),",
        target: IT,
        test: "http::an_etag_that_changes_is_a_change",
    },
    Mutation {
        promise: "Staleness",
        file: "crates/page-cache/src/freshness.rs",
        before: "age.is_some_and(|age| age <= max_age)",
        after: "age.is_some_and(|age| age <= max_age * 1_000_000)",
        target: IT,
        test: "cached_file::freshness_decides_when_the_origin_is_asked",
    },
    Mutation {
        promise: "Damage",
        file: "crates/page-cache/src/directory/pair/mod.rs",
        before: "return self.read_page(&bytes, out) && self.checksum(page, out) == word.crc();",
        after: "return self.read_page(&bytes, out);",
        target: IT,
        test: "directory::a_flipped_bit_in_a_page_costs_that_page",
    },
    Mutation {
        promise: "Durability",
        file: "crates/page-cache/src/directory/pair/reconcile.rs",
        before: "if word.is_present() && is_whole(self.data.file(), &bytes)? {",
        after: "if word.is_present() {",
        target: LIB,
        test: "tests::after_a_restart_words_data_and_budget_agree_again",
    },
    Mutation {
        promise: "Bound",
        file: "crates/page-cache/src/directory/pair/fill.rs",
        before: "let charge = self.page_charge(page);\n        if !room.reserve(section, charge) {",
        after: "let charge = self.page_charge(page);\n        section.charge(charge);\n        if false {",
        target: IT,
        test: "bound::an_object_larger_than_the_limit_is_read_again_and_again_within_it",
    },
    Mutation {
        promise: "Single flight",
        file: "crates/page-cache/src/sys/lock_file.rs",
        before: "matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),",
        after: "matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(true),",
        target: IT,
        test: "single_flight::eight_processes_of_four_threads_cost_the_origin_each_byte_once",
    },
    Mutation {
        promise: "Sharing",
        file: "crates/page-cache/src/directory/pair/words.rs",
        before: "(first..).zip(expected).all(|(page, &word)| words.load(page).is_ok_and(|now| now == word))",
        after: "(first..).zip(expected).all(|(page, _)| words.load(page).is_ok())",
        target: LIB,
        test: "directory::pair::words::tests::a_copy_counts_only_while_its_words_stand",
    },
    Mutation {
        promise: "Where",
        file: "crates/page-cache/src/directory/mod.rs",
        before: "FileSystemKind::Remote(kind) if !allow_remote => {",
        after: "FileSystemKind::Remote(kind) if !allow_remote && kind.is_empty() => {",
        target: LIB,
        test: "tests::a_directory_on_a_remote_file_system_is_refused_unless_allowed",
    },
    Mutation {
        promise: "Fork",
        file: "crates/page-cache/src/sys/fork.rs",
        before: "unsafe { node.as_ref() }.filter(|node| node.process == this).map(|node| &node.value)",
        after: "unsafe { node.as_ref() }.filter(|_| this > 0).map(|node| &node.value)",
        target: IT,
        test: "processes::a_child_counts_what_it_does_itself",
    },
    Mutation {
        promise: "Signals",
        file: "crates/window-mman/src/sys/fault/signal.rs",
        before: "if (begin..landing).contains(&routine::instruction(interrupted)) && is_of_source(info, interrupted) {",
        after: "if begin > landing && is_of_source(info, interrupted) {",
        target: MMAN,
        test: "faults::a_fault_names_the_file_and_the_range",
    },
    Mutation {
        promise: "Trust",
        file: "crates/page-cache/src/directory/mod.rs",
        before: "if metadata.mode() & 0o022 != 0 {",
        after: "if metadata.mode() & 0o002 != 0 {",
        target: IT,
        test: "directory::a_directory_that_others_can_write_is_refused",
    },
    Mutation {
        promise: "Origins that cannot be reached",
        file: "crates/page-cache/src/opening.rs",
        before: "policy.on_unreachable == OnUnreachable::ServeHeld",
        after: "policy.on_unreachable == OnUnreachable::Fail",
        target: IT,
        test: "retry::an_origin_that_cannot_be_reached_is_no_change_and_no_deletion",
    },
    Mutation {
        promise: "Objects that nothing vouches for",
        file: "crates/page-cache/src/freshness.rs",
        before: "self == Self::TrustLength || stat.validators.identity().is_some()",
        after: "self == Self::TrustLength || stat.length > 0",
        target: IT,
        test: "cached_file::without_validators_nothing_is_stored",
    },
    Mutation {
        promise: "Responses",
        file: "crates/page-cache/src/origin/object_store/version.rs",
        before: "if now.length != pinned.length {",
        after: "if now.length != pinned.length && pinned.length == 0 {",
        target: IT,
        test: "http::a_wrong_range_and_a_wrong_total",
    },
    Mutation {
        promise: "Trying again",
        file: "crates/page-cache/src/origin/error.rs",
        before: "Self::Unreachable { .. } | Self::Incomplete { .. } => true,",
        after: "Self::Unreachable { .. } | Self::Incomplete { .. } => false,",
        target: IT,
        test: "retry::what_may_pass_is_tried_again_until_it_has_passed",
    },
    Mutation {
        promise: "Requests",
        file: "crates/page-cache/src/fetch/mod.rs",
        before: "NeedOptions::new().end_of_file(self.pinned.length).max_len(MAX_REQUEST)",
        after: "NeedOptions::new().end_of_file(self.pinned.length).max_len(4096)",
        target: IT,
        test: "cached_file::only_missing_pages_are_fetched_and_neighbours_in_one_request",
    },
    Mutation {
        promise: "Reading ahead",
        file: "crates/page-cache/src/fetch/read_ahead.rs",
        before: "self.sequential.range_at(missing.start).is_some()",
        after: "self.sequential.range_at(missing.start).is_none()",
        target: IT,
        test: "read_ahead::nothing_is_fetched_ahead_of_who_does_not_read_on",
    },
    Mutation {
        promise: "Prefetch",
        file: "crates/page-cache/src/fetch/prefetch.rs",
        before: "if (self.report)(Progress { done: done.min(self.total), total: self.total }).is_break() {",
        after: "if (self.report)(Progress { done: done.min(self.total), total: self.total }).is_break() && done > self.total {",
        target: IT,
        test: "prefetch::it_ends_when_it_is_told_to",
    },
    Mutation {
        promise: "Files of others",
        file: "crates/page-cache/src/directory/mod.rs",
        before: "if others && !ours() {",
        after: "if others && !ours() && root.as_os_str().is_empty() {",
        target: IT,
        test: "directory::a_directory_with_other_files_is_refused_and_left_alone",
    },
    Mutation {
        promise: "What a hit costs",
        file: "crates/page-cache/src/directory/pair/words.rs",
        before: "    if !copy() {",
        after: "    _ = std::fs::metadata(\"/\");\n    if !copy() {",
        target: HITS,
        test: "a_hit_makes_no_system_call",
    },
    Mutation {
        promise: "What stays",
        file: "crates/page-cache/src/directory/eviction/stamp.rs",
        before: "self.0 == Self::KEPT.0",
        after: "self.0 == Self::KEPT.0 && self.0 == 0",
        target: IT,
        test: "bound::what_is_kept_stays_until_it_is_released_also_after_a_restart",
    },
    Mutation {
        promise: "Descriptors",
        file: "crates/page-cache/src/directory/mod.rs",
        before: "pairs: Pairs::new(settings.max_open_entries),",
        after: "pairs: Pairs::new(settings.max_open_entries + 1_000),",
        target: IT,
        test: "descriptors::as_many_are_kept_open_as_are_to_be",
    },
    Mutation {
        promise: "Secrets",
        file: "crates/page-cache/src/origin/client/query.rs",
        before: "SECRETS.iter().any(|secret| name.contains(secret))",
        after: "SECRETS.iter().all(|secret| name.contains(secret))",
        target: LIB,
        test: "origin::client::query::tests::no_name_that_secrets_have_shows_its_value",
    },
    Mutation {
        promise: "Limits",
        file: "crates/window-mman/src/pool/books.rs",
        before: "left_bytes.saturating_add(reserved_bytes).saturating_add(bytes) > limits.bytes",
        after: "left_bytes.saturating_add(reserved_bytes).saturating_add(bytes) / 2 > limits.bytes",
        target: MMAN,
        test: "limits::limits_are_kept_as_soon_as_they_can_be",
    },
    Mutation {
        promise: "Writes",
        file: "crates/svf-core/src/block_map/write.rs",
        before: "if self.options.on_overlap == OnOverlap::Reject {",
        after: "if self.options.on_overlap == OnOverlap::Reject && range.is_empty() {",
        target: SVFSC,
        test: "write_compare_for_diff",
    },
    Mutation {
        promise: "Scrubbing",
        file: "crates/svf-core/src/block_map/memory.rs",
        before: "self.0.zeroize();",
        after: "std::hint::black_box(&self.0);",
        target: CORE,
        test: "block_map::memory::tests::scrubbed_bytes_are_wiped_when_the_last_handle_goes",
    },
    Mutation {
        promise: "Time",
        file: "crates/page-cache/src/origin/object_store/attempt.rs",
        before: "        timeout_at(end, future).await.map_err(|_| self.passed())",
        after: "        timeout_at(end + self.timeouts.total * 1_000, future).await.map_err(|_| self.passed())",
        target: IT,
        test: "broken_off::a_body_that_trickles_is_given_up_after_the_total_time",
    },
    Mutation {
        promise: "Files that are cut short while they are open",
        file: "crates/page-cache/src/directory/pair/data.rs",
        before: "if len < self.length {",
        after: "if len < self.length && self.length == 0 {",
        target: IT,
        test: "bad_luck::data_that_was_truncated_is_not_made_longer_by_what_is_fetched",
    },
    Mutation {
        promise: "A limit on the length of files",
        file: "crates/page-cache/src/directory/pair/data.rs",
        before: "check_size_limit(range.end)?;",
        after: "check_size_limit(range.end.min(1))?;",
        target: IT,
        test: "bad_luck::files_that_may_not_be_as_long_as_the_object",
    },
    Mutation {
        promise: "Waiting",
        file: "crates/page-cache/src/fetch/sharing.rs",
        before: "passenger.wait(until, self.patience)",
        after: "passenger.wait(until, self.patience * 1_000_000)",
        target: IT,
        test: "fetching::a_thread_that_is_stuck_is_not_waited_for_longer_than_patience",
    },
    Mutation {
        promise: "Old versions",
        file: "crates/page-cache/src/directory/mod.rs",
        before: "|| self.pairs.delete(&self.files, &self.budget, &name) {",
        after: "{",
        target: IT,
        test: "bound::an_old_version_goes_when_its_last_reader_has_gone",
    },
    Mutation {
        promise: "Reading through",
        file: "crates/svf-core/src/sparse_virtual_file/flights.rs",
        before: "self.by_start.insert(range.start, Arc::clone(&flight));",
        after: "self.by_start.retain(|start, _| *start != range.start);",
        target: THROUGH,
        test: "thirty_two_threads_fetch_each_byte_exactly_once",
    },
];

/// How long a test may take that a mutation has hang; that is red, too.
const PATIENCE: Duration = Duration::from_secs(120);

impl Mutations {
    pub(crate) fn run(&self) -> Result {
        let wanted = |name: &str| self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()));
        let (mut red, mut unnoticed) = (0, Vec::new());
        for mutation in MUTATIONS.iter().filter(|mutation| wanted(mutation.promise)) {
            match mutation.is_noticed()? {
                true => red += 1,
                false => unnoticed.push(format!("{} by {}", mutation.promise, mutation.test)),
            }
        }
        println!("{red} promises broken, each noticed by its test");
        match (red, unnoticed.is_empty()) {
            (0, true) => Err("no promise has such a name".into()),
            (_, true) => Ok(()),
            (_, false) => Err(format!("not noticed: {}", unnoticed.join(", ")).into()),
        }
    }
}

impl Mutation {
    /// Whether the test is green without the mutation and red with it.
    fn is_noticed(&self) -> Result<bool> {
        if !self.passes()? {
            return Err(format!("{} fails without any mutation", self.test).into());
        }
        let _mutated = Mutated::new(self)?;
        let noticed = !self.passes()?;
        println!("{}: {} is {}", self.promise, self.test, if noticed { "red" } else { "GREEN" });
        Ok(noticed)
    }

    fn passes(&self) -> Result<bool> {
        // That it does not compile would not be the test's merit.
        let built = cargo(["test", "--quiet", "--no-run"]).args(self.target).status()?;
        if !built.success() {
            return Err(format!("{}: it does not compile", self.promise).into());
        }
        let mut test = cargo(["test", "--quiet"]);
        test.args(self.target).args(["--", "--exact", self.test]);
        let mut test = test.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = test.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        test.kill()?;
        test.wait()?;
        Ok(false)
    }
}

/// A source file that is not as it was, until this drops.
struct Mutated {
    path: PathBuf,
    original: String,
}

impl Mutated {
    fn new(mutation: &Mutation) -> Result<Self> {
        let path = root().join(mutation.file);
        let original = fs::read_to_string(&path)?;
        fs::write(&path, original.replacen(mutation.before, mutation.after, 1))?;
        Ok(Self { path, original })
    }
}

impl Drop for Mutated {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.original) {
            eprintln!("{} is still mutated: {error}; restore it", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mutation_fits_one_place_and_is_told_of() {
        let semantics = fs::read_to_string(root().join("docs/semantics.md")).unwrap();
        for Mutation { promise, file, before, test, .. } in &MUTATIONS {
            let source = fs::read_to_string(root().join(file)).unwrap();
            assert_eq!(source.matches(before).count(), 1, "{promise}: {before:?} in {file}");
            let headings = [format!("{promise}.**"), format!("{promise}**")];
            let is_of_it = |part: &&str| headings.iter().any(|heading| part.starts_with(heading.as_str()));
            let paragraphs: Vec<_> = semantics.split("\n**").filter(is_of_it).collect();
            let name = test.rsplit("::").next().unwrap();
            let tells = |part: &&str| part.contains("*Mutation:*") && part.contains(name);
            assert!(paragraphs.iter().any(tells), "{promise} tells of no mutation that {name} notices");
        }
    }
}
