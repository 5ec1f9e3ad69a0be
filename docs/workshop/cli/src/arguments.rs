//! The words and options of the command line. Every mistake in them is answered with one line that names what
//! is allowed.

use crate::stage::{STAGES, Stage};
use crate::{Problem, cards};

/// What a command takes besides options.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    /// A stage, or none: then the one that was started last.
    AnyStage,
    Stage,
    /// Any number of stages.
    Stages,
    /// A card, or none.
    Card,
    /// A stage, and the name of a wrong solution or none.
    Wrong,
    /// The name of a break.
    Break,
}

/// A command.
struct Command {
    name: &'static str,
    takes: Takes,
    /// Its own options; all commands take `COMMON`.
    options: &'static [&'static str],
}

const fn command(name: &'static str, takes: Takes, options: &'static [&'static str]) -> Command {
    Command { name, takes, options }
}

const COMMANDS: &[Command] = &[
    command("start", Takes::Stage, &["--mine"]),
    command("check", Takes::AnyStage, &[]),
    command("watch", Takes::AnyStage, &[]),
    command("hint", Takes::AnyStage, &[]),
    command("solution", Takes::AnyStage, &["--give-up"]),
    command("reset", Takes::AnyStage, &["--mine", "--reference"]),
    command("status", Takes::Nothing, &["--minutes"]),
    command("draw", Takes::AnyStage, &[]),
    command("read", Takes::Stage, &[]),
    command("card", Takes::Card, &["--try"]),
    command("quiz", Takes::Stage, &[]),
    command("wrong", Takes::Wrong, &[]),
    command("break", Takes::Break, &[]),
    command("doctor", Takes::Nothing, &[]),
    command("verify", Takes::Stages, &["--write", "--quick", "--cards", RUNS]),
];

/// `cargo workshop` alone.
const ALONE: Command = command("", Takes::Nothing, &[]);

/// Options of all commands.
const COMMON: [&str; 2] = ["--plain", "--help"];

/// The option with a number.
const RUNS: &str = "--runs=N";

/// A command line without mistakes.
pub(crate) struct Arguments {
    pub(crate) command: &'static str,
    /// The stages, for a command that takes some.
    pub(crate) stages: Vec<u32>,
    /// The other words.
    pub(crate) names: Vec<String>,
    /// The number of `--runs=`.
    pub(crate) runs: Option<usize>,
    options: Vec<String>,
}

impl Arguments {
    /// Parses the words behind the name of the program.
    pub(crate) fn parse(all: &[String]) -> Result<Arguments, Problem> {
        let (options, words): (Vec<String>, Vec<String>) =
            all.iter().cloned().partition(|word| is_option(word));
        let asks = |word: &String| ["--help", "-h", "help"].contains(&word.as_str());
        if options.iter().any(asks) || words.first().is_some_and(asks) {
            return Ok(Arguments::of("help", options));
        }
        let command = match words.first() {
            None => &ALONE,
            Some(word) => {
                COMMANDS.iter().find(|command| command.name == word).ok_or_else(|| {
                    format!("there is no command `{word}`: {} or help", names_of_commands())
                })?
            }
        };
        let runs = check_options(command, &options)?;
        let mut arguments = Arguments { runs, ..Arguments::of(command.name, options) };
        arguments.take(command, words.get(1..).unwrap_or_default())?;
        arguments.check_verify()?;
        Ok(arguments)
    }

    fn of(command: &'static str, options: Vec<String>) -> Arguments {
        Arguments { command, stages: Vec::new(), names: Vec::new(), runs: None, options }
    }

    /// Whether an option is there.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|other| other == option)
    }

    /// The only stage, if there is one.
    pub(crate) fn stage(&self) -> Option<u32> {
        self.stages.first().copied()
    }

    /// Whether the exit status says something about an answer, or about the workshop.
    pub(crate) fn judges(&self) -> bool {
        ["check", "watch", "draw", "card", "wrong", "break", "doctor", "verify"]
            .contains(&self.command)
    }

    /// Takes the words behind the command.
    fn take(&mut self, command: &Command, words: &[String]) -> Result<(), Problem> {
        let name = command.name;
        let at_most = |count: usize, what: &str| match words.len() > count {
            true => Err(format!("`{name}` takes {what}; found `{}`", words.join(" "))),
            false => Ok(()),
        };
        let needs = |what: &str| format!("`{name}` needs {what}");
        let (a_stage, stages) = (format!("one stage, {}", range()), range());
        match command.takes {
            Takes::Nothing => at_most(0, &format!("no stage, only {}", list(&options(command))))?,
            Takes::AnyStage | Takes::Stage => at_most(1, &a_stage)?,
            Takes::Card => at_most(1, &format!("one card, {}", cards::RANGE))?,
            Takes::Wrong => at_most(2, &format!("{a_stage}, and one name"))?,
            // Only the stage knows the names of its breaks.
            Takes::Break | Takes::Stages => {}
        }
        match (command.takes, words) {
            (Takes::Stage, []) => {
                return Err(needs(&format!("a stage, {stages}: cargo workshop {name} 0")));
            }
            (Takes::Wrong, []) => return Err(needs(&format!("a stage, {stages}"))),
            (Takes::Card, []) if self.has("--try") => {
                return Err(format!("`card --try` needs a card, {}", cards::RANGE));
            }
            (Takes::Card | Takes::Break, _) => self.names = words.to_vec(),
            (Takes::Wrong, [number, names @ ..]) => {
                self.stages = vec![stage(number)?];
                self.names = names.to_vec();
            }
            _ => self.stages = words.iter().map(|word| stage(word)).collect::<Result<_, _>>()?,
        }
        let twice = (1..self.stages.len()).find(|&at| self.stages[..at].contains(&self.stages[at]));
        match twice {
            Some(at) => Err(format!("`{name}`: stage {} is there twice", self.stages[at])),
            None => Ok(()),
        }
    }

    /// Refuses options of `verify` that do not go together.
    fn check_verify(&self) -> Result<(), Problem> {
        let others = |allowed: &[&str]| {
            let not = |option: &&String| !COMMON.contains(&option.as_str());
            let mut others = self.options.iter().filter(not);
            others.find(|option| {
                !allowed.contains(&option.as_str()) && !option.starts_with("--runs=")
            })
        };
        if self.has("--cards") {
            if let Some(number) = self.stage() {
                return Err(format!("`verify --cards` takes no stage; found `{number}`"));
            }
            if let Some(other) = others(&["--cards", "--write"]) {
                return Err(format!("`verify --cards` goes with --write only; found `{other}`"));
            }
        }
        match (self.runs, others(&[])) {
            (Some(_), Some(other)) => {
                Err(format!("`verify {RUNS}` takes stages and no other option; found `{other}`"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a word is an option. A negative number is a word: it is no stage.
fn is_option(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn options(command: &Command) -> Vec<&'static str> {
    command.options.iter().copied().chain(COMMON).collect()
}

/// Joins words as prose: `a, b or c`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

fn names_of_commands() -> String {
    COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(", ")
}

/// Checks the options of a command, and returns the number of `--runs=`.
fn check_options(command: &Command, given: &[String]) -> Result<Option<usize>, Problem> {
    let mut runs = None;
    for (at, option) in given.iter().enumerate() {
        let number = option.strip_prefix("--runs=").filter(|_| command.options.contains(&RUNS));
        let name = if number.is_some() { RUNS } else { option };
        let known = options(command);
        if !known.contains(&name) || option == RUNS {
            let (what, known) = (shown(command), list(&known));
            return Err(format!("{what} has no option `{option}`: {known}"));
        }
        let before = &given[..at];
        let runs_again = runs.is_some() && number.is_some();
        if before.contains(option) || runs_again {
            return Err(format!("{}: `{option}` is there twice", shown(command)));
        }
        if let Some(number) = number {
            runs = Some(count_of_runs(number)?);
        }
    }
    Ok(runs)
}

fn shown(command: &Command) -> String {
    match command.name {
        "" => "`cargo workshop` without a command".to_owned(),
        name => format!("`{name}`"),
    }
}

fn count_of_runs(number: &str) -> Result<usize, Problem> {
    match number.parse() {
        Ok(runs @ 1..=1_000_000) => Ok(runs),
        _ => Err(format!("`--runs={number}`: a number from 1 to 1000000 is needed")),
    }
}

/// Returns the numbers of the stages, as prose.
pub(crate) fn range() -> String {
    let number = |stage: Option<&Stage>| stage.map_or(0, |stage| stage.number);
    format!("{} to {}", number(STAGES.first()), number(STAGES.last()))
}

/// Returns the stage of a word: `4` or `s04`.
fn stage(word: &str) -> Result<u32, Problem> {
    let digits = word.strip_prefix('s').unwrap_or(word);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number);
    if let Some(number) = number.filter(|&number| Stage::find(number).is_ok()) {
        return Ok(number);
    }
    let card = match cards::exists(word) {
        true => format!("; a card: cargo workshop card {word}"),
        false => String::new(),
    };
    Err(format!("there is no stage `{word}`: {}{card}", range()))
}
