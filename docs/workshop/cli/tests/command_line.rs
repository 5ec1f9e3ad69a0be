//! The command line: what is refused and how, and that nothing a learner wrote is lost.

use std::fs;
use std::io::{Read, Write, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A copy of the workshop: links to its files, and a folder `my` of its own.
struct Copy(PathBuf);

/// What a command printed, and its exit status.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Copy {
    fn new() -> Copy {
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("workshop-{}-{number}", std::process::id()));
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let copy = Copy(folder);
        fs::create_dir_all(copy.path("cli")).unwrap();
        for name in ["cards", "kernel", "probe", "stages"] {
            std::os::unix::fs::symlink(here.join(name), copy.path(name)).unwrap();
        }
        copy
    }

    /// Returns a path in the workshop's folder.
    fn path(&self, name: &str) -> PathBuf {
        self.0.join("docs/workshop").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes the reference over the learner's files of a stage.
    fn solve(&self, stage: &str) {
        for file in fs::read_dir(self.path(&format!("stages/{stage}/solution"))).unwrap() {
            let file = file.unwrap();
            let mine = self.path(&format!("my/{stage}")).join(file.file_name());
            fs::copy(file.path(), mine).unwrap();
        }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workshop"));
        command.env("CARGO_MANIFEST_DIR", self.path("cli")).stdin(Stdio::null());
        command.args(words.split(' ').filter(|word| !word.is_empty()));
        command
    }

    fn run(&self, words: &str) -> Ran {
        let output = self.command(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs what has to succeed.
    #[track_caller]
    fn ok(&self, words: &str) -> String {
        let ran = self.run(words);
        assert_eq!(ran.status, Some(0), "{words}: {ran:?}");
        ran.out
    }

    /// Runs what has to be refused, in one line that contains `parts`.
    #[track_caller]
    fn refused(&self, words: &str, parts: &[&str]) {
        let ran = self.run(words);
        assert_eq!((ran.status, ran.out.as_str()), (Some(2), ""), "{words}: {ran:?}");
        assert_eq!(ran.err.lines().count(), 1, "{words}: {ran:?}");
        for part in parts {
            assert!(ran.err.contains(part), "{words}: no {part:?} in {:?}", ran.err);
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const ONE_STAGE: [&str; 8] =
    ["start", "check", "watch", "hint", "solution", "reset", "draw", "read"];

#[test]
fn each_wrong_stage_is_answered_with_the_stages_that_there_are() {
    let copy = Copy::new();
    for command in ONE_STAGE.into_iter().chain(["quiz", "wrong", "verify"]) {
        for word in ["19", "x", "-1", "+4", "ss4", "s", "2=", "4294967296", "3.2"] {
            copy.refused(&format!("{command} {word}"), &[&format!("`{word}`"), "0 to 18"]);
        }
        let card = format!("{command} B15");
        copy.refused(&card, &["`B15`", "0 to 18", "cargo workshop card B15"]);
    }
    for command in ONE_STAGE.into_iter().chain(["quiz"]) {
        copy.refused(&format!("{command} 3 4"), &["takes one stage, 0 to 18; found `3 4`"]);
    }
    for command in ["start", "read", "quiz", "wrong"] {
        copy.refused(command, &[command, "needs a stage, 0 to 18"]);
    }
    copy.refused("verify 3 4 3", &["stage 3 is there twice"]);
    assert!(!copy.path("my").exists());
}

#[test]
fn a_stage_can_be_written_like_its_folder() {
    let copy = Copy::new();
    assert_eq!(copy.ok("read s04"), copy.ok("read 4"));
}

#[test]
fn commands_without_a_stage_take_no_words() {
    let copy = Copy::new();
    copy.refused("status x", &["takes no stage", "--minutes, --plain or --help", "found `x`"]);
    copy.refused("status 3", &["takes no stage", "found `3`"]);
    copy.refused("doctor 5", &["takes no stage", "--plain or --help", "found `5`"]);
}

#[test]
fn unknown_commands_and_options_are_answered_with_those_that_there_are() {
    let copy = Copy::new();
    for word in ["foo", "4", "s04", "B15", "--", "-x"] {
        copy.refused(word, &[&format!("`{word}`")]);
    }
    copy.refused("foo", &["start, check, watch, hint, solution, reset, status, draw, read, card"]);
    copy.refused("--mine", &["without a command", "--plain or --help"]);
    copy.refused("start 2 --min", &["`start`", "`--min`", "--mine, --plain or --help"]);
    copy.refused("start --min", &["`--min`"]);
    copy.refused("check --mine", &["`check`", "`--mine`", ": --plain or --help"]);
    copy.refused("solution --giveup", &["--give-up"]);
    copy.refused("status --minute", &["--minutes"]);
    copy.refused("card --tri", &["--try"]);
    copy.refused("verify --runs", &["`--runs`", "--write, --quick, --cards, --runs=N"]);
    copy.refused("verify --runs=N", &["`--runs=N`"]);
    copy.refused("check --runs=3", &["`--runs=3`"]);
    for number in ["", "0", "-1", "x", "1000001"] {
        copy.refused(&format!("verify --runs={number}"), &["from 1 to 1000000"]);
    }
}

#[test]
fn options_are_given_once_and_fit_together() {
    let copy = Copy::new();
    for words in ["start 8 --mine --mine", "status --plain --plain", "verify --runs=2 --runs=3"] {
        copy.refused(words, &["is there twice"]);
    }
    copy.refused("verify --cards 3", &["takes no stage", "`3`"]);
    copy.refused("verify --cards --quick", &["--write only", "`--quick`"]);
    copy.refused("verify --cards --runs=1", &["no other option", "`--cards`"]);
    copy.refused("verify --runs=1 --quick", &["no other option", "`--quick`"]);
    copy.refused("start 3 --mine", &["continues no other one", "7, 8, 9, 11, 12, 14, 15"]);
    copy.refused("card --try", &["needs a card, B1 to B45 or W1 to W9"]);
}

#[test]
fn wrong_names_are_answered_with_those_that_there_are() {
    let copy = Copy::new();
    for card in ["B46", "B0", "W10", "15", "B+5", "x"] {
        copy.refused(&format!("card {card}"), &[card, "B1 to B45 or W1 to W9"]);
    }
    copy.refused("card B1 B2", &["takes one card", "found `B1 B2`"]);
    copy.refused("wrong 3 x", &["`x`", "looks_then_stores"]);
    copy.refused("wrong 3 x y", &["one name", "found `3 x y`"]);
    for words in ["break", "break z", "break a b", "break A"] {
        copy.refused(words, &["needs one of a, b, c, d, e, f, g, h"]);
    }
}

#[test]
fn what_needs_a_started_stage_names_the_command_that_starts_it() {
    let copy = Copy::new();
    for command in ["check", "watch", "hint", "solution", "reset", "draw"] {
        copy.refused(command, &["cargo workshop start 0"]);
    }
    for command in ["check", "watch", "reset", "draw"] {
        copy.refused(&format!("{command} 7"), &["stage 7 is not started: cargo workshop start 7"]);
    }
    assert!(!copy.path("my/s07").exists());
    copy.ok("start 17");
    copy.refused("draw", &["stage 17 has no picture; stages with one: 0, 1, 2"]);
    copy.refused("start 17", &["docs/workshop/my/s17 exists", "cargo workshop reset 17"]);
    copy.refused("solution", &["--give-up"]);
}

#[test]
fn the_doctor_notices_a_network_without_loopback() {
    let copy = Copy::new();
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net"]);
    // Not each machine permits it.
    if !unshare.arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net", env!("CARGO_BIN_EXE_workshop"), "doctor"]);
    let output = unshare.env("CARGO_MANIFEST_DIR", copy.path("cli")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("LACKS  loopback"), "{text}");
}

#[test]
fn two_commands_can_compile_what_they_share_at_once() {
    let copy = Copy::new();
    let start = || copy.command("doctor").stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let commands: Vec<_> = (0..4).map(|_| start().unwrap()).collect();
    for command in commands {
        let output = command.wait_with_output().unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), messages.as_str()), (Some(0), ""));
    }
    let lab = fs::read_dir(copy.path("target/lab")).unwrap();
    let mut names: Vec<_> = lab.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["libkernel.rlib", "libprobe.rlib"]);
}

#[test]
fn help_is_printed_in_each_way_of_asking() {
    let copy = Copy::new();
    let help = copy.ok("--help");
    assert!(help.starts_with("usage: "));
    for words in ["help", "-h", "start --help", "foo --help"] {
        assert_eq!(copy.ok(words), help);
    }
}

#[test]
fn a_word_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let copy = Copy::new();
    let word = std::ffi::OsStr::from_bytes(b"\xff");
    let output = copy.command("read").arg(word).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

/// Runs a command whose output or messages have no reader. Returns its status and what the other pipe got.
fn into_a_closed_pipe(mut command: Command, messages: bool) -> (Option<i32>, String) {
    let closed = pipe().unwrap().1;
    let (mut reader, open) = pipe().unwrap();
    match messages {
        true => command.stderr(closed).stdout(open),
        false => command.stdout(closed).stderr(open),
    };
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn output_without_a_reader_ends_the_command_quietly() {
    let copy = Copy::new();
    for words in ["", "status", "--help", "card", "read 3", "quiz 3", "wrong 3", "start 0"] {
        let (status, messages) = into_a_closed_pipe(copy.command(words), false);
        let judged = if words == "wrong 3" || words == "card" { 2 } else { 0 };
        assert_eq!((status, messages.as_str()), (Some(judged), ""), "{words}");
    }
    for words in ["foo", "start 99", "check 7"] {
        let (status, output) = into_a_closed_pipe(copy.command(words), true);
        assert_eq!((status, output.as_str()), (Some(2), ""), "{words}");
    }
}

#[test]
fn a_verdict_without_a_reader_is_not_green() {
    let copy = Copy::new();
    copy.ok("start 0");
    copy.solve("s00");
    let (status, messages) = into_a_closed_pipe(copy.command("check"), false);
    assert_eq!((status, messages.as_str()), (Some(2), ""));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let copy = Copy::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = copy.command("status").stdout(full).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("No space left") && message.lines().count() == 1, "{message}");
}

#[test]
fn a_folder_without_rust_files_is_not_overwritten() {
    let copy = Copy::new();
    copy.ok("start 4");
    fs::rename(copy.path("my/s04/lib.rs"), copy.path("my/s04/lib.rs.mine")).unwrap();
    copy.refused("start 4", &["my/s04 exists"]);
    assert!(copy.path("my/s04/lib.rs.mine").exists());
    copy.ok("reset 4");
    assert!(copy.path("my/old/s04.1/lib.rs.mine").exists());
}

#[test]
fn a_reset_keeps_the_files_and_begins_again() {
    let copy = Copy::new();
    copy.ok("start 0");
    copy.solve("s00");
    copy.ok("check");
    assert!(copy.ok("status").contains("green"));
    for number in [1, 2] {
        let out = copy.ok("reset");
        assert!(out.contains(&format!("docs/workshop/my/old/s00.{number}")), "{out}");
    }
    assert_eq!(copy.read("my/old/s00.1/lib.rs"), copy.read("stages/s00/solution/lib.rs"));
    assert_eq!(copy.read("my/s00/lib.rs"), copy.read("stages/s00/start/lib.rs"));
    assert!(!copy.ok("status").contains("green"));
    assert!(copy.ok("").contains("cargo workshop check"));
    copy.refused("reset 0 --reference", &["stage 0 continues no other one"]);
    copy.refused("reset 0 --mine", &["stage 0 continues no other one"]);
}

#[test]
fn a_failure_names_the_hint_of_its_stage() {
    let copy = Copy::new();
    copy.ok("start 0");
    let again = "let _ = future.as_mut().poll(&mut cx); return output";
    let mistake = copy.read("stages/s00/solution/lib.rs").replace("return output", again);
    fs::write(copy.path("my/s00/lib.rs"), mistake).unwrap();
    let ends = |words: &str, command: &str| {
        let ran = copy.run(words);
        let text: String = ran.out.split_whitespace().collect();
        assert!(text.contains(command), "{words}: {ran:?}");
        text.ends_with(command)
    };
    assert!(ends("check", "cargoworkshophint"));
    copy.ok("start 3");
    assert!(ends("check 0", "cargoworkshophint0"));
    ends("wrong 3 looks_then_stores", "cargoworkshophint3");
}

#[test]
fn only_green_files_are_continued_with() {
    let copy = Copy::new();
    copy.refused("start 8 --mine", &["stage 7, which is not started: cargo workshop start 7"]);
    copy.ok("start 7");
    copy.refused("start 8 --mine", &["stage 7, which are not green: cargo workshop check 7"]);
    fs::write(copy.path("my/s07/lib.rs"), "this is no Rust").unwrap();
    copy.refused("start 8 --mine", &["which are not green"]);
    assert!(!copy.path("my/s08").exists());
}

#[test]
fn a_reset_lays_out_the_files_that_the_stage_was_started_with() {
    let mark = |text: &str| format!("{text}// mine\n");
    let copy = Copy::new();
    copy.ok("start 7");
    copy.solve("s07");
    let reactor = copy.read("my/s07/reactor.rs");
    fs::write(copy.path("my/s07/reactor.rs"), mark(&reactor)).unwrap();
    let out = copy.ok("start 8 --mine");
    assert!(out.contains("your files of stage 7: executor.rs, inbox.rs"), "{out}");
    assert_eq!(copy.read("my/s08/reactor.rs"), mark(&reactor));
    // Later changes of stage 7 do not reach it.
    fs::write(copy.path("my/s07/reactor.rs"), "").unwrap();
    fs::write(copy.path("my/s08/reactor.rs"), "").unwrap();
    let out = copy.ok("reset 8");
    assert!(out.contains("your files of stage 7"), "{out}");
    assert_eq!(copy.read("my/s08/reactor.rs"), mark(&reactor));
    copy.refused("reset 8 --mine", &["which are not green"]);
    assert_eq!(copy.read("my/s08/reactor.rs"), mark(&reactor));
    copy.refused("start 8 --mine", &["exists: cargo workshop reset 8 --mine lays it out again"]);
    let out = copy.ok("reset 8 --reference");
    assert!(out.contains("the reference of stage 7"), "{out}");
    assert_eq!(copy.read("my/s08/reactor.rs"), reactor);
    copy.ok("reset 8");
    assert_eq!(copy.read("my/s08/reactor.rs"), reactor);
}

/// Copies the files that the breaks change, and commits them.
fn with_wakeful(copy: &Copy) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    for change in fs::read_dir(copy.path("stages/s17/breaks")).unwrap() {
        let change = fs::read_to_string(change.unwrap().path()).unwrap();
        for file in change.lines().filter_map(|line| line.strip_prefix("--- ")) {
            fs::create_dir_all(copy.0.join(file).parent().unwrap()).unwrap();
            fs::copy(repository.join(file), copy.0.join(file)).unwrap();
        }
    }
    for words in ["init -q", "add runtime", "commit -q -m a"] {
        let mut git = Command::new("git");
        git.current_dir(&copy.0).args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        assert!(git.args(words.split(' ')).status().unwrap().success());
    }
}

