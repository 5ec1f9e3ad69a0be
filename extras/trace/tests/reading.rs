//! Reads recordings: times, overwritten events, truncated and damaged files, and random bytes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{ECHO, Random, Recorder, hostile, server, small};
use wakeful_trace::model::Outcome;
use wakeful_trace::read::Polled;
use wakeful_trace::{Error, Format, Model, Trace, format, live, table, text};

fn read(recorder: &Recorder) -> (Trace, Model) {
    let trace = Trace::from_bytes(&recorder.bytes()).unwrap();
    let model = Model::new(&trace);
    (trace, model)
}

#[test]
fn the_sample_file_is_that_of_the_generator() {
    // `cargo run --example synthesize small 0 tests/small.wtr` writes it again.
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small.wtr")).unwrap();
    assert!(file == small().bytes());
}

#[test]
fn tasks_polls_and_waits_are_found() {
    let (trace, model) = read(&small());
    assert_eq!((trace.pid, trace.runtime), (4_000_111, 1));
    assert_eq!(trace.warnings, [""; 0]);
    let names: Vec<String> = (0..4).map(|task| model.task_name(&trace, task)).collect();
    assert_eq!(names, ["root", "1.0 \"accept\"", "2.0", "3.4 \"log\""]);
    let ends: Vec<_> = model.tasks.iter().map(|task| task.end).collect();
    assert_eq!(ends[2], Some((505_536_600, Outcome::Ready)));
    assert_eq!(ends[3], Some((5_531_200, Outcome::Panicked)));
    let wait = &model.waits[model.polls[3].wait.unwrap()];
    assert_eq!(trace.text(wait.operation), "TcpStream::read");
    assert_eq!(trace.text(wait.place), ECHO);
    assert_eq!((wait.begin, wait.end), (5_511_000, Some(505_531_600)));
    let wake = &model.wakes[0];
    assert_eq!((wake.from_poll, wake.to_poll), (Some(3), Some(4)));
    assert_eq!(model.spans[0].end, Some(5_510_000));
    assert_eq!(model.closures[0].end, Some(505_546_600));
}

#[test]
fn a_joiner_that_a_task_wakes_at_its_end_is_bound_to_its_last_poll() {
    let mut r = Recorder::new(64);
    r.spawn((1, 0), "a.rs:1:1");
    r.spawn((2, 0), "a.rs:2:1");
    r.after(10).begin((1, 0), 0, 0);
    r.after(10).wait((1, 0), "JoinHandle", "a.rs:3:1", 3, 2);
    r.after(10).begin((2, 0), 0, 0);
    r.after(10).end((2, 0), 1);
    r.after(1).wake((1, 0), 2);
    r.after(10).begin((1, 0), 3, 2);
    r.after(10).end((1, 0), 1);
    let (_, model) = read(&r);
    assert_eq!(model.wakes[0].from_poll, Some(1));
    assert_eq!(model.wakes[0].to_poll, Some(2));
    assert_eq!(model.wakes[0].by, Some(1));
}

#[test]
fn overwritten_events_are_dropped_and_older_tasks_begin_with_the_recording() {
    let mut r = Recorder::new(64);
    r.spawn((1, 0), "a.rs:1:1");
    for _ in 0..100 {
        r.after(100).begin((1, 0), 1, 5);
        r.after(10).end((1, 0), 0);
    }
    let (trace, model) = read(&r);
    // The slot of event 201 - 64 is the one that the writer writes next.
    assert_eq!((trace.overwritten(), trace.events.len()), (138, 63));
    assert_eq!(model.tasks.len(), 1);
    assert_eq!(model.tasks[0].begin, model.begin);
    assert!(!model.tasks[0].spawn_seen);
    let later = Trace::from_copy(&r.bytes(), 201 + 30).unwrap();
    assert_eq!(later.events.len(), 33);
    assert_eq!(later.events, trace.events[30..]);
    let much_later = Trace::from_copy(&r.bytes(), 1000).unwrap();
    assert_eq!(much_later.events.len(), 0);
}

