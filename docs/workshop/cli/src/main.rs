//! `cargo workshop`: lays out stages, checks answers, and verifies the workshop itself.
//!
//! Needs nothing but std and `rustc`.

mod arguments;
mod breaks;
mod cards;
mod check;
mod commands;
mod compile;
mod diff;
mod doctor;
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
mod start;
mod suite;
mod tally;
mod terminal;
mod verify;
mod wrong;
mod wrong_run;

use std::io::Write as _;
use std::process::ExitCode;

use arguments::Arguments;
use start::Base;

const USAGE: &str = "\
usage: cargo workshop [COMMAND] [--plain]

  (nothing)             where you are, and the next command
  start N [--mine]      lays out stage N in docs/workshop/my; --mine keeps your own files
  check [N]             checks your answer
  watch [N]             checks it whenever a file changes
  hint [N]              the next of three hints: a question, the place, the shape
  solution [N]          the difference to the reference, once you are green (--give-up: before)
  reset [N]             lays out the stage again as it was started, and keeps your old files
                        (--mine, --reference: with these files of the stage before)
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
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let ended = Arguments::parse(&words).and_then(|arguments| {
        end_with_the_reader(arguments.judges());
        run(&arguments)
    });
    match ended {
        Ok(End::Green) => ExitCode::SUCCESS,
        Ok(End::Red) => ExitCode::from(1),
        Err(problem) => {
            // If it cannot be written, no one reads it.
            let _ = writeln!(std::io::stderr(), "{problem}");
            ExitCode::from(2)
        }
    }
}

/// Ends the program without a panic when output cannot be written. If the reader has gone, as `head` does, it ends
/// quietly; but a command that judges does not end green then.
fn end_with_the_reader(judges: bool) {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>();
        let Some(text) = text.filter(|text| text.starts_with("failed printing to std")) else {
            return default(info);
        };
        let reader_has_gone = text.contains("Broken pipe");
        if !reader_has_gone {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        std::process::exit(if reader_has_gone && !judges { 0 } else { 2 });
    }));
}

fn run(arguments: &Arguments) -> Result<End, Problem> {
    let (one, stages) = (arguments.stage(), &arguments.stages[..]);
    let required = || one.ok_or_else(|| format!("`{}` needs a stage", arguments.command));
    let style = terminal::Style::new(arguments.has("--plain"));
    match arguments.command {
        "" => commands::next(&style),
        "start" if arguments.has("--mine") => start::start(required()?, Base::Mine),
        "start" => start::start(required()?, Base::Reference),
        "reset" if arguments.has("--mine") => start::reset(one, Some(Base::Mine)),
        "reset" if arguments.has("--reference") => start::reset(one, Some(Base::Reference)),
        "reset" => start::reset(one, None),
        "check" => commands::check(one, &style),
        "watch" => commands::watch(one, &style),
        "hint" => commands::hint(one),
        "solution" => commands::solution(one, arguments.has("--give-up"), &style),
        "status" => commands::status(arguments.has("--minutes"), &style),
        "draw" => commands::draw(one),
        "read" => commands::read(required()?),
        "quiz" => commands::quiz(required()?, &style),
        "doctor" => doctor::doctor(),
        "card" => match arguments.names.first() {
            None => cards::list(),
            Some(id) => cards::show(id, arguments.has("--try")),
        },
        "wrong" => wrong_run::show(required()?, arguments.names.first(), &style),
        "break" => breaks::run(&arguments.names),
        "verify" => match arguments.runs {
            Some(runs) => verify::many_runs(stages, runs),
            None if arguments.has("--cards") => cards::verify_only(arguments.has("--write")),
            None => {
                let (write, quick) = (arguments.has("--write"), arguments.has("--quick"));
                verify::verify(stages, verify::Extent { write, quick })
            }
        },
        _ => {
            println!("{USAGE}");
            Ok(End::Green)
        }
    }
}