/// Runs `break a` with a shell instead of cargo: `sh test ..` runs the script `test`, which writes down what it was
/// called with. A script that is a program of its own could be open in a child of another test, and not start.
fn break_a(copy: &Copy, script: &str) -> (Ran, String) {
    let calls = copy.path("calls");
    let note = "echo \"$1 $PROPTEST_DISABLE_FAILURE_PERSISTENCE\"";
    fs::write(copy.0.join("test"), format!("{note} >>{}\n{script}\n", calls.display())).unwrap();
    let output = copy.command("break a").env("CARGO", "sh").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    (Ran { status: output.status.code(), out, err }, fs::read_to_string(calls).unwrap())
}

#[test]
fn a_break_distinguishes_a_red_test_from_one_that_cannot_be_compiled() {
    let copy = Copy::new();
    with_wakeful(&copy);
    let before = fs::read_to_string(copy.0.join("runtime/src/table.rs")).unwrap();
    let (ran, calls) = break_a(&copy, "[ \"$1\" = --no-run ]");
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.out.contains("a_stale_key_finds_nothing went red: I4"), "{ran:?}");
    assert_eq!(calls, "--no-run true\n-p true\n");
    let (ran, _) = break_a(&copy, "exit 0");
    assert_eq!(ran.status, Some(1), "{ran:?}");
    let (ran, _) = break_a(&copy, "exit 101");
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.err.contains("could not be compiled"), "{ran:?}");
    assert_eq!(fs::read_to_string(copy.0.join("runtime/src/table.rs")).unwrap(), before);
}

#[test]
fn a_break_refuses_files_with_other_changes() {
    let copy = Copy::new();
    with_wakeful(&copy);
    let file = copy.0.join("runtime/src/table.rs");
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"// mine\n").unwrap();
    let before = fs::read_to_string(&file).unwrap();
    copy.refused("break a", &["runtime/src/table.rs has changes", "git diff"]);
    copy.refused("break b", &["runtime/src/table.rs has changes"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}
