//! The guide `docs/STUCK.md` and the README against the programs that they show (`src/bin/stuck.rs`): their
//! outputs, the words that name each cause, the lines of code, and that each correction works.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wakeful_tests::source::workspace;

const PROGRAM: &str = "$ cargo run -q -p wakeful-tests --bin stuck -- ";

/// The file that lines of an output name.
const FILE: &str = "stuck.rs:";

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

// --- the programs -----------------------------------------------------------------------------------

fn start(arguments: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_stuck"))
        .args(arguments.split(' '))
        .current_dir(workspace())
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs `body`, and kills the process with this id if it takes longer than a minute.
fn limited<T>(child: &Child, body: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let pid = Pid::from_child(child);
    let limit = thread::spawn(move || {
        if is_done.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
            kill_process(pid, Signal::KILL).unwrap();
        }
    });
    let result = body();
    drop(done);
    limit.join().unwrap();
    result
}

/// Returns the lines that a program writes to stderr before it ends, without those of the panic itself.
fn report(arguments: &str) -> Vec<String> {
    let mut child = start(arguments);
    let mut text = String::new();
    let mut stderr = child.stderr.take().unwrap();
    limited(&child, || stderr.read_to_string(&mut text).unwrap());
    child.wait().unwrap();
    let is_report = |line: &&str| {
        !line.is_empty() && !line.starts_with("thread 'main'") && !line.starts_with("note: run")
    };
    text.lines()
        .filter(is_report)
        .map(ToOwned::to_owned)
        .collect()
}

/// Returns the first lines of the dump that a program writes at SIGUSR1.
fn report_at_signal(arguments: &str, lines: usize) -> Vec<String> {
    let mut child = start(arguments);
    let stdout = child.stdout.take().unwrap();
    let stderr = child.stderr.take().unwrap();
    let report = limited(&child, || {
        let ready = BufReader::new(stdout).lines().next();
        assert_eq!(ready.unwrap().unwrap(), "ready");
        kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
        let report = BufReader::new(stderr).lines().take(lines);
        report.map(Result::unwrap).collect()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    report
}

// --- the pages --------------------------------------------------------------------------------------

/// A program with the output that a page shows.
struct Shown {
    arguments: String,
    at_signal: bool,
    lines: Vec<String>,
}

impl Shown {
    /// Returns the output of the program now.
    fn real(&self) -> Vec<String> {
        match self.at_signal {
            true => report_at_signal(&self.arguments, self.lines.len()),
            false => report(&self.arguments),
        }
    }
}

/// Returns the code blocks of a page that begin with this line.
fn blocks<'a>(page: &'a str, head: &str) -> Vec<&'a str> {
    let begin = format!("```{head}\n");
    let blocks = page.split(&*begin).skip(1);
    blocks
        .map(|rest| rest.split_once("\n```").unwrap().0)
        .collect()
}

/// Returns the programs of a page whose whole output is in their block.
fn shown(page: &str) -> Vec<Shown> {
    let mut programs = Vec::new();
    for block in blocks(page, "console") {
        let (command, output) = block.split_once('\n').unwrap_or((block, ""));
        let Some(arguments) = command.strip_prefix(PROGRAM) else {
            continue;
        };
        // With a file the output is that of `wakeful-trace`.
        if !arguments.contains(".wtr") {
            let (arguments, signal) = arguments.split_once(" & ").unwrap_or((arguments, ""));
            programs.push(Shown {
                arguments: arguments.to_owned(),
                at_signal: signal.contains("kill -USR1"),
                lines: output.lines().map(ToOwned::to_owned).collect(),
            });
        }
    }
    programs
}

/// Returns a line without what differs from run to run: all numbers but those of lines in the source.
fn normalized(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        if word.contains(FILE) {
            words.push(word.to_owned());
            continue;
        }
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let mut text = String::new();
        for c in word.chars() {
            match is_number(c) && word.contains(|c: char| c.is_ascii_digit()) {
                true if text.ends_with('N') => {}
                true => text.push('N'),
                false => text.push(c),
            }
        }
        let unit = text.trim_end_matches([';', ',', ')']);
        let after_number = words.last().is_some_and(|last| last.ends_with('N'));
        if after_number && ["ns", "us", "ms", "s"].contains(&unit) {
            let end = text.split_off(unit.len());
            words.last_mut().unwrap().push_str(&end);
        } else {
            words.push(text);
        }
    }
    let text = words.join(" ");
    let text = text.replace("wait N to N on", "wait N on");
    text.replace("N polls", "N poll").replace("Nms", "Ns")
}

