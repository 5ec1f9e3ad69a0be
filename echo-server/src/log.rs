//! The log: `tracing` events as lines on stderr, in text or JSON.
//!
//! Started once by `main`; every other file only writes `info!`, `warn!` and so on. Three rules:
//!
//! - Logging never stops the server. A line that stderr cannot take at once is dropped and
//!   counted, and the next line that goes through is preceded by the count.
//! - What a peer sent is only ever shown through [`escaped`]: a terminal acts on control bytes.
//! - What the user asked for by `--stats` or SIGUSR1 is shown whatever the level: it has the
//!   target [`REPORT`].

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::stdio::stderr;
use tracing_subscriber::filter::{Directive, EnvFilter, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{Args, LogFormat};
use crate::output::{Put, put};

/// The target of lines that were asked for and that no level hides.
pub(crate) const REPORT: &str = "report";

/// How many of a peer's bytes one line shows.
const SHOWN: usize = 256;

/// Starts the log. Until then, and if it fails, `tracing` events go nowhere.
pub(crate) fn start(args: &Args) {
    let (filter, complaint) = filter(args);
    let lines = Lines {
        format: args.log_format,
        dropped: AtomicU64::new(0),
        turn: Mutex::new(()),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(colour_is_wanted())
        // It reports a failed write by `eprintln!`, which may panic or wait. `Lines` never fails.
        .log_internal_errors(false)
        .with_writer(lines);
    let started = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        complain(&format!("the log could not be started: {error}"));
    }
    // The default one prints several lines, by `eprintln!`'s rules.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("{}", panic.to_string().replace('\n', " "));
    }));
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}");
    }
}

/// Says why the program ends, on one line of stderr.
pub(crate) fn complain(message: &str) {
    let line = format!("echo-server: {}\n", message.replace('\n', " "));
    // There is nowhere left to report that stderr is gone.
    match put(stderr(), line.as_bytes()) {
        Put::Written | Put::Dropped => {}
    }
}

/// What is logged: -v and -q if given, else `RUST_LOG`, else `info`. The second value is a
/// complaint about a `RUST_LOG` that cannot be read.
fn filter(args: &Args) -> (EnvFilter, Option<String>) {
    let level = match (args.quiet, args.verbose) {
        (true, _) => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let asked_by_flag = args.quiet || args.verbose > 0;
    let mut complaint = None;
    let filter = match env::var("RUST_LOG") {
        Ok(text) if !asked_by_flag && !text.is_empty() => match EnvFilter::try_new(&text) {
            Ok(filter) => filter,
            Err(error) => {
                complaint = Some(format!("RUST_LOG is ignored: {error}"));
                EnvFilter::new(level.to_string())
            }
        },
        _ => EnvFilter::new(level.to_string()),
    };
    (filter.add_directive(report_directive()), complaint)
}

fn report_directive() -> Directive {
    format!("{REPORT}=info")
        .parse()
        .expect("a target and a level make a directive")
}

/// Colour only for a person who did not refuse it. See <https://no-color.org>.
fn colour_is_wanted() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stderr().is_terminal()
}

/// Where the formatted events go; each arrives as one whole line.
#[derive(Debug)]
struct Lines {
    format: LogFormat,
    /// Lines lost since the last one that was written.
    dropped: AtomicU64,
    /// Held while a line is written: with `--threads`, room seen by one thread must not be taken
    /// by another before the first one writes.
    turn: Mutex<()>,
}

impl Lines {
    fn write_line(&self, line: &[u8]) {
        // A thread that panicked here left nothing half done that matters.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            let count = match self.format {
                LogFormat::Text => {
                    format!("WARN {dropped} log lines were dropped: stderr was full\n")
                }
                LogFormat::Json => format!(
                    "{{\"level\":\"WARN\",\"message\":\"log lines were dropped: stderr was \
                     full\",\"dropped\":{dropped}}}\n"
                ),
            };
            if put(stderr(), count.as_bytes()) == Put::Dropped {
                self.dropped.store(dropped + 1, Ordering::Relaxed);
                return;
            }
            self.dropped.store(0, Ordering::Relaxed);
        }
        if put(stderr(), line) == Put::Dropped {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// Takes one event. It always claims success: the caller could do nothing about a failure.
#[derive(Debug)]
struct LineWriter<'a>(&'a Lines);

impl io::Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A peer's bytes in a form that is safe to print and not too long for one line.
pub(crate) fn escaped(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes)
}

/// See [`escaped`]. Formatting happens only if the line is logged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_of_a_peer_are_shown_as_escapes() {
        let every: Vec<u8> = (0..=255).collect();
        let text = escaped(&every).to_string();
        assert!(
            text.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{text}"
        );
        assert!(text.contains("\\x1b") && text.contains("\\x00") && text.contains("\\n"));
    }

    #[test]
    fn long_messages_are_shown_in_part() {
        let text = escaped(&[0; 100_000]).to_string();
        assert!(
            text.len() < 2000 && text.ends_with("and 99744 more"),
            "{text}"
        );
    }
}
