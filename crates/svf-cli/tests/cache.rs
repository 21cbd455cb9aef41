//! What `svf` says of a cache and does to it, as a process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

mod scene;

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use loopback_origin::{Object, Origin};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use svf::page_cache::{Cache, FnOrigin, Stat, Validators};

use self::scene::{LEN, Scene, failure, pattern, scene, stdout_of, svf};

fn text(scene: &Scene, arguments: &[&str]) -> String {
    String::from_utf8(stdout_of(&scene.svf(arguments)).to_vec()).unwrap()
}

fn json(scene: &Scene, arguments: &[&str]) -> Value {
    let line = text(scene, &[arguments, &["--json"]].concat());
    assert_eq!(line.lines().count(), 1, "{line}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn fetch_brings_pieces_once_and_says_what_it_did() {
    let scene = scene();
    let url = scene.url();
    let fetched = json(&scene, &["fetch", &url, "--range", "0-9", "--range", "-1"]);
    assert_eq!(fetched["length"], LEN);
    let held = fetched["held"].as_u64().unwrap();
    assert_eq!((held, &fetched["fetched"]), ((64 << 10) + (LEN as u64 % (64 << 10)), &json!(held)));
    assert_eq!(fetched["requests"], 2);
    let said = text(&scene, &["fetch", &url]);
    assert!(said.contains("fetched by") && said.contains("100.0 %"), "{said}");
    let before = scene.origin.counters();
    assert_eq!(before.body_bytes, LEN as u64, "each byte came once");
    let again = scene.svf(&["fetch", &url]);
    assert!(String::from_utf8_lossy(stdout_of(&again)).contains("0 B fetched by 0 requests"), "{again:?}");
    assert_eq!(again.stderr, b"", "nothing is drawn where there is no terminal");
    assert_eq!(scene.origin.counters().get_requests, before.get_requests);
    assert!(stdout_of(&scene.svf(&["get", &url])) == scene.bytes);
    assert_eq!(scene.origin.counters().get_requests, before.get_requests);
}

/// It ends before anything could be counted beside it.
#[test]
fn what_is_fetched_is_kept_though_a_large_cache_has_not_been_counted_since_the_system_was_started() {
    let scene = scene();
    let cache = Cache::builder(scene.cache()).open().unwrap();
    for object in 0..2_000 {
        let stat = Stat { length: 1, validators: Validators { version: Some("1".into()), ..Validators::default() } };
        cache.file(FnOrigin::new(format!("object:{object}"), stat, |_| Ok(vec![7].into()))).unwrap();
    }
    drop(cache);
    let control = fs::File::options().write(true).open(scene.cache().join("control")).unwrap();
    for command in ["fetch", "get"] {
        let path = format!("/{command}");
        scene.origin.put(&path, Object::from_bytes(pattern(200_000)));
        let url = scene.origin.url(&path);
        // Who makes the files of an object waits for the count.
        stdout_of(&scene.svf(&["get", &url, "--range", "0-0"]));
        // The start of the system in which it was counted.
        control.write_all_at(&[7; 16], 64).unwrap();
        stdout_of(&scene.svf(&[command, &url]));
        assert_eq!(json(&scene, &["stat", &url])["held"], 200_000, "{command}");
    }
}

#[test]
fn need_says_which_requests_a_read_would_send() {
    let scene = scene();
    let url = scene.url();
    let all = json(&scene, &["need", &url]);
    assert_eq!(all, json!({"bytes": LEN, "requests": [{"first": 0, "last": LEN - 1}]}));
    stdout_of(&scene.get("100000-100000"));
    let rest = json(&scene, &["need", &url]);
    let page = 64 << 10;
    assert_eq!(rest["requests"], json!([{"first": 0, "last": page - 1}, {"first": 2 * page, "last": LEN - 1}]));
    assert_eq!(text(&scene, &["need", &url, "--range", "100000-100001"]), "0 requests, 0 B\n");
    let said = text(&scene, &["need", &url, "--range", "0-9"]);
    assert!(said.starts_with("0-65535  65536 bytes\n1 request, "), "{said}");
    assert_eq!(scene.origin.counters().get_requests, 1);
}

#[test]
fn ls_and_stat_tell_what_is_held_and_ask_nobody() {
    let scene = scene();
    let url = scene.url();
    assert_eq!(text(&scene, &["ls"]), "nothing is held\n");
    assert_eq!(json(&scene, &["ls"]), json!({"files": []}));
    assert!(text(&scene, &["stat"]).contains("there is no cache"));
    assert_eq!(text(&scene, &["stat", &url]), "nothing is held of it\n");
    assert_eq!(json(&scene, &["stat", &url]), Value::Null);
    assert!(!scene.cache().exists(), "looking makes no cache");

    stdout_of(&scene.get("0-9"));
    // Uses are noted by the second.
    std::thread::sleep(Duration::from_millis(1_100));
    scene.origin.put("/other", loopback_origin::Object::from_bytes(pattern(10)));
    let other = scene.origin.url("/other");
    stdout_of(&scene.svf(&["get", &other]));
    let requests = scene.origin.counters().requests;
    let listed = json(&scene, &["ls", "--sort", "held"]);
    assert_eq!(listed["files"][0]["url"], json!(url));
    assert_eq!(listed["files"][1]["url"], json!(other));
    assert_eq!(listed["files"][1]["held"], 10);
    assert_eq!(json(&scene, &["ls", "--sort", "used"])["files"][0]["url"], json!(other));
    let table = text(&scene, &["ls"]);
    assert_eq!(table.lines().count(), 3);
    assert!(table.contains("HELD") && table.contains(&url) && table.contains("100.0 %"), "{table}");

    let one = json(&scene, &["stat", &url]);
    assert_eq!((&one["length"], &one["held"], &one["page_size"]), (&json!(LEN), &json!(65536), &json!(65536)));
    assert_eq!(one["ranges"], json!([{"first": 0, "last": 65535}]));
    assert!(one["etag"].is_string() && one["checked"].as_u64().unwrap() > 1_600_000_000, "{one}");
    let shown = text(&scene, &["stat", &url]);
    for word in ["length", "1000003 bytes", "held", "ETag", "checked"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let whole = json(&scene, &["stat"]);
    assert_eq!((&whole["files"], &whole["held"]), (&json!(2), &json!(65546)));
    assert!(whole["used"].as_u64().unwrap() > 65546 && whole["max"].as_u64().unwrap() > 0, "{whole}");
    assert!(text(&scene, &["stat"]).contains("of at most"));
    assert_eq!(scene.origin.counters().requests, requests);
}

#[test]
fn ls_and_stat_work_while_others_read_and_evict() {
    let scene = scene();
    let url = scene.url();
    let mut reading = Vec::new();
    for number in 0..2 {
        let (cache, url) = (scene.cache(), url.clone());
        reading.push(std::thread::spawn(move || {
            for round in 0..6 {
                let first = (round * 300_007 + number * 100_000) % (LEN - 10);
                let range = format!("{first}-{}", first + 9);
                stdout_of(&svf(&cache, &["get", &url, "--range", &range]));
                stdout_of(&svf(&cache, &["prune", "--to", "200kB"]));
            }
        }));
    }
    while !reading.iter().all(|thread| thread.is_finished()) {
        json(&scene, &["ls"]);
        json(&scene, &["stat"]);
        json(&scene, &["stat", &url]);
    }
    reading.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn verify_finds_damage_and_has_it_fetched_again() {
    let scene = scene();
    let url = scene.url();
    assert_eq!(text(&scene, &["verify"]), "nothing is held\n");
    stdout_of(&scene.get("0-"));
    assert!(text(&scene, &["verify"]).contains("are good"));
    assert_eq!(json(&scene, &["verify", &url])["files"][0]["good"], LEN);
    let data = fs::read_dir(scene.cache().join("pairs")).unwrap().map(|entry| entry.unwrap().path());
    let data = data.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "data")).unwrap();
    fs::File::options().write(true).open(data).unwrap().write_all_at(b"damage", 70_000).unwrap();
    let output = scene.svf(&["verify", "--json"]);
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["files"][0]["damaged"], json!([{"first": 65536, "last": 131_071}]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("damaged pages"), "{output:?}");
    assert!(text(&scene, &["verify"]).contains("are good"), "it is held no more");
    assert!(stdout_of(&scene.svf(&["get", &url])) == scene.bytes);
}

#[test]
fn export_makes_a_sparse_copy_without_asking_anybody() {
    let scene = scene();
    let url = scene.url();
    stdout_of(&scene.get("100000-100009"));
    let requests = scene.origin.counters().requests;
    let path = scene.directory.path().join("copy");
    let exported = json(&scene, &["export", &url, path.to_str().unwrap()]);
    assert_eq!((&exported["exported"], &exported["length"]), (&json!(65536), &json!(LEN)));
    let copy = fs::read(&path).unwrap();
    assert!(copy.len() == LEN && copy[65536..131_072] == scene.bytes[65536..131_072] && copy[..65536] == [0; 65536]);
    let error = failure(&scene.svf(&["export", &url, path.to_str().unwrap()]), 1);
    assert!(error.contains("copy"), "{error}");
    let unknown = scene.origin.url("/unknown");
    let elsewhere = scene.directory.path().join("elsewhere");
    let error = failure(&scene.svf(&["export", &unknown, elsewhere.to_str().unwrap()]), 1);
    assert!(error.contains("nothing is held of") && error.contains("svf fetch"), "{error}");
    assert!(!elsewhere.exists());
    assert_eq!(scene.origin.counters().requests, requests);
}

#[test]
fn map_as_json_and_as_a_picture() {
    let scene = scene();
    let url = scene.url();
    assert_eq!(json(&scene, &["map", &url]), Value::Null);
    stdout_of(&scene.get("100000-100009"));
    let map = json(&scene, &["map", &url]);
    assert_eq!(map["ranges"], json!([{"first": 65536, "last": 131_071}]));
    let svg = text(&scene, &["map", &url, "--svg"]);
    assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"), "{svg}");
    assert_eq!(svg.matches("fill=\"#1f6feb\"").count(), 1, "one page is one mark: {svg}");
    assert!(svg.contains(&url));
    failure(&scene.svf(&["map", &url, "--svg", "--json"]), 2);
}

#[test]
fn a_fetch_that_is_interrupted_leaves_a_valid_cache() {
    let scene = scene();
    let bytes = pattern(30_000_000);
    let origin =
        Origin::builder().serve_bytes("/large", bytes.clone()).delay(Duration::from_millis(50)).start().unwrap();
    let url = origin.url("/large");
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        // Whoever runs the tests in the background may have them ignore Ctrl-C, and so their children.
        let mut child = Command::new("env")
            .args(["--default-signal=INT", env!("CARGO_BIN_EXE_svf"), "fetch", &url, "--cache-dir"])
            .arg(scene.cache())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let before = origin.counters().requests;
        while origin.counters().requests < before + 2 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        // It may have ended by itself; then there is nothing to interrupt.
        _ = kill_process(Pid::from_child(&child), signal);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        assert_eq!(said, "", "{signal:?}");
        assert_eq!(scene.svf(&["verify"]).status.code(), Some(0), "{signal:?}");
        let held = json(&scene, &["stat", &url]);
        assert!(held.is_null() || held["held"].as_u64().unwrap() <= 30_000_000, "{held}");
    }
    assert!(stdout_of(&scene.svf(&["get", &url])) == bytes);
}

