//! `cargo workshop`: lays out stages, checks answers, and verifies the workshop itself.
//!
//! Needs nothing but std and `rustc`.

mod breaks;
mod cards;
mod check;
mod commands;
mod compile;
mod diff;
mod draw;
mod job;
mod layout;
mod page;
mod progress;
mod report;
mod rounds;
mod run;
mod runtimes;
mod source;
mod stage;
mod suite;
mod tally;
mod terminal;
mod verify;
mod wrong;
mod wrong_run;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo workshop [COMMAND] [--plain]

  (nothing)             where you are, and the next command
  start N [--mine]      lays out stage N in docs/workshop/my; --mine keeps your own files
  check [N]             checks your answer
  watch [N]             checks it whenever a file changes
  hint [N]              the next of three hints: a question, the place, the shape
  solution [N]          the difference to the reference, once you are green (--give-up: before)
  reset [N]             lays out the stage again and keeps your old files
  status [--minutes]    all stages
  draw [N]              your run beside the reference's, as a picture
  read N                the page of a stage
  card [ID] [--try]     a card: which input breaks it? --try runs it and shows the fix
  quiz N                questions with answers
  wrong N [NAME]        what the check says about a wrong solution of the stage, for instructors
  break X               breaks Wakeful in one line (stage 17), runs the test, restores it
  doctor                what this machine lacks
  verify [N..]          tests the workshop: references, wrong solutions, pages (--cards: only cards)
                        --quick runs each once; --runs=200 runs only the references, that often

Exit status: 0 green, 1 red, 2 the command could not be carried out.";

/// The end of a command.
pub(crate) enum End {
    Green,
    Red,
}

/// Why a command could not be carried out.
pub(crate) type Problem = String;

fn main() -> ExitCode {
    end_with_the_reader();
    let (flags, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    if flags.iter().any(|flag| flag == "--help" || flag == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(&words, &flags) {
        Ok(End::Green) => ExitCode::SUCCESS,
        Ok(End::Red) => ExitCode::from(1),
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

/// Ends the program without a message when the reader of its output has gone, as `head` does.
fn end_with_the_reader() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout")) {
            std::process::exit(0);
        }
        default(info);
    }));
}

/// The flags that a command admits, besides `--plain`.
fn admitted(command: &str) -> &'static [&'static str] {
    match command {
        "start" => &["--mine"],
        "solution" => &["--give-up"],
        "status" => &["--minutes"],
        "card" => &["--try"],
        "verify" => &["--write", "--quick", "--cards"],
        _ => &[],
    }
}

fn is_admitted(command: &str, flag: &str) -> bool {
    admitted(command).contains(&flag) || command == "verify" && flag.starts_with("--runs=")
}

/// Returns the number of runs that `--runs=` asks for.
fn runs(flags: &[String]) -> Result<Option<usize>, Problem> {
    let Some(number) = flags.iter().find_map(|flag| flag.strip_prefix("--runs=")) else {
        return Ok(None);
    };
    match number.parse() {
        Ok(runs @ 1..=1_000_000) => Ok(Some(runs)),
        _ => Err(format!("`--runs={number}`: a number from 1 to 1,000,000 is needed")),
    }
}

fn run(words: &[String], flags: &[String]) -> Result<End, Problem> {
    let command = words.first().map_or("", String::as_str);
    let unknown = flags.iter().find(|flag| *flag != "--plain" && !is_admitted(command, flag));
    if let Some(flag) = unknown {
        return Err(format!("unknown option `{flag}`\n\n{USAGE}"));
    }
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    let style = terminal::Style::new(has("--plain"));
    if command == "card" {
        return match &words[1..] {
            [] => cards::list(),
            [id] => cards::show(id, has("--try")),
            _ => Err("`card` takes one card".to_owned()),
        };
    }
    if command == "wrong" {
        return wrong_run::show(&words[1..], &style);
    }
    if command == "break" {
        return breaks::run(words.get(1).map(String::as_str));
    }
    let numbers = numbers(&words[words.len().min(1)..])?;
    let one = match numbers[..] {
        [] => None,
        [number] => Some(number),
        _ if command == "verify" => None,
        _ => return Err(format!("`{command}` takes one stage")),
    };
    let required = || one.ok_or_else(|| format!("`{command}` needs the number of a stage"));
    match command {
        "" => commands::next(&style),
        "start" => commands::start(required()?, has("--mine")),
        "check" => commands::check(one, &style),
        "watch" => commands::watch(one, &style),
        "hint" => commands::hint(one),
        "solution" => commands::solution(one, has("--give-up"), &style),
        "reset" => commands::reset(one),
        "status" => commands::status(has("--minutes"), &style),
        "draw" => commands::draw(one),
        "read" => commands::read(required()?),
        "quiz" => commands::quiz(required()?, &style),
        "doctor" => commands::doctor(),
        "verify" if has("--cards") => cards::verify_only(has("--write")),
        "verify" if runs(flags)?.is_some() => {
            verify::many_runs(&numbers, runs(flags)?.unwrap_or_default())
        }
        "verify" => {
            let extent = verify::Extent { write: has("--write"), quick: has("--quick") };
            verify::verify(&numbers, extent)
        }
        other => Err(format!("unknown command `{other}`\n\n{USAGE}")),
    }
}

fn numbers(words: &[String]) -> Result<Vec<u32>, Problem> {
    let parse = |word: &String| {
        word.trim_start_matches('s')
            .parse()
            .map_err(|_| format!("`{word}` is not the number of a stage"))
    };
    words.iter().map(parse).collect()
}
