//! The check of stage 17: compares names with the source of Wakeful as it is now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use probe::{Case, Diagnosis, Outcome, Stage, expect, fail};
use stage::{breaks, names};

static STAGE: Stage = Stage {
    number: 17,
    diagnoses: &[
        Diagnosis {
            id: "17.1",
            what: "there is no item of that name",
            why: "the source has changed, or the name is spelled in another way",
            section: "Twenty names",
            function: "names",
        },
        Diagnosis {
            id: "17.2",
            what: "this item does something else",
            why: "read the comment above it, and what calls it",
            section: "Twenty names",
            function: "names",
        },
        Diagnosis {
            id: "17.3",
            what: "the item is right, its type is another one",
            why: "several types have a function of this name",
            section: "Twenty names",
            function: "names",
        },
        Diagnosis {
            id: "17.4",
            what: "a test of another invariant goes red",
            why: "the line keeps something else than you think; run `cargo workshop break` with its letter",
            section: "Eight breaks",
            function: "breaks",
        },
        Diagnosis {
            id: "17.5",
            what: "an invariant is named twice",
            why: "there are eight changes, and each breaks another one of I1 to I8",
            section: "Eight breaks",
            function: "breaks",
        },
    ],
    cases: &[
        Case { name: "the questions fit the source", run: the_key_fits },
        Case { name: "each name is in the source", run: names_exist },
        Case { name: "each name is the right one", run: names_are_right },
        Case { name: "each break has its invariant", run: breaks_are_right },
    ],
    panics: &[],
    picture: None,
};

fn main() {
    probe::stage(&STAGE)
}

/// Question, answers, and a file of the folder that contains them.
const KEY: [(&str, &str, &str); 20] = [
    (
        "Runs the future of a program, and its tasks beside it.",
        "Runtime::block_on",
        "runtime/src/runtime/mod.rs",
    ),
    (
        "Puts a woken task into the run queue, unless it is there already.",
        "TaskTable::wake|TaskTable::schedule|Executor::wake",
        "runtime/src/executor/task_table.rs",
    ),
    (
        "Takes the next task out of the run queue. A wake during its poll is not lost.",
        "TaskTable::pop",
        "runtime/src/executor/task_table.rs",
    ),
    (
        "The type that contains the future of a task, and later its output.",
        "TaskCell",
        "runtime/src/executor/cell.rs",
    ),
    (
        "Catches the panic of a task, around all polls of a tick.",
        "Executor::tick|Executor::poll_tasks",
        "runtime/src/executor/mod.rs",
    ),
    (
        "The functions of a waker that is an integer, in a table.",
        "VTABLES",
        "runtime/src/context.rs",
    ),
    ("Finds the row of a key, unless the key is stale.", "Table::find", "runtime/src/table.rs"),
    ("Makes a row vacant, and all its keys stale.", "Table::release", "runtime/src/table.rs"),
    (
        "Calls `epoll_wait` once, and passes its events on.",
        "Reactor::turn",
        "runtime/src/reactor/mod.rs",
    ),
    (
        "Records an event in its source, and takes out the wakers.",
        "Source::set_ready",
        "runtime/src/reactor/source.rs",
    ),
    (
        "Stores the waker of an operation, and replaces no other.",
        "Waiters::store",
        "runtime/src/reactor/waiters.rs",
    ),
    (
        "Clears readiness, unless an event has come since.",
        "ReadyWord::clear",
        "runtime/src/reactor/source.rs",
    ),
    (
        "Clears readiness after a transfer that has emptied or filled the kernel's buffer.",
        "short_transfer|poll_transfer|AsyncFd::transfer",
        "runtime/src/io/async_fd.rs",
    ),
    (
        "Called by the drop of a wait: removes its waker.",
        "Registration::cancel_wait",
        "runtime/src/io/registration.rs",
    ),
    ("Rounds the time of a wait up to milliseconds.", "whole_ms", "runtime/src/sys/epoll.rs"),
    (
        "Takes the timers whose deadlines have passed out of the wheel.",
        "Wheel::expire",
        "runtime/src/timer/wheel.rs",
    ),
    (
        "Publishes that the loop is about to block, and looks into the inbox again.",
        "Inbox::prepare_park",
        "runtime/src/inbox.rs",
    ),
    (
        "Takes a message from another thread, and says whether the eventfd has to be written.",
        "Inbox::push",
        "runtime/src/inbox.rs",
    ),
    ("Takes one operation off the budget of a poll.", "try_consume", "runtime/src/coop.rs"),
    ("Sorts the errors of `accept` into kinds.", "classify_accept_error", "net/src/listen.rs"),
];