#[track_caller]
fn assert_alike(shown: &Shown, real: &[String]) {
    let normalize = |lines: &[String]| lines.iter().map(|line| normalized(line)).collect();
    let (of_page, of_program): (Vec<_>, Vec<_>) = (normalize(&shown.lines), normalize(real));
    let name = &shown.arguments;
    let real = real.join("\n");
    assert_eq!(
        of_page, of_program,
        "the page has another output of {name:?} than:\n{real}"
    );
}

#[test]
fn each_output_in_the_guide_and_the_readme_is_that_of_the_program() {
    let mut programs = Vec::new();
    for page in ["docs/STUCK.md", "README.md"] {
        for shown in shown(&read(page)) {
            assert_alike(&shown, &shown.real());
            programs.push(shown.arguments);
        }
    }
    let all = "locks, locks limited, waker, loop, loop watched, endless-loop, timer, socket, cycle, server";
    assert_eq!(programs.join(", "), all);
}

#[test]
fn the_words_that_the_guide_explains_are_in_the_outputs() {
    let page = read("docs/STUCK.md");
    let mut sections = 0;
    for section in page.split("\n## ") {
        let outputs = blocks(section, "console").concat();
        for paragraph in section.split("\n\n") {
            let Some(words) = paragraph.strip_prefix("The words: ") else {
                continue;
            };
            sections += 1;
            // The first sentence names the words of the output.
            let words = words.replace('\n', " ");
            let sentence = words.split(". ").next().unwrap();
            let quoted: Vec<_> = sentence.split('`').skip(1).step_by(2).collect();
            assert!(!quoted.is_empty(), "{sentence}");
            for word in quoted {
                assert!(outputs.contains(word), "{word:?} is not in {outputs}");
            }
        }
    }
    assert_eq!(sections, 10);
}

#[test]
fn the_code_in_the_guide_is_that_of_the_programs() {
    let page = read("docs/STUCK.md");
    let source = read("tests/src/bin/stuck.rs");
    let blocks = blocks(&page, "rust,ignore");
    assert!(blocks.len() >= 10, "{blocks:?}");
    for block in blocks {
        assert!(
            source.contains(&format!("{block}\n")),
            "not in the programs:\n{block}"
        );
    }
}

#[test]
fn each_line_that_the_guide_and_the_picture_name_spawns_or_waits() {
    let source = read("tests/src/bin/stuck.rs");
    let source: Vec<_> = source.lines().collect();
    for path in ["docs/STUCK.md", "README.md", "docs/stuck/server.svg"] {
        let text = read(path);
        let mut lines = 0;
        for rest in text.split(FILE).skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
            if rest[end..].starts_with('\u{2026}') {
                continue; // the picture has shortened the number
            }
            let number: usize = rest[..end].parse().unwrap();
            let line = source[number - 1];
            let does = ["spawn", "await", "block_on"];
            assert!(
                does.iter().any(|word| line.contains(word)),
                "{path}: {number}: {line}"
            );
            lines += 1;
        }
        assert!(lines > 3, "{path}");
    }
}

#[test]
fn each_correction_lets_its_program_end() {
    for name in ["locks", "waker", "loop", "timer", "socket", "cycle"] {
        let mut child = start(&format!("{name} fixed"));
        let (mut out, mut error) = (String::new(), String::new());
        let mut stdout = child.stdout.take().unwrap();
        limited(&child, || stdout.read_to_string(&mut out).unwrap());
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut error)
            .unwrap();
        assert!(child.wait().unwrap().success(), "{name}: {error}");
        assert_eq!((&*out, &*error), ("ended\n", ""), "{name}");
    }
}
