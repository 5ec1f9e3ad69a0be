//! The learner's commands.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::check::{Checked, check as run_check};
use crate::progress::{self, Progress};
use crate::report::headline;
use crate::stage::{Files, STAGES, Stage, read_files};
use crate::terminal::Style;
use crate::{End, Problem, cards, compile, diff, draw, layout, page};

/// Between two looks at the files in `watch`.
const WATCH_PAUSE: Duration = Duration::from_millis(300);

/// Returns the given stage, or the one that was started last.
pub(crate) fn current(number: Option<u32>) -> Result<Stage, Problem> {
    let current = number.or_else(|| Progress::load().current());
    Stage::find(current.ok_or("no stage is started; begin with: cargo workshop start 0")?)
}

/// Returns the learner's files.
fn mine(stage: &Stage) -> Result<Files, Problem> {
    let files = read_files(&stage.mine())?;
    match files.is_empty() {
        true => Err(format!("stage {0} is not started: cargo workshop start {0}", stage.number)),
        false => Ok(files),
    }
}

/// Says where the learner is, and the next command.
pub(crate) fn next(style: &Style) -> Result<End, Problem> {
    let progress = Progress::load();
    let Some(number) = progress.current() else {
        println!("The pages are in docs/workshop/stages.\n");
        println!("next:  cargo workshop start {}", STAGES[0].number);
        return Ok(End::Green);
    };
    let stage = Stage::find(number)?;
    println!("stage {}  {}  {}", stage.number, stage.name, state(&progress, &stage, style));
    println!("{}\n", stage.question());
    if layout::names(&stage.mine()).is_empty() {
        println!("docs/workshop/{} has gone", stage.mine());
        println!("next:  cargo workshop start {number}");
    } else if progress.get("green", number).is_some() {
        match following(&stage) {
            Some(next) => println!("next:  cargo workshop start {}", next.number),
            None => println!("This is the last stage. cargo workshop status shows all."),
        }
    } else {
        println!("page:  docs/workshop/{}", stage.path("page.md"));
        println!("edit:  docs/workshop/{}", stage.mine());
        println!("next:  cargo workshop check");
    }
    Ok(End::Green)
}

fn following(stage: &Stage) -> Option<&'static Stage> {
    STAGES.iter().find(|other| other.number > stage.number)
}

fn state(progress: &Progress, stage: &Stage, style: &Style) -> String {
    match (progress.get("green", stage.number), progress.get("started", stage.number)) {
        (Some(_), _) => style.green("green"),
        (None, Some(_)) => "started".to_owned(),
        (None, None) => "-".to_owned(),
    }
}

/// Checks the learner's answer.
pub(crate) fn check(number: Option<u32>, style: &Style) -> Result<End, Problem> {
    let stage = current(number)?;
    check_stage(&stage, style, "my")
}

/// Checks an answer. It is compiled in a folder whose name begins with `place`.
fn check_stage(stage: &Stage, style: &Style, place: &str) -> Result<End, Problem> {
    let files = mine(stage)?;
    compile::prepare()?;
    let out = format!("{}/{place}-{}", layout::LAB, stage.folder());
    match run_check(stage, &stage.mine(), &out, true)? {
        Checked::DoesNotCompile => {
            println!("stage {}  {}  does not compile", stage.number, stage.name);
            Ok(End::Red)
        }
        Checked::Skipped(reason) => {
            println!("stage {}  {}  skipped: {reason}", stage.number, stage.name);
            Ok(End::Green)
        }
        Checked::Ran { passed, of, failed: Some((case, mut report)) } => {
            if Progress::load().current() != Some(stage.number) {
                report.hint = format!(" {}", stage.number);
            }
            println!("{}", headline(stage, passed, of));
            print!("{}", report.show(stage, &files, &case, style));
            Ok(End::Red)
        }
        Checked::Ran { passed, of, failed: None } => {
            println!("{}", headline(stage, passed, of));
            println!("  {}", style.green("GREEN"));
            let mut progress = Progress::load();
            if progress.get("green", stage.number).is_none() {
                progress.set("green", stage.number, progress::now())?;
            }
            println!("        compare   cargo workshop solution {}", stage.number);
            println!("        questions cargo workshop quiz {}", stage.number);
            let cards = cards::of_stage(stage.number);
            if let [first, ..] = &cards[..] {
                println!("        cards     cargo workshop card {first} (of {})", cards.join(", "));
            }
            if let Some(next) = following(stage) {
                println!("        next      cargo workshop start {}", next.number);
            }
            Ok(End::Green)
        }
    }
}

