//! The vocabulary, held by a test: words that comments, test names, messages and pages avoid, and
//! former names of identifiers.
//!
//! `// ok: word` marks an exception, on the line of the word or on the line before (in a page:
//! `<!-- ok: word -->`). `cargo test -p wakeful-tests --test vocabulary -- --nocapture` lists all
//! findings.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use wakeful_tests::source::{
    Line, Source, assert_only_known, files, lines, rust_files, test_names, tokens, workspace,
};

// --- words ------------------------------------------------------------------------------------------

/// Words and phrases to avoid, in lower case. `*` stands for any end of a word. `typos` finds other
/// British spellings.
const WORDS: &[&str] = &[
    // Persons: name the type, function or thread.
    "whoever",
    "whomever",
    "nobody",
    "somebody",
    "everybody",
    "anybody",
    "stranger*",
    "tenant*",
    "those who",
    "he who",
    "who waits",
    "of ours",
    "one of us",
    "foreign code",
    "foreign future*",
    "foreign waker*",
    "foreign destructor*",
    // Speech: a function returns, a task receives.
    "tells",
    "told",
    "telling",
    "hear",
    "hears",
    "heard",
    "news",
    // Metaphors.
    "lobby",
    "seat",
    "seats",
    "bell",
    "bells",
    "goodbye",
    "the world",
    "let go",
    "lets go",
    "letting go",
    "in vain",
    // Dated phrases.
    "anew",
    "for ever",
    "elsewhere",
    "is to be",
    "are to be",
    "stands in",
    // British.
    "colour*",
    "behaviour*",
    "favour*",
    "honour*",
    "neighbour*",
    "grey*",
    "licence*",
    "serialis*",
    "recognis*",
    "initialis*",
];

/// Findings allowed per 1,000 lines of comments of a package.
const LIMIT: usize = 2;

/// Packages above [`LIMIT`], with the figure allowed for now. Lower it after each cleanup.
const ABOVE_LIMIT: &[(&str, usize)] = &[];

/// Folders whose Rust files are read. The pages of the workspace count as one package, `docs`.
const PACKAGES: [&str; 8] = [
    "docs/workshop",
    "runtime",
    "net",
    "echo-server",
    "examples",
    "tests",
    "benches",
    "extras",
];

#[test]
fn comments_and_pages_use_plain_words() {
    let mut above = BTreeMap::new();
    let mut check = |package: &str, prose: &Prose| {
        let figure = (prose.findings.len() * 1000).div_ceil(prose.lines);
        println!(
            "{package}: {figure} findings per 1,000 of {} lines",
            prose.lines
        );
        prose
            .findings
            .iter()
            .for_each(|finding| println!("{finding}"));
        if figure > LIMIT {
            above.insert(package.to_owned(), figure);
        }
    };
    for package in PACKAGES {
        check(package, &rust_prose(package));
    }
    check("docs", &page_prose());
    let rule = format!("At most {LIMIT} of the words above in 1,000 lines of comments.");
    assert_only_known(&rule, &above, ABOVE_LIMIT);
}

/// Prose of a package.
#[derive(Default)]
struct Prose {
    /// Lines of comments, or of pages.
    lines: usize,
    /// Words to avoid, with file and line.
    findings: Vec<String>,
}

/// Reads a package's comments and test names, and the messages of echo-server.
fn rust_prose(package: &str) -> Prose {
    let mut prose = Prose::default();
    for file in rust_files(&workspace().join(package)) {
        let file = Path::new(package).join(file);
        // It contains the list.
        if file.ends_with("vocabulary.rs") {
            continue;
        }
        let source = Source::read(&workspace().join(&file));
        let mut names = test_names(&source.code);
        for name in &mut names {
            name.text = name.text.replace('_', " ");
        }
        prose.lines += source.comments.len();
        prose.search(&file, &source.comments);
        prose.search(&file, &names);
        if package == "echo-server" {
            prose.search(&file, &source.strings);
        }
    }
    prose
}

/// Reads all pages of the workspace.
fn page_prose() -> Prose {
    let mut prose = Prose::default();
    for file in files(&workspace(), "md") {
        let text = fs::read_to_string(workspace().join(&file)).unwrap();
        let lines: Vec<Line> = lines(1, &text).collect();
        prose.lines += lines.iter().filter(|line| !line.text.is_empty()).count();
        prose.search(&file, &lines);
    }
    prose
}

impl Prose {
    fn search(&mut self, file: &Path, text: &[Line]) {
        for (number, phrase) in phrases(text) {
            self.findings
                .push(format!("{}:{number}: {phrase}", file.display()));
        }
    }
}

/// Returns the phrases of [`WORDS`] in a text, each with its line. A phrase can be broken over lines.
fn phrases(text: &[Line]) -> Vec<(usize, &'static str)> {
    let words = words(text);
    let whole: String = words.iter().map(|(_, word)| &**word).collect();
    let mut found = Vec::new();
    for phrase in WORDS {
        let parts: Vec<&str> = phrase.split(' ').collect();
        // Most phrases do not occur, and this search is fast.
        if !whole.contains(parts[0].trim_end_matches('*')) {
            continue;
        }
        for window in words.windows(parts.len()) {
            let number = window[0].0;
            let matches = window
                .iter()
                .zip(&parts)
                .all(|((_, word), part)| is(word, part));
            if matches && !is_excepted(text, number, phrase) {
                found.push((number, *phrase));
            }
        }
    }
    found.sort_unstable();
    found
}

