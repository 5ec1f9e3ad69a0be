//! The cards: a few lines with the bug of a text that the project started from, an input that breaks them,
//! and the fix. Each is a program in `cards/`; its first lines say what is seen.

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::layout::LAB;
use crate::rounds::parallel;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::{End, Problem, compile, layout, run};

/// Lines of the code that is shown.
const LINES: usize = 30;

/// What a card with a model uses, if it does not bring its own.
const MODELS: [&str; 2] = ["use card::Table;", "model::explore("];

/// Stages that the cards can name.
const STAGES: std::ops::RangeInclusive<u32> = 0..=18;

/// The ids, as prose.
pub(crate) const RANGE: &str = "B1 to B45 or W1 to W9";

/// A card.
pub(crate) struct Card {
    /// `B15`.
    id: String,
    title: String,
    /// The letter of the text that it comes from.
    from: String,
    stage: u32,
    /// What its code has instead of the kernel or of threads that run freely.
    model: Option<String>,
    input: String,
    /// What is seen of each version.
    bug: String,
    fix: String,
    why: String,
    /// The code of each version.
    shown: String,
    fixed: String,
}

/// Returns the ids that must exist: the bugs and the wrong statements.
fn ids() -> Vec<String> {
    let bugs = (1..=45).map(|n| format!("B{n}"));
    bugs.chain((1..=9).map(|n| format!("W{n}"))).collect()
}

/// Returns the name of a card's file, without its ending: `b05`, `w3`.
fn file(id: &str) -> Option<String> {
    let id = id.to_ascii_lowercase();
    let digits = id.get(1..)?.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = id.get(1..)?.parse().ok().filter(|_| digits)?;
    match id.chars().next()? {
        'b' => Some(format!("b{number:02}")),
        'w' => Some(format!("w{number}")),
        _ => None,
    }
}

/// Whether there is a card with that id.
pub(crate) fn exists(id: &str) -> bool {
    file(id).is_some_and(|name| layout::path(&format!("cards/{name}.rs")).is_file())
}

/// Returns the code of a module, without its indent.
fn module(text: &str, name: &str) -> String {
    let lines = text.lines().skip_while(|line| *line != format!("mod {name} {{")).skip(1);
    let lines = lines.take_while(|line| *line != "}");
    let lines = lines.filter(|line| line.trim() != "use super::*;");
    let code: String = lines.map(|line| format!("{}\n", line.get(4..).unwrap_or(""))).collect();
    format!("{}\n", code.trim_matches('\n'))
}

impl Card {
    fn read(id: &str) -> Result<Card, Problem> {
        let unknown = || format!("there is no card `{id}`: {RANGE}");
        let path = format!("cards/{}.rs", file(id).ok_or_else(unknown)?);
        if !exists(id) {
            return Err(unknown());
        }
        Card::parse(&layout::read(&path)?).ok_or(format!("{path}: its first lines are incomplete"))
    }

    fn parse(text: &str) -> Option<Card> {
        let head: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let head: Vec<&str> = head.iter().map(|line| line.trim()).collect();
        let field = |name: &str| head.iter().find_map(|line| line.strip_prefix(name));
        let (id, title) = head.first()?.split_once(". ")?;
        let (from, stage) = field("From: ")?.split_once(". Stage: ")?;
        let fix = head.iter().position(|line| line.starts_with("Fix: "))?;
        Some(Card {
            id: id.to_owned(),
            title: title.to_owned(),
            from: from.to_owned(),
            stage: stage.trim_end_matches('.').parse().ok()?,
            model: field("Model: ").map(str::to_owned),
            input: field("Input: ")?.to_owned(),
            bug: field("Bug: ")?.to_owned(),
            fix: field("Fix: ")?.to_owned(),
            why: head[fix + 1..].join(" ").trim().to_owned(),
            shown: module(text, "bug"),
            fixed: module(text, "fix"),
        })
    }

    fn out(&self) -> String {
        format!("{LAB}/cards/{}", self.id)
    }

    fn compile(&self, warnings: &str) -> Result<(), Problem> {
        let name = file(&self.id).unwrap_or_default();
        let compiled = compile::card(&name, &self.out(), warnings)?;
        match compiled.success {
            true => Ok(()),
            false => Err(format!("card {}: does not compile\n{}", self.id, compiled.messages)),
        }
    }

