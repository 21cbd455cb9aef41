//! `svf` as a process: what it prints, where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod scene;

use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use loopback_origin::{Fault, On, Origin, Times};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::scene::{LEN, Scene, failure, pattern, scene, stdout_of, svf};

#[test]
fn get_of_ten_random_ranges_equals_the_bytes_of_the_file() {
    let scene = scene();
    let mut state = 7u64;
    for _ in 0..10 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let first = (state >> 33) as usize % LEN;
        let last = (first + (state >> 20) as usize % 200_000).min(LEN - 1);
        let output = scene.get(&format!("{first}-{last}"));
        assert!(stdout_of(&output) == &scene.bytes[first..=last], "{first}-{last}");
        assert_eq!(output.stderr, b"");
    }
    for (range, expected) in [
        (format!("{}-{}", LEN - 1, LEN - 1), &scene.bytes[LEN - 1..]),
        ("-1".to_owned(), &scene.bytes[LEN - 1..]),
        (format!("{}-", LEN - 1), &scene.bytes[LEN - 1..]),
        ("0-0".to_owned(), &scene.bytes[..1]),
        (format!("{}-{}", LEN - 10, u64::MAX), &scene.bytes[LEN - 10..]),
        ("-99999999999".to_owned(), &scene.bytes[..]),
    ] {
        assert!(stdout_of(&scene.get(&range)) == expected, "{range}");
    }
}

#[test]
fn get_fetches_each_page_once_over_processes() {
    let scene = scene();
    stdout_of(&scene.get("100000-300000"));
    let first = scene.origin.counters();
    assert_eq!((first.get_requests, first.body_bytes), (1, 4 << 16));
    stdout_of(&scene.get("100000-300000"));
    assert_eq!(scene.origin.counters().requests, first.requests);
}

#[test]
fn prune_removes_what_is_old_or_too_much() {
    let scene = scene();
    let said = |output: &Output| String::from_utf8(stdout_of(output).to_vec()).unwrap();
    assert!(said(&scene.svf(&["prune", "--to", "0"])).contains("there is no cache"));
    assert!(!scene.cache().exists(), "and none is made");
    fs::create_dir(scene.cache()).unwrap();
    assert!(said(&scene.svf(&["prune"])).contains("there is no cache"));
    assert_eq!(fs::read_dir(scene.cache()).unwrap().count(), 0, "nor in an empty directory");

    stdout_of(&scene.get("0-"));
    let held = |scene: &Scene| said(&scene.svf(&["map", &scene.url()]));
    let all = held(&scene);
    assert!(all.contains("1000003 of 1000003"), "{all}");
    said(&scene.svf(&["prune"]));
    said(&scene.svf(&["prune", "--older-than", "1h", "--to", "5GiB"]));
    assert_eq!(held(&scene), all, "nothing is too old or too much");
    let pruned = said(&scene.svf(&["prune", "--to", "100kB"]));
    assert!(pruned.contains("are used") && pruned.contains("before") && pruned.contains("a part"), "{pruned}");
    assert!(!held(&scene).contains("1000003 of 1000003"));

    stdout_of(&scene.get("0-"));
    std::thread::sleep(Duration::from_millis(1_100));
    said(&scene.svf(&["prune", "--older-than", "1s"]));
    assert!(held(&scene).contains("nothing is held"));
    assert!(fs::read_dir(scene.cache().join("pairs")).unwrap().next().is_none());

    for wrong in [["--to", "much"], ["--to", "5 parrots"], ["--older-than", "long"]] {
        let error = failure(&scene.svf(&[&["prune"], &wrong[..]].concat()), 2);
        assert!(error.contains(wrong[0]), "{error}");
    }
}

