//! Reads Rust sources: files, comments, strings, functions and imports. The tests that hold the
//! workspace to its rules (`architecture`, `size`, `vocabulary`) are built on it.
//!
//! It is a scanner, not a parser: it knows comments, literals and brackets, and nothing of macros or
//! types. A path counts as an import wherever it stands, if it begins with `crate` or `super`.

#![allow(
    clippy::missing_panics_doc,
    reason = "tests: a file that cannot be read fails them"
)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

// --- files ------------------------------------------------------------------------------------------

/// Copies of other projects' files: no rule holds for them.
const COPIES: [&str; 1] = ["tests/tokio/tests"];

/// Returns the root folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
}

/// Returns all files under a folder with this extension, relative to the folder and sorted. Skips
/// build output and hidden folders.
#[must_use]
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            let skipped = name.starts_with('.')
                || name == "target"
                || name.starts_with("target-")
                || path.ends_with("docs/workshop/my")
                || COPIES.iter().any(|copy| path.ends_with(copy));
            if path.is_dir() && !skipped {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    files.sort();
    assert!(
        !files.is_empty(),
        "no .{extension} under {}",
        folder.display()
    );
    files
}

/// Returns all Rust files under a folder, relative to the folder and sorted.
#[must_use]
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

// --- the parts of a file ----------------------------------------------------------------------------

/// A line of a comment or of a string.
#[derive(Debug)]
pub struct Line {
    /// Number of the line in its file, from 1.
    pub number: usize,
    /// Text without the line feed.
    pub text: String,
}

/// A Rust file in its three parts. Lines of `code` are those of the file.
#[derive(Debug, Default)]
pub struct Source {
    /// Code without comments and with empty literals.
    pub code: String,
    /// Comments of all kinds, with the marks at their beginning.
    pub comments: Vec<Line>,
    /// Contents of string literals, escapes as written.
    pub strings: Vec<Line>,
}

impl Source {
    /// Reads a file and separates its parts.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text =
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&text)
    }

    /// Separates the parts of a text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut scanner = Scanner {
            characters: text.chars().collect(),
            at: 0,
            line: 1,
            source: Source::default(),
        };
        while scanner.at < scanner.characters.len() {
            scanner.step();
        }
        scanner.source
    }
}

struct Scanner {
    characters: Vec<char>,
    at: usize,
    line: usize,
    source: Source,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> char {
        let place = self.at + ahead;
        self.characters.get(place).copied().unwrap_or('\0')
    }

    /// Moves one comment, literal or character to its part.
    fn step(&mut self) {
        let first = self.line;
        match self.peek(0) {
            '/' if self.peek(1) == '/' => {
                let text = self.take_until(|rest| rest.starts_with(&['\n']));
                self.keep_comment(first, &text);
            }
            '/' if self.peek(1) == '*' => {
                let text = self.take_until(|rest| rest.starts_with(&['*', '/']));
                self.at += 2;
                self.keep_comment(first, &text);
            }
            'r' if self.raw_string_hashes().is_some() => {
                let hashes = self.raw_string_hashes().unwrap();
                self.at += hashes + 2;
                let end: Vec<char> = format!("\"{}", "#".repeat(hashes)).chars().collect();
                let text = self.take_until(|rest| rest.starts_with(&end));
                self.at += end.len();
                self.keep_string(first, &text);
            }
            '"' => {
                self.at += 1;
                let text = self.take_string();
                self.keep_string(first, &text);
            }
            '\'' if self.peek(1) == '\\' => {
                self.at += 3;
                self.take_until(|rest| rest.starts_with(&['\'']));
                self.at += 1;
            }
            // A character, not a lifetime.
            '\'' if self.peek(2) == '\'' => self.at += 3,
            other => {
                self.source.code.push(other);
                self.advance();
            }
        }
    }

    fn advance(&mut self) {
        self.line += usize::from(self.peek(0) == '\n');
        self.at += 1;
    }

    fn take_until(&mut self, ends: impl Fn(&[char]) -> bool) -> String {
        let start = self.at;
        while self.at < self.characters.len() && !ends(&self.characters[self.at..]) {
            self.advance();
        }
        self.characters[start..self.at].iter().collect()
    }

