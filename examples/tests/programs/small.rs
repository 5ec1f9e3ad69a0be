//! Tests of `timers`, `wake_from_thread` and `any_fd`.

use crate::support::Program;

/// Output of `timers` with a paused clock, on which only waiting takes time.
const TIMERS: [&str; 8] = [
    "0.10 s: sleeper 1 is awake",
    "0.20 s: sleeper 2 is awake",
    "0.30 s: sleeper 3 is awake",
    "0.40 s: timeout elapsed",
    "0.40 s: tick 1",
    "0.50 s: tick 2",
    "0.65 s: tick 3",
    "0.70 s: tick 4",
];

#[test]
fn timers_are_exact_with_a_paused_clock() {
    let (stdout, _, status) = Program::start("timers", &["paused"]).end();
    assert!(status.success());
    assert_eq!(stdout, TIMERS);
}

#[test]
fn timers_keep_their_order_and_are_never_early_with_a_real_clock() {
    let (stdout, _, status) = Program::start("timers", &[]).end();
    assert!(status.success());
    assert_eq!(stdout.len(), TIMERS.len());
    let parts = |line: &str| {
        let (time, what) = line.split_once(" s: ").unwrap();
        (time.parse::<f64>().unwrap(), what.to_owned())
    };
    for (line, exact) in stdout.iter().zip(TIMERS) {
        let ((time, what), (earliest, expected)) = (parts(line), parts(exact));
        assert_eq!(what, expected);
        // No upper bound: a busy machine can delay a timer by any time.
        assert!(time >= earliest, "{line}: earlier than {earliest}");
    }
}

#[test]
fn another_thread_wakes_a_future() {
    let (stdout, _, status) = Program::start("wake_from_thread", &[]).end();
    assert!(status.success());
    let [pending, wakes, answer] = &stdout[..] else {
        panic!("{stdout:?}");
    };
    assert!(pending.starts_with("pending: stored Waker"));
    assert_eq!(wakes, "wakes from other threads: 1");
    assert_eq!(answer, "the answer is 42");
}

#[test]
fn any_fd_reports_the_events_of_an_inotify_descriptor() {
    let folder = std::env::temp_dir().join(format!("wakeful-any-fd-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let program = Program::start("any_fd", &[folder.to_str().unwrap()]);
    assert_eq!(program.line(), format!("watching {}", folder.display()));
    let (old, new) = (folder.join("old"), folder.join("new"));
    std::fs::write(&old, "").unwrap();
    assert_eq!(program.line(), "ReadFlags(CREATE) old");
    std::fs::rename(&old, &new).unwrap();
    assert_eq!(program.line(), "ReadFlags(MOVED_FROM) old");
    assert_eq!(program.line(), "ReadFlags(MOVED_TO) new");
    std::fs::remove_file(&new).unwrap();
    assert_eq!(program.line(), "ReadFlags(DELETE) new");
    std::fs::remove_dir(&folder).unwrap();
}

#[test]
fn any_fd_names_a_missing_folder_in_its_error() {
    let (_, stderr, status) = Program::start("any_fd", &["/no/such/folder"]).end();
    let expected = "error: watch /no/such/folder: No such file or directory (os error 2)";
    assert_eq!(stderr, [expected]);
    assert_eq!(status.code(), Some(1));
}