/// Returns the words of a text in lower case, each with its line, without code between backticks. An
/// empty word stands where a line of the file is missing between two lines of the text.
fn words(text: &[Line]) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    let mut last = 0;
    for line in text {
        if line.number > last + 1 {
            words.push((line.number, String::new()));
        }
        last = line.number;
        let prose: Vec<&str> = line.text.split('`').step_by(2).collect();
        let prose = prose.join(" x ").to_lowercase();
        let parts = prose.split(|c: char| !c.is_alphabetic());
        words.extend(
            parts
                .filter(|word| !word.is_empty())
                .map(|word| (line.number, word.to_owned())),
        );
    }
    words
}

/// Returns whether a word is one part of a phrase.
fn is(word: &str, part: &str) -> bool {
    part.strip_suffix('*')
        .map_or(word == part, |start| word.starts_with(start))
}

fn is_excepted(text: &[Line], number: usize, phrase: &str) -> bool {
    let exception = format!("ok: {}", phrase.trim_end_matches('*'));
    text.iter()
        .filter(|line| line.number == number || line.number + 1 == number)
        .any(|line| line.text.contains(&exception))
}

#[test]
fn phrases_are_found_over_line_breaks_and_excepted_by_a_comment() {
    let find = |text: &str| -> Vec<(usize, &str)> {
        let text: Vec<Line> = lines(1, text).collect();
        phrases(&text)
    };
    assert_eq!(
        find("// It is let\n// go by Somebody."),
        [(1, "let go"), (2, "somebody")]
    );
    assert_eq!(
        find("/// the colours of a stranger's coat"),
        [(1, "colour*"), (1, "stranger*")]
    );
    assert_eq!(
        find("where `news` and `anew` stand, hereabouts newsworthy"),
        []
    );
    assert_eq!(
        find("// ok: news\n/// The news.\n/// The news."),
        [(3, "news")]
    );
    assert_eq!(find("the news <!-- ok: news -->"), []);
}

// --- names ------------------------------------------------------------------------------------------

/// Identifiers that have been renamed or removed, by the folder in which they must not occur.
const OLD_NAMES: &[(&str, &str)] = &[
    (
        "runtime/src",
        "Awaited Cause Crowded Detached Displaced Dress Ended Ending Entered Flow HANDFUL Itself \
         Known LEFT Lent Linked Lobby Looked Member NOBODY NOTED NotNow Notice Ours Park Polled \
         Pushed Remote Seen TURNS_AT_MOST Tasks Turned UNNUMBERED Unnoted WHOEVER_RUNS WakeOwn \
         WakeWord Waking Woken ANONYMOUS AnyCell admit admit_yielded are_many await_one clone_own \
         contain discarding disarm drawn drop_foreign drop_quietly end_wait event_after \
         expired_to explain_absence file_quickly forget_first forget_news get_if give_output \
         give_up hear how_long insert_quickly is_as_recent_as knows leave_behind leave_panicked \
         let_go look_again look_among_strangers look_for_output make_room move_on news \
         note_the_end_of_a_wait note_wait orphans owed poll_crowded poll_once poll_rarely \
         queued_turns rearm reconcile refill relocate say_that_it_is_gone seat set_cause settle \
         sharpen sides spawn_into_new_slot stay_awake store_first strangers take_in \
         take_last try_note_wait unfiled waker_for wait_failed wake_after_turn wake_no_task \
         wake_orphans word_of yield_after_turn yield_of_another yielded_wakers",
    ),
    (
        "net/src",
        "Connecting Cutting Question Seat Transfer adopt expose exposed inconclusive made \
         more_useful one_left uninterrupted",
    ),
    (
        "echo-server/src",
        "Bell Figures LAST_CALL LULL Lost PACE Patience Pulse Put QUIET Seat Team Trouble Watched \
         Wish Within accept_the_last adopt alarm beat colour_is_wanted complain for_input \
         for_output goodbye in_the_way is_to_stay make_way one_left owes pause_after poll_room \
         race ring tell tell_of_slow_poll welcome while_doing",
    ),
    (
        "benches/suite/src",
        "Gathered Stage Stand complaints patience sittings",
    ),
    // Public names, and so those of their users.
    (
        ".",
        "AcceptError Begun Drained OnPanic ReadSide RunUntilBegun Splittable TaskRecord WaitReady \
         WriteSide accept_error events_per_turn measure_polls poll_anonymously poll_try \
         run_until_begun tasks_alive tasks_spawned",
    ),
];

/// Names of [`OLD_NAMES`] that still occur, in the same form. This list only gets shorter.
const LEFT_NAMES: &[(&str, &str)] = &[];

#[test]
fn renamed_identifiers_do_not_come_back() {
    let left = folders_and_names(LEFT_NAMES);
    let mut found = BTreeSet::new();
    for (folder, names) in OLD_NAMES {
        let names: BTreeSet<&str> = names.split_whitespace().collect();
        for file in rust_files(&workspace().join(folder)) {
            let source = Source::read(&workspace().join(folder).join(file));
            for token in tokens(&source.code) {
                found.extend(names.get(token).map(|name| (*folder, *name)));
            }
        }
    }
    let new: Vec<_> = found.difference(&left).collect();
    assert!(new.is_empty(), "these have new names: {new:?}");
    let gone: Vec<_> = left.difference(&found).collect();
    assert!(gone.is_empty(), "remove from LEFT_NAMES: {gone:?}");
}

fn folders_and_names(
    list: &'static [(&'static str, &'static str)],
) -> BTreeSet<(&'static str, &'static str)> {
    let pairs = |(folder, names): &(&'static str, &'static str)| {
        let folder = *folder;
        names.split_whitespace().map(move |name| (folder, name))
    };
    list.iter().flat_map(pairs).collect()
}
