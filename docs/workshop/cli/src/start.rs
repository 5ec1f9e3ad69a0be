//! Lays out a stage for the learner, and lays it out again. What the learner wrote is never overwritten: `start`
//! refuses, and `reset` moves the old files.

use std::fs;

use crate::check::{Checked, check, lay_out};
use crate::commands::current;
use crate::progress::{self, Progress};
use crate::stage::{Files, STAGES, Stage, read_files};
use crate::{End, Problem, compile, layout};

/// Whose files of the stage before a stage begins with.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Base {
    Reference,
    Mine,
}

/// Lays out a stage.
pub(crate) fn start(number: u32, base: Base) -> Result<End, Problem> {
    let stage = Stage::find(number)?;
    let mine = stage.mine();
    if !layout::names(&mine).is_empty() {
        let option = if base == Base::Mine { " --mine" } else { "" };
        return Err(format!(
            "docs/workshop/{mine} exists: cargo workshop reset {number}{option} lays it out again, and keeps your files"
        ));
    }
    let own = match base {
        Base::Reference => None,
        Base::Mine => Some(own_files(&stage)?),
    };
    lay_out_stage(&stage, own)
}

/// Lays out a stage again, with the same files of the stage before, or with those that `base` names. The old
/// files get another name.
pub(crate) fn reset(number: Option<u32>, base: Option<Base>) -> Result<End, Problem> {
    let stage = current(number)?;
    let (number, mine) = (stage.number, stage.mine());
    if layout::names(&mine).is_empty() {
        return Err(format!("stage {number} is not started: cargo workshop start {number}"));
    }
    let given = read_files(&given(&stage))?;
    let own = match base {
        Some(Base::Mine) => Some(own_files(&stage)?),
        Some(Base::Reference) => base_of(&stage, "--reference").map(|_| None)?,
        None => (!given.is_empty()).then_some(given),
    };
    let free = |n: &u32| !layout::path(&format!("my/old/{}.{n}", stage.folder())).exists();
    let old = format!("my/old/{}.{}", stage.folder(), (1..).find(free).unwrap_or(1));
    let moved = fs::create_dir_all(layout::path("my/old"))
        .and_then(|()| fs::rename(layout::path(&mine), layout::path(&old)));
    moved.map_err(|error| format!("moving {mine} to {old}: {error}"))?;
    println!("the old files are in docs/workshop/{old}");
    let mut progress = Progress::load();
    ["started", "green", "hints"].iter().try_for_each(|word| progress.forget(word, number))?;
    lay_out_stage(&stage, own)
}

/// Returns the stage that a stage continues.
fn base_of(stage: &Stage, option: &str) -> Result<Stage, Problem> {
    let Some(base) = stage.base else {
        let with_base = STAGES.iter().filter(|stage| stage.base.is_some());
        let numbers: Vec<String> = with_base.map(|stage| stage.number.to_string()).collect();
        let (number, numbers) = (stage.number, numbers.join(", "));
        return Err(format!("stage {number} continues no other one: {option} is for {numbers}"));
    };
    Stage::find(base)
}

/// Returns the learner's files of the stage before, without those that the stage brings itself. They have to
/// be green: otherwise the stage could not become green either.
fn own_files(stage: &Stage) -> Result<Files, Problem> {
    let base = base_of(stage, "--mine")?;
    let mut files = read_files(&base.mine())?;
    let (number, before) = (stage.number, base.number);
    let without = format!("without --mine stage {number} begins with the reference");
    if files.is_empty() {
        return Err(format!(
            "--mine takes your files of stage {before}, which is not started: cargo workshop start {before}; {without}"
        ));
    }
    compile::prepare()?;
    let out = format!("{}/my-{}", layout::LAB, base.folder());
    let checked = check(&base, &base.mine(), &out, false)?;
    if !matches!(checked, Checked::Ran { failed: None, .. } | Checked::Skipped(_)) {
        return Err(format!(
            "--mine takes your files of stage {before}, which are not green: cargo workshop check {before}; {without}"
        ));
    }
    let brought = stage.own_start()?;
    files.retain(|name, _| !brought.contains_key(name));
    Ok(files)
}

/// The folder with the learner's files of the stage before, as they were when a stage was started with them.
fn given(stage: &Stage) -> String {
    format!("my/given/{}", stage.folder())
}

/// Lays out a stage, with the learner's `own` files of the stage before or with the reference's.
fn lay_out_stage(stage: &Stage, own: Option<Files>) -> Result<End, Problem> {
    let mut files = stage.start()?;
    let given = own.unwrap_or_default();
    lay_out(&given, &self::given(stage))?;
    files.extend(given.clone());
    lay_out_mine(stage, &files)?;
    let number = stage.number;
    println!("docs/workshop/{}: {}", stage.mine(), names(&files));
    match stage.base {
        Some(base) if given.is_empty() => {
            let own = format!("your own: cargo workshop reset {number} --mine");
            println!("base:  the reference of stage {base}  ({own})");
        }
        Some(base) => println!("base:  your files of stage {base}: {}", names(&given)),
        None => {}
    }
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
    // `cargo workshop` works in the learner's folders, where a terminal of an editor opens.
    let manifest = layout::path("Cargo.toml");
    let alias = format!("run -q --manifest-path {} --", manifest.display());
    // Cargo splits an alias at spaces, and joins a list with those of the folders above.
    if alias.split(' ').count() == 5 {
        layout::write("my/.cargo/config.toml", &format!("[alias]\nworkshop = {alias:?}\n"))?;
    }
    let mut progress = Progress::load();
    progress.set("current", stage.number, 0)?;
    match progress.get("started", stage.number) {
        Some(_) => Ok(()),
        None => progress.set("started", stage.number, progress::now()),
    }
}
