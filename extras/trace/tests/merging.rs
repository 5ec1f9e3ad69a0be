//! Several recordings as one: their names, their lanes, their texts, and what happened from outside.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::hosts::{client, hosts, server};
use common::{Recorder, small};
use serde_json::Value;
use wakeful_trace::{Format, Model, Trace, text};

const SECOND: u64 = 1_000_000_000;

fn read(recorder: &Recorder) -> Trace {
    Trace::from_bytes(&recorder.bytes()).unwrap()
}

fn merge<const N: usize>(parts: [(&str, Trace); N]) -> Trace {
    Trace::merge(parts.map(|(name, trace)| (name.to_owned(), trace))).unwrap()
}

fn render(trace: &Trace, format: Format) -> String {
    String::from_utf8(format.render(trace)).unwrap()
}

#[test]
fn a_merged_recording_has_the_tasks_polls_and_waits_of_each() {
    let merged = merge([("one", read(&small())), ("two", read(&client()))]);
    let model = Model::new(&merged);
    for (runtime, alone) in [small(), client()].iter().map(read).enumerate() {
        let expected = Model::new(&alone);
        let words = |trace: &Trace, model: &Model, runtime| {
            let polls = model.polls.iter();
            let polls = polls.filter(|poll| model.tasks[poll.task].runtime == runtime);
            let words = |poll: &wakeful_trace::model::Poll| {
                let wait = poll.wait.map(|wait| &model.waits[wait]);
                let wait = wait.map(|wait| (text::wait_words(trace, model, wait), wait.end));
                let cause = text::cause_words(trace, model, poll);
                let task = model.task_name(trace, poll.task);
                (task, poll.begin, poll.end, cause, wait)
            };
            polls.map(words).collect::<Vec<_>>()
        };
        let found = words(&merged, &model, runtime);
        assert_eq!(found, words(&alone, &expected, 0));
        assert!(found.len() > 3);
        let turns = model.turns.iter().filter(|turn| turn.runtime == runtime);
        assert_eq!(turns.count(), expected.turns.len());
    }
    assert_eq!(merged.counts().values().sum::<u64>(), merged.written);
    assert!(merged.events.is_sorted_by_key(|event| event.time));
    assert!(Trace::merge([]).is_none());
}

#[test]
fn runs_of_one_program_share_lanes_unless_they_overlap() {
    let trace = hosts();
    let model = Model::new(&trace);
    let groups: Vec<_> = model.groups.iter().map(|group| &*group.name).collect();
    assert_eq!(groups, ["server", "client"]);
    assert_eq!(model.groups[0].runtimes.len(), 2);
    // What was alive at the crash ends with it.
    let answers: Vec<_> = model.tasks.iter().filter(|task| task.name != 0).collect();
    let ends: Vec<_> = answers.iter().map(|task| model.task_end(task)).collect();
    assert_eq!(ends[..2], [2 * SECOND, 10 * SECOND]);
    let overlapping = merge([("a", read(&server(SECOND))), ("a", read(&server(SECOND)))]);
    assert_eq!(Model::new(&overlapping).groups.len(), 2);
}

#[test]
fn a_program_without_a_runtime_has_a_lane_for_its_notes() {
    let mut trace = merge([("a", read(&client()))]);
    trace.notes = hosts().notes;
    let groups = Model::new(&trace).groups;
    let names: Vec<_> = groups.iter().map(|group| &*group.name).collect();
    assert_eq!(names, ["a", "server", "client"]);
    assert_eq!(trace.end(), 10 * SECOND);
    for format in [Format::Text, Format::Chrome, Format::Svg, Format::Html] {
        assert!(render(&trace, format).contains("signal 10"), "{format:?}");
    }
}

#[test]
fn the_text_names_programs_and_what_happened_to_them() {
    let text = render(&hosts(), Format::Text);
    for line in [
        "server, client: 64 events in 10.0 s; 11 polls of 3 tasks, 6 turns\n",
        "notes\n+2.000000000  server: crashed for 3.00 s\n",
        "+8.000000000  server: signal 10\n",
        "6.50 s  client: task 1.0 \"ask\" (client.rs:5)  TcpStream::read_exact at client.rs:20 on fd 9, peer 10.0.0.1:7000\n",
        "server: task 1.0 \"answer\" (server.rs:10)  TcpStream::read at server.rs:17 on fd 9, peer 10.0.0.2:40000\n",
        "+5.001000300  server  task 1.0         spawned at server.rs:10\n",
        "+0.000001100  client  task 1.0         spawned at client.rs:5\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn each_program_is_a_process_in_perfetto() {
    let json: Value = serde_json::from_str(&render(&hosts(), Format::Chrome)).unwrap();
    let events = json["traceEvents"].as_array().unwrap();
    let named = |what: &str, name: &str| {
        let is_it = |event: &&Value| event["name"] == what && event["args"]["name"] == name;
        let found = events.iter().filter(is_it);
        found
            .map(|e| e["pid"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let (server, client) = (
        named("process_name", "server"),
        named("process_name", "client"),
    );
    assert_eq!((&server[..], &client[..]), (&[1][..], &[2][..]));
    assert_eq!(named("thread_name", "row 1"), [1, 2]);
    let tasks = events.iter().filter(|e| e["name"] == "1.0 \"answer\"");
    let begins: Vec<_> = tasks
        .map(|e| (e["pid"].as_u64().unwrap(), e["ts"].as_f64()))
        .collect();
    assert_eq!(begins, [(1, Some(1_000.3)), (1, Some(5_001_000.3))]);
    let crash = events.iter().filter(|e| e["name"] == "crashed");
    let crash: Vec<_> = crash
        .map(|e| (e["ph"].as_str(), e["ts"].as_f64()))
        .collect();
    assert_eq!(crash, [(Some("b"), Some(2e6)), (Some("e"), Some(5e6))]);
}

#[test]
fn a_picture_has_the_lanes_of_each_program_below_its_name() {
    let picture = render(&hosts(), Format::Svg);
    let place = |label: &str| {
        let label = format!(">{label}</text>");
        assert_eq!(picture.matches(&label).count(), 1, "{label}");
        picture.find(&label)
    };
    let places = [
        place("server"),
        place("row 1 answer"),
        place("client"),
        place("row 1 ask"),
    ];
    assert!(places.is_sorted(), "{places:?}");
    assert!(picture.contains(">crashed</text>"));
    assert!(picture.contains("<title>Wakeful: server, client</title>"));
}

#[test]
fn a_name_that_is_markup_stays_text() {
    let name = "</script><img src=x>";
    let mut trace = merge([(name, read(&client())), ("b", read(&client()))]);
    trace.notes = hosts().notes;
    trace.notes[0].name = name.to_owned();
    trace.notes[0].text = name.to_owned();
    for format in [Format::Svg, Format::Html] {
        assert!(!render(&trace, format).contains("<img"), "{format:?}");
    }
}