#[test]
fn the_limit_is_an_option_or_in_the_environment() {
    let scene = scene();
    stdout_of(&scene.svf(&["get", &scene.url(), "--cache-max", "600KiB"]));
    let said = String::from_utf8(stdout_of(&scene.svf(&["prune"])).to_vec()).unwrap();
    assert!(said.contains("at most 600.0 KiB"), "{said}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_svf"));
    command.args(["prune", "--cache-dir"]).arg(scene.cache()).env("SVF_CACHE_MAX", "400KiB");
    let said = String::from_utf8(stdout_of(&command.output().unwrap()).to_vec()).unwrap();
    assert!(said.contains("at most 400.0 KiB"), "{said}");
    assert!(failure(&scene.svf(&["prune", "--cache-max", "much"]), 2).contains("--cache-max"));
}

#[test]
fn the_default_cache_directory_is_the_usual_one() {
    let scene = scene();
    let get = |variable: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_svf"));
        command.args(["get", &scene.url(), "--range", "0-9"]).env_remove("XDG_CACHE_HOME").env_remove("HOME");
        command.envs(variable.map(|variable| (variable, scene.directory.path())));
        command.output().unwrap()
    };
    for (variable, dir) in [("XDG_CACHE_HOME", "svf"), ("HOME", ".cache/svf")] {
        assert_eq!(stdout_of(&get(Some(variable))), &scene.bytes[..10]);
        assert!(scene.directory.path().join(dir).join("CACHEDIR.TAG").exists(), "{variable}");
    }
    let error = failure(&get(None), 7);
    assert!(error.contains("XDG_CACHE_HOME") && error.contains("HOME"), "{error}");
}

#[test]
fn get_without_a_range_writes_everything_also_into_a_file() {
    let scene = scene();
    assert!(stdout_of(&scene.svf(&["get", &scene.url()])) == scene.bytes);
    let path = scene.directory.path().join("output");
    stdout_of(&scene.svf(&["get", &scene.url(), "--output", path.to_str().unwrap()]));
    assert!(fs::read(&path).unwrap() == scene.bytes);
    // A local file goes the same way, and needs no cache.
    let output = svf(Path::new("/dev/null/none"), &["get", path.to_str().unwrap(), "--range", "5-9"]);
    assert_eq!(stdout_of(&output), &scene.bytes[5..10]);
}

#[test]
fn get_of_more_than_it_holds_in_memory_at_once() {
    let scene = scene();
    let bytes = pattern(20_000_000);
    let origin = Origin::builder().serve_bytes("/large", bytes.clone()).start().unwrap();
    assert!(stdout_of(&scene.svf(&["get", &origin.url("/large"), "--range", "3-"])) == &bytes[3..]);
    let counters = origin.counters();
    assert_eq!((counters.get_requests, counters.body_bytes), (3, 20_000_000));
}

#[test]
fn a_failed_get_leaves_the_output_as_it_was() {
    let scene = scene();
    let path = scene.directory.path().join("output");
    fs::write(&path, b"precious").unwrap();
    scene.origin.inject(Fault::Status(404), Times::every().after(1));
    let origin = Origin::builder().serve_bytes("/large", pattern(20_000_000)).start().unwrap();
    origin.inject(Fault::Status(404), Times::every().after(1));
    failure(&scene.svf(&["get", &origin.url("/large"), "--output", path.to_str().unwrap()]), 4);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    // The file that is read may be the one that is written.
    stdout_of(&scene.svf(&["get", path.to_str().unwrap(), "--range", "0-2", "--output", path.to_str().unwrap()]));
    assert_eq!(fs::read(&path).unwrap(), b"pre");
    stdout_of(&scene.svf(&["get", path.to_str().unwrap(), "--output", "/dev/null"]));
    let left: Vec<_> = fs::read_dir(scene.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("part")), "{left:?}");
}

