//! Standard input, output and error: child processes whose streams are pipes, files, `/dev/null` and
//! a terminal. The child is `src/bin/stdio-child.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

fn child(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stdio-child"));
    command.arg(name);
    command
}

/// Runs the child with `input` on a pipe, and returns its output once it has ended with success.
fn run(name: &str, input: &[u8]) -> Output {
    let mut running = child(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = running.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = running.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Returns a path in the folder for temporary files of tests.
fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("stdio-{}-{name}", std::process::id()))
}

/// Returns bytes that differ wherever a piece could be lost or swapped.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 253) as u8).collect()
}

#[test]
fn bytes_pass_from_a_pipe_to_a_pipe() {
    let input = pattern(1 << 20);
    let output = run("copy", &input);
    assert!(output.stdout == input);
    assert_eq!(text(&output.stderr), "1048576 bytes\n");
}

#[test]
fn bytes_pass_through_pipes_in_non_blocking_mode() {
    let input = pattern(1 << 20);
    assert!(run("copy-nonblocking", &input).stdout == input);
}

#[test]
fn bytes_pass_from_a_file_to_a_file() {
    let (from, to) = (path("from"), path("to"));
    let input = pattern(300_000);
    fs::write(&from, &input).unwrap();
    let output = child("copy")
        .stdin(File::open(&from).unwrap())
        .stdout(File::create(&to).unwrap())
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "300000 bytes\n");
    assert!(fs::read(&to).unwrap() == input);
    fs::remove_file(from).unwrap();
    fs::remove_file(to).unwrap();
}

#[test]
fn dev_null_is_an_empty_input_and_accepts_all_output() {
    let output = child("copy")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "0 bytes\n");
    let file = path("null");
    fs::write(&file, pattern(100_000)).unwrap();
    let output = child("copy")
        .stdin(File::open(&file).unwrap())
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "100000 bytes\n");
    fs::remove_file(file).unwrap();
}

#[test]
fn a_terminal_is_answered_line_by_line_until_its_end() {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut running = child("lines")
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut controller = File::from(controller);
    let mut screen = BufReader::new(controller.try_clone().unwrap());
    let mut next_line = || {
        let mut line = String::new();
        screen.read_line(&mut line).unwrap();
        line
    };
    for word in ["first", "second"] {
        controller
            .write_all(format!("{word}\n").as_bytes())
            .unwrap();
        // The terminal shows what is typed.
        assert_eq!(next_line(), format!("{word}\r\n"));
        assert_eq!(next_line(), format!("[{word}]\r\n"));
    }
    // Ctrl-D.
    controller.write_all(&[4]).unwrap();
    assert_eq!(next_line(), "end\r\n");
    assert!(running.wait().unwrap().success());
}

#[test]
fn a_read_that_was_dropped_loses_no_bytes() {
    for name in ["canceled-read", "canceled-read-nonblocking", "next-runtime"] {
        let mut running = child(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(running.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "canceled\n");
        let mut stdin = running.stdin.take().unwrap();
        stdin.write_all(b"0123456789").unwrap();
        drop(stdin);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "0123456789", "{name}");
        assert!(running.wait().unwrap().success());
    }
}

#[test]
fn bytes_of_a_runtime_that_has_ended_are_written_by_the_next_one() {
    let mut running = child("unstarted-write")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = running.stdin.take();
    let output = running.wait_with_output().unwrap();
    drop(stdin);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "first second\n");
}