#[test]
fn a_reused_row_is_another_task() {
    let mut r = Recorder::new(64);
    for generation in [0, 1] {
        r.after(10).spawn((1, generation), "a.rs:1:1");
        r.after(10).begin((1, generation), 0, 0);
        r.after(10).end((1, generation), 1);
    }
    let (_, model) = read(&r);
    assert_eq!(model.tasks.len(), 2);
    assert!(model.tasks[0].end.unwrap().0 <= model.tasks[1].begin);
}

#[test]
fn a_keyframe_states_older_tasks_and_starts_no_new_ones() {
    let mut r = Recorder::new(64);
    let (place, name) = (r.text("a.rs:1:1"), r.text("old"));
    let (operation, line) = (r.text("sleep"), r.text("a.rs:9:5"));
    r.event(22, 0, 1, 7);
    r.event(23, 3, 1, 500);
    r.event(24, 3, 1, 2_000);
    r.event(1, 3, 1, place);
    r.event(2, 3, 1, name);
    r.event(5, 3, 1, operation);
    r.event(6, 2, 4, line);
    r.event(25, 0, 0, 7);
    r.after(50).begin((1, 3), 2, 0);
    r.after(10).end((1, 3), 0);
    let (trace, model) = read(&r);
    assert_eq!(model.tasks.len(), 1);
    let task = &model.tasks[0];
    assert_eq!((task.polls, task.busy), (501, 2_000_010));
    assert!(!task.spawn_seen);
    assert_eq!(model.task_name(&trace, 0), "1.3 \"old\"");
    assert_eq!(trace.text(model.waits[0].operation), "sleep");
    assert_eq!(model.waits[0].end, Some(50));
}

#[test]
fn ticks_become_nanoseconds_and_48_bits_are_extended() {
    let mut r = Recorder::new(64);
    r.clock = 1;
    r.now = (1 << 48) - 30;
    for _ in 0..3 {
        r.event(9, 0, 0, 0);
        r.now += 20;
    }
    let later = r.now / 3 + 1_000;
    r.calibration = (later * 3, later);
    let (trace, _) = read(&r);
    let exact = |ticks: u64| ticks / 3;
    let first = (1 << 48) - 30;
    let times: Vec<u64> = trace.events.iter().map(|event| event.time).collect();
    assert_eq!(times, [exact(first), exact(first + 20), exact(first + 40)]);
}

#[test]
fn a_clock_that_jumps_by_days_is_followed() {
    // The paused clock of a test: 70 hours at once, 80 are more than 48 bits of nanoseconds.
    let hour = 3_600_000_000_000;
    let mut r = Recorder::new(64);
    for _ in 0..4 {
        r.event(9, 0, 0, 0);
        r.now += 70 * hour;
    }
    r.now -= 70 * hour;
    r.calibration = (r.now, r.now);
    let (trace, _) = read(&r);
    let times: Vec<u64> = trace.events.iter().map(|event| event.time / hour).collect();
    assert_eq!(times, [0, 70, 140, 210]);
}

#[test]
fn another_format_and_other_files_are_refused_in_words() {
    let refuse = |bytes: &[u8]| Trace::from_bytes(bytes).unwrap_err().to_string();
    let mut bytes = small().bytes();
    bytes[8] = 2;
    assert_eq!(refuse(&bytes), "written by format 2, this reads 1");
    assert!(refuse(b"WAKEFUL\0").starts_with("not a recording: it has 8 bytes"));
    assert!(refuse(&[b'x'; 9000]).starts_with("not a recording: it does not begin"));
    assert!(matches!(Trace::from_bytes(b""), Err(Error::TooShort(0))));
    for (offset, value, words) in [
        (24, 65, "no power of two"),
        (24, 0, "no power of two"),
        (32, 8, "inside of the header"),
        (48, 4096, "inside of the texts"),
        (64, 99_999, "bytes of texts are used"),
        (72, 9, "the clock is"),
    ] {
        let mut bytes = small().bytes();
        bytes[offset..offset + 4].copy_from_slice(&u32::to_le_bytes(value));
        assert!(
            refuse(&bytes).contains(words),
            "{offset}: {}",
            refuse(&bytes)
        );
    }
}

