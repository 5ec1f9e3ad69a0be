//! The program from outside: its arguments, its client commands, and how it fails.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use support::*;

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

#[test]
fn put_and_get_from_the_shell() {
    models_for_many(|model| {
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
fn an_address_in_use_is_one_line_with_it() {
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
fn nobody_there_is_one_line_with_the_address() {
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
fn usage_errors_name_what_is_allowed() {
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
fn a_restarted_server_gets_its_port_back() {
    every_model(|model| {
        let mut server = model.start();
        let address = server.address.to_string();
        let mut client = server.connect();
        client.put("k", "v");
        // The server closes first, so that the port is in TIME_WAIT.
        server.assert_ends_well();
        client.assert_closed();
        let again = model.start_with(&["--bind", &address]);
        assert_eq!(again.address.to_string(), address);
        again.assert_serves();
    });
}

#[test]
fn compare_writes_tables_plots_and_raw_numbers_and_publishes_them() {
    let folder = Folder::new("compare");
    let page = folder.0.join("PAGE.md");
    let markers = [
        "<!-- flavors compare: begin -->",
        "<!-- flavors compare: end -->",
    ];
    fs::write(
        &page,
        format!("before\n{}\nold\n{}\nafter\n", markers[0], markers[1]),
    )
    .unwrap();
    let out = folder.0.join("out");
    let (out, page) = (out.to_str().unwrap(), page.to_str().unwrap());
    let output = run(&[
        "compare",
        "--quick",
        "--models",
        "blocking,async",
        "--out",
        out,
        "--publish",
        page,
        "--remark",
        "From a test",
    ]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("async: 10 clients"), "progress: {stderr}");
    let table = fs::read_to_string(folder.0.join("out/table.md")).unwrap();
    // A model that cannot serve a load is shown, with how many it did serve.
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
    // Both published and written.
    let published = fs::read_to_string(page).unwrap();
    assert!(published.starts_with("before\n") && published.ends_with("after\n"));
    assert!(
        published.contains(&table)
            && !published.contains("old")
            && published.contains("From a test")
    );
    let plots: Vec<_> = published
        .lines()
        .filter(|line| line.starts_with("!["))
        .collect();
    assert_eq!(plots.len(), 8);
    for plot in plots {
        let (caption, file) = plot[2..].trim_end_matches(')').split_once("](").unwrap();
        let svg = fs::read_to_string(folder.0.join(file)).unwrap();
        let svg = svg.replace("&apos;", "'");
        for text in [caption, "async", "blocking"] {
            assert!(svg.contains(text), "{file} does not say {text}");
        }
    }
    // Drawing again from the raw numbers gives the same.
    let again = folder.0.join("again");
    let output = run(&[
        "compare",
        "--from",
        folder.0.join("flavors/raw.json").to_str().unwrap(),
        "--out",
        again.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(again.join("table.md")).unwrap(), table);
}