#[test]
fn stdin_can_be_formatted_while_a_thread_reads_after_a_read() {
    let mut running = child("debug-while-reading")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(b"first").unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(running.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    drop(stdin);
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(line, "Stdin { buffered: 0, waiting: 1 }\n");
}

#[test]
fn a_read_that_was_dropped_leaves_no_waker() {
    let mut running = child("abandoned-reads")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = running.stdin.take();
    let output = running.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(text(&output.stdout), "Stdin { buffered: 0, waiting: 0 }\n");
}

#[test]
fn the_process_ends_while_a_read_waits() {
    let mut running = child("blocked-read").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = running.stdin.take();
    assert!(running.wait().unwrap().success());
    drop(stdin);
}

/// Runs the child with a standard output whose other end is closed before it writes.
fn run_without_reader(name: &str) -> String {
    let mut running = child(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(running.stdout.take());
    drop(running.stdin.take());
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stderr).to_owned()
}

#[test]
fn output_without_a_reader_is_an_error_of_each_write_and_no_panic() {
    let error = "BrokenPipe: write to standard output: Broken pipe (os error 32)\n";
    let report = run_without_reader("broken-output");
    assert_eq!(report, format!("{error}{error}ok\n"));
}

#[test]
fn an_error_of_queued_bytes_is_reported_once_by_the_next_flush() {
    let error = "BrokenPipe: write to standard output: Broken pipe (os error 32)\n";
    let report = run_without_reader("broken-flush");
    assert_eq!(report, format!("ok\n{error}ok\n"));
}

#[test]
fn a_full_disk_is_an_error() {
    let output = child("broken-output")
        .stdin(Stdio::null())
        .stdout(OpenOptions::new().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    let error = "StorageFull: write to standard output: No space left on device (os error 28)\n";
    assert_eq!(text(&output.stderr), format!("{error}{error}ok\n"));
}

#[test]
fn an_error_of_reading_names_the_operation() {
    let output = child("directory")
        .stdin(File::open("/").unwrap())
        .output()
        .unwrap();
    let error = "IsADirectory: read standard input: Is a directory (os error 21)\n";
    assert_eq!(text(&output.stderr), error);
}

#[test]
fn a_thread_that_cannot_start_is_an_error_and_later_operations_succeed() {
    let output = run("no-thread", b"input");
    assert_eq!(text(&output.stdout), "input");
    let read = "Other: read standard input: start a thread for it: ";
    let write = "Other: write to standard output: start a thread for it: ";
    let lines: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, start) in lines.iter().zip([read, write, write]) {
        assert!(line.starts_with(start), "{line}");
        assert!(line.ends_with(" (os error 11)"), "{line}");
    }
}

#[test]
fn each_task_s_lines_stay_in_order_and_whole() {
    let output = run("order", b"");
    let mut next = [0; 3];
    for line in text(&output.stdout).lines() {
        let (task, number) = line.split_once(' ').unwrap();
        let task: usize = task.parse().unwrap();
        assert_eq!(number, next[task].to_string());
        next[task] += 1;
    }
    assert_eq!(next, [3_000; 3]);
}

#[test]
fn any_number_of_futures_of_one_task_can_write_and_all_are_woken() {
    let output = run("many-writers", b"");
    assert_eq!(output.stdout.len(), 100 * 2_000);
    assert_eq!(text(&output.stderr), "0 of 100 wait\n");
}

#[test]
fn output_follows_what_print_has_left_in_its_buffer() {
    let output = run("mixed", b"");
    assert_eq!(text(&output.stdout), "from std, from wakeful, from std\n");
}

#[test]
fn standard_error_is_separate() {
    let output = run("errors", b"");
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("", "to stderr\n")
    );
}

#[test]
fn a_paused_clock_does_not_jump_while_a_read_waits() {
    let mut running = child("paused")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(b"input").unwrap();
    let output = running.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "input", "{output:?}");
}

#[test]
fn a_read_by_the_thread_of_another_runtime_is_neither_a_deadlock_nor_an_idle_clock() {
    for name in ["two-runtimes", "two-runtimes-paused"] {
        let mut running = child(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = running.stdin.take().unwrap();
        let mut stdout = BufReader::new(running.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "now\n");
        // One for each runtime.
        stdin.write_all(b"ab").unwrap();
        drop(stdin);
        let output = running.wait_with_output().unwrap();
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ended\n", "{}", text(&output.stderr));
    }
}

#[test]
fn a_read_outside_a_runtime_panics_and_names_the_operation() {
    let output = child("outside").stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    let message = text(&output.stderr);
    assert!(
        message.contains("Stdin::read: no Wakeful runtime on this thread"),
        "{message}"
    );
}