    fn take_string(&mut self) -> String {
        let start = self.at;
        while self.at < self.characters.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                self.advance();
            }
            self.advance();
        }
        self.at += 1;
        self.characters[start..self.at - 1].iter().collect()
    }

    /// Returns the number of `#` if a raw string begins here.
    fn raw_string_hashes(&self) -> Option<usize> {
        let hashes = (1..).take_while(|ahead| self.peek(*ahead) == '#').count();
        (self.peek(hashes + 1) == '"').then_some(hashes)
    }

    fn keep_comment(&mut self, first: usize, text: &str) {
        let feeds = "\n".repeat(text.matches('\n').count());
        self.source.code.push_str(&feeds);
        self.source.comments.extend(lines(first, text));
    }

    /// Leaves a quotation mark in each line of the string: they count as code.
    fn keep_string(&mut self, first: usize, text: &str) {
        let feeds = "\n\"".repeat(text.matches('\n').count());
        self.source.code.push_str(&format!("\"{feeds}\""));
        self.source.strings.extend(lines(first, text));
    }
}

/// Numbers the lines of a text from `first` on.
pub fn lines(first: usize, text: &str) -> impl Iterator<Item = Line> {
    text.lines().enumerate().map(move |(index, text)| Line {
        number: first + index,
        text: text.to_owned(),
    })
}

/// Removes inline modules of unit tests together with their attribute.
#[must_use]
pub fn without_unit_tests(code: &str) -> String {
    // The second kind offers its helpers to the tests of another module.
    let heads = ["mod tests {", "pub(super) mod tests {"];
    let starts = heads.map(|head| code.find(&format!("#[cfg(test)]\n{head}")));
    let Some(start) = starts.into_iter().flatten().min() else {
        return code.to_owned();
    };
    let open = start + code[start..].find('{').unwrap();
    let end = open + block_length(&code[open..]);
    code[..start].to_owned() + &without_unit_tests(&code[end..])
}

/// Returns the length of the block that begins with the first character, in bytes.
fn block_length(code: &str) -> usize {
    let mut depth = 0;
    for (place, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return place + 1;
        }
    }
    panic!("a block does not end");
}

/// Returns a file's code without comments, strings and unit tests.
#[must_use]
pub fn code(path: &Path) -> String {
    without_unit_tests(&Source::read(path).code)
}

/// Counts the lines that are not blank.
#[must_use]
pub fn code_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

// --- words, functions -------------------------------------------------------------------------------

/// Returns the tokens of code: identifiers and numbers, `::`, and single characters.
#[must_use]
pub fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let length = match word {
            0 if rest.starts_with("::") => 2,
            0 => first.len_utf8(),
            word => word,
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Returns whether the code contains the word as a token.
#[must_use]
pub fn has_word(code: &str, word: &str) -> bool {
    tokens(code).contains(&word)
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Name without its type or module.
    pub name: String,
    /// Code lines from the signature to the end of the body.
    pub lines: usize,
}

/// Returns the functions in code without comments and strings, in their order.
#[must_use]
pub fn functions(code: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let inside_word = code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let name = tokens(code[start + 3..].lines().next().unwrap_or_default());
        let Some(name) = name.first().filter(|name| **name != "(") else {
            continue;
        };
        if let (false, Some(body)) = (inside_word, body(&code[start..])) {
            let end = start + body + block_length(&code[start + body..]);
            functions.push(Function {
                name: (*name).to_owned(),
                lines: code_lines(&code[start..end]),
            });
        }
    }
    functions
}

/// Returns where the body of a function begins, or `None` for a declaration.
fn body(code: &str) -> Option<usize> {
    let mut depth = 0;
    for (place, character) in code.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(place),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Returns the test functions in code, each with the number of its line.
#[must_use]
pub fn test_names(code: &str) -> Vec<Line> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in lines(1, code) {
        let text = line.text.trim();
        if text.starts_with("#[") {
            is_test |= text.ends_with("test]");
        } else if let (true, Some((_, rest))) = (is_test, text.split_once("fn ")) {
            names.push(Line {
                number: line.number,
                text: tokens(rest)[0].to_owned(),
            });
            is_test = false;
        }
    }
    names
}

// --- imports ----------------------------------------------------------------------------------------