    /// Runs a version, and returns what is seen.
    fn run(&self, version: &str) -> Result<String, Problem> {
        let failed = |error| format!("running card {}: {error}", self.id);
        let mut command = Command::new(layout::path(&self.out()));
        command.arg(version).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let output = child.stdout.take();
        if !run::ends(child)? {
            return Ok("never ends".to_owned());
        }
        let mut seen = String::new();
        output.map_or(Ok(0), |mut output| output.read_to_string(&mut seen)).map_err(failed)?;
        Ok(seen.trim_end().to_owned())
    }

    /// Runs both versions, and returns what differs from the first lines.
    fn try_both(&self) -> Result<(), Problem> {
        for (version, wanted) in [("bug", &self.bug), ("fix", &self.fix)] {
            let seen = self.run(version)?;
            if seen != *wanted {
                return Err(format!("card {}: {version}: must be {wanted}, is {seen}", self.id));
            }
        }
        Ok(())
    }

    /// Returns what is wrong with the file.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut need = |holds: bool, what: &str| {
            if !holds {
                problems.push(format!("card {}: {what}", self.id));
            }
        };
        let lines = self.shown.lines().count();
        need((1..=LINES).contains(&lines), &format!("{lines} lines, must be 1 to {LINES}"));
        need(self.shown != self.fixed && self.bug != self.fix, "its fix changes nothing");
        need(STAGES.contains(&self.stage), "its stage does not exist");
        need(!self.why.is_empty(), "it does not say why");
        let text = file(&self.id).and_then(|name| layout::read(&format!("cards/{name}.rs")).ok());
        let text = text.unwrap_or_default();
        let is_model = MODELS.iter().any(|part| text.contains(part));
        need(!is_model || self.model.is_some(), "it uses a model, and has no line `Model: `");
        problems
    }
}

/// Lists the cards.
pub(crate) fn list() -> Result<End, Problem> {
    for id in ids() {
        let card = Card::read(&id)?;
        println!("{:<3}  stage {:>2}  {}", card.id, card.stage, card.title);
    }
    println!("\nnext:  cargo workshop card B1");
    Ok(End::Green)
}

/// Shows a card; with `try_it`, runs it and shows the fix.
pub(crate) fn show(id: &str, try_it: bool) -> Result<End, Problem> {
    let card = Card::read(id)?;
    println!("{}. {}\n", card.id, card.title);
    print!("{}", indented(&card.shown));
    if !try_it {
        println!("\nWhich input breaks it?  cargo workshop card {} --try", card.id);
        return Ok(End::Green);
    }
    compile::prepare()?;
    compile::prepare_cards()?;
    card.compile("-Awarnings")?;
    let (bug, fix) = (card.run("bug")?, card.run("fix")?);
    println!("\ninput   {}\nseen    {bug}\nfixed   {fix}", card.input);
    if let Some(model) = &card.model {
        println!("model   {model}");
    }
    println!();
    println!("{}\n", wrapped(&card.why));
    print!("{}", indented(&card.fixed));
    match Stage::find(card.stage) {
        Ok(stage) => {
            println!("\nstage   {}. {}", stage.number, stage.question());
            println!("        cargo workshop read {}", stage.number);
        }
        Err(_) => println!("\nstage   {}", card.stage),
    }
    Ok(if (bug, fix) == (card.bug, card.fix) { End::Green } else { End::Red })
}

/// Returns the ids of the cards that a stage explains.
pub(crate) fn of_stage(number: u32) -> Vec<String> {
    let cards = ids().into_iter().filter_map(|id| Card::read(&id).ok());
    cards.filter(|card| card.stage == number).map(|card| card.id).collect()
}

fn indented(code: &str) -> String {
    let indented = |line: &str| if line.is_empty() { "\n".into() } else { format!("    {line}\n") };
    code.lines().map(indented).collect()
}