/// Checks whenever a file changes, until it is interrupted.
pub(crate) fn watch(number: Option<u32>, style: &Style) -> Result<End, Problem> {
    let stage = current(number)?;
    mine(&stage)?;
    let (needed, mut seen) = (stage.start()?.into_keys().collect::<Vec<_>>(), Vec::new());
    loop {
        let now = versions(&stage);
        if has_changed(&needed, &seen, &now) {
            seen = now;
            // A folder of its own, because `check` can run in another terminal.
            check_stage(&stage, style, "watch")?;
            println!("\nwaiting for a change of docs/workshop/{} (Ctrl-C ends)", stage.mine());
        }
        thread::sleep(WATCH_PAUSE);
    }
}

/// A file's name, when it was changed, and its length.
type Version = (String, SystemTime, u64);

/// Whether there is something else to check. While an editor saves, a file of the stage can be away for a moment.
fn has_changed(needed: &[String], seen: &[Version], now: &[Version]) -> bool {
    now != seen && needed.iter().all(|name| now.iter().any(|version| version.0 == *name))
}

fn versions(stage: &Stage) -> Vec<Version> {
    let version = |name: String| {
        let file = fs::metadata(layout::path(&stage.mine()).join(&name)).ok()?;
        Some((name, file.modified().ok()?, file.len()))
    };
    let names = layout::names(&stage.mine()).into_iter().filter(|name| name.ends_with(".rs"));
    names.filter_map(version).collect()
}

/// Prints the next hint.
pub(crate) fn hint(number: Option<u32>) -> Result<End, Problem> {
    let stage = current(number)?;
    let hints = page::sections(&layout::read(&stage.path("hints.md"))?);
    let mut progress = Progress::load();
    let shown = progress.get("hints", stage.number).unwrap_or(0) as usize;
    let at = shown.min(hints.len().saturating_sub(1));
    let (title, text) = hints.get(at).ok_or("the stage has no hints")?;
    println!(
        "stage {}, hint {} of {}: {title}\n\n{}",
        stage.number,
        at + 1,
        hints.len(),
        text.trim()
    );
    progress.set("hints", stage.number, at as u64 + 1)?;
    Ok(End::Green)
}

/// Prints the difference between the learner's files and the reference.
pub(crate) fn solution(number: Option<u32>, give_up: bool, style: &Style) -> Result<End, Problem> {
    let stage = current(number)?;
    if Progress::load().get("green", stage.number).is_none() && !give_up {
        return Err(format!(
            "stage {} is not green yet; --give-up shows the reference all the same",
            stage.number
        ));
    }
    let mine = read_files(&stage.mine())?;
    let mut shown = false;
    for (name, reference) in stage.solution()? {
        let own = mine.get(&name).map_or("", String::as_str);
        let difference = diff::lines(own, &reference);
        if difference.is_empty() {
            continue;
        }
        shown = true;
        println!("{name}: - yours, + the reference");
        for line in difference.lines() {
            match line.as_bytes().first() {
                Some(b'-') => println!("{}", style.red(line)),
                Some(b'+') => println!("{}", style.green(line)),
                _ => println!("{line}"),
            }
        }
    }
    if !shown {
        println!("your files equal the reference");
    }
    Ok(End::Green)
}

