//! The learner's commands.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::check::{Checked, check as run_check, lay_out};
use crate::progress::{self, Progress};
use crate::report::headline;
use crate::stage::{Files, STAGES, Stage, read_files};
use crate::terminal::Style;
use crate::{End, Problem, cards, compile, diff, draw, layout, page};

/// Between two looks at the files in `watch`.
const WATCH_PAUSE: Duration = Duration::from_millis(300);

/// Returns the given stage, or the one that was started last.
fn current(number: Option<u32>) -> Result<Stage, Problem> {
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
    if progress.get("green", number).is_some() {
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

/// Lays out a stage. With `own`, files that the stage does not change are the learner's own.
pub(crate) fn start(number: u32, own: bool) -> Result<End, Problem> {
    let stage = Stage::find(number)?;
    if !read_files(&stage.mine())?.is_empty() {
        let mine = stage.mine();
        return Err(format!(
            "docs/workshop/{mine} exists: cargo workshop reset {number} lays it out again"
        ));
    }
    let mut files = stage.start()?;
    if own {
        let base = stage.base.ok_or(format!("stage {number} continues no other one"))?;
        let changed = stage.own_start()?;
        for (name, text) in mine(&Stage::find(base)?)? {
            if !changed.contains_key(&name) {
                files.insert(name, text);
            }
        }
    }
    lay_out_mine(&stage, &files)?;
    println!("docs/workshop/{}: {}", stage.mine(), names(&files));
    println!("read:  docs/workshop/{}  (cargo workshop read {number})", stage.path("page.md"));
    println!("next:  cargo workshop check");
    Ok(End::Green)
}

fn names(files: &Files) -> String {
    files.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Writes the learner's files, with manifests for editors.
fn lay_out_mine(stage: &Stage, files: &Files) -> Result<(), Problem> {
    lay_out(files, &stage.mine())?;
    // The stages with sockets are one crate, and have a program to run.
    let has_sockets = files.contains_key("net.rs");
    let library = if has_sockets { "pocket".to_owned() } else { stage.folder() };
    if has_sockets {
        let path = format!("{}/examples/echo.rs", stage.mine());
        layout::write(&path, &layout::read(&stage.echo())?)?;
    }
    let manifest = format!(
        "# For editors and examples: `cargo workshop check` calls rustc itself.\n[package]\n\
         name = \"{}\"\nedition = \"2024\"\n\n[lib]\nname = \"{library}\"\npath = \"lib.rs\"\n\n\
         [dependencies]\nkernel = {{ path = \"../../kernel\" }}\n",
        stage.folder()
    );
    layout::write(&format!("{}/Cargo.toml", stage.mine()), &manifest)?;
    let is_stage = |name: &String| layout::path("my").join(name).join("Cargo.toml").exists();
    let members: Vec<String> = layout::names("my").into_iter().filter(is_stage).collect();
    let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n");
    layout::write("my/Cargo.toml", &workspace)?;
    let mut progress = Progress::load();
    progress.set("current", stage.number, 0)?;
    match progress.get("started", stage.number) {
        Some(_) => Ok(()),
        None => progress.set("started", stage.number, progress::now()),
    }
}

/// Checks the learner's answer.
pub(crate) fn check(number: Option<u32>, style: &Style) -> Result<End, Problem> {
    let stage = current(number)?;
    check_stage(&stage, style)
}

fn check_stage(stage: &Stage, style: &Style) -> Result<End, Problem> {
    let files = mine(stage)?;
    compile::prepare()?;
    let out = format!("{}/my-{}", layout::LAB, stage.folder());
    match run_check(stage, &stage.mine(), &out, true)? {
        Checked::DoesNotCompile => {
            println!("stage {}  {}  does not compile", stage.number, stage.name);
            Ok(End::Red)
        }
        Checked::Skipped(reason) => {
            println!("stage {}  {}  skipped: {reason}", stage.number, stage.name);
            Ok(End::Green)
        }
        Checked::Ran { passed, of, failed: Some((case, report)) } => {
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
    let mut seen = None;
    loop {
        let newest = newest(&stage);
        if newest != seen {
            seen = newest;
            check_stage(&stage, style)?;
            println!("\nwaiting for a change of docs/workshop/{} (Ctrl-C ends)", stage.mine());
        }
        thread::sleep(WATCH_PAUSE);
    }
}

fn newest(stage: &Stage) -> Option<SystemTime> {
    let folder = layout::path(&stage.mine());
    let files = fs::read_dir(folder).ok()?.flatten();
    files.filter_map(|file| file.metadata().ok()?.modified().ok()).max()
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

/// Lays out a stage again. The old files get another name.
pub(crate) fn reset(number: Option<u32>) -> Result<End, Problem> {
    let stage = current(number)?;
    let mine = stage.mine();
    if layout::path(&mine).exists() {
        let free = |n: &u32| !layout::path(&format!("my/old/{}.{n}", stage.folder())).exists();
        let n = (1..).find(free).unwrap_or(1);
        let old = format!("my/old/{}.{n}", stage.folder());
        let moved = fs::create_dir_all(layout::path("my/old"))
            .and_then(|()| fs::rename(layout::path(&mine), layout::path(&old)));
        moved.map_err(|error| format!("moving {mine} to {old}: {error}"))?;
        println!("the old files are in docs/workshop/{old}");
    }
    start(stage.number, false)
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

/// Draws the learner's run beside that of the reference.
pub(crate) fn draw(number: Option<u32>) -> Result<End, Problem> {
    let stage = current(number)?;
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

/// Looks whether this machine has what the workshop needs.
pub(crate) fn doctor() -> Result<End, Problem> {
    let mut end = End::Green;
    let mut report = |what: &str, result: Result<String, String>| match result {
        Ok(found) => println!("ok     {what}: {found}"),
        Err(problem) => {
            end = End::Red;
            println!("LACKS  {what}: {problem}");
        }
    };
    report(
        "Linux",
        match cfg!(target_os = "linux") {
            true => Ok(std::env::consts::ARCH.to_owned()),
            false => Err("epoll is Linux's; use the dev container in .devcontainer".to_owned()),
        },
    );
    report("rustc", rust_version());
    let stat = fs::read_to_string("/proc/thread-self/schedstat");
    report(
        "/proc",
        stat.map(|_| "the CPU time of threads is readable".to_owned()).map_err(|e| e.to_string()),
    );
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0));
    report("loopback", socket.map(|_| "a socket can listen".to_owned()).map_err(|e| e.to_string()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    report("cores", Ok(cores.to_string()));
    report("kernel and probe", compile::prepare().map(|()| "compiled".to_owned()));
    Ok(end)
}

fn rust_version() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let minor = text.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    match minor {
        Some(88..) => Ok(text),
        _ => Err(format!("1.88 or newer is needed, found: {text}")),
    }
}