/// Each module of a crate with the modules it uses.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Returns the imports of all modules under `root`, except the crate's root file and models for loom.
#[must_use]
pub fn imports(root: &Path) -> Imports {
    let mut files: BTreeMap<Vec<String>, PathBuf> = rust_files(root)
        .into_iter()
        .map(|file| (module_of(&file), file))
        .collect();
    files.retain(|module, _| {
        let name = module.last().map_or("lib", String::as_str);
        !["lib", "main", "loom_models"].contains(&name)
    });
    let modules: BTreeSet<String> = files.keys().map(|module| module.join("::")).collect();
    let mut imports = Imports::new();
    for (module, file) in &files {
        let name = module.join("::");
        let used = paths(&code(&root.join(file)), module)
            .into_iter()
            .filter_map(|path| longest_module(&path, &modules))
            .filter(|used| *used != name)
            .collect();
        imports.insert(name, used);
    }
    imports
}

/// Returns the longest beginning of a path that is a module.
fn longest_module(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    (1..=parts.len())
        .rev()
        .map(|length| parts[..length].join("::"))
        .find(|path| modules.contains(path))
}

/// Returns the path of the module in a file: `task/id.rs` is `task::id`, `io/mod.rs` is `io`.
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

/// Returns all paths that begin with `crate` or `super`, written out from the root, for code in
/// `module`.
#[must_use]
pub fn paths(code: &str, module: &[String]) -> BTreeSet<String> {
    let tokens = tokens(code);
    let mut found = BTreeSet::new();
    let mut i = 0;
    while i < tokens.len() {
        let follows = tokens.get(i + 1).is_some_and(|next| *next == "::");
        let begins = i == 0 || tokens[i - 1] != "::";
        match tokens[i] {
            "crate" if follows && begins => {
                i = follow(&tokens, i + 2, Vec::new(), &mut found);
            }
            "super" if follows && begins => {
                let mut base: Vec<&str> = module.iter().map(String::as_str).collect();
                while tokens.get(i).is_some_and(|token| *token == "super") {
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
fn follow<'a>(
    tokens: &[&'a str],
    mut i: usize,
    mut path: Vec<&'a str>,
    to: &mut BTreeSet<String>,
) -> usize {
    loop {
        match tokens.get(i) {
            Some(&"{") => {
                i += 1;
                while tokens.get(i).is_some_and(|token| *token != "}") {
                    i = follow(tokens, i, path.clone(), to);
                    if tokens.get(i).is_some_and(|token| *token == ",") {
                        i += 1;
                    }
                }
                return i + 1;
            }
            Some(&"self") => {
                to.insert(path.join("::"));
                return after_rename(tokens, i + 1);
            }
            Some(word) => {
                path.push(word);
                i += 1;
                if tokens.get(i).is_some_and(|token| *token == "::") {
                    i += 1;
                    // Generic arguments belong to no path.
                    if tokens.get(i).is_some_and(|token| *token == "<") {
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

fn after_rename(tokens: &[&str], i: usize) -> usize {
    match tokens.get(i) {
        Some(&"as") => i + 2,
        _ => i,
    }
}

// --- ratchets ---------------------------------------------------------------------------------------

/// Compares what breaks a rule with the list of known exceptions. Fails for a new exception, for one
/// above its listed figure, and for a listed one that is gone: the list only gets shorter. `rule` is the
/// first line of the failure.
pub fn assert_only_known(rule: &str, found: &BTreeMap<String, usize>, known: &[(&str, usize)]) {
    let known: BTreeMap<&str, usize> = known.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, figure) in found {
        match known.get(&**name) {
            None => wrong.push(format!("new: {name} ({figure})")),
            Some(allowed) if figure > allowed => {
                wrong.push(format!("grown: {name} ({figure}, listed with {allowed})"));
            }
            Some(_) => {}
        }
    }
    for name in known.keys().filter(|name| !found.contains_key(**name)) {
        wrong.push(format!(
            "gone: {name}: remove it from the list of exceptions"
        ));
    }
    let list: Vec<String> = found
        .iter()
        .map(|(name, figure)| format!("    (\"{name}\", {figure}),"))
        .collect();
    assert!(
        wrong.is_empty(),
        "{rule}\n{}\n\nAll exceptions as they are now:\n{}\n",
        wrong.join("\n"),
        list.join("\n")
    );
}
