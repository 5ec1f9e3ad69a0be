//! The program: its outputs, its errors, its status, and a recording of another process.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Recorder, small};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wakeful-trace"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A folder that is removed at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, recorder: &Recorder) -> String {
        let path = self.0.join(name);
        fs::write(&path, recorder.bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn several_recordings_are_beside_each_other_on_the_time_of_day() {
    let folder = Folder::new("several");
    let first = folder.file("first.wtr", &small());
    let mut later = small();
    later.wall_clock += 2_000_000_000;
    let later = folder.file("later.wtr", &later);
    let to = folder.path("both.txt");
    let output = program(&["convert", &later, &first, &to]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = fs::read_to_string(&to).unwrap();
    let name = |file: &str| file.strip_suffix(".wtr").unwrap().to_owned();
    for (time, file) in [("+0.000002000", &first), ("+2.000002000", &later)] {
        let line = format!(
            "{time}  {}  task 1.0         spawned at main.rs:27\n",
            name(file)
        );
        assert!(text.contains(&line), "{line}{text}");
    }
    let missing = program(&["convert", &first]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("the file to write is missing"));
}

#[test]
fn each_format_is_written() {
    let folder = Folder::new("formats");
    let from = folder.file("a.wtr", &small());
    for (ending, begin) in [
        ("txt", "runtime 1 of process"),
        ("json", "{\"displayTimeUnit\""),
        ("svg", "<svg"),
        ("html", "<!DOCTYPE html>"),
    ] {
        let to = folder.path(&format!("a.{ending}"));
        let output = program(&["convert", &from, &to]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(fs::read_to_string(&to).unwrap().starts_with(begin));
    }
}

#[test]
fn usage_errors_have_status_2_and_name_what_is_allowed() {
    for (arguments, words) in [
        (&[][..], "a command is missing: convert, text, ps or top"),
        (&["show"], "known are convert, text, ps and top"),
        (&["text"], "a file or the id of a process is missing"),
        (&["convert", "a.wtr"], "the file to write is missing"),
        (&["ps", "a", "b"], "unexpected argument \"b\""),
        (
            &["ps", "a", "--once"],
            "ps has no option --once; it has --json",
        ),
        (
            &["convert", "a", "b.txt", "--json"],
            "convert has no option --json",
        ),
        (&["top", "1", "--interval", "0"], "0.1 to 3600 seconds"),
        (
            &["top", "1", "--sort", "name"],
            "busy, polls, wakes or wait",
        ),
        (&["top", "1", "--json"], "--json of top needs --once"),
        (&["text", "a", "--wrong"], "--wrong"),
    ] {
        let output = program(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = stderr(&output);
        assert!(message.contains(words), "{arguments:?}: {message}");
        assert!(message.contains("Usage:"), "{arguments:?}: {message}");
    }
}

/// Asserts that a command ends with status 1 and says `words`.
#[track_caller]
fn assert_fails(arguments: &[&str], words: &str) {
    let output = program(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    let message = stderr(&output);
    let head = format!("wakeful-trace: {words}");
    assert!(message.starts_with(&head), "{arguments:?}: {message}");
    assert!(!message.contains("panicked"), "{arguments:?}: {message}");
}

#[test]
fn what_cannot_be_read_or_written_has_status_1_and_a_cause() {
    let folder = Folder::new("unreadable");
    let good = folder.file("good.wtr", &small());
    let page = folder.file("page.html", &small());
    let other = folder.path("other.wtr");
    let mut bytes = small().bytes();
    bytes[8] = 2;
    fs::write(&other, bytes).unwrap();
    let text = folder.path("text.wtr");
    fs::write(&text, "hello").unwrap();
    let missing = folder.path("missing.wtr");

    let cause = format!("cannot open {missing}: No such file or directory");
    assert_fails(&["text", &missing], &cause);
    let cause = format!("cannot read {other}: written by format 2, this reads 1");
    assert_fails(&["text", &other], &cause);
    let cause = format!("cannot read {text}: not a recording: it has 5 bytes");
    assert_fails(&["ps", &text], &cause);
    assert_fails(&["top", &text, "--once"], &cause);
    let cause = "cannot open /dev/null: it is no regular file";
    assert_fails(&["text", "/dev/null"], cause);
    let out = "/no/such/folder/a.svg";
    assert_fails(&["convert", &good, out], &format!("cannot write {out}: No"));
    let cause =
        "cannot write the output: \"a.pdf\" has none of the endings .txt, .json, .svg, .html";
    assert_fails(&["convert", &good, "a.pdf"], cause);
    let cause = format!("cannot write {page}: it is the recording that is read");
    assert_fails(&["convert", &page, &page], &cause);
    assert_eq!(fs::read(&page).unwrap(), small().bytes(), "it is kept");
}

#[test]
fn what_cannot_be_shown_has_status_1_and_a_cause() {
    let folder = Folder::new("unshowable");
    let good = folder.file("good.wtr", &small());
    let cause = "cannot list the descriptors in /proc/4294967/fd: No";
    assert_fails(&["ps", "4294967"], cause);
    let cause = "the output of top is no terminal; --once prints one table";
    assert_fails(&["top", &good], cause);
    let cause = "no recording is of that runtime; there are runtimes 1";
    assert_fails(&["top", &good, "--once", "--runtime", "9"], cause);
}

#[test]
fn what_is_missing_in_a_recording_is_said_by_each_command() {
    let folder = Folder::new("truncated");
    let path = folder.path("a.wtr");
    // The header, the texts, and six events.
    let mut bytes = small().bytes();
    bytes.truncate(8192 + 100);
    fs::write(&path, bytes).unwrap();
    let svg = folder.path("a.svg");
    for arguments in [
        &["text", &path][..],
        &["convert", &path, &svg],
        &["ps", &path],
        &["ps", &path, "--json"],
        &["top", &path, "--once", "--interval", "0.1"],
        &["top", &path, "--once", "--json", "--interval", "0.1"],
    ] {
        let output = program(arguments);
        assert!(output.status.success(), "{arguments:?}");
        let said = stderr(&output) + &stdout(&output);
        assert!(
            said.contains("warning: the file is truncated: "),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn a_process_without_a_recording_is_named() {
    // Not this process: other tests have recordings open.
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    let output = program(&["ps", &pid]);
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("process {pid} has no recording open")));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = Folder::new("pipe");
    let from = folder.file("a.wtr", &common::server(20_000));
    let mut child = Command::new(env!("CARGO_BIN_EXE_wakeful-trace"))
        .args(["text", &from])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
}

/// Returns the instructions of a conversion, counted by callgrind.
fn instructions(folder: &Folder, events: u64, ending: &str) -> u64 {
    let from = folder.file("a.wtr", &common::server(events));
    let out = folder.path("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={out}")])
        .args([env!("CARGO_BIN_EXE_wakeful-trace"), "convert", &from])
        .arg(folder.path(ending))
        .output()
        .unwrap();
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    let count = text.split("Collected :").nth(1).unwrap();
    count.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_cost_of_a_conversion_grows_no_faster_than_its_events() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: valgrind is not installed");
        return;
    }
    let folder = Folder::new("costs");
    for ending in ["a.html", "a.json", "a.txt", "a.svg"] {
        let [one, two, four] = [2_000, 4_000, 8_000].map(|n| instructions(&folder, n, ending));
        // The cost of twice as much: twice the cost in a linear conversion, and four times in a quadratic one.
        let (first, second) = (two - one, four - two);
        assert!(second < 3 * first, "{ending}: {one} {two} {four}");
    }
}

#[test]
fn ps_shows_the_tasks_of_a_dead_process() {
    let folder = Folder::new("dead");
    let output = program(&["ps", &folder.file("a.wtr", &small())]);
    let table = stdout(&output);
    assert!(
        table.contains("the process has ended; this is its last event"),
        "{table}"
    );
    assert!(table.contains("1.0 \"accept\"  waits"), "{table}");
    assert!(
        table.contains("TcpListener::accept at main.rs:28 on fd 5"),
        "{table}"
    );
    assert!(!table.contains("3.4"), "it has ended: {table}");
}

/// Returns a recording of this process, which has begun two seconds ago.
fn of_this_process(flags: u32) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let begun = (now - Duration::from_millis(1_900)).as_nanos() as u64;
    let pid = std::process::id().to_le_bytes();
    let mut recorder = small();
    recorder.flags = flags;
    let mut bytes = recorder.bytes();
    bytes[12..16].copy_from_slice(&pid);
    bytes[80..88].copy_from_slice(&begun.to_le_bytes());
    // The first thread of a process has its number.
    bytes[140..144].copy_from_slice(&pid);
    bytes
}

#[test]
fn a_wait_goes_on_after_the_last_event_if_the_process_lives() {
    let folder = Folder::new("alive");
    let path = folder.path("a.wtr");
    let waits = |flags| {
        fs::write(&path, of_this_process(flags)).unwrap();
        // No loop answers the request for a keyframe.
        let output = program(&["ps", &path, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        let accepts = &json["tasks"][1];
        assert_eq!(accepts["name"], "accept");
        accepts["since_ns"].as_u64().unwrap()
    };
    // The wait has begun in the first millisecond, and the last event is half a second later.
    let (runs, has_ended, virtual_clock) = (waits(0), waits(1), waits(4));
    assert!(runs > 1_800_000_000, "{runs}");
    assert!(has_ended < 600_000_000, "{has_ended}");
    assert_eq!(virtual_clock, has_ended);
    let table = stdout(&program(&["ps", &path]));
    assert!(
        table.contains("; the times are those of its own clock\n"),
        "{table}"
    );
}

#[test]
fn ps_and_top_find_the_recording_of_a_process() {
    let folder = Folder::new("process");
    let path = folder.file("a.wtr", &small());
    let mut keeper = Command::new("sleep")
        .arg("60")
        .stdin(fs::File::open(&path).unwrap())
        .spawn()
        .unwrap();
    let pid = keeper.id().to_string();
    let ps = program(&["ps", &pid, "--json"]);
    let top = program(&["top", &pid, "--once", "--json", "--interval", "0.1"]);
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    for output in [ps, top] {
        assert!(output.status.success(), "{}", stderr(&output));
        let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(json["tasks"].as_array().unwrap().len(), 2);
        assert_eq!(json["tasks"][1]["name"], "accept");
    }
    // A reader asks for keyframes in the word at offset 144, and writes nothing else.
    let mut expected = small().bytes();
    let found = fs::read(&path).unwrap();
    expected[144] = found[144];
    assert_eq!(found[144], 2);
    assert!(found == expected);
}