#[test]
fn a_get_that_is_interrupted_leaves_nothing_of_its_output() {
    let scene = scene();
    let out = scene.directory.path().join("out");
    fs::create_dir(&out).unwrap();
    let origin = Origin::builder().serve_bytes("/large", pattern(20_000_000)).start().unwrap();
    // The first step is written before the second request is answered.
    origin.inject(Fault::SlowStart(Duration::from_secs(30)), Times::every().on(On::Get).after(1));
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        // Whoever runs the tests in the background may have them ignore Ctrl-C, and so their children.
        let mut get = Command::new("env");
        get.args(["--default-signal=INT", env!("CARGO_BIN_EXE_svf")]);
        get.args(["get", &origin.url("/large"), "--output"]).arg(out.join("large")).arg("--cache-dir");
        let mut get = get.arg(scene.cache()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while origin.requests().iter().filter(|request| request.range.is_some()).count() == 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "nothing was asked for");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300));
        kill_process(Pid::from_child(&get), signal).unwrap();
        let ended = get.wait().unwrap();
        assert_eq!(ended.signal(), Some(signal.as_raw()), "{signal:?}: {ended}");
        let left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{signal:?}: {left:?}");
    }
    origin.clear_faults();
    let path = out.join("large");
    stdout_of(&scene.svf(&["get", &origin.url("/large"), "--output", path.to_str().unwrap()]));
    assert!(fs::read(&path).unwrap() == pattern(20_000_000));
}

#[test]
fn an_output_that_cannot_be_written() {
    let scene = scene();
    let error = failure(&scene.svf(&["get", &scene.url(), "--output", "/dev/null/none"]), 1);
    assert!(error.contains("/dev/null/none"), "{error}");
    let archive_path = scene.directory.path().join("archive.zip");
    fs::write(&archive_path, archive(2)).unwrap();
    let archive_path = archive_path.to_str().unwrap();
    for arguments in
        [&["get", &scene.url()][..], &["map", &scene.url()], &["demo", archive_path], &["demo", "--json", archive_path]]
    {
        let run = |output: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_svf"));
            command.args(arguments).arg("--cache-dir").arg(scene.cache()).stdout(output).stderr(Stdio::piped());
            command.spawn().unwrap().wait_with_output().unwrap()
        };
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = failure(&run(full.into()), 1);
        assert!(error.contains("standard output") && error.contains("No space"), "{error}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = run(writer.into());
        assert!(closed.status.success() && closed.stderr.is_empty(), "{arguments:?}: {closed:?}");
    }
    // A reader that has seen enough is no failure.
    let mut child = Command::new(env!("CARGO_BIN_EXE_svf"))
        .args(["get", &scene.url(), "--cache-dir"])
        .arg(scene.cache())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
}

#[test]
fn a_url_that_does_not_exist() {
    let scene = scene();
    let url = scene.origin.url("/absent");
    let error = failure(&scene.svf(&["get", &url]), 4);
    assert!(error.contains(&url) && error.contains("does not exist"), "{error}");
}

#[test]
fn a_url_that_is_none() {
    for url in ["http://", "http:", "ftp://host/a", "gopher://host/a", "http://[bad/", "ftp\u{1b}[31m://x"] {
        let error = failure(&scene().svf(&["get", url]), 2);
        assert!(error.contains("http") && !error.contains('\u{1b}'), "{error}");
    }
    let error = failure(&scene().svf(&["get", "/no/such/file"]), 1);
    assert!(error.contains("/no/such/file"), "{error}");
}

#[test]
fn a_server_that_ignores_ranges() {
    let scene = scene();
    scene.origin.inject(Fault::FullInsteadOfPartial, Times::every());
    let error = failure(&scene.get("0-10"), 6);
    assert!(error.contains("ignores range requests") && error.contains("download"), "{error}");
}

#[test]
fn each_kind_of_answer_has_its_exit_code() {
    for (fault, code, says) in [
        (Fault::Status(401), 4, "credentials"),
        (Fault::Status(403), 4, "credentials"),
        (Fault::Status(410), 4, "does not exist"),
        (Fault::Status(500), 5, "500"),
        (Fault::Status(503), 5, "again"),
        (Fault::Status(418), 5, "418"),
        (Fault::ChangedEtag, 6, "has changed"),
        (Fault::WrongRange { shift: 1 }, 6, "cannot be used"),
        (Fault::NoContentRange, 6, "cannot be used"),
    ] {
        let scene = scene();
        scene.origin.inject(fault.clone(), Times::every());
        let error = failure(&scene.svf(&["get", &scene.url(), "--range", "0-10", "--retry-for", "500ms"]), code);
        assert!(error.contains(says) && error.contains("huge.bin"), "{fault:?}: {error}");
    }
}

