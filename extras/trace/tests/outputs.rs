//! The outputs: slices of a lane nest, arrows have two ends, JSON and XML parse, text is as expected.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{Recorder, hostile, server, small};
use serde_json::Value;
use wakeful_trace::{Format, Trace};

fn render(recorder: &Recorder, format: Format) -> String {
    let trace = Trace::from_bytes(&recorder.bytes()).unwrap();
    String::from_utf8(format.render(&trace)).unwrap()
}

fn events(recorder: &Recorder) -> Vec<Value> {
    let json: Value = serde_json::from_str(&render(recorder, Format::Chrome)).unwrap();
    json["traceEvents"].as_array().unwrap().clone()
}

/// Returns a time in nanoseconds from microseconds with three digits.
fn ns(value: &Value) -> u64 {
    (value.as_f64().unwrap() * 1000.0).round() as u64
}

#[test]
fn slices_of_a_thread_nest_or_do_not_touch() {
    for recorder in [small(), server(20_000), hostile()] {
        let mut threads: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for event in events(&recorder).iter().filter(|event| event["ph"] == "X") {
            let begin = ns(&event["ts"]);
            let slices = threads.entry(event["tid"].as_u64().unwrap()).or_default();
            slices.push((begin, begin + ns(&event["dur"])));
        }
        assert!(threads.len() > 3);
        for (thread, mut slices) in threads {
            // The longest first, if several begin at once.
            slices.sort_by_key(|(begin, end)| (*begin, std::cmp::Reverse(*end)));
            let mut open: Vec<u64> = Vec::new();
            for (begin, end) in slices {
                while open.last().is_some_and(|outer| *outer <= begin) {
                    open.pop();
                }
                let outer = open.last().copied().unwrap_or(u64::MAX);
                assert!(
                    end <= outer,
                    "thread {thread}: {begin}..{end} leaves {outer}"
                );
                open.push(end);
            }
        }
    }
}

#[test]
fn every_arrow_has_two_ends_inside_of_slices() {
    for recorder in [small(), server(20_000)] {
        let events = events(&recorder);
        let mut slices: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        for event in events
            .iter()
            .filter(|e| e["ph"] == "X" && e["name"] == "poll")
        {
            let begin = ns(&event["ts"]);
            let thread = event["tid"].as_u64().unwrap();
            slices
                .entry(thread)
                .or_default()
                .push((begin, begin + ns(&event["dur"])));
        }
        let mut ends: HashMap<u64, Vec<&Value>> = HashMap::new();
        for event in events.iter().filter(|e| e["ph"] == "s" || e["ph"] == "f") {
            let (time, thread) = (ns(&event["ts"]), event["tid"].as_u64().unwrap());
            let inside = slices[&thread]
                .iter()
                .any(|(begin, end)| *begin <= time && time <= *end);
            assert!(inside, "{event}");
            ends.entry(event["id"].as_u64().unwrap())
                .or_default()
                .push(event);
        }
        assert!(!ends.is_empty());
        for pair in ends.values() {
            let [from, to] = pair[..] else {
                panic!("{pair:?}");
            };
            assert_eq!(
                (&from["ph"], &to["ph"], &to["bp"]),
                (&"s".into(), &"f".into(), &"e".into())
            );
            assert!(ns(&from["ts"]) <= ns(&to["ts"]));
        }
    }
}

#[test]
fn a_poll_says_what_woke_it_and_where_it_waits() {
    let events = events(&small());
    let poll = events
        .iter()
        .find(|e| e["name"] == "poll" && e["dur"] == 4501.9)
        .unwrap();
    assert_eq!(poll["args"]["cause"], "first poll after its spawn");
    assert_eq!(poll["args"]["at"], "src/echo.rs:12:14");
    let words = "TcpStream::read at echo.rs:12 on fd 9, peer 127.0.0.1:40112";
    assert_eq!(poll["args"]["then waits in"], words);
}

#[test]
fn asynchronous_events_begin_and_end() {
    let mut open: HashMap<String, i32> = HashMap::new();
    for event in events(&small()) {
        let step = match event["ph"].as_str().unwrap() {
            "b" => 1,
            "e" => -1,
            _ => continue,
        };
        *open.entry(event["id"].to_string()).or_default() += step;
    }
    assert_eq!(open.len(), 2);
    assert!(open.values().all(|count| *count == 0));
}

#[test]
fn markup_in_names_stays_text() {
    let page = render(&hostile(), Format::Html);
    assert_eq!(
        page.matches("</script>").count(),
        3,
        "those of the page itself"
    );
    assert!(!page.contains("<img"));
    assert!(page.contains("\\u003c/script>\\u003cimg src=x"));
    // A placeholder in a name is not filled.
    assert_eq!(page.matches("\"use strict\"").count(), 1);
    let picture = render(&hostile(), Format::Svg);
    assert!(
        !picture.contains("<img") && !picture.contains("<script") && !picture.contains("<![CDATA[")
    );
    for format in [Format::Text, Format::Svg] {
        let text = render(&hostile(), format);
        let control = |c: char| c.is_control() && c != '\n';
        assert!(
            !text.contains(control) && !text.contains('\u{202e}'),
            "{format:?}"
        );
    }
}

#[test]
fn the_page_fetches_nothing() {
    let page = render(&small(), Format::Html);
    assert!(page.contains("default-src 'none'"));
    for forbidden in [
        "http://",
        "https://",
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "innerHTML",
        "eval(",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn the_data_of_the_page_is_the_recording() {
    use base64::Engine;
    let page = render(&small(), Format::Html);
    let part = |id: &str| {
        let (_, after) = page.split_once(&format!("id=\"{id}\">")).unwrap();
        after.split_once("</script>").unwrap().0
    };
    let meta: Value = serde_json::from_str(part("meta")).unwrap();
    let data = base64::engine::general_purpose::STANDARD
        .decode(part("columns"))
        .unwrap();
    assert_eq!(meta["begin"], 0);
    let column = &meta["columns"]["poll.begin"];
    let (offset, length) = (
        column[1].as_u64().unwrap() as usize,
        column[2].as_u64().unwrap(),
    );
    assert_eq!((column[0].as_str(), length), (Some("f64"), 6));
    let third = f64::from_le_bytes(data[offset + 16..offset + 24].try_into().unwrap());
    assert_eq!(third, 1_007_200.0);
}

#[test]
fn the_text_is_as_expected() {
    let text = render(&small(), Format::Text);
    let golden = include_str!("small.txt");
    // `wakeful-trace text tests/small.wtr > tests/small.txt` writes it again.
    assert!(text == golden, "{text}");
}

#[test]
fn endings_choose_the_format_and_others_are_named() {
    assert_eq!(Format::of_path("a/b.svg".as_ref()).unwrap(), Format::Svg);
    let error = Format::of_path("a.pdf".as_ref()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"a.pdf\" has none of the endings .txt, .json, .svg, .html"
    );
}

#[test]
fn a_picture_of_a_long_recording_stays_small() {
    let picture = render(&server(60_000), Format::Svg);
    assert!(picture.len() < 1 << 20, "{} bytes", picture.len());
    assert!(picture.contains("<title>task 77.0 &quot;import&quot; (main.rs:29): poll of 37.0 ms"));
}
