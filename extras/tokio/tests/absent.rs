//! What has no counterpart is an error of the compiler, which says so.
//!
//! The cases are the programs of a package that is written to a temporary folder and checked by cargo. A
//! `compile_fail` test would pass on any other error, too.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Programs, and the text of their errors.
const CASES: [(&str, &str, &str); 6] = [
    (
        "fs_read",
        "async { tokio::fs::read_to_string(\"Cargo.toml\").await };",
        "Wakeful has no `tokio::fs`",
    ),
    (
        "fs_write",
        "async { tokio::fs::write(\"file\", b\"\").await };",
        "Wakeful has no `tokio::fs`",
    ),
    (
        "fs_open",
        "async { tokio::fs::File::open(\"Cargo.toml\").await };",
        "Wakeful has no `tokio::fs`",
    ),
    (
        "process",
        "tokio::process::Command::new(\"true\");",
        "Wakeful has no `tokio::process`",
    ),
    (
        "block_in_place",
        "tokio::task::block_in_place(|| 42);",
        "Wakeful has no `block_in_place`, because it has one thread",
    ),
    (
        "hook",
        "tokio::runtime::Builder::new_multi_thread().on_thread_start(|| ());",
        "no method named `on_thread_start`",
    ),
];

/// Writes the package and returns what cargo says about it.
fn check(folder: &Path) -> String {
    let programs = folder.join("src/bin");
    fs::create_dir_all(&programs).unwrap();
    for (name, statement, _) in CASES {
        let program = format!("fn main() {{ let _ = {{ {statement} }}; }}");
        fs::write(programs.join(format!("{name}.rs")), program).unwrap();
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = format!(
        "[package]\nname = \"cases\"\nedition = \"2024\"\n\n[dependencies]\n\
         tokio = {{ package = \"wakeful-tokio\", path = {here:?}, features = [\"rt\"] }}\n\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    // The same versions as here, which are on this machine.
    fs::copy(here.join("../Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--bins", "--keep-going", "--quiet"])
        .args(["--message-format", "short"])
        .current_dir(folder)
        // Those of a build with a sanitizer also reach attributes, which rustc cannot load then.
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CARGO_TERM_COLOR", "never")
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn each_use_of_what_is_absent_is_an_error_that_names_it() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("absent");
    let output = check(&folder);
    for (name, _, expected) in CASES {
        let errors: Vec<&str> = output
            .lines()
            .filter(|line| line.starts_with(&format!("src/bin/{name}.rs:")))
            .filter(|line| line.contains(": error"))
            .collect();
        assert!(!errors.is_empty(), "{name}: no error\n{output}");
        for error in errors {
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
