//! `timers`, `wake_from_thread`, `any_fd`.

use crate::support::Program;

/// What `timers` says, with the times of a clock on which nothing takes any but waiting.
const TIMERS: [&str; 8] = [
    "0.10 s: sleeper 1 is awake",
    "0.20 s: sleeper 2 is awake",
    "0.30 s: sleeper 3 is awake",
    "0.40 s: waited long enough",
    "0.40 s: tick 1",
    "0.50 s: tick 2",
    "0.65 s: tick 3",
    "0.70 s: tick 4",
];

#[test]
fn with_a_paused_clock_the_timers_are_exact() {
    let (stdout, _, status) = Program::start("timers", &["paused"]).end();
    assert!(status.success());
    assert_eq!(stdout, TIMERS);
}

#[test]
fn with_a_real_clock_the_timers_keep_their_order_and_none_is_early() {
    let (stdout, _, status) = Program::start("timers", &[]).end();
    assert!(status.success());
    assert_eq!(stdout.len(), TIMERS.len());
    let parts = |line: &str| {
        let (time, what) = line.split_once(" s: ").unwrap();
        (time.parse::<f64>().unwrap(), what.to_owned())
    };
    for (said, exact) in stdout.iter().zip(TIMERS) {
        let ((time, what), (earliest, expected)) = (parts(said), parts(exact));
        assert_eq!(what, expected);
        // On a busy machine later, and by how much is not ours to say.
        assert!(time >= earliest, "{said}, not before {earliest}");
    }
}

#[test]
fn a_future_is_woken_by_a_thread() {
    let (stdout, _, status) = Program::start("wake_from_thread", &[]).end();
    assert!(status.success());
    let [asked, wakes, answer] = &stdout[..] else {
        panic!("{stdout:?}");
    };
    assert!(asked.starts_with("not yet; whoever knows, call Waker"));
    assert_eq!(wakes, "wakes by other threads: 1");
    assert_eq!(answer, "the answer is 42");
}

#[test]
fn any_descriptor_can_be_waited_for() {
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
fn a_folder_that_is_not_there_is_named() {
    let (_, stderr, status) = Program::start("any_fd", &["/no/such/folder"]).end();
    let expected = "error: watch /no/such/folder: No such file or directory (os error 2)";
    assert_eq!(stderr, [expected]);
    assert_eq!(status.code(), Some(1));
}
