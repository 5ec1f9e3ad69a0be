//! The architecture, held by a test: the order of folders and the direction of imports, where `unsafe`
//! is allowed, where the runtime shares data with another thread, and what the two libraries depend on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use wakeful_tests::source::{
    Imports, Source, assert_only_known, code, functions, has_word, imports, paths, rust_files,
    test_names, tokens, without_unit_tests, workspace,
};

// --- order of folders -------------------------------------------------------------------------------

/// The folders and files at the top of each crate, from the bottom up. A file imports only from its
/// own folder and from entries before it. A new file or folder needs a place here.
const ORDER: [(&str, &[&str]); 5] = [
    (
        "runtime/src",
        &[
            "hooks",
            "kernel",
            "random",
            "drops",
            "sys",
            "std_or_loom",
            "table",
            "coop",
            "busy_poll",
            "id",
            "waker_counts",
            "ready",
            "task_info",
            "deadlock_watch",
            "oneshot",
            "inbox",
            "registry",
            "blocking",
            "watch",
            "reactor",
            "timer",
            "recorder",
            "executor",
            "context",
            "record",
            "defer",
            "signal",
            "dump",
            "wait_list",
            "task",
            "time",
            "io",
            "shutdown",
            "seeds",
            "hyper",
            "trace",
            "runtime",
            "guide",
        ],
    ),
    (
        "net/src",
        &[
            "call_site",
            "budget",
            "address",
            "record",
            "sys",
            "error",
            "socket",
            "fd",
            "ready",
            "lookup",
            "connect",
            "listen",
            "datagram",
            "stream",
            "tcp",
            "udp",
            "unix",
            "io",
            "traits",
            "serve",
        ],
    ),
    (
        "extras/tokio/src",
        &[
            "fs",
            "process",
            "time",
            "io",
            "net",
            "join_handle",
            "entered",
            "spawn",
            "runtime",
            "task",
        ],
    ),
    (
        "echo-server/src",
        &[
            "trace_file",
            "args",
            "log",
            "trace",
            "setup",
            "listen",
            "timeouts",
            "state",
            "connection",
            "echo",
            "accept",
            "udp",
            "server",
            "stats",
            "shutdown",
            "workers",
            "program",
        ],
    ),
    (
        "benches/suite/src",
        &[
            "contestants",
            "timeout",
            "machine",
            "part",
            "record",
            "format",
            "results",
            "programs",
            "server",
            "load",
            "benchmark",
            "bench",
            "parts",
            "plots",
            "targets",
            "markdown",
            "publish",
        ],
    ),
];

/// Imports from an entry that comes later in [`ORDER`], as `file -> imported (1)`.
const UPWARD: &[(&str, usize)] = &[];

/// Groups of files that import each other in a circle, with the number of files.
const CIRCLES: &[(&str, usize)] = &[];

/// Returns the entry of [`ORDER`] that a module belongs to.
fn entry(module: &str) -> &str {
    module.split("::").next().unwrap()
}

#[test]
fn imports_point_downwards() {
    let mut upward = BTreeMap::new();
    for (root, order) in ORDER {
        let place = |module: &str| order.iter().position(|name| *name == entry(module));
        for (module, used) in imports(&workspace().join(root)) {
            for used in used.iter().filter(|used| place(used) > place(&module)) {
                upward.insert(format!("{root}: {module} -> {used}"), 1);
            }
        }
    }
    let rule =
        "An import goes from a later entry of ORDER to an earlier one, or stays in a folder.";
    assert_only_known(rule, &upward, UPWARD);
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let mut circles = BTreeMap::new();
    for (root, _) in ORDER {
        for circle in circles_in(&imports(&workspace().join(root))) {
            circles.insert(format!("{root}: {}", circle.join(" ")), circle.len());
        }
    }
    let rule = "No group of files imports itself in a circle.";
    assert_only_known(rule, &circles, CIRCLES);
}

#[test]
fn every_file_has_a_place_in_the_order() {
    for (root, order) in ORDER {
        let imports = imports(&workspace().join(root));
        let found: BTreeSet<&str> = imports.keys().map(|module| entry(module)).collect();
        let placed: BTreeSet<&str> = order.iter().copied().collect();
        assert_eq!(
            found, placed,
            "{root}: found in the folder, listed in ORDER"
        );
        assert_eq!(
            placed.len(),
            order.len(),
            "{root}: an entry is listed twice"
        );
    }
}