#[test]
fn a_server_in_trouble_is_asked_again_for_as_long_as_is_said() {
    let scene = scene();
    scene.origin.inject(Fault::Status(503), Times::next(2));
    assert_eq!(stdout_of(&scene.get("0-10")), &scene.bytes[..11]);
    scene.origin.inject(Fault::Status(503), Times::once());
    let error = failure(&scene.svf(&["get", &scene.url(), "--range", "500000-500010", "--retry-for", "0s"]), 5);
    assert!(error.contains("503") && !error.contains("tried"), "{error}");
}

#[test]
fn an_empty_file() {
    let scene = scene();
    let origin = Origin::builder().serve_bytes("/empty", Vec::new()).start().unwrap();
    assert_eq!(stdout_of(&scene.svf(&["get", &origin.url("/empty")])), b"");
    for range in ["0-3", "-5", "7-"] {
        let error = failure(&scene.svf(&["get", &origin.url("/empty"), "--range", range]), 3);
        assert!(error.contains("is empty"), "{error}");
    }
}

#[test]
fn a_proxy_is_not_asked_for_what_is_on_this_machine() {
    let scene = scene();
    let output = Command::new(env!("CARGO_BIN_EXE_svf"))
        .args(["get", &scene.url(), "--range", "0-9", "--cache-dir"])
        .arg(scene.cache())
        .envs([("http_proxy", "http://127.0.0.1:9"), ("HTTP_PROXY", "http://127.0.0.1:9")])
        .output()
        .unwrap();
    assert_eq!(stdout_of(&output), &scene.bytes[..10]);
}

#[test]
fn an_unreachable_host() {
    // Nobody listens at port 1, and no test is given it for a server of its own.
    let start = Instant::now();
    let error = failure(&scene().svf(&["get", "http://127.0.0.1:1/huge.bin"]), 5);
    assert!(error.contains("cannot be reached") && error.contains("network"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_range_that_is_reversed_or_malformed_or_past_the_end() {
    let scene = scene();
    let error = failure(&scene.get("20-10"), 2);
    assert!(error.contains("20-10") && error.contains("reversed"), "{error}");
    for range in ["", "x", "1", "-0", "1-2-3", "--range"] {
        failure(&scene.get(range), 2);
    }
    assert_eq!(scene.origin.counters().requests, 0, "nobody was asked for such ranges");
    for range in [format!("{LEN}-"), format!("{LEN}-{LEN}"), format!("{}-", u64::MAX)] {
        let error = failure(&scene.get(&range), 3);
        assert!(error.contains(&LEN.to_string()) && error.contains("huge.bin"), "{error}");
    }
}

#[test]
fn a_cache_directory_that_cannot_be_used() {
    let scene = scene();
    let refused = |dir: &Path| {
        let error = failure(&svf(dir, &["get", &scene.url(), "--range", "0-1"]), 7);
        assert!(error.contains(dir.to_str().unwrap()) && error.contains("choose"), "{error}");
        assert!(!error.contains("chmod"), "nobody should be told to change what may be the system's: {error}");
    };
    let file = scene.directory.path().join("file");
    fs::write(&file, b"").unwrap();
    refused(&file.join("below"));
    refused(&file);
    refused(Path::new("/dev/null"));
    // No file system that exists only in the kernel takes new directories, whoever asks.
    refused(Path::new("/sys/svf-cache"));
    let other = scene.directory.path().join("other");
    fs::create_dir(&other).unwrap();
    // Only root can give a directory away; anybody else finds one of another user at the root.
    refused(if chown(&other, Some(12_345), None).is_ok() { &other } else { Path::new("/") });
    let precious = scene.directory.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), b"precious").unwrap();
    refused(&precious);
    assert_eq!(fs::read_dir(&precious).unwrap().count(), 1);
}

/// Where this process may mount, a file system that is read-only; else there is nothing to try it on.
#[test]
fn a_cache_directory_on_a_read_only_mount() {
    let scene = scene();
    let mount = scene.directory.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "ro,mode=700", "svf-test"]).arg(&mount).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("this process may not mount: /sys stands in for it in another test");
        return;
    }
    let outputs = [&mount, &mount.join("below")].map(|dir| svf(dir, &["get", &scene.url()]));
    assert!(Command::new("umount").arg(&mount).status().unwrap().success());
    for output in &outputs {
        let error = failure(output, 7);
        assert!(error.contains("Read-only") && error.contains("choose"), "{error}");
    }
}

