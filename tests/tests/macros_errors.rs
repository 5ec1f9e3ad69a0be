//! Mistakes in functions with `#[wakeful::main]` and `#[wakeful::test]`: the compiler reports each once,
//! in words of its own, at the tokens that it is about.
//!
//! The cases are the programs of a package that is written to a temporary folder and checked by cargo.
//! A library for such tests was rejected, because its dependencies took ten times as long to build.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

use wakeful_tests::source::workspace;

/// Programs, and the errors of each as `line:column: message`.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "not_async",
        "#[wakeful::main]\nfn main() {}",
        &["2:1: error: `async` is missing: `#[wakeful::main]` belongs to an `async fn`"],
    ),
    (
        "not_a_function",
        "#[wakeful::test]\npub struct Test;\nfn main() {}",
        &["2:5: error: `#[wakeful::test]` belongs to an `async fn`"],
    ),
    (
        "unsafe_function",
        "#[wakeful::main]\nasync unsafe fn main() {}",
        &["2:7: error: remove `unsafe`: `#[wakeful::main]` belongs to an `async fn`"],
    ),
    (
        "parameters",
        "#[wakeful::main]\nasync fn main(arguments: Vec<String>) {}",
        &["2:14: error: `#[wakeful::main]` calls the function: remove its parameters"],
    ),
    (
        "parameters_of_a_test",
        "#![cfg_attr(all(), allow(unused))]\n#[wakeful::test]\nasync fn test(a: u8) {}\nfn main() {}",
        &["3:14: error: `#[wakeful::test]` calls the function: remove its parameters"],
    ),
    (
        "seeds_of_a_main",
        "#[wakeful::main(seeds = 7)]\nasync fn main() {}",
        &["1:17: error: `seeds` belongs to `#[wakeful::test]`"],
    ),
    (
        "seeds_and_a_seed",
        "#[wakeful::test(seeds = 7, rng_seed = 7)]\nasync fn test() {}\nfn main() {}",
        &["1:17: error: `seeds` sets the seed of each run: remove `rng_seed`"],
    ),
    (
        "generics",
        "#[wakeful::main]\nasync fn main<T>() {}",
        &["2:14: error: `#[wakeful::main]` calls the function: remove its generic parameters"],
    ),
    (
        "where_clause",
        "#[wakeful::main]\nasync fn main() -> Result<(), u8> where u8: Copy { Ok(()) }",
        &["2:35: error: `#[wakeful::main]` calls the function: remove its `where` clause"],
    ),
    (
        "no_body",
        "trait T {\n    #[wakeful::test]\n    async fn test();\n}\nfn main() {}",
        &["3:20: error: the function has no body"],
    ),
    (
        "two_attributes",
        "#[wakeful::test]\n#[test]\nasync fn test() {}\nfn main() {}",
        &["2:3: error: `#[wakeful::test]` makes the function a test already: remove `#[test]`"],
    ),
    (
        "unknown_option",
        "#[wakeful::main(paused = true)]\nasync fn main() {}",
        &[
            "1:17: error: the option `paused` does not exist; allowed are `auto_advance_despite_io`, \
           `busy_poll`, `count_wakers`, `deadlock_after`, `enable_metrics_poll_time_histogram`, \
           `event_interval`, `io_budget`, `max_blocking_threads`, `max_io_events_per_tick`, \
           `on_deadlock`, `rng_seed`, `start_paused`, `unhandled_panic` and `crate`",
        ],
    ),
    (
        "option_of_tokio",
        "#[wakeful::main(flavor = \"current_thread\")]\nasync fn main() {}",
        &["1:17: error: remove `flavor`: a Wakeful runtime always runs on one thread"],
    ),
    (
        "option_without_a_value",
        "#[wakeful::main(start_paused)]\nasync fn main() {}",
        &["1:17: error: the option needs a value: `start_paused = ...`"],
    ),
    (
        "option_with_an_empty_value",
        "#[wakeful::main(start_paused =, rng_seed = 1)]\nasync fn main() {}",
        &["1:17: error: the option needs a value: `start_paused = ...`"],
    ),
    (
        "option_twice",
        "#[wakeful::main(rng_seed = 1, rng_seed = 2)]\nasync fn main() {}",
        &["1:31: error: the option `rng_seed` is there twice"],
    ),
    (
        "option_without_a_name",
        "#[wakeful::main(\"current_thread\")]\nasync fn main() {}",
        &[
            "1:17: error: an option has the form `name = value`; allowed are \
           `auto_advance_despite_io`, `busy_poll`, `count_wakers`, `deadlock_after`, \
           `enable_metrics_poll_time_histogram`, `event_interval`, `io_budget`, \
           `max_blocking_threads`, `max_io_events_per_tick`, `on_deadlock`, `rng_seed`, \
           `start_paused`, `unhandled_panic` and `crate`",
        ],
    ),
    (
        "path_without_quotes",
        "#[wakeful::main(crate = wakeful)]\nasync fn main() {}",
        &["1:17: error: the option needs a path in quotes: `crate = \"my_crate::wakeful\"`"],
    ),
    (
        "type_of_an_option",
        "#[wakeful::main(rng_seed = \"7\")]\nasync fn main() {}",
        &["1:28: error[E0308]: mismatched types: expected `u64`, found `&str`"],
    ),
    (
        "type_of_the_last_expression",
        "#[wakeful::main]\nasync fn main() -> Result<(), std::io::Error> {\n    let wrong = 7;\n    wrong\n}",
        &["4:5: error[E0308]: mismatched types: expected `Result<(), Error>`, found integer"],
    ),
    (
        "error_in_the_body",
        "#[wakeful::main]\nasync fn main() {\n    let number: u8 = missing;\n}",
        &["3:22: error[E0425]: cannot find value `missing` in this scope: not found in this scope"],
    ),
];

/// Writes the package and returns what cargo says about it.
fn check(folder: &Path) -> String {
    let programs = folder.join("src/bin");
    fs::create_dir_all(&programs).unwrap();
    for (name, code, _) in CASES {
        fs::write(programs.join(format!("{name}.rs")), code).unwrap();
    }
    let runtime = workspace().join("runtime");
    let manifest = format!(
        "[package]\nname = \"cases\"\nedition = \"2024\"\n\n[dependencies]\n\
         wakeful = {{ path = {runtime:?}, features = [\"macros\"] }}\n\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    // The same versions as here, which are on this machine.
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
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
fn a_mistake_is_one_error_at_its_place() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("macros-errors");
    let output = check(&folder);
    for (name, _, expected) in CASES {
        let start = format!("src/bin/{name}.rs:");
        let errors: Vec<&str> = output
            .lines()
            .filter_map(|line| line.strip_prefix(&*start))
            .filter(|line| line.contains(": error"))
            .collect();
        assert_eq!(errors, *expected, "{name}\n{output}");
    }
}