#[test]
fn rm_removes_all_of_a_file_and_prune_says_what_went() {
    let scene = scene();
    let url = scene.url();
    assert_eq!(text(&scene, &["rm", &url]), "nothing was held\n");
    assert_eq!(json(&scene, &["prune"])["max"], 0);
    assert!(!scene.cache().exists());
    scene.origin.put("/other", loopback_origin::Object::from_bytes(pattern(100_000)));
    let other = scene.origin.url("/other");
    stdout_of(&scene.svf(&["get", &url]));
    stdout_of(&scene.svf(&["get", &other]));
    let removed = json(&scene, &["rm", &url, &scene.origin.url("/unknown")]);
    assert_eq!(removed, json!({"files": [{"url": url, "removed": LEN}]}));
    assert_eq!(json(&scene, &["stat", &url]), Value::Null);
    assert_eq!(json(&scene, &["stat", &other])["held"], 100_000);
    let pruned = json(&scene, &["prune", "--to", "0"]);
    assert_eq!((&pruned["whole"], &pruned["bytes"], &pruned["counted"]), (&json!(1), &json!(100_000), &json!(true)));
    failure(&scene.svf(&["rm"]), 2);
    failure(&scene.svf(&["rm", "/a/path"]), 2);
}

#[test]
fn each_subcommand_refuses_what_is_wrong_in_one_line() {
    let scene = scene();
    let url = scene.url();
    let taken = scene.directory.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("precious"), b"precious").unwrap();
    let url_commands: [&[&str]; 6] = [&["fetch"], &["need"], &["map"], &["stat"], &["verify"], &["export"]];
    for command in url_commands {
        let export = command == ["export"];
        let out = scene.directory.path().join("out");
        let with = |url: &str| {
            let mut arguments = vec![command[0].to_owned(), url.to_owned()];
            arguments.extend(export.then(|| out.to_str().unwrap().to_owned()));
            arguments
        };
        let run = |arguments: Vec<String>| scene.svf(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        for wrong in ["http://", "ftp://host/a"] {
            failure(&run(with(wrong)), 2);
        }
        failure(&run(with("/a/local/path")), if matches!(command, ["fetch" | "need"]) { 1 } else { 2 });
        let arguments = with(&url);
        let refused = svf(&taken, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(failure(&refused, 7).contains("taken"), "{command:?}");
    }
    for command in ["ls", "stat", "verify", "prune"] {
        assert!(failure(&svf(&taken, &[command]), 7).contains("taken"), "{command}");
    }
    for (range, code) in [("9-3", 2), ("x", 2), ("2000000-", 3)] {
        for command in ["fetch", "need"] {
            failure(&scene.svf(&[command, &url, "--range", range]), code);
        }
    }
    failure(&scene.svf(&["ls", "--sort", "colour"]), 2);
    failure(&scene.svf(&["completions", "tcsh"]), 2);
    assert_eq!(fs::read(taken.join("precious")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
}

#[test]
fn completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(env!("CARGO_BIN_EXE_svf")).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(stdout_of(&output).to_vec()).unwrap();
        assert!(script.contains("svf") && script.contains("prune"), "{shell}: {script}");
    }
}
