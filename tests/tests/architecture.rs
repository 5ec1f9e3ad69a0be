//! The architecture, held by a test: which module may know which, where `unsafe` may stand, where the
//! runtime shares anything with another thread, and on what the two libraries depend.
//!
//! It reads the source files of the workspace, without comments, strings and unit tests, and looks at
//! every path that begins with `crate` or `super`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `runtime/src` from the bottom to the top, as the header of its `lib.rs` and
/// `docs/ARCHITECTURE.md` have them. A module may use what stands in its own layer or in one before
/// it. A new module has to be given its place here.
const LAYERS: [(&str, &[&str]); 9] = [
    (
        "system calls, locks, and values under generational keys",
        &[
            "sys",
            "sys::epoll",
            "sys::eventfd",
            "sys::signal",
            "slab",
            "sync",
            "coop",
        ],
    ),
    ("numbers and flags", &["id", "ready", "reactor::seen"]),
    (
        "what is known of a task and of its last wake",
        &["task_info", "news"],
    ),
    (
        "what other threads see of a runtime",
        &["oneshot", "inbox", "registry"],
    ),
    (
        "events and time into wakes; threads for calls that block",
        &[
            "reactor",
            "reactor::waiters",
            "timer",
            "timer::clock",
            "timer::wheel",
            "timer::lobby",
            "blocking",
            "busy_poll",
        ],
    ),
    (
        "polls",
        &[
            "executor",
            "executor::cell",
            "executor::join_error",
            "executor::panics",
            "executor::poll_times",
            "executor::run_queue",
            "executor::task_table",
        ],
    ),
    (
        "which runtime is this thread's; a number as a waker; waiting for what no kernel reports",
        &["context", "waker", "wait_list"],
    ),
    (
        "what users call",
        &[
            "hyper",
            "task",
            "task::join_handle",
            "task::join_set",
            "task::spawn_blocking",
            "io",
            "io::async_fd",
            "io::fd_stream",
            "io::futures_io",
            "io::copy",
            "io::duplex",
            "io::guard",
            "io::readiness",
            "io::tokio_io",
            "io::traits",
            "time",
            "time::error",
            "time::instant",
            "time::interval",
            "time::sleep",
            "time::timeout",
            "shutdown",
            "signal",
            "signal::unix",
        ],
    ),
    (
        "the loop, the builder, handles for other threads",
        &[
            "macros",
            "runtime",
            "runtime::builder",
            "runtime::handle",
            "runtime::metrics",
        ],
    ),
];

/// Names that a file may mention and that are no module of its own: model tests.
const TEST_MODULES: [&str; 1] = ["loom_models"];

// --- reading ----------------------------------------------------------------------------------------

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
        .to_owned()
}

/// All Rust files under a folder, with their paths in it.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no Rust under {}", folder.display());
    files
}

/// Replaces comments by blanks and empties strings and character literals.
fn strip(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let at = |place: usize| bytes.get(place).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < bytes.len() {
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < bytes.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                i += 2;
                while i < bytes.len() && !(at(i) == '*' && at(i + 1) == '/') {
                    i += 1;
                }
                i += 2;
            }
            'r' if at(i + 1) == '"' || (at(i + 1) == '#' && at(i + 2) == '"') => {
                let hash = at(i + 1) == '#';
                i += if hash { 3 } else { 2 };
                while i < bytes.len() && !(at(i) == '"' && (!hash || at(i + 1) == '#')) {
                    i += 1;
                }
                i += if hash { 2 } else { 1 };
                out.push_str("\"\"");
            }
            '"' => {
                i += 1;
                while i < bytes.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
                out.push_str("\"\"");
            }
            // A character, not a lifetime.
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += 2;
                while i < bytes.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            other => {
                out.push(other);
                i += 1;
            }
        }
    }
    out
}

/// Cuts out inline modules of unit tests, and with them their attribute.
fn without_unit_tests(code: &str) -> String {
    // The second kind lends what it has to the tests of a module beside it.
    let heads = ["mod tests {", "pub(super) mod tests {"];
    let starts = heads.map(|head| code.find(&format!("#[cfg(test)]\n{head}")));
    let Some(start) = starts.into_iter().flatten().min() else {
        return code.to_owned();
    };
    let open = start + code[start..].find('{').unwrap();
    let mut depth = 0;
    for (place, character) in code[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            let rest = &code[open + place + 1..];
            return code[..start].to_owned() + &without_unit_tests(rest);
        }
    }
    panic!("a module of tests does not end");
}

/// A file's code, without comments, strings and unit tests.
fn code(path: &Path) -> String {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    without_unit_tests(&strip(&text))
}