#[test]
fn a_cache_directory_is_used_by_several_processes_at_once() {
    let scene = scene();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| stdout_of(&scene.get("0-100000")).len());
        }
    });
    stdout_of(&scene.get("0-100000"));
}

#[test]
fn an_index_of_random_bytes_is_set_aside_and_the_read_goes_on() {
    let scene = scene();
    stdout_of(&scene.get("0-100000"));
    let other = Origin::builder().serve_bytes("/other", pattern(100)).start().unwrap();
    let pairs = scene.cache().join("pairs");
    let indices = || {
        let paths = fs::read_dir(&pairs).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "index")).collect::<Vec<_>>()
    };
    let index = indices().pop().unwrap();
    stdout_of(&scene.svf(&["get", &other.url("/other")]));
    fs::write(&index, pattern(5_000)).unwrap();

    let output = scene.get("0-100000");
    assert!(stdout_of(&output) == &scene.bytes[..100_001]);
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.contains("set aside") && warning.contains("index"), "{warning}");
    assert_eq!(fs::read_dir(scene.cache().join("aside")).unwrap().count(), 2);
    assert!(!indices().contains(&index));
    other.reset_counters();
    assert!(stdout_of(&scene.svf(&["get", &other.url("/other")])) == pattern(100));
    assert_eq!(other.counters().requests, 0, "the other object was touched");
}

#[test]
fn a_map_shows_what_is_held_and_asks_nobody() {
    let scene = scene();
    let map = |url: &str| String::from_utf8(stdout_of(&scene.svf(&["map", url])).to_vec()).unwrap();
    assert!(map(&scene.url()).contains("nothing is held"));
    assert_eq!(scene.origin.counters().requests, 0);
    stdout_of(&scene.get("70000-70000"));
    stdout_of(&scene.get("-1"));
    let requests = scene.origin.counters().requests;
    let text = map(&scene.url());
    // 1,000,003 bytes are 16 pages; page 1 and the short last one are held.
    assert!(text.contains(".#.............#\n"), "{text}");
    assert!(text.contains("82499 of 1000003 bytes"), "{text}");
    assert!(text.contains("65536-131071  65536 bytes") && text.contains("983040-1000002  16963 bytes"), "{text}");
    assert_eq!(scene.origin.counters().requests, requests);
    // A map of more rows than one, cells held in part, and more ranges than are listed.
    let origin = Origin::builder().serve_bytes("/large", vec![7; 130 << 16]).start().unwrap();
    for page in 0..20 {
        let first = (page * 3 + 1) << 16;
        stdout_of(&scene.svf(&["get", &origin.url("/large"), "--range", &format!("{first}-{first}")]));
    }
    let text = map(&origin.url("/large"));
    let rows: Vec<_> = text.lines().filter(|line| line.ends_with(['.', '#', '+'])).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert_eq!(rows[0].split_whitespace().last().unwrap(), format!("{}....", ".#.".repeat(20)), "{text}");
    assert!(text.contains("and 4 ranges more"), "{text}");
    let origin = Origin::builder().serve_bytes("/larger", vec![7; 1025 << 16]).start().unwrap();
    stdout_of(&scene.svf(&["get", &origin.url("/larger"), "--range", "0-0"]));
    stdout_of(&scene.svf(&["get", &origin.url("/larger"), "--range", "1000000-1300000"]));
    let text = map(&origin.url("/larger"));
    assert!(text.contains("each character is 196608 bytes") && text.contains("  +....#+..."), "{text}");

    // Looking makes nothing.
    let absent = scene.directory.path().join("absent");
    assert!(stdout_of(&svf(&absent, &["map", &scene.url()])).ends_with(b"absent\n"));
    assert!(!absent.exists());
    failure(&scene.svf(&["map", "/a/local/file"]), 2);
    failure(&scene.svf(&["map", "ftp://host/a"]), 2);
}