/// Returns the groups of modules that reach each other, each sorted.
fn circles_in(imports: &Imports) -> BTreeSet<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports
        .keys()
        .map(|module| (&**module, reachable(module, imports)))
        .collect();
    let circle = |module: &str| {
        let back = |other: &&str| reached[other].contains(module);
        reached[module].iter().copied().filter(back).collect()
    };
    reached
        .keys()
        .filter(|module| reached[*module].contains(*module))
        .map(|module| circle(module))
        .collect()
}

/// Returns the modules that `start` imports, directly or through others.
fn reachable<'a>(start: &str, imports: &'a Imports) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(module) = open.pop() {
        for used in &imports[module] {
            if found.insert(&**used) {
                open.push(used);
            }
        }
    }
    found
}

#[test]
fn the_scanner_reads_imports() {
    let module = ["a".to_owned(), "b".to_owned()];
    let read = |code: &str| -> Vec<String> {
        let source = Source::parse(code);
        paths(&source.code, &module).into_iter().collect()
    };
    assert_eq!(read("use crate::x::y;"), ["x::y"]);
    assert_eq!(
        read("use crate::x::{self, y::{Z as W, V}, u};"),
        ["x", "x::u", "x::y::V", "x::y::Z"]
    );
    assert_eq!(
        read("use super::c::D; fn f() { super::super::e() }"),
        ["a::c::D", "e"]
    );
    assert_eq!(read("f(crate::x::Y::<u8>::new(), crate::z)"), ["x::Y", "z"]);
    assert_eq!(
        read("// use crate::x;\nlet s = \"crate::y\"; /* crate::z */ 'c'"),
        [""; 0]
    );
    assert_eq!(read("pub(crate) fn f() {} other::crate::x"), [""; 0]);
    // It reads the files of the workspace, too.
    let imports = imports(&workspace().join("runtime/src"));
    assert!(imports["context"].contains("reactor"));
    assert!(imports["task_info"].contains("ready"));
    assert!(imports["io::registration"].contains("io"));
}

#[test]
fn the_scanner_separates_code_comments_and_strings() {
    let source = Source::parse(
        "//! a\nlet s = \"b \\\" // c\"; // d\n/* e\n f */ r#\"g\n\"h\"#; b'\\''; '\"'; 'static",
    );
    let text = |lines: &[wakeful_tests::source::Line]| -> Vec<String> {
        lines
            .iter()
            .map(|line| format!("{}{}", line.number, line.text))
            .collect()
    };
    assert_eq!(text(&source.comments), ["1//! a", "2// d", "3/* e", "4 f "]);
    assert_eq!(text(&source.strings), ["2b \\\" // c", "4g", "5\"h"]);
    assert_eq!(source.code, "\nlet s = \"\"; \n\n \"\n\"\"; b; ; 'static");
}

#[test]
fn the_scanner_finds_functions_and_tests() {
    let code = "impl A {\n    fn a(x: [u8; 2])\n    where\n        B: C,\n    {\n\n        { 1 }\n    }\n    fn b();\n}\n#[cfg(test)]\nmod tests {\n    #[test]\n    #[ignore]\n    fn c() {}\n    fn d(f: fn(u8)) {}\n}";
    let found: Vec<(String, usize)> = functions(code)
        .into_iter()
        .map(|function| (function.name, function.lines))
        .collect();
    let expected = [("a", 6), ("c", 1), ("d", 1)].map(|(name, lines)| (name.to_owned(), lines));
    assert_eq!(found, expected);
    assert_eq!(functions(&without_unit_tests(code)).len(), 1);
    let tests = test_names(code);
    assert_eq!(
        (tests.len(), &*tests[0].text, tests[0].number),
        (1, "c", 15)
    );
}

#[test]
fn the_reactor_and_the_timers_know_wakers_and_no_tasks() {
    // `task_info` is the data that travels with each waker.
    let known = [
        "table",
        "kernel",
        "sys",
        "inbox",
        "reactor",
        "timer",
        "ready",
        "id",
        "task_info",
    ];
    for (module, used) in imports(&workspace().join("runtime/src")) {
        if ["reactor", "timer"].contains(&entry(&module)) {
            for used in used {
                assert!(known.contains(&entry(&used)), "`{module}` imports `{used}`");
            }
        }
    }
}

#[test]
fn system_calls_locks_and_tables_import_nothing_of_the_crate() {
    let bottom = ["hooks", "kernel", "sys", "std_or_loom", "table", "coop"];
    for (module, used) in imports(&workspace().join("runtime/src")) {
        if bottom.contains(&entry(&module)) {
            for used in used {
                assert!(
                    bottom.contains(&entry(&used)),
                    "`{module}` imports `{used}`"
                );
            }
        }
    }
}

