//! What the documents name exists: tests, items of the API, files; and comments are as wide as the code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// All sources of the crates.
fn sources() -> Vec<PathBuf> {
    sources_in(["crates"])
}

fn sources_in<const N: usize>(folders: [&str; N]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = folders.map(|folder| root().join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The names behind a keyword in a source, of which there may be more than one.
fn names_behind<'a>(source: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    let is_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(keyword).map(move |(at, _)| {
        let rest = &source[at + keyword.len()..];
        &rest[..rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len())]
    })
}

/// The names of all functions that are tests.
fn tests() -> HashSet<String> {
    let mut tests = HashSet::new();
    for path in sources() {
        let source = fs::read_to_string(path).unwrap();
        for (at, _) in source.match_indices("#[test]").chain(source.match_indices("#[tokio::test")) {
            tests.extend(names_behind(&source[at..], "fn ").next().map(str::to_owned));
        }
    }
    tests
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The paragraphs that begin with a bold name, with these names.
fn promises(text: &str) -> Vec<(&str, &str)> {
    let bold = text.split("\n**").skip(1);
    bold.map(|promise| (promise.split("**").next().unwrap(), promise.split("\n## ").next().unwrap())).collect()
}

#[test]
fn each_promise_names_tests_and_all_of_them_exist() {
    let (text, tests) = (document("docs/semantics.md"), tests());
    let promises = promises(&text);
    assert!(promises.len() > 30, "{} promises", promises.len());
    let cases = document("crates/window-mman/tests/linux/mod.rs");
    for (name, promise) in promises {
        // A name that is a sentence of four words and more is a test's.
        let named: Vec<_> = quoted(promise).filter(|name| is_a_sentence(name)).collect();
        for test in &named {
            assert!(tests.contains(*test), "{name} is held by {test}, which is no test");
        }
        let told: Vec<_> = promise.split('"').skip(1).step_by(2).map(|case| case.replace('\n', " ")).collect();
        for case in told.iter().filter(|case| case.split(' ').count() > 2) {
            assert!(cases.contains(&format!("\"{case}\"")), "{name} is held by {case:?}, which is no case");
        }
        let files: Vec<_> = quoted(promise).filter(|name| name.ends_with(".rs")).collect();
        for file in &files {
            assert!(sources().iter().any(|path| path.ends_with(file)), "{name} is held by {file}, which is no file");
        }
        let module = promise.contains("cached_store::{");
        let case = promise.contains("tests/processes.rs");
        assert!(!named.is_empty() || !files.is_empty() || module || case, "{name} names no test");
    }
}

fn is_a_sentence(name: &str) -> bool {
    name.matches('_').count() >= 3 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The promises that a user would ask for first, each with a mutation that its test notices.
#[test]
fn the_first_promises_tell_of_a_mutation() {
    let text = document("docs/semantics.md");
    let promises = promises(&text);
    for name in [
        "Versions.",
        "Staleness.",
        "Durability.",
        "Bound.",
        "Single flight.",
        "Sharing.",
        "Where.",
        "Fork.",
        "Signals.",
        "Trust.",
        "Damage.",
    ] {
        let tells = |(found, promise): &(&str, &str)| *found == name && promise.contains("*Mutation:*");
        assert!(promises.iter().any(tells), "{name} tells of no mutation");
    }
}

/// Every link of a document to this repository leads somewhere.
#[test]
fn links_lead_somewhere() {
    let documents =
        ["README.md", "docs/architecture.md", "docs/cached-store.md", "docs/coming-from.md", "docs/guide.md"];
    for name in documents.into_iter().chain(["docs/on-disk-format.md", "docs/semantics.md"]) {
        let text = document(name);
        let folder = root().join(name).parent().unwrap().to_owned();
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let defined = definitions(&text);
        for target in inline.chain(defined.values().copied()).filter(|target| !target.contains("://")) {
            let path = target.split('#').next().unwrap();
            assert!(path.is_empty() || folder.join(path).exists(), "{name} links to {target}");
        }
    }
}

/// The names of links, and where they lead.
fn definitions(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).collect()
}

/// Each row of the tables names a test, an example or an item, in the file that it links to.
#[test]
fn each_row_for_newcomers_can_be_seen_to_be_true() {
    let text = document("docs/coming-from.md");
    let files = definitions(&text);
    let mut rows = 0;
    for row in text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")) {
        if row.starts_with("| there |") {
            continue;
        }
        rows += 1;
        assert_eq!(row.matches('|').count(), 6, "five columns: {row}");
        let see = row.trim_end_matches('|').rsplit(" | ").next().unwrap();
        let links: Vec<_> = see.split("][").collect();
        assert!(links.len() > 1, "{row} links to nothing");
        for pair in links.windows(2) {
            let shown = pair[0].rsplit('[').next().unwrap().trim_matches('`');
            let file = pair[1].split(']').next().unwrap();
            let target = files.get(file).unwrap_or_else(|| panic!("{file} is not defined: {row}"));
            let source = document(&format!("docs/{target}"));
            let is_there = target.ends_with(shown)
                || source.contains(&format!("## {shown}"))
                || ["fn ", "struct ", "enum ", "trait "]
                    .iter()
                    .any(|kind| names_behind(&source, kind).any(|name| name == shown));
            assert!(is_there, "{shown} is not in {target}: {row}");
        }
    }
    assert!(rows > 60, "{rows} rows");
}

/// Each document with code in Rust is among those whose code the tests of a crate compile, and so is each README.
#[test]
fn all_code_is_compiled() {
    let facade = document("crates/svf-facade/src/lib.rs");
    let documents = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut compiled = 0;
    for path in documents.chain([root().join("README.md")]).filter(|path| path.extension().is_some_and(|e| e == "md")) {
        if fs::read_to_string(&path).unwrap().contains("```rust") {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            assert!(
                facade.contains(&format!("include_str!(\"../../../{name}\")")),
                "{name} has code that nobody compiles"
            );
            compiled += 1;
        }
    }
    assert!(compiled >= 3, "{compiled} documents");
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let member = entry.unwrap().path();
        let readme = fs::read_to_string(member.join("README.md")).unwrap();
        let library = fs::read_to_string(member.join("src/lib.rs")).unwrap_or_default();
        let is_compiled = library.contains("include_str!(\"../README.md\")");
        assert!(!readme.contains("```rust") || is_compiled, "{} has code that nobody compiles", member.display());
    }
}

/// The formatter leaves comments as they are. Rows of tables cannot be broken.
#[test]
fn comments_are_no_longer_than_a_line_of_code() {
    for path in sources_in(["crates", "benches", "xtask"]) {
        let source = fs::read_to_string(&path).unwrap();
        for (number, line) in source.lines().enumerate() {
            let comment = line.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!', ' ']));
            let is_wide = comment.is_some_and(|text| !text.starts_with('|')) && line.chars().count() > 120;
            assert!(!is_wide, "{}:{}: {line}", path.display(), number + 1);
        }
    }
}