/// The words and signs of code: identifiers, `::`, and single characters.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut characters = code.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_alphanumeric() || character == '_' {
            let mut word = String::from(character);
            while let Some(next) = characters.next_if(|c| c.is_alphanumeric() || *c == '_') {
                word.push(next);
            }
            tokens.push(word);
        } else if character == ':' && characters.next_if_eq(&':').is_some() {
            tokens.push("::".to_owned());
        } else if !character.is_whitespace() {
            tokens.push(character.to_string());
        }
    }
    tokens
}

/// Whether the code contains the word.
fn has_word(code: &str, word: &str) -> bool {
    tokens(code).iter().any(|token| token == word)
}

/// All paths that begin with `crate` or `super`, written out from the root, for code in `module`.
fn paths(code: &str, module: &[String]) -> BTreeSet<String> {
    let tokens = tokens(code);
    let mut found = BTreeSet::new();
    let mut i = 0;
    while i < tokens.len() {
        let follows = tokens.get(i + 1).is_some_and(|next| next == "::");
        let begins = i == 0 || tokens[i - 1] != "::";
        match &*tokens[i] {
            "crate" if follows && begins => {
                i = follow(&tokens, i + 2, Vec::new(), &mut found);
            }
            "super" if follows && begins => {
                let mut base = module.to_vec();
                while tokens.get(i).is_some_and(|token| token == "super") {
                    base.pop();
                    i += 2;
                }
                i = follow(&tokens, i, base, &mut found);
            }
            _ => i += 1,
        }
    }
    found
}

/// Follows one path, or a tree of them, from `i` on; returns where it ends.
fn follow(
    tokens: &[String],
    mut i: usize,
    mut path: Vec<String>,
    to: &mut BTreeSet<String>,
) -> usize {
    loop {
        match tokens.get(i).map(String::as_str) {
            Some("{") => {
                i += 1;
                while tokens.get(i).is_some_and(|token| token != "}") {
                    i = follow(tokens, i, path.clone(), to);
                    if tokens.get(i).is_some_and(|token| token == ",") {
                        i += 1;
                    }
                }
                return i + 1;
            }
            Some("self") => {
                to.insert(path.join("::"));
                return after_rename(tokens, i + 1);
            }
            Some(word) => {
                path.push(word.to_owned());
                i += 1;
                if tokens.get(i).is_some_and(|token| token == "::") {
                    i += 1;
                    // Generic arguments belong to no path.
                    if tokens.get(i).is_some_and(|token| token == "<") {
                        to.insert(path.join("::"));
                        return i;
                    }
                    continue;
                }
                to.insert(path.join("::"));
                return after_rename(tokens, i);
            }
            None => return i,
        }
    }
}

fn after_rename(tokens: &[String], i: usize) -> usize {
    match tokens.get(i) {
        Some(word) if word == "as" => i + 2,
        _ => i,
    }
}

/// The path of the module in a file: `task/id.rs` is `task::id`, `io/mod.rs` is `io`.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

// --- imports ----------------------------------------------------------------------------------------

/// Every module of the runtime with the modules it uses.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let root = workspace().join("runtime/src");
    let files = rust_files(&root);
    let modules: BTreeSet<String> = files
        .iter()
        .filter(|file| *file != Path::new("lib.rs"))
        .map(|file| module_of(file).join("::"))
        .filter(|module| !TEST_MODULES.iter().any(|test| module.ends_with(test)))
        .collect();
    let mut imports = BTreeMap::new();
    for file in &files {
        let module = module_of(file);
        if !modules.contains(&module.join("::")) {
            continue;
        }
        let used = paths(&code(&root.join(file)), &module)
            .into_iter()
            .filter_map(|path| {
                // The longest beginning that is a module.
                let mut parts: Vec<&str> = path.split("::").collect();
                while !parts.is_empty() && !modules.contains(&parts.join("::")) {
                    parts.pop();
                }
                (!parts.is_empty()).then(|| parts.join("::"))
            })
            .collect();
        imports.insert(module.join("::"), used);
    }
    imports
}

fn layer_of(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|(_, modules)| modules.contains(&module))
        .unwrap_or_else(|| panic!("`{module}` has no layer: give it one in LAYERS"))
}

