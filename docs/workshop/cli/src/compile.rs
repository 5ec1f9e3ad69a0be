//! Compiles with `rustc`, without cargo: a stage takes less than a second.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::layout::{self, LAB};
use crate::{Problem, runtimes};

/// The result of a compilation that could be started.
pub(crate) struct Compiled {
    pub(crate) success: bool,
    /// The compiler's messages, if they were not printed.
    pub(crate) messages: String,
}

/// Returns the compiler: that of the environment, or the one that `rustc` starts. rustup's `rustc` looks for it
/// each time, and `verify` starts it hundreds of times.
fn compiler() -> &'static OsStr {
    static COMPILER: OnceLock<OsString> = OnceLock::new();
    COMPILER.get_or_init(|| {
        if let Some(program) = std::env::var_os("RUSTC") {
            return program;
        }
        let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok();
        let sysroot = output.and_then(|output| String::from_utf8(output.stdout).ok());
        let own = sysroot.map(|sysroot| Path::new(sysroot.trim()).join("bin/rustc"));
        own.filter(|path| path.is_file()).map_or_else(|| "rustc".into(), Into::into)
    })
}

fn rustc() -> Command {
    let mut command = Command::new(compiler());
    command.current_dir(layout::root()).args(["--edition", "2024", "-Cdebuginfo=0"]);
    command.args(["-L", LAB]).stdin(Stdio::null());
    command
}

/// Runs the compiler. With `show`, it prints its messages itself.
fn run(mut command: Command, show: bool) -> Result<Compiled, Problem> {
    let failed = |error| format!("starting rustc: {error}");
    if show {
        let status = command.status().map_err(failed)?;
        return Ok(Compiled { success: status.success(), messages: String::new() });
    }
    let output = command.output().map_err(failed)?;
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Compiled { success: output.status.success(), messages })
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

/// Whether a file is newer than all sources of a folder, and than this program.
fn is_fresh(output: &str, folder: &str) -> bool {
    let Some(built) = modified(&layout::path(output)) else { return false };
    let mut sources: Vec<_> =
        layout::names(folder).iter().map(|name| layout::path(folder).join(name)).collect();
    sources.extend(std::env::current_exe());
    sources.iter().all(|path| modified(path).is_some_and(|changed| changed < built))
}

/// Compiles a library that all commands share. It appears as a whole: `watch` in one terminal and `check` in another
/// can come here at once.
fn library(mut command: Command, name: &str) -> Result<(), Problem> {
    let folder = format!("{LAB}/{name}.{}", std::process::id());
    let (new, place) = (format!("{folder}/lib{name}.rlib"), format!("{LAB}/lib{name}.rlib"));
    fs::create_dir_all(layout::path(&folder))
        .map_err(|error| format!("creating {folder}: {error}"))?;
    command.args(["-o", &new]);
    let compiled = run(command, true)?.success;
    let moved = match compiled {
        true => fs::rename(layout::path(&new), layout::path(&place)),
        false => Ok(()),
    };
    let _ = fs::remove_dir_all(layout::path(&folder));
    moved.map_err(|error| format!("moving {new} to {place}: {error}"))?;
    if compiled { Ok(()) } else { Err(format!("{name} does not compile")) }
}

/// Compiles `kernel` and `probe`, if they have changed.
pub(crate) fn prepare() -> Result<(), Problem> {
    fs::create_dir_all(layout::path(LAB)).map_err(|error| format!("creating {LAB}: {error}"))?;
    let mut fresh = true;
    for name in ["kernel", "probe"] {
        let (output, folder) = (format!("{LAB}/lib{name}.rlib"), format!("{name}/src"));
        fresh &= is_fresh(&output, &folder);
        if fresh {
            continue;
        }
        let mut command = rustc();
        command.args(["--crate-type", "rlib", "--crate-name", name]);
        command.arg(format!("{folder}/lib.rs"));
        if name == "probe" {
            command.arg(format!("--extern=kernel={LAB}/libkernel.rlib"));
        }
        library(command, name)?;
    }
    Ok(())
}

/// Compiles what the cards share, if it has changed. `kernel` must be compiled.
pub(crate) fn prepare_cards() -> Result<(), Problem> {
    let folder = format!("{LAB}/cards");
    fs::create_dir_all(layout::path(&folder))
        .map_err(|error| format!("creating {folder}: {error}"))?;
    let output = format!("{LAB}/libcard.rlib");
    if ["cards", "kernel/src"].iter().all(|folder| is_fresh(&output, folder)) {
        return Ok(());
    }
    let mut command = rustc();
    command.args(["--crate-type", "rlib", "--crate-name", "card", "-Funsafe_code"]);
    command.arg(format!("--extern=kernel={LAB}/libkernel.rlib"));
    command.arg("cards/card.rs");
    library(command, "card")
}

/// Compiles a card. `warnings` says what to do with them: `-A` or `-D`, and their names.
pub(crate) fn card(name: &str, out: &str, warnings: &str) -> Result<Compiled, Problem> {
    let mut command = rustc();
    command.args(["--crate-name", name, warnings, "-Funsafe_code"]);
    command.arg(format!("--extern=kernel={LAB}/libkernel.rlib"));
    command.arg(format!("--extern=card={LAB}/libcard.rlib"));
    command.args(["-o", out, &format!("cards/{name}.rs")]);
    run(command, false)
}

/// Compiles the files of a stage in `source` and links them with its check, in `out`.
pub(crate) fn stage(source: &str, check: &str, out: &str, show: bool) -> Result<Compiled, Problem> {
    fs::create_dir_all(layout::path(out)).map_err(|error| format!("creating {out}: {error}"))?;
    let kernel = format!("--extern=kernel={LAB}/libkernel.rlib");
    let library = format!("{out}/libstage.rlib");
    let mut command = rustc();
    command.args(["--crate-type", "rlib", "--crate-name", "stage", "-Awarnings", "-Funsafe_code"]);
    command.args([&kernel, "-o", &library, &format!("{source}/lib.rs")]);
    let compiled = run(command, show)?;
    if !compiled.success {
        return Ok(compiled);
    }
    let mut command = rustc();
    command.args(["--crate-name", "check", "-Awarnings", &kernel]);
    command.arg(format!("--extern=probe={LAB}/libprobe.rlib"));
    command.arg(format!("--extern=stage={library}"));
    command.args(["-o", &format!("{out}/check"), check]);
    if let Some(list) = runtimes::lay_out(check, out)? {
        command.env("WORKSHOP_RUNTIMES", list);
    }
    run(command, show)
}

/// Compiles the echo server `source` with a stage that is compiled in `out`.
pub(crate) fn echo(source: &str, out: &str) -> Result<Compiled, Problem> {
    let mut command = rustc();
    command.args(["--crate-name", "echo", &format!("--extern=pocket={out}/libstage.rlib")]);
    command.args(["-o", &format!("{out}/echo"), source]);
    run(command, false)
}