/// The root of the repository. Checks run in docs/workshop.
const ROOT: &str = "../..";

/// Adds the names of all items below a folder.
fn collect(folder: &Path, items: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, items);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            items.extend(text.lines().flat_map(items_of));
        }
    }
}

/// Returns the items whose definitions begin on a line.
fn items_of(line: &str) -> Vec<String> {
    let words: Vec<&str> =
        line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let kinds = ["fn", "struct", "enum", "static", "const", "trait", "type"];
    let pairs = words.windows(2).filter(|pair| kinds.contains(&pair[0]));
    pairs.map(|pair| pair[1].to_owned()).collect()
}

/// Splits `Table::find` into type and item. A name can be given with `()`.
fn split(name: &str) -> (Option<&str>, &str) {
    let name = name.trim().trim_end_matches("()");
    match name.rsplit_once("::") {
        Some((path, item)) => (path.rsplit("::").next(), item),
        None => (None, name),
    }
}

fn the_key_fits() -> Outcome {
    let mut folders: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (question, names, file) in KEY {
        let folder = file.rsplit_once('/').map_or(file, |(folder, _)| folder);
        let items = folders.entry(folder).or_insert_with(|| {
            let mut items = BTreeSet::new();
            collect(&Path::new(ROOT).join(folder), &mut items);
            items
        });
        for name in names.split('|') {
            let (owner, item) = split(name);
            if !items.contains(item) || owner.is_some_and(|owner| !items.contains(owner)) {
                let seen = format!("{folder} has no {name}: \"{question}\" needs another answer");
                return fail("", Vec::new(), "questions that fit the source", seen);
            }
        }
    }
    Ok(())
}

/// Returns the answers that are given, with their numbers.
fn answers() -> impl Iterator<Item = (usize, &'static str)> {
    (1..).zip(names()).filter(|(_, name)| !name.trim().is_empty())
}

fn names_exist() -> Outcome {
    let mut items = BTreeSet::new();
    for folder in ["runtime/src", "net/src", "echo-server/src"] {
        collect(&Path::new(ROOT).join(folder), &mut items);
    }
    for (number, name) in answers() {
        if !items.contains(split(name).1) {
            let seen = format!("{number}. {name}");
            return fail("17.1", Vec::new(), "the name of an item in the source", seen);
        }
    }
    Ok(())
}

fn names_are_right() -> Outcome {
    for (number, name) in answers() {
        let (question, right, file) = KEY[number - 1];
        let (owner, item) = split(name);
        let folder = file.rsplit_once('/').map_or(file, |(folder, _)| folder);
        let steps = vec![format!("{number}. {question}")];
        let seen = format!("{number}. {name}");
        let rights: Vec<_> = right.split('|').map(split).filter(|right| right.1 == item).collect();
        if rights.is_empty() {
            return fail("17.2", steps, format!("another item in {folder}"), seen);
        }
        // A function without a type can be given with its module.
        let fits = |right: Option<&str>| owner.is_none() || right.is_none() || owner == right;
        if !rights.iter().any(|right| fits(right.0)) {
            return fail("17.3", steps, format!("a type in {folder}"), seen);
        }
    }
    // What is given is checked first, so that it can be done in parts.
    match names().len() - answers().count() {
        0 => Ok(()),
        open => {
            fail("todo", Vec::new(), "", format!("17.1: {open} names in my/s17/lib.rs are empty"))
        }
    }
}

fn breaks_are_right() -> Outcome {
    let answers = breaks().map(|(_, invariant)| invariant);
    if answers.contains(&0) {
        let seen = "17.2: an invariant in my/s17/lib.rs is 0";
        return fail("todo", Vec::new(), "", seen);
    }
    if let Some(twice) = (1..=8).find(|i| answers.iter().filter(|answer| *answer == i).count() > 1)
    {
        return fail("17.5", Vec::new(), "each of I1 to I8 once", format!("I{twice} twice"));
    }
    for (letter, answer) in ('a'..='h').zip(answers) {
        let path = format!("stages/s17/breaks/{letter}");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let right = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap_or_default();
        if right != format!("I{answer}") {
            let seen = format!("{letter}: you said I{answer}; the test of {right} goes red");
            return fail("17.4", Vec::new(), format!("{letter}: {right}"), seen);
        }
    }
    expect(Vec::new(), "8 breaks", &format!("{} breaks", answers.len()))
}