#[test]
fn secrets_in_a_url_are_not_shown() {
    let scene = scene();
    let url = scene.origin.url("/absent").replace("http://", "http://user:secret@");
    let error = failure(&scene.svf(&["get", &format!("{url}?X-Amz-Signature=secret")]), 4);
    assert!(!error.contains("secret"), "{error}");
}

fn demo(scene: &Scene, file: &Path) -> Value {
    let output = scene.svf(&["demo", "--json", file.to_str().unwrap()]);
    serde_json::from_slice(stdout_of(&output)).unwrap()
}

fn number(report: &Value, run: usize, field: &str) -> u64 {
    report["runs"][run][field].as_u64().unwrap()
}

/// An archive of stored members of 100,000 bytes each.
fn archive(members: usize) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for member in 0..members {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file(format!("member {member}"), options).unwrap();
        archive.write_all(&pattern(100_000)).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn the_demo_reads_a_member_of_a_zip_twice_and_the_second_time_for_nothing() {
    let scene = scene();
    let path = scene.directory.path().join("an archive.zip");
    fs::write(&path, archive(41)).unwrap();
    let report = demo(&scene, &path);
    assert_eq!(report["object_bytes"].as_u64().unwrap(), path.metadata().unwrap().len());
    assert_eq!(report["runs"][0]["part"]["name"], "member 20");
    assert_eq!(number(&report, 0, "asked_bytes") / 100_000, 1);
    assert!(number(&report, 0, "fetched_bytes") <= number(&report, 0, "touched_64k_bytes"));
    assert!((2..10).contains(&number(&report, 0, "requests")), "{report}");
    assert_eq!((number(&report, 1, "requests"), number(&report, 1, "fetched_bytes")), (0, 0));
    // Another process, the same port, the same ETag: nothing is fetched at all.
    let again = demo(&scene, &path);
    assert_eq!(again["url"], report["url"]);
    assert_eq!((number(&again, 0, "requests"), number(&again, 0, "fetched_bytes")), (0, 0));
    assert_eq!(again["runs"][0]["part"]["summary"], "41 members");
}

#[test]
fn the_demo_of_another_file_of_the_same_name_or_of_another_version_is_of_that() {
    let scene = scene();
    let directories = ["one", "other"].map(|name| scene.directory.path().join(name));
    for (members, directory) in [(3, &directories[0]), (5, &directories[1]), (7, &directories[1])] {
        fs::create_dir_all(directory).unwrap();
        let path = directory.join("archive.zip");
        fs::write(&path, archive(members)).unwrap();
        let report = demo(&scene, &path);
        assert_eq!(report["runs"][0]["part"]["summary"].as_str().unwrap(), format!("{members} members"));
        assert!(number(&report, 0, "fetched_bytes") > 0);
    }
}

#[test]
fn two_demos_at_once_are_one_and_a_clear_error_or_two() {
    let scene = scene();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_svf"));
        command.args(["demo", "--json", "--cache-dir"]).arg(scene.cache());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    for output in &both {
        match output.status.code() {
            Some(0) => assert_eq!(output.stderr, b""),
            _ => assert!(failure(output, 7).contains("in use by another process")),
        }
    }
    assert!(both.iter().any(|output| output.status.success()), "{both:?}");
    let left: Vec<_> = fs::read_dir(scene.directory.path().join("cache-demo")).unwrap().collect();
    assert_eq!(left.len(), 2, "the sample and the port: {left:?}");
}

#[test]
fn the_demo_takes_another_port_if_its_own_is_taken() {
    let scene = scene();
    let path = scene.directory.path().join("archive.zip");
    fs::write(&path, archive(2)).unwrap();
    let taken = Origin::builder().start().unwrap();
    let beside = scene.directory.path().join("cache-demo");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("port"), taken.port().to_string()).unwrap();
    let url = demo(&scene, &path)["url"].as_str().unwrap().to_owned();
    assert!(!url.contains(&format!(":{}/", taken.port())), "{url}");
    let remembered = fs::read_to_string(beside.join("port")).unwrap();
    assert!(url.contains(&format!(":{remembered}/")), "{url}");
}