/// Lists the stages.
pub(crate) fn status(minutes: bool, style: &Style) -> Result<End, Problem> {
    let progress = Progress::load();
    for stage in STAGES {
        let mut line =
            format!("{:>2}  {:<10}  {:>2} min  ", stage.number, stage.name, stage.minutes);
        line.push_str(&stage.question());
        let _ = write!(line, "  {}", state(&progress, stage, style));
        let times = (progress.get("started", stage.number), progress.get("green", stage.number));
        if let (true, (Some(started), Some(green))) = (minutes, times) {
            let _ =
                write!(line, "  {} min until green", green.saturating_sub(started).div_ceil(60));
        }
        println!("{line}");
    }
    Ok(End::Green)
}

fn has_picture(stage: &Stage) -> bool {
    layout::path(&stage.path("picture.svg")).is_file()
}

/// Draws the learner's run beside that of the reference.
pub(crate) fn draw(number: Option<u32>) -> Result<End, Problem> {
    let stage = current(number)?;
    if !has_picture(&stage) {
        let with: Vec<String> =
            STAGES.iter().filter(|s| has_picture(s)).map(|s| s.number.to_string()).collect();
        let (number, with) = (stage.number, with.join(", "));
        return Err(format!("stage {number} has no picture; stages with one: {with}"));
    }
    mine(&stage)?;
    compile::prepare()?;
    let out = format!("{}/my-{}", layout::LAB, stage.folder());
    if !compile::stage(&stage.mine(), &stage.path("check.rs"), &out, true)?.success {
        println!("stage {}  {}  does not compile", stage.number, stage.name);
        return Ok(End::Red);
    }
    let reference = draw::reference(&stage)?;
    let reference = reference.ok_or(format!("stage {} has no picture", stage.number))?;
    let Some(own) = draw::trace(&out)? else {
        println!("your run ended before there was a picture: cargo workshop check");
        return Ok(End::Red);
    };
    let path = format!("{}/picture.svg", stage.mine());
    layout::write(&path, &draw::svg(&[("yours", &own), ("reference", &reference)]))?;
    println!("docs/workshop/{path}");
    Ok(End::Green)
}

/// Prints a page.
pub(crate) fn read(number: u32) -> Result<End, Problem> {
    let page = Stage::find(number)?.page()?;
    page::split(&page)
        .0
        .lines()
        .filter(|line| !line.starts_with("<!--"))
        .for_each(|line| println!("{line}"));
    Ok(End::Green)
}

/// Asks the questions of a stage.
pub(crate) fn quiz(number: u32, style: &Style) -> Result<End, Problem> {
    let text = layout::read(&Stage::find(number)?.path("quiz.md"))?;
    for (question, answer) in page::sections(&text) {
        println!("{question}");
        if style.interactive {
            println!("(Enter shows the answer)");
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map_err(|error| format!("reading: {error}"))?;
        }
        let answer = answer.lines().filter(|line| !line.contains("details"));
        println!("{}\n", answer.collect::<Vec<_>>().join("\n").trim());
    }
    Ok(End::Green)
}

#[cfg(test)]
mod tests {
    use super::{Version, has_changed};
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_file_that_is_being_saved_is_no_change_until_it_is_back() {
        let version = |name: &str, at, length| -> Version {
            (name.to_owned(), SystemTime::UNIX_EPOCH + Duration::from_secs(at), length)
        };
        let needed = ["lib.rs".to_owned()];
        let seen = [version("lib.rs", 5, 10), version("more.rs", 5, 10)];
        assert!(has_changed(&needed, &[], &seen));
        assert!(!has_changed(&needed, &seen, &seen));
        assert!(!has_changed(&needed, &seen, &[]));
        assert!(!has_changed(&needed, &seen, &seen[1..]));
        // A file of the learner's can go.
        assert!(has_changed(&needed, &seen, &seen[..1]));
        // An older file counts as well, such as one that git has restored.
        for changed in [version("lib.rs", 4, 10), version("lib.rs", 5, 11)] {
            assert!(has_changed(&needed, &seen, &[changed, seen[1].clone()]));
        }
    }
}
