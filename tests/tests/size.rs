//! Limits on size, held by a test: lines of a function, lines of a file, and no
//! `#[inline(always)]`. Lines are counted without blank lines and comments.

use std::collections::BTreeMap;
use std::path::Path;

use wakeful_tests::source::{
    assert_only_known, code, code_lines, functions, rust_files, tokens, workspace,
};

/// Code lines of a function, with its signature.
const FUNCTION: usize = 60;

/// Code lines of a file, without its module of unit tests.
const FILE: usize = 400;

/// Code lines of a file of tests: one theme each, so they are longer than a file of code.
const TEST_FILE: usize = 800;

/// The packages without `#[inline(always)]`. When the last three were removed, the server became faster
/// (`docs/TRIED.md`, "inlining of transfers").
const NO_INLINE_ALWAYS: [&str; 3] = ["runtime", "net", "echo-server"];

/// The folders that are measured.
const FOLDERS: [&str; 8] = [
    "docs/workshop",
    "runtime",
    "net",
    "extras",
    "echo-server",
    "examples",
    "benches",
    "tests",
];

/// Functions with more than [`FUNCTION`] lines.
const LONG_FUNCTIONS: &[(&str, usize)] = &[];

/// Files with more than [`FILE`] or [`TEST_FILE`] lines.
const LONG_FILES: &[(&str, usize)] = &[];

/// Calls `visit` with the name and the code of each file.
fn each_file(mut visit: impl FnMut(&Path, &str)) {
    for folder in FOLDERS {
        for file in rust_files(&workspace().join(folder)) {
            let file = Path::new(folder).join(file);
            visit(&file, &code(&workspace().join(&file)));
        }
    }
}

/// Returns whether a file holds tests only.
fn is_test(file: &Path) -> bool {
    let in_folder = |folder: &str| file.iter().any(|part| part == folder);
    in_folder("tests") || file.ends_with("loom_models.rs") || file.ends_with("check.rs")
}

#[test]
fn functions_are_short() {
    let mut long = BTreeMap::new();
    each_file(|file, code| {
        for function in functions(code) {
            if function.lines > FUNCTION {
                long.insert(
                    format!("{} {}", file.display(), function.name),
                    function.lines,
                );
            }
        }
    });
    let rule = format!("A function has at most {FUNCTION} code lines.");
    assert_only_known(&rule, &long, LONG_FUNCTIONS);
}

#[test]
fn files_are_short() {
    let mut long = BTreeMap::new();
    each_file(|file, code| {
        let limit = if is_test(file) { TEST_FILE } else { FILE };
        let lines = code_lines(code);
        if lines > limit {
            long.insert(file.display().to_string(), lines);
        }
    });
    let rule = format!("A file has at most {FILE} code lines, or {TEST_FILE} if it holds tests.");
    assert_only_known(&rule, &long, LONG_FILES);
}

#[test]
fn no_function_is_always_inlined() {
    let mut places = Vec::new();
    each_file(|file, code| {
        let tokens = tokens(code);
        let mut windows = tokens.windows(4);
        if windows.any(|window| window == ["inline", "(", "always", ")"])
            && NO_INLINE_ALWAYS
                .iter()
                .any(|package| file.starts_with(package))
        {
            places.push(file.to_owned());
        }
    });
    assert!(places.is_empty(), "#[inline(always)]: {places:#?}");
}