/// Breaks text into lines of at most 80 characters.
fn wrapped(text: &str) -> String {
    let (mut out, mut width) = (String::new(), 0);
    for word in text.split_whitespace() {
        if width > 0 && width + 1 + word.len() > 80 {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.len();
    }
    out
}

/// Returns the page that lists the cards.
fn page(cards: &[Card]) -> String {
    let mut page = "\
# Cards: which input breaks it?

Wakeful started from five texts, and two more that they cite. Their programs have bugs, and some of their
statements are [wrong](../../CORRECTIONS.md). Each card has at most 30 lines of new Rust with such a bug (B) or
statement (W). Ask which input breaks it, then run that input:

```console
$ cargo workshop card B15
$ cargo workshop card B15 --try
```

`--try` runs the code and its fix with the same input, and says what is seen and why. Peers and errors come from a
script, so the result is the same in each run. Some cards give away what a stage asks for: do the stage first.

A card with the word *model* has a few lines instead of the kernel, or of threads that run freely. `--try` says what
they stand for. The other cards make real calls, or take the bytes of a script.

The last column names the text: by its letter in [CORRECTIONS.md](../../CORRECTIONS.md), or as one of the two that are
cited, the library evio and a book by Packt.

`cargo workshop verify` checks that each input breaks its card, and that the fix holds. It also writes this list.
"
    .to_owned();
    let mut stages: Vec<u32> = cards.iter().map(|card| card.stage).collect();
    stages.sort_unstable();
    stages.dedup();
    for number in stages {
        let _ = write!(page, "\n## Stage {number}\n\n| card | about | text |\n|---|---|---|\n");
        for card in cards.iter().filter(|card| card.stage == number) {
            let file = file(&card.id).unwrap_or_default();
            let model = if card.model.is_some() { " (*model*)" } else { "" };
            let (id, title, from) = (&card.id, &card.title, &card.from);
            let _ = writeln!(page, "| [{id}]({file}.rs) | {title}{model} | {from} |");
        }
    }
    page
}

/// Compiles and runs all cards, and checks their files. With `write`, writes their list.
pub(crate) fn verify(write: bool, tally: &mut Tally) -> Result<Vec<Card>, Problem> {
    const PAGE: &str = "cards/README.md";
    let (mut cards, mut problems) = (Vec::new(), Vec::new());
    for id in ids() {
        match Card::read(&id) {
            Ok(card) => cards.push(card),
            Err(problem) => problems.push(problem),
        }
    }
    let files = layout::names("cards").iter().filter(|name| name.ends_with(".rs")).count();
    if files != ids().len() + 1 {
        problems.push(format!("cards: {files} files, must be one per card, and card.rs"));
    }
    problems.extend(cards.iter().flat_map(Card::problems));
    if write {
        layout::write(PAGE, &page(&cards))?;
    }
    if layout::read(PAGE).unwrap_or_default() != page(&cards) {
        problems.push(format!("{PAGE} differs: run `cargo workshop verify --write`"));
    }
    compile::prepare_cards()?;
    problems.extend(parallel(&cards, |card| card.compile("-Dwarnings")));
    tally.zero("cards that are incomplete", problems);
    Ok(cards)
}

/// Verifies the cards and nothing else.
pub(crate) fn verify_only(write: bool) -> Result<End, Problem> {
    let mut tally = Tally::default();
    compile::prepare()?;
    let cards = verify(write, &mut tally)?;
    round(&cards, &mut tally);
    Ok(tally.end())
}

/// Runs each card with its input.
pub(crate) fn round(cards: &[Card], tally: &mut Tally) {
    let broken = parallel(cards, Card::try_both);
    tally.line("  cards broken by their input, fix holds", cards.len(), broken);
}

#[cfg(test)]
mod tests {
    use super::{file, module, wrapped};

    #[test]
    fn a_card_has_a_file() {
        assert_eq!(file("b5").as_deref(), Some("b05"));
        assert_eq!(file("W9").as_deref(), Some("w9"));
        assert_eq!(file("15"), None);
        assert_eq!(file("b+5"), None);
        assert_eq!(file("é"), None);
    }

    #[test]
    fn a_module_is_shown_without_its_indent() {
        let text =
            "mod bug {\n    use super::*;\n\n    fn a() {\n        b();\n    }\n}\nfn c() {}\n";
        assert_eq!(module(text, "bug"), "fn a() {\n    b();\n}\n");
    }

    #[test]
    fn text_is_wrapped_between_words() {
        let text = "word ".repeat(17);
        assert_eq!(wrapped(&text).lines().map(str::len).collect::<Vec<_>>(), [79, 4]);
    }
}