#[test]
fn of_a_truncated_file_what_is_whole_is_read() {
    let bytes = small().bytes();
    let whole = Trace::from_bytes(&bytes).unwrap();
    let cut = Trace::from_bytes(&bytes[..bytes.len() - 54 * 16]).unwrap();
    assert_eq!(cut.events, whole.events[..10]);
    assert_eq!(
        cut.warnings,
        ["the file is truncated: 10 of 45 events are in it"]
    );
    let cut = Trace::from_bytes(&bytes[..4096 + 60]).unwrap();
    assert_eq!(cut.texts, whole.texts[..cut.texts.len()]);
    assert_eq!(cut.warnings.len(), 2, "{:?}", cut.warnings);
    assert_eq!(cut.text(17), "?");
    assert!(text::render(&cut, &Model::new(&cut)).contains("warning: the file is truncated"));
}

#[test]
fn a_full_texts_area_is_a_warning() {
    let mut r = small();
    r.flags = 2;
    r.event(2, 0, 1, format::TEXT_LOST);
    let (trace, model) = read(&r);
    assert!(trace.warnings[0].contains("texts area was full"));
    assert_eq!(model.task_name(&trace, 1), "1.0 \"?\"");
}

#[test]
fn a_head_that_counts_more_events_than_possible_is_no_panic() {
    for head in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let mut bytes = small().bytes();
        bytes[56..64].copy_from_slice(&head.to_le_bytes());
        use_all(&bytes);
        let before = small().bytes();
        Trace::from_copy(&before, head).unwrap();
    }
}

