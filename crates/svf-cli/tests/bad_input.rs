//! Whatever is wrong, every subcommand says it in one line, with the code for it, and damages nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod scene;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use self::scene::{LEN, Scene, failure, scene, stdout_of, svf};

/// Every subcommand with what it takes, for a URL: those that ask a server, and those that look only.
const ASKING: [&str; 4] = ["get", "fetch", "need", "demo"];
const LOOKING: [&str; 7] = ["map", "ls", "stat", "verify", "prune", "rm", "export"];

fn arguments<'a>(subcommand: &'a str, url: &'a str, out: &'a Path) -> Vec<&'a str> {
    match subcommand {
        "ls" | "prune" | "demo" => vec![subcommand],
        "export" => vec![subcommand, url, out.to_str().unwrap()],
        _ => vec![subcommand, url],
    }
}

/// All files below a directory with their contents and permissions.
fn contents(directory: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::symlink_metadata(&path).unwrap().mode();
        if path.is_dir() {
            found.extend(contents(&path));
        }
        let bytes = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.push((path, mode, bytes));
    }
    found.sort();
    found
}

/// Every subcommand is refused the directory, says why, and changes nothing in it.
fn all_are_refused(scene: &Scene, directory: &Path, says: &str) {
    let (out, before) = (scene.directory.path().join("out"), contents(directory));
    for subcommand in ASKING.into_iter().chain(LOOKING) {
        let output = svf(directory, &arguments(subcommand, &scene.url(), &out));
        let error = failure(&output, 7);
        assert!(error.contains(directory.to_str().unwrap()) && error.contains(says), "{subcommand}: {error}");
        assert!(error.contains("choose"), "{subcommand} does not say what to do: {error}");
    }
    assert!(contents(directory) == before, "something in {} is another", directory.display());
    assert!(!out.exists());
}

#[test]
fn a_directory_that_is_no_cache() {
    let scene = scene();
    let taken = scene.directory.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("precious"), b"precious").unwrap();
    all_are_refused(&scene, &taken, "is no cache directory");
    assert_eq!(scene.origin.counters().get_requests, 0);
}

#[test]
fn a_cache_of_another_format() {
    let scene = scene();
    stdout_of(&scene.get("0-100000"));
    let control = scene.cache().join("control");
    let mut bytes = fs::read(&control).unwrap();
    bytes[8..12].copy_from_slice(&3u32.to_le_bytes());
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[..12]) as u32;
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    fs::write(&control, bytes).unwrap();
    all_are_refused(&scene, &scene.cache(), "has format 3, and this program writes format 2");
}

#[test]
fn a_directory_that_others_may_write() {
    let scene = scene();
    stdout_of(&scene.get("0-100000"));
    fs::set_permissions(scene.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    all_are_refused(&scene, &scene.cache(), "can be written by other users");
}

/// Who only looks finds that there is no cache, and makes none.
#[test]
fn a_directory_that_cannot_be_made() {
    let scene = scene();
    let (out, absent) = (scene.directory.path().join("out"), Path::new("/sys/svf-cache"));
    for subcommand in ASKING {
        let error = failure(&svf(absent, &arguments(subcommand, &scene.url(), &out)), 7);
        assert!(error.contains("/sys/svf-cache") && error.contains("choose"), "{subcommand}: {error}");
    }
    for subcommand in LOOKING {
        let output = svf(absent, &arguments(subcommand, &scene.url(), &out));
        match subcommand {
            "export" => assert!(failure(&output, 1).contains("nothing is held")),
            _ => assert!(!stdout_of(&output).is_empty(), "{subcommand}"),
        }
    }
}

#[test]
fn a_url_that_is_none_or_leads_nowhere() {
    let scene = scene();
    let out = scene.directory.path().join("out");
    let with_url = || ASKING.into_iter().chain(LOOKING).filter(|command| !["ls", "prune", "demo"].contains(command));
    for subcommand in with_url() {
        for wrong in ["http://", "http:", "ftp://host/a", "http://[bad/a"] {
            let error = failure(&scene.svf(&arguments(subcommand, wrong, &out)), 2);
            assert!(error.contains("http"), "{subcommand} {wrong}: {error}");
        }
    }
    let absent = scene.origin.url("/absent");
    for subcommand in ["get", "fetch", "need"] {
        let error = failure(&scene.svf(&arguments(subcommand, &absent, &out)), 4);
        assert!(error.contains("/absent") && error.contains("does not exist"), "{subcommand}: {error}");
        // Nobody listens at port 1.
        let error = failure(&scene.svf(&arguments(subcommand, "http://127.0.0.1:1/a", &out)), 5);
        assert!(error.contains("cannot be reached"), "{subcommand}: {error}");
    }
    // Who asks nobody cannot know that there is no such object.
    for subcommand in ["map", "stat", "verify", "rm"] {
        assert!(!stdout_of(&scene.svf(&arguments(subcommand, &absent, &out))).is_empty(), "{subcommand}");
    }
    assert!(failure(&scene.svf(&arguments("export", &absent, &out)), 1).contains("nothing is held"));
    assert!(!out.exists());
}

#[test]
fn a_range_that_is_wrong() {
    let scene = scene();
    let url = scene.url();
    for subcommand in ["get", "fetch", "need"] {
        let before = scene.origin.counters().requests;
        for range in ["9-3", "x", "", "-0", "1", "1-2-3", "99999999999999999999-"] {
            let error = failure(&scene.svf(&[subcommand, &url, "--range", range]), 2);
            assert!(range.is_empty() || error.contains(range), "{subcommand} {range}: {error}");
        }
        assert_eq!(scene.origin.counters().requests, before, "nobody was asked");
        let error = failure(&scene.svf(&[subcommand, &url, "--range", "2000000-"]), 3);
        assert!(error.contains(&LEN.to_string()), "{subcommand}: {error}");
    }
}

/// A file system with next to no room; none if this process may not mount one.
fn full_disk(scene: &Scene, size: &str) -> Option<PathBuf> {
    let mount = scene.directory.path().join("full");
    fs::create_dir(&mount).unwrap();
    let options = format!("size={size},mode=700");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "svf-test"]).arg(&mount).output();
    if mounted.is_ok_and(|output| output.status.success()) {
        return Some(mount);
    }
    eprintln!("this process may not mount, and a full disk is not tried");
    None
}