#[test]
fn imports_point_downwards() {
    let mut wrong = Vec::new();
    for (module, used) in imports() {
        for used in used {
            let (from, to) = (layer_of(&module), layer_of(&used));
            if to > from {
                wrong.push(format!(
                    "`{module}` ({}) uses `{used}` ({})",
                    LAYERS[from].0, LAYERS[to].0
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_layer_and_every_layer_its_modules() {
    let modules: BTreeSet<String> = imports().into_keys().collect();
    let placed: BTreeSet<String> = LAYERS
        .iter()
        .flat_map(|(_, modules)| modules.iter().map(ToString::to_string))
        .collect();
    assert_eq!(modules, placed);
}

#[test]
fn the_reader_of_imports_reads_them() {
    let module = ["a".to_owned(), "b".to_owned()];
    let read = |code: &str| -> Vec<String> { paths(&strip(code), &module).into_iter().collect() };
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
    let tests = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\nfn c() {}";
    assert_eq!(
        tokens(&without_unit_tests(tests)).concat(),
        "fna(){}fnc(){}"
    );
    // And it does read the real thing.
    let imports = imports();
    assert!(imports["context"].contains("reactor"));
    assert!(imports["task_info"].contains("ready"));
    assert!(imports["io::guard"].contains("io"));
}

#[test]
fn the_reactor_and_the_timers_know_wakers_and_no_tasks() {
    let imports = imports();
    for (module, used) in &imports {
        let bottom = module.starts_with("reactor") || module.starts_with("timer");
        if !bottom {
            continue;
        }
        for used in used {
            let known = ["slab", "sys", "inbox", "reactor", "timer", "ready", "id"];
            let known = known
                .iter()
                .any(|known| used.split("::").next() == Some(known));
            // The note that travels with each waker, which is data.
            let note = used == "task_info";
            assert!(known || note, "`{module}` knows `{used}`");
        }
    }
}

#[test]
fn the_lowest_layer_knows_nothing_of_the_crate() {
    for (module, used) in imports() {
        if layer_of(&module) == 0 {
            for used in used {
                assert_eq!(layer_of(&used), 0, "`{module}` uses `{used}`");
            }
        }
    }
}

// --- what shares, and what is unsafe ----------------------------------------------------------------

#[test]
fn what_one_thread_owns_has_no_locks_and_no_atomics() {
    let root = workspace().join("runtime/src");
    for file in rust_files(&root) {
        let single = ["executor", "reactor", "timer"]
            .iter()
            .any(|folder| file.starts_with(folder))
            || ["slab.rs", "task_info.rs"]
                .iter()
                .any(|single| file == Path::new(single));
        // It lies in the handle, which other threads may hold; its header says what follows.
        let handle = ["reactor/seen.rs", "executor/join_error.rs"]
            .iter()
            .any(|shared| file == Path::new(shared));
        if !single || handle {
            continue;
        }
        for token in tokens(&code(&root.join(&file))) {
            let shares = token.starts_with("Atomic")
                || ["Mutex", "RwLock", "Condvar", "mpsc", "OnceLock"].contains(&&*token);
            assert!(!shares, "{}: {token}", file.display());
        }
    }
}

#[test]
fn unsafe_stands_in_the_modules_of_system_calls_and_in_one_line_elsewhere() {
    let mut elsewhere = Vec::new();
    for package in [
        "runtime",
        "net",
        "echo-server",
        "examples",
        "examples/flavors",
    ] {
        let root = workspace().join(package).join("src");
        for file in rust_files(&root) {
            let in_sys = package != "echo-server"
                && (file == Path::new("sys.rs") || file.starts_with("sys"));
            let times = tokens(&code(&root.join(&file)))
                .iter()
                .filter(|token| *token == "unsafe")
                .count();
            if !in_sys && times > 0 {
                elsewhere.push((format!("{package}/{}", file.display()), times));
            }
        }
    }
    assert_eq!(elsewhere, [("runtime/waker.rs".to_owned(), 1)]);
}

#[test]
fn each_library_denies_unsafe_and_names_its_exceptions() {
    for package in ["runtime", "net", "examples/flavors"] {
        let root = fs::read_to_string(workspace().join(package).join("src/lib.rs")).unwrap();
        assert!(root.contains("#![deny(unsafe_code)]"), "{package}");
        let exceptions = root.matches("unsafe_code,").count();
        assert_eq!(exceptions, 1, "{package}: `sys`, and no other module");
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
            "{}: a secret door",
            file.display()
        );
    }
    let manifest = fs::read_to_string(workspace().join("runtime/Cargo.toml")).unwrap();
    assert!(
        !manifest.contains("internal"),
        "a feature that opens a secret door"
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
        // Reading and writing go through its own `sys`, with sockets that do not block.
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
        // Names are looked up by the blocking pool.
        let looks_up = has_word(&code, "to_socket_addrs");
        assert!(
            !looks_up || file.starts_with("lookup"),
            "{name}: to_socket_addrs"
        );
        // std's sockets are taken in and given away, never used.
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

/// The packages that a manifest names in a section, without those that are optional.
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
    for (package, agreed) in [
        ("runtime", vec!["libc", "pin-project-lite", "waker-fn"]),
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
        let agreed: BTreeSet<String> = agreed.into_iter().map(ToOwned::to_owned).collect();
        assert_eq!(dependencies(&manifest), agreed, "{package}");
        let default = manifest.lines().find(|line| line.starts_with("default = "));
        assert!(
            default.is_none_or(|line| line.contains("[]")),
            "{package}: {default:?}"
        );
    }
}

#[test]
fn other_systems_are_told_why_they_are_refused() {
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
fn every_file_begins_with_what_it_is_for() {
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
