//! Tests of the program's arguments, client commands and errors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use support::*;

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

#[test]
fn put_and_get_have_the_documented_output_and_status() {
    concurrent_models(|model| {
        let server = model.start();
        let address = server.address.to_string();
        let missed = run(&["get", "k", "--connect", &address]);
        assert_eq!(
            (missed.status.code(), &missed.stdout[..]),
            (Some(1), &b""[..])
        );
        let stored = run(&["put", "k", "a value", "--connect", &address]);
        assert_eq!(
            (stored.status.code(), &stored.stdout[..]),
            (Some(0), &b""[..])
        );
        let got = run(&["get", "k", "--connect", &address]);
        assert_eq!(
            (got.status.code(), &got.stdout[..]),
            (Some(0), &b"a value\n"[..])
        );
    });
}

#[test]
fn an_address_in_use_is_reported_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for model in ["blocking", "async"] {
        let output = run(&["serve", "--model", model, "--bind", &address]);
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains(&address) && stderr.contains("in use"),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_refused_connect_is_reported_with_the_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let output = run(&["get", "k", "--connect", &address]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error: ") && stderr.contains(&address),
        "{stderr}"
    );
}

#[test]
fn usage_errors_name_the_valid_values() {
    for (arguments, hint) in [
        (&["serve", "--model", "magic"][..], "event-loop"),
        (&["serve"], "--model"),
        (
            &["serve", "--model", "async", "--max-frame", "4"],
            "from 5 to",
        ),
        (
            &["serve", "--model", "event-loop", "--trigger", "both"],
            "edge",
        ),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(hint), "{stderr}");
    }
}

#[test]
fn a_restarted_server_can_bind_the_same_port() {
    every_model(|model| {
        let mut server = model.start();
        let address = server.address.to_string();
        let mut client = server.connect();
        client.put("k", "v");
        // The server closes first, so its side of the connection is in TIME_WAIT.
        server.assert_exits_cleanly();
        client.assert_closed();
        let again = model.start_with(&["--bind", &address]);
        assert_eq!(again.address.to_string(), address);
        again.assert_serves();
    });
}

#[test]
fn compare_writes_and_publishes_tables_plots_and_raw_numbers() {
    let folder = Folder::new("compare");
    let page = folder.0.join("PAGE.md");
    let markers = [
        "<!-- flavors compare: begin -->",
        "<!-- flavors compare: end -->",
    ];
    let text = format!("before\n{}\nold\n{}\nafter\n", markers[0], markers[1]);
    fs::write(&page, text).unwrap();
    let out = folder.0.join("out");
    let (out, page) = (out.to_str().unwrap(), page.to_str().unwrap());
    let measure = ["compare", "--quick", "--models", "blocking,async"];
    let publish = ["--out", out, "--publish", page, "--remark", "From a test"];
    let output = run(&[&measure[..], &publish[..]].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("async: 10 clients"), "progress: {stderr}");
    let table = fs::read_to_string(folder.0.join("out/table.md")).unwrap();
    assert_rows(&table);
    let published = fs::read_to_string(page).unwrap();
    assert!(published.starts_with("before\n") && published.ends_with("after\n"));
    assert!(
        published.contains(&table)
            && !published.contains("old")
            && published.contains("From a test")
    );
    assert_plots(&published, &folder.0);
    // The raw numbers reproduce the table.
    let again = folder.0.join("again");
    let raw = folder.0.join("flavors/raw.json");
    let (raw, out) = (raw.to_str().unwrap(), again.to_str().unwrap());
    let output = run(&["compare", "--from", raw, "--out", out]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(again.join("table.md")).unwrap(), table);
}

/// Checks the rows of `blocking` and `async`.
fn assert_rows(table: &str) {
    // A model that cannot serve a load is shown with the number of clients that it served.
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| `blocking`"))
        .collect();
    assert!(rows[0].contains(" of 10*"), "{table}");
    assert!(rows[1].contains("*serves 0 of 10*"), "{table}");
    let row = table
        .lines()
        .find(|line| line.starts_with("| `async`"))
        .unwrap();
    assert!(!row.contains("wrong"), "{row}");
}

/// Checks that each plot of the page exists and contains its caption and the names of the models.
fn assert_plots(published: &str, folder: &Path) {
    let plots: Vec<_> = published
        .lines()
        .filter(|line| line.starts_with("!["))
        .collect();
    assert_eq!(plots.len(), 8);
    for plot in plots {
        let (caption, file) = plot[2..].trim_end_matches(')').split_once("](").unwrap();
        let svg = fs::read_to_string(folder.join(file)).unwrap();
        let svg = svg.replace("&apos;", "'");
        for text in [caption, "async", "blocking"] {
            assert!(svg.contains(text), "{file} does not contain {text}");
        }
    }
}
