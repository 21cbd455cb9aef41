//! `svf` on a terminal: the progress bar, colours, Ctrl-C.
//!
//! The terminal is `script` of util-linux, which gives its command one and shows what is written to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

#[expect(dead_code, reason = "the terminal needs a part of it")]
mod scene;

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use loopback_origin::{Fault, On, Origin, Times};

use self::scene::{pattern, scene, stdout_of};

/// What a terminal of so many columns shows of a command.
fn on_a_terminal(columns: u32, command: &str, environment: &[(&str, &str)]) -> Output {
    let svf = env!("CARGO_BIN_EXE_svf");
    let in_it = format!("stty cols {columns} rows 24; exec '{svf}' {command}");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &in_it, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
    script.envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

fn shown(output: &Output) -> String {
    String::from_utf8(stdout_of(output).to_vec()).unwrap()
}

/// A server of a file of 12 MB, which is two requests; the next of these takes a second longer than the other.
fn slow() -> Origin {
    let origin = Origin::builder().serve_bytes("/huge.bin", pattern(12_000_000)).start().unwrap();
    origin.inject(Fault::SlowStart(Duration::from_secs(1)), Times::once().on(On::Get));
    origin
}

#[test]
fn a_bar_is_one_line_of_any_terminal_and_gone_at_the_end() {
    for columns in [120, 80, 70, 69, 50, 40, 39, 25] {
        let (origin, scene) = (slow(), scene());
        let command = format!("fetch {} --cache-dir '{}'", origin.url("/huge.bin"), scene.cache().display());
        let shown = shown(&on_a_terminal(columns, &command, &[]));
        assert!(shown.contains(" %") && shown.contains(" left"), "{columns}: {shown:?}");
        assert_eq!(shown.contains('█') || shown.contains('░'), columns >= 40, "{columns}: {shown:?}");
        // Who writes more than a line has to go up again.
        assert!(!shown.contains("\u{1b}[1A") && !shown.contains("\u{1b}[2A"), "{columns}: {shown:?}");
        let frames = shown.split('\r').map(|frame| frame.trim_start_matches("\u{1b}[2K"));
        let longest = frames.map(|frame| frame.trim_end().chars().count()).max().unwrap();
        assert!(longest <= 72.max(columns as usize), "{columns}: a frame of {longest}: {shown:?}");
        let last = shown.trim_end().rsplit("\u{1b}[2K").next().unwrap();
        assert!(last.trim_start().starts_with("11.4 MiB fetched by"), "{columns}: {last:?}");
    }
}

#[test]
fn a_bar_has_rate_and_time_left_where_there_is_room_and_none_where_nobody_wants_it() {
    let (origin, scene) = (slow(), scene());
    let command =
        |more: &str| format!("fetch {} --cache-dir '{}' {more}", origin.url("/huge.bin"), scene.cache().display());
    let quiet = shown(&on_a_terminal(100, &command("--range 0-999999 --quiet"), &[]));
    assert!(!quiet.contains(" left") && quiet.contains("fetched by"), "{quiet:?}");
    origin.inject(Fault::SlowStart(Duration::from_secs(1)), Times::once().on(On::Get));
    let wide = shown(&on_a_terminal(100, &command(""), &[]));
    for part in ["of 10.", "MiB", "/s", "s left", " %"] {
        assert!(wide.contains(part), "{part}: {wide:?}");
    }
    // A pipe gets the result, whatever standard error is.
    let into_a_pipe = format!("{} | cat", command("--json"));
    let piped = shown(&on_a_terminal(100, &into_a_pipe, &[]));
    assert!(piped.trim_end().ends_with('}') && piped.contains("\"requests\":0"), "{piped:?}");
}

#[test]
fn no_color_is_obeyed() {
    let coloured = shown(&on_a_terminal(80, "ls --help", &[]));
    assert!(coloured.contains("\u{1b}[1m"), "{coloured:?}");
    for command in ["ls --help", "--help", "completions bash"] {
        let plain = shown(&on_a_terminal(80, command, &[("NO_COLOR", "1")]));
        assert!(!plain.contains('\u{1b}'), "{command}: {plain:?}");
    }
    let scene = scene();
    let command = format!("ls --cache-dir '{}'", scene.cache().display());
    assert_eq!(shown(&on_a_terminal(80, &command, &[])), "nothing is held\r\n", "results are never coloured");
}

#[test]
fn ctrl_c_ends_a_fetch_and_what_has_come_is_held() {
    let (origin, scene) = (slow(), scene());
    let url = origin.url("/huge.bin");
    // The first 8 MiB are held; then the terminal's own Ctrl-C comes in the middle of the rest.
    stdout_of(&scene.svf(&["fetch", &url, "--range", "0-8388607"]));
    origin.set_delay(Duration::from_secs(30));
    let svf = env!("CARGO_BIN_EXE_svf");
    // Whoever runs the tests in the background may have them ignore Ctrl-C, and so their children.
    let in_it = format!("exec env --default-signal=INT '{svf}' fetch {url} --cache-dir '{}'", scene.cache().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &in_it, "/dev/null"]).env("TERM", "xterm");
    let asked = origin.counters().connections;
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let start = std::time::Instant::now();
    while origin.counters().connections == asked && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Its bar is drawn by now or soon; the sign is the terminal's and needs no reader.
    std::thread::sleep(Duration::from_millis(300));
    std::io::Write::write_all(script.stdin.as_mut().unwrap(), b"\x03").unwrap();
    let output = script.wait_with_output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(25), "it has waited for its server");
    assert_eq!(output.status.code(), Some(128 + 2), "{output:?}");
    assert_eq!(scene.svf(&["verify"]).status.code(), Some(0));
    let held = scene.svf(&["stat", &url, "--json"]);
    assert!(String::from_utf8_lossy(stdout_of(&held)).contains("\"held\":8388608"), "{held:?}");
}