fn unmount(mount: &Path) {
    assert!(Command::new("umount").arg("--lazy").arg(mount).status().unwrap().success());
}

/// The right bytes, one line of warning, and the code for success.
#[test]
fn a_full_disk_costs_a_warning_and_no_byte() {
    let scene = scene();
    let Some(mount) = full_disk(&scene, "400k") else { return };
    let cache = mount.join("cache");
    let run = |arguments: &[&str]| svf(&cache, arguments);
    let url = scene.url();
    let all: Output = run(&["get", &url]);
    let again = run(&["get", &url, "--range", "500000-"]);
    let needed = run(&["need", &url]);
    let fetched = run(&["fetch", &url]);
    let looks: Vec<_> = ["ls", "stat", "verify", "prune"].into_iter().map(|command| run(&[command])).collect();
    let removed = run(&["rm", &url]);
    unmount(&mount);

    assert!(stdout_of(&all) == scene.bytes);
    let warning = String::from_utf8(all.stderr.clone()).unwrap();
    assert_eq!(warning.lines().count(), 1, "{warning}");
    assert!(warning.starts_with("svf: warning: ") && warning.contains("No space left"), "{warning}");
    assert!(stdout_of(&again) == &scene.bytes[500_000..]);
    assert!(String::from_utf8_lossy(&again.stderr).lines().count() <= 1, "{again:?}");
    stdout_of(&needed);
    // What is to be held and cannot be is a failure of its own.
    assert_eq!(fetched.status.code(), Some(8), "{fetched:?}");
    let said = String::from_utf8(fetched.stderr).unwrap();
    assert!(said.lines().last().unwrap().starts_with("svf: http"), "{said}");
    looks.iter().for_each(|look| assert!(!stdout_of(look).is_empty()));
    stdout_of(&removed);
}

/// Where not even an empty cache has room, that is said.
#[test]
fn a_disk_without_any_room() {
    let scene = scene();
    let Some(mount) = full_disk(&scene, "64k") else { return };
    fs::write(mount.join("fill"), vec![7; 64 << 10]).unwrap_or_default();
    let output = svf(&mount.join("cache"), &["get", &scene.url(), "--range", "0-9"]);
    unmount(&mount);
    let error = failure(&output, 7);
    assert!(error.contains("No space left") && error.contains("make room"), "{error}");
}

/// What was mistyped is told with what may have been meant, in the same line.
#[test]
fn a_word_that_is_mistyped() {
    let scene = scene();
    for (arguments, meant) in [(&["fetsh", "x"][..], "fetch"), (&["prune", "--older-then", "1h"], "--older-than")] {
        let error = failure(&scene.svf(arguments), 2);
        assert!(error.contains(meant) && error.contains("see svf --help"), "{error}");
    }
}

/// What is said of the code is what `--help` and the README say.
#[test]
fn exit_codes_are_documented_alike_and_each_help_has_an_example() {
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_svf")).args(arguments).arg("--help").output().unwrap();
        String::from_utf8(stdout_of(&output).to_vec()).unwrap()
    };
    let general = help(&[]);
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for code in 0..=9 {
        let row = readme.lines().find(|line| line.starts_with(&format!("| {code} | "))).unwrap();
        let meaning = row.split('|').nth(2).unwrap().trim();
        assert!(words(&general).contains(&format!(" {code} {meaning}")), "{code} {meaning}: {general}");
    }
    for subcommand in ASKING.into_iter().chain(LOOKING).chain(["completions"]) {
        let help = help(&[subcommand]);
        assert!(help.contains(&format!("Example: svf {subcommand}")), "{subcommand}: {help}");
        assert!(general.contains(&format!("\n  {subcommand} ")), "{subcommand}: {general}");
    }
}