/// The compiler calls such a module private, and a user of tokio concludes that it has to be enabled.
#[test]
fn no_private_module_has_the_name_of_a_module_of_tokio() {
    let tokios = [
        "fs", "io", "net", "process", "runtime", "signal", "stream", "sync", "task", "time",
    ];
    for library in ["runtime", "net"] {
        let source = Source::read(&workspace().join(library).join("src/lib.rs"));
        for line in source.code.lines() {
            if let Some(module) = line.strip_prefix("mod ") {
                let module = module.trim_end_matches(';');
                assert!(
                    !tokios.contains(&module),
                    "{library} has a private `{module}`"
                );
            }
        }
    }
}

// --- shared data and unsafe code --------------------------------------------------------------------

#[test]
fn data_of_one_thread_has_no_locks_and_no_atomics() {
    let root = workspace().join("runtime/src");
    for file in rust_files(&root) {
        let single = ["executor", "reactor", "timer"]
            .iter()
            .any(|folder| file.starts_with(folder))
            || ["slab.rs", "task_info.rs"]
                .iter()
                .any(|single| file == Path::new(single));
        // Part of a handle, which can be on another thread: see the file's header.
        let handle = ["reactor/source.rs", "executor/join_error.rs"]
            .iter()
            .any(|shared| file == Path::new(shared));
        if !single || handle {
            continue;
        }
        for token in tokens(&code(&root.join(&file))) {
            let shares = token.starts_with("Atomic")
                || ["Mutex", "RwLock", "Condvar", "mpsc", "OnceLock"].contains(&token);
            assert!(!shares, "{}: {token}", file.display());
        }
    }
}

#[test]
fn unsafe_is_limited_to_sys_modules_and_one_other_line() {
    let mut outside_sys = Vec::new();
    for package in [
        "runtime",
        "net",
        "echo-server",
        "examples",
        "examples/flavors",
        "extras/tokio",
    ] {
        let root = workspace().join(package).join("src");
        for file in rust_files(&root) {
            let in_sys = package != "echo-server"
                && (file == Path::new("sys.rs") || file.starts_with("sys"));
            let times = tokens(&code(&root.join(&file)))
                .iter()
                .filter(|token| **token == "unsafe")
                .count();
            if !in_sys && times > 0 {
                outside_sys.push((format!("{package}/{}", file.display()), times));
            }
        }
    }
    let allowed = [
        ("runtime/id.rs".to_owned(), 1),
        // Not a package of Wakeful's own interface: tokio's `AsyncFd` takes raw descriptors.
        ("extras/tokio/io/async_fd.rs".to_owned(), 3),
    ];
    assert_eq!(outside_sys, allowed);
}

#[test]
fn each_library_denies_unsafe_and_names_its_exceptions() {
    for package in ["runtime", "net", "examples/flavors"] {
        let root = fs::read_to_string(workspace().join(package).join("src/lib.rs")).unwrap();
        assert!(root.contains("#![deny(unsafe_code)]"), "{package}");
        let exceptions = root.matches("unsafe_code,").count();
        assert_eq!(exceptions, 1, "{package}: only `sys` is an exception");
    }
}

// --- net --------------------------------------------------------------------------------------------

#[test]
fn net_uses_the_public_interface_of_the_runtime_and_there_is_no_secret_one() {
    let root = workspace().join("runtime/src");
    for file in rust_files(&root) {
        let text = fs::read_to_string(root.join(&file)).unwrap();
        assert!(
            !text.contains("doc(hidden)"),
            "{}: a hidden public item",
            file.display()
        );
    }
    let manifest = fs::read_to_string(workspace().join("runtime/Cargo.toml")).unwrap();
    assert!(
        !manifest.contains("internal"),
        "a feature that makes internals public"
    );
}