#[test]
fn the_demo_reads_a_strip_of_a_tiff_and_prints_a_table_and_a_map() {
    let scene = scene();
    let path = scene.directory.path().join("image.tif");
    let mut tiff = Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut tiff).unwrap();
    encoder.write_image::<tiff::encoder::colortype::Gray8>(1_000, 1_000, &pattern(1_000_000)).unwrap();
    fs::write(&path, tiff.into_inner()).unwrap();
    let output = scene.svf(&["demo", path.to_str().unwrap()]);
    let text = String::from_utf8(stdout_of(&output).to_vec()).unwrap();
    for expected in ["image.tif", "1000 x 1000", "strip", "object bytes", "server sent", "# held"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let second = rows.iter().find(|row| row.first() == Some(&"2")).unwrap();
    assert_eq!(second[3..5], ["0", "0"], "{text}");
}

#[test]
fn the_demo_of_something_else() {
    let scene = scene();
    let path = scene.directory.path().join("text");
    fs::write(&path, b"neither").unwrap();
    let error = failure(&scene.svf(&["demo", path.to_str().unwrap()]), 2);
    assert!(error.contains("neither a TIFF nor a ZIP"), "{error}");
    fs::write(&path, b"PK\x03\x04 and then nothing of an archive").unwrap();
    let error = failure(&scene.svf(&["demo", path.to_str().unwrap()]), 1);
    assert!(error.contains("text cannot be read as a ZIP") && error.contains("intact"), "{error}");
    fs::write(&path, archive(0)).unwrap();
    let error = failure(&scene.svf(&["demo", path.to_str().unwrap()]), 1);
    assert!(error.contains("no file that is not empty"), "{error}");
    fs::write(&path, b"II*\0\x08\0\0\0").unwrap();
    failure(&scene.svf(&["demo", path.to_str().unwrap()]), 1);
    failure(&scene.svf(&["demo", "/no/such/file"]), 1);
    // A FIFO has no writer, and would be waited for.
    let fifo = scene.directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(failure(&scene.svf(&["demo", fifo.to_str().unwrap()]), 2).contains("regular file"));
}

#[test]
fn help_tells_the_exit_codes_and_an_example_of_each_subcommand() {
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_svf")).args(arguments).arg("--help").output().unwrap();
        String::from_utf8(stdout_of(&output).to_vec()).unwrap()
    };
    let general = help(&[]);
    for code in 0..=7 {
        assert!(general.contains(&format!("\n  {code}  ")), "{general}");
    }
    for subcommand in ["get", "map", "demo"] {
        assert!(help(&[subcommand]).contains(&format!("Example: svf {subcommand} ")), "{subcommand}");
    }
    for arguments in [&["--no-such-option"][..], &["frob"], &["get"], &[], &["get", "a", "b"]] {
        let usage = Command::new(env!("CARGO_BIN_EXE_svf")).args(arguments).output().unwrap();
        assert!(failure(&usage, 2).contains("see svf --help"), "{arguments:?}");
    }
}