#[test]
fn of_a_huge_file_no_more_is_read_than_the_header_says() {
    let path = std::env::temp_dir().join(format!("wakeful-trace-{}.wtr", std::process::id()));
    for (bytes, is_recording) in [(small().bytes(), true), (vec![b'x'; 9000], false)] {
        std::fs::write(&path, bytes).unwrap();
        // Without blocks: it takes no room.
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(live::open(&path).is_ok(), is_recording);
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn nobody_waits_for_the_keyframe_of_a_loop_that_is_parked() {
    let path =
        std::env::temp_dir().join(format!("wakeful-trace-parked-{}.wtr", std::process::id()));
    let mut r = small();
    r.parked = 1;
    std::fs::write(&path, r.bytes()).unwrap();
    let recording = live::Live::open(&path).unwrap();
    // Longer than the time after which a test is killed.
    let answered = recording.keyframe(Duration::from_secs(3600)).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(answered, Some(false));
    assert_eq!(recording.read().unwrap().published.request, 1);
}

#[test]
fn unknown_kinds_are_ignored() {
    let mut r = small();
    let polls = read(&r).1.polls.len();
    r.event(200, 1, 2, 3);
    let (trace, model) = read(&r);
    assert_eq!(model.polls.len(), polls);
    assert!(text::render(&trace, &model).contains("event of kind 200, unknown to this program"));
}

#[test]
fn a_poll_that_never_ends_is_that_of_the_published_task() {
    let mut r = small();
    r.after(10).spawn((5, 0), "src/import.rs:14:9");
    r.name((5, 0), "import");
    r.after(10).begin((5, 0), 0, 0);
    (r.polled, r.place, r.queue) = (5, r.text("src/import.rs:14:9"), 31);
    let (trace, model) = read(&r);
    assert_eq!(
        trace.published.polled,
        Polled::Task {
            row: 5,
            generation: 0
        }
    );
    assert_eq!(model.polls.last().unwrap().outcome, Outcome::Unfinished);
    let line = table::loop_line(&trace, &model);
    let wanted = "runtime 1 of process 4000111 polls task 5.0 \"import\" (spawned at import.rs:14), poll 7; \
                  31 tasks in the run queue after its last turn";
    assert_eq!(line, wanted);
    let rows = table::rows(&trace, &model);
    assert_eq!(rows[0].state, table::State::Polled);
    assert_eq!(rows[0].id, "5.0");
}

#[test]
fn the_length_of_the_run_queue_is_that_after_the_last_turn_of_a_loop_that_runs() {
    let mut r = small();
    let mut line = |queue, parked, flags| {
        (r.queue, r.parked, r.flags) = (queue, parked, flags);
        let (trace, model) = read(&r);
        let line = table::loop_line(&trace, &model);
        let head = "runtime 1 of process 4000111 ";
        line.strip_prefix(head).unwrap().to_owned()
    };
    let runs = "runs between polls";
    assert_eq!(
        line(1, 0, 0),
        format!("{runs}; 1 task in the run queue after its last turn")
    );
    assert_eq!(
        line(256, 0, 0),
        format!("{runs}; 256 tasks or more in the run queue after its last turn")
    );
    assert_eq!(line(3, 1, 0), "is parked in epoll_wait");
    assert_eq!(line(3, 0, 1), "has ended");
}

#[test]
fn a_task_goes_on_with_what_it_did_at_the_last_event() {
    let (trace, model) = read(&small());
    let mut rows = table::rows(&trace, &model);
    let before: Vec<u64> = rows.iter().map(|row| row.since).collect();
    table::add_age(&mut rows, 5_000_000_000);
    let after: Vec<u64> = rows.iter().map(|row| row.since - 5_000_000_000).collect();
    assert_eq!(before, after);
}

#[test]
fn the_time_of_day_says_nothing_about_the_clock_of_a_test() {
    let mut r = small();
    assert!(live::age(&read(&r).0).is_some());
    r.flags = 4;
    let (trace, _) = read(&r);
    assert!(trace.virtual_clock && live::age(&trace).is_none());
}

#[test]
fn the_longest_time_until_a_timer_is_due_is_a_lower_limit() {
    let mut r = small();
    r.event(10, 0, 7, u32::MAX - 1);
    r.event(10, 0, 8, u32::MAX);
    let (trace, model) = read(&r);
    let text = text::render(&trace, &model);
    assert!(
        text.contains("timer 7 armed, due in 4,294,967 s\n"),
        "{text}"
    );
    let longest = "timer 8 armed, due in 4,294,967 s or later";
    assert!(text.contains(longest), "{text}");
    let chrome = String::from_utf8(Format::Chrome.render(&trace)).unwrap();
    assert!(chrome.contains(longest));
}

/// Reads bytes, and if they are a recording, makes everything of it.
fn use_all(bytes: &[u8]) {
    let Ok(trace) = Trace::from_bytes(bytes) else {
        return;
    };
    let model = Model::new(&trace);
    for format in [Format::Text, Format::Chrome, Format::Svg, Format::Html] {
        assert!(!format.render(&trace).is_empty());
    }
    let rows = table::rows(&trace, &model);
    assert!(!table::render(&rows).is_empty());
    serde_json::from_str::<serde_json::Value>(&table::to_json(&trace, &rows, 1)).unwrap();
}

#[test]
fn truncated_and_damaged_recordings_never_panic() {
    let mut random = Random(42);
    for recorder in [small(), hostile()] {
        let bytes = recorder.bytes();
        for size in (0..bytes.len()).step_by(61) {
            use_all(&bytes[..size]);
        }
        for _ in 0..400 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(8) {
                // The header, the texts, or the events.
                let area = [(8, 150), (4096, 400), (8192, 1000)][random.below(3) as usize];
                let at = area.0 + random.below(area.1) as usize;
                let at = at.min(damaged.len() - 1);
                damaged[at] = random.next() as u8;
            }
            use_all(&damaged);
        }
    }
}

#[test]
fn random_events_never_panic() {
    let mut random = Random(7);
    for _ in 0..60 {
        let mut r = Recorder::new(256);
        r.clock = 1 + random.below(2) as u32;
        r.calibration = (
            random.next() >> random.below(64),
            random.next() >> random.below(64),
        );
        for _ in 0..random.below(400) {
            r.now = random.next() >> random.below(64);
            let row = [1, 2, 3, u32::MAX, u32::MAX - 1][random.below(5) as usize];
            r.event(
                random.below(28) as u8,
                random.below(2) as u8,
                row,
                random.below(6) as u32,
            );
        }
        use_all(&r.bytes());
    }
}

#[test]
fn the_slow_poll_of_a_long_recording_is_the_first_line() {
    let (trace, model) = read(&server(20_000));
    let summary = text::summary(&trace, &model);
    let first = summary
        .lines()
        .skip_while(|line| *line != "longest polls")
        .nth(1)
        .unwrap();
    assert!(
        first.contains("37.0 ms") && first.contains("\"import\" (main.rs:29)"),
        "{first}"
    );
}