#[test]
fn net_never_blocks_the_loop() {
    let root = workspace().join("net/src");
    for file in rust_files(&root) {
        let code = code(&root.join(&file));
        let tokens = tokens(&code);
        let name = file.display();
        let path = |words: &[&str]| tokens.windows(words.len()).any(|window| window == words);
        // Reads and writes go through net's own `sys`, on nonblocking sockets.
        for word in ["Read", "Write"] {
            assert!(!path(&["io", "::", word]), "{name}: std::io::{word}");
        }
        for line in code.lines().filter(|line| line.contains("use std::io::{")) {
            assert!(
                !has_word(line, "Read") && !has_word(line, "Write"),
                "{name}: {line}"
            );
        }
        assert!(!path(&["std", "::", "fs"]), "{name}: std::fs");
        assert!(!path(&["thread", "::", "sleep"]), "{name}: thread::sleep");
        assert!(
            !path(&["set_nonblocking", "(", "false", ")"]),
            "{name}: a blocking socket"
        );
        // Only the blocking pool resolves names.
        let looks_up = has_word(&code, "to_socket_addrs");
        assert!(
            !looks_up || file.starts_with("lookup"),
            "{name}: to_socket_addrs"
        );
        // std's sockets are converted from and to, never used.
        for family in ["net", "unix"] {
            for socket in [
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "UnixStream",
                "UnixListener",
            ] {
                for call in ["connect", "bind", "accept", "pair"] {
                    let used = path(&[family, "::", socket, "::", call]);
                    let std = path(&["std", "::", "net"]) || path(&["std", "::", "os"]);
                    assert!(!(used && std), "{name}: std's {socket}::{call}");
                }
            }
        }
    }
}

// --- packages ---------------------------------------------------------------------------------------

/// Returns the packages that a manifest depends on, without optional ones.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
            continue;
        }
        let normal = section == "[dependencies]"
            || (section.starts_with("[target.") && section.ends_with(".dependencies]"));
        if normal && !line.contains("optional = true") {
            let name: String = line
                .chars()
                .take_while(|c| c.is_alphanumeric() || "-_".contains(*c))
                .collect();
            if !name.is_empty() {
                found.insert(name);
            }
        }
    }
    found
}

#[test]
fn the_libraries_depend_on_what_was_agreed_and_on_nothing_else() {
    for (package, listed) in [
        (
            "runtime",
            vec!["futures-io", "libc", "pin-project-lite", "waker-fn"],
        ),
        (
            "net",
            vec![
                "futures-core",
                "libc",
                "pin-project-lite",
                "socket2",
                "wakeful",
            ],
        ),
    ] {
        let manifest = fs::read_to_string(workspace().join(package).join("Cargo.toml")).unwrap();
        let listed: BTreeSet<String> = listed.into_iter().map(ToOwned::to_owned).collect();
        assert_eq!(dependencies(&manifest), listed, "{package}");
        let default = manifest.lines().find(|line| line.starts_with("default = "));
        assert!(
            default.is_none_or(|line| line.contains("[]")),
            "{package}: {default:?}"
        );
    }
}

#[test]
fn an_unsupported_target_gets_an_error_that_says_what_to_use() {
    let root = fs::read_to_string(workspace().join("runtime/src/lib.rs")).unwrap();
    let refusal = |condition: &str| {
        let (_, rest) = root.split_once(condition).expect(condition);
        let (text, _) = rest.split_once(");").unwrap();
        assert!(text.trim_start().starts_with("compile_error!("), "{text}");
        text.to_owned()
    };
    let text = refusal("#[cfg(not(target_os = \"linux\"))]");
    for word in ["Linux only", "epoll", "devcontainer", "WSL2"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let text = refusal("#[cfg(not(target_pointer_width = \"64\"))]");
    assert!(text.contains("64-bit"), "{text}");
}

#[test]
fn every_file_begins_with_its_purpose() {
    let packages = [
        "runtime",
        "net",
        "echo-server",
        "examples",
        "examples/flavors",
        "tests",
    ];
    for package in packages {
        for folder in ["src", "tests", "examples"] {
            let root = workspace().join(package).join(folder);
            if !root.is_dir() {
                continue;
            }
            for file in rust_files(&root) {
                let text = fs::read_to_string(root.join(&file)).unwrap();
                let name = format!("{package}/{folder}/{}", file.display());
                assert!(text.starts_with("//! "), "{name} has no header");
            }
        }
    }
}

#[test]
fn the_core_is_the_same_under_every_feature() {
    let root = workspace().join("runtime/src");
    for file in rust_files(&root) {
        let text = fs::read_to_string(root.join(&file)).unwrap();
        let optional = text.contains("cfg(feature") || text.contains("any(feature");
        let core = [
            "executor",
            "reactor",
            "sys",
            "timer",
            "time",
            "slab.rs",
            "inbox.rs",
            "context.rs",
        ];
        let core = core.iter().any(|core| file.starts_with(core));
        assert!(
            !(core && optional),
            "{}: a feature in the core",
            file.display()
        );
    }
}
