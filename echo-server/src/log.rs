//! The log: `tracing` events as lines on stderr, in text or JSON, written without ever blocking.
//!
//! Started once by `main`; every other file only writes `info!`, `warn!` and so on. Four rules:
//!
//! - Logging never stops the server. A line that stderr cannot take at once is dropped and
//!   counted. The next line that is written is preceded by the count.
//! - Bytes of a peer are only shown through [`escaped`], because a terminal acts on control bytes.
//! - What the user asked for by `--stats` or SIGUSR1 is shown at every level: it has the target
//!   [`REPORT`].
//! - Peers cannot fill a disk with it: what each connection causes is a debug line, or limited by
//!   [`FailureLines`]. `closed` is an info line, but its target [`CONNECTION`] hides it without -v.
//!
//! Everything the program prints goes through [`try_write_line`], also the `listening on` lines.
//! `println!` and `eprintln!` are not used, because they panic when the stream is closed and block
//! when it is a full pipe. On one thread that would stop every client.
//!
//! The streams are shared with other programs (the shell, a supervisor), so they cannot be made
//! non-blocking. poll(2) with a timeout of zero reports whether there is room, and a pipe with room
//! takes [`LONGEST`] bytes in one piece. See pipe(7), `PIPE_BUF`. A crate such as tracing-appender
//! would need a thread for this, and the program has one thread per runtime and no other, unless `--watch` asks for
//! those.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stderr;
use tracing::{Level, warn};
use tracing_subscriber::filter::{Directive, EnvFilter};
use tracing_subscriber::fmt::MakeWriter;
use wakeful::time::{Instant, sleep};

use crate::args::{Args, LogFormat};

/// Target of lines that the user has asked for; no level hides them.
pub(crate) const REPORT: &str = "report";

/// Target of lines about one connection. By default only their warnings are shown.
pub(crate) const CONNECTION: &str = "echo_server::connection";

/// Target of lines about the start. By default a terminal does not show them, because stdout has the
/// addresses.
pub(crate) const START: &str = "echo_server::start";

/// Number of a peer's bytes that one line shows.
const SHOWN: usize = 256;

/// Starts the log. Until then, and if it fails, `tracing` events are discarded.
pub(crate) fn start(args: &Args) {
    let (filter, warning) = filter(args);
    let writer = StderrWriter {
        format: args.log_format,
        dropped: AtomicU64::new(0),
        lock: Mutex::new(()),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(use_color())
        // It would report a failed write by `eprintln!`. `StderrWriter` never fails.
        .log_internal_errors(false)
        .with_writer(writer);
    let started = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        print_error(&format!("starting the log failed: {error}"));
    }
    // The default hook prints several lines with `eprintln!`.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("{}", panic.to_string().replace('\n', " "));
    }));
    if let Some(warning) = warning {
        warn!("{warning}");
    }
}

/// Prints why the program ends, as one line on stderr.
pub(crate) fn print_error(message: &str) {
    let line = format!("echo-server: {}\n", message.replace('\n', " "));
    // If stderr is closed, this cannot be reported.
    match try_write_line(stderr(), line.as_bytes()) {
        WriteOutcome::Written | WriteOutcome::Dropped => {}
    }
}

/// Returns what is logged: -v and -q if given, else `RUST_LOG`, else start, end and warnings. The
/// second value is a warning about a `RUST_LOG` that cannot be parsed.
fn filter(args: &Args) -> (EnvFilter, Option<String>) {
    let levels = match (args.quiet, args.verbose) {
        (true, _) => "warn".to_owned(),
        (false, 0) if io::stderr().is_terminal() => format!("info,{CONNECTION}=warn,{START}=warn"),
        (false, 0) => format!("info,{CONNECTION}=warn"),
        (false, 1) => "debug".to_owned(),
        (false, _) => "trace".to_owned(),
    };
    let set_by_flag = args.quiet || args.verbose > 0;
    let mut warning = None;
    let filter = match env::var("RUST_LOG") {
        Ok(text) if !set_by_flag && !text.is_empty() => match EnvFilter::try_new(&text) {
            Ok(filter) => filter,
            Err(error) => {
                warning = Some(format!("RUST_LOG is ignored: {error}"));
                EnvFilter::new(levels)
            }
        },
        _ => EnvFilter::new(levels),
    };
    (filter.add_directive(report_directive()), warning)
}

fn report_directive() -> Directive {
    format!("{REPORT}=info")
        .parse()
        .expect("a target and a level make a directive")
}

/// Returns whether to color the log: on a terminal, unless `NO_COLOR` is set. See
/// <https://no-color.org>.
fn use_color() -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && io::stderr().is_terminal()
}

/// Receives the formatted events; each is one whole line.
#[derive(Debug)]
struct StderrWriter {
    format: LogFormat,
    /// Lines dropped since the last one that was written.
    dropped: AtomicU64,
    /// Held while a line is written. Otherwise, with `--threads`, the room that one thread has seen
    /// can be used by another thread before the first one writes.
    lock: Mutex<()>,
}

impl StderrWriter {
    fn write_line(&self, line: &[u8]) {
        // The lock protects no data, so a panic of its holder leaves nothing inconsistent.
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
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
            if try_write_line(stderr(), count.as_bytes()) == WriteOutcome::Dropped {
                self.dropped.store(dropped + 1, Ordering::Relaxed);
                return;
            }
            self.dropped.store(0, Ordering::Relaxed);
        }
        if try_write_line(stderr(), line) == WriteOutcome::Dropped {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for StderrWriter {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// Receives one event. It always reports success, because the caller could not act on a failure.
#[derive(Debug)]
struct LineWriter<'a>(&'a StderrWriter);

impl io::Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a peer's bytes in a form that is safe to print and not too long for one line.
pub(crate) fn escaped(bytes: &[u8]) -> Escaped<'_> {
    Escaped(bytes)
}

/// Bytes as [`escaped`] shows them. They are formatted only if the line is logged.
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

/// Returns a duration as a field whose name ends in `_ms`.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

// ---- failed connections ------------------------------------------------------------------------------

/// Number of lines about failed connections that are logged at once.
const BURST: u32 = 10;

/// Interval of the lines after a burst.
const INTERVAL: Duration = Duration::from_secs(1);

/// Limit on the lines about failed connections, for all threads together: [`BURST`] lines at once,
/// then per [`INTERVAL`] one line with the number of those left out. An interval without a line gives
/// back one line of the burst.
#[derive(Debug)]
pub(crate) struct FailureLines {
    /// Largest number of lines at once; 0 if none is logged until the end.
    burst: u32,
    state: Mutex<Allowance>,
}

#[derive(Debug)]
struct Allowance {
    /// Lines that can be logged now.
    lines: u32,
    /// Since when intervals give back lines.
    since: Instant,
    /// Lines left out since the last one that has their number.
    left_out: u64,
    /// Whether a task runs [`FailureLines::report`].
    is_reported: bool,
}

impl Allowance {
    /// Gives back the lines of the intervals that have passed, unless they have a line with a number. Computed
    /// when a line is asked for, so that an idle server does not wake up for it.
    fn refill(&mut self, burst: u32) {
        if self.is_reported {
            return;
        }
        let passed = self.since.elapsed().as_nanos() / INTERVAL.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.lines = self.lines.saturating_add(passed).min(burst);
        self.since = if self.lines == burst {
            Instant::now()
        } else {
            // Fewer than a burst.
            self.since + INTERVAL * passed
        };
    }
}

impl FailureLines {
    pub(crate) fn new(args: &Args) -> Arc<FailureLines> {
        FailureLines::with_burst(if args.quiet { 0 } else { BURST })
    }

    fn with_burst(burst: u32) -> Arc<FailureLines> {
        let state = Mutex::new(Allowance {
            lines: burst,
            since: Instant::now(),
            left_out: 0,
            is_reported: false,
        });
        Arc::new(FailureLines { burst, state })
    }

    fn lock(&self) -> MutexGuard<'_, Allowance> {
        // No code that can panic runs with the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a line can be logged now, and counts it. With -v there is no limit.
    pub(crate) fn admit(self: &Arc<Self>) -> bool {
        if tracing::enabled!(target: CONNECTION, Level::DEBUG) {
            return true;
        }
        let mut now = self.lock();
        now.refill(self.burst);
        if now.lines > 0 {
            now.lines -= 1;
            return true;
        }
        now.left_out += 1;
        if !now.is_reported && self.burst > 0 {
            now.is_reported = true;
            drop(now);
            wakeful::spawn(Arc::clone(self).report());
        }
        false
    }

    /// Logs once per interval how many lines were left out, until there are none.
    async fn report(self: Arc<Self>) {
        loop {
            sleep(INTERVAL).await;
            {
                let mut now = self.lock();
                if now.left_out == 0 {
                    now.is_reported = false;
                    return;
                }
                now.since = Instant::now();
            }
            self.log_left_out();
        }
    }

    /// Logs how many lines were left out since the last call, if any. Returns their number.
    pub(crate) fn log_left_out(&self) -> u64 {
        let count = mem::take(&mut self.lock().left_out);
        if count > 0 {
            warn!(target: CONNECTION, count, "further connections failed");
        }
        count
    }
}

// ---- standard streams -----------------------------------------------------------------------------

/// Longest line that is written, with its newline: `PIPE_BUF`, the most that a pipe with room takes
/// without blocking the writer.
const LONGEST: usize = 4096;

/// End of a line that was too long.
const CUT: &[u8] = b"...\n";

/// Whether a line was written.
#[must_use = "a line that was dropped should be counted"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// The whole line.
    Written,
    /// Nothing, or a part: the stream is full or closed.
    Dropped,
}

/// Writes one line, or drops it when it cannot be taken at once.
pub(crate) fn try_write_line(stream: BorrowedFd<'_>, line: &[u8]) -> WriteOutcome {
    if line.len() <= LONGEST {
        return write_all(stream, line);
    }
    let mut short = line[..cut_at(line)].to_vec();
    short.extend_from_slice(CUT);
    write_all(stream, &short)
}

/// Returns where to cut a long line: so that it fits, and not inside a UTF-8 sequence.
fn cut_at(line: &[u8]) -> usize {
    let mut end = LONGEST - CUT.len();
    while end > 0 && line[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    end
}

fn write_all(stream: BorrowedFd<'_>, mut rest: &[u8]) -> WriteOutcome {
    while !rest.is_empty() {
        if !has_room(stream) {
            return WriteOutcome::Dropped;
        }
        match rustix::io::write(stream, rest) {
            Ok(0) => return WriteOutcome::Dropped,
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            // EPIPE (the reader has closed it), ENOSPC (the disk is full), EIO (the terminal is gone).
            Err(_) => return WriteOutcome::Dropped,
        }
    }
    WriteOutcome::Written
}

fn has_room(stream: BorrowedFd<'_>) -> bool {
    const NOW: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        let mut fds = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
        match poll(&mut fds, Some(&NOW)) {
            Ok(_) => {
                let events = fds[0].revents();
                let closed = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
                return events.contains(PollFlags::OUT) && !events.intersects(closed);
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};
    use std::os::fd::AsFd;

    use wakeful::runtime::Builder;
    use wakeful::task::yield_now;
    use wakeful::time::advance;

    use super::*;

    #[test]
    fn a_line_for_a_full_or_closed_pipe_is_dropped() {
        let (reader, writer) = pipe().expect("a pipe");
        let line = [b'x'; 1000];
        let mut written = 0;
        while try_write_line(writer.as_fd(), &line) == WriteOutcome::Written {
            written += 1;
            assert!(written < 100_000, "a pipe without a reader must fill up");
        }
        assert!(written > 0);
        drop(reader);
        assert_eq!(
            try_write_line(writer.as_fd(), &line),
            WriteOutcome::Dropped,
            "the reader is closed"
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_keeps_its_newline() {
        let (mut reader, writer) = pipe().expect("a pipe");
        let line = format!("x{}\n", "é".repeat(LONGEST));
        assert_eq!(
            try_write_line(writer.as_fd(), line.as_bytes()),
            WriteOutcome::Written
        );
        drop(writer);
        let mut text = String::new();
        reader
            .read_to_string(&mut text)
            .expect("the cut leaves valid UTF-8");
        assert!(
            text.len() <= LONGEST && text.ends_with("é...\n"),
            "{}",
            text.len()
        );
    }

    #[test]
    fn a_burst_of_failures_has_10_lines_and_then_their_number_once_per_second() {
        let runtime = Builder::new().start_paused(true).build().expect("epoll");
        runtime.block_on(async {
            let lines = FailureLines::with_burst(BURST);
            let admitted = |tries: u32| (0..tries).filter(|_| lines.admit()).count();
            let left_out = || lines.lock().left_out;
            assert_eq!((admitted(1000), left_out()), (10, 990));
            yield_now().await; // the task that reports begins to wait
            // A line with the number, and none of the burst.
            advance(INTERVAL).await;
            assert_eq!((left_out(), admitted(5), left_out()), (0, 0, 5));
            advance(INTERVAL).await;
            assert_eq!(left_out(), 0);
            // Quiet intervals give back one line each.
            for _ in 0..3 {
                advance(INTERVAL).await;
            }
            assert_eq!((admitted(5), left_out()), (3, 2));
            for _ in 0..20 {
                advance(INTERVAL).await;
            }
            assert!(!lines.lock().is_reported, "an idle server must not wake up");
            assert_eq!((admitted(20), left_out()), (10, 10));
            yield_now().await;
            advance(INTERVAL).await;
            assert_eq!((left_out(), admitted(7)), (0, 0));
            assert_eq!((lines.log_left_out(), lines.log_left_out()), (7, 0));
        });
    }

    #[test]
    fn an_interval_has_no_line_beside_the_one_with_the_number() {
        let runtime = Builder::new().start_paused(true).build().expect("epoll");
        runtime.block_on(async {
            let lines = FailureLines::with_burst(BURST);
            // Due as soon as the task that reports, and woken before it.
            let fails_first = wakeful::spawn({
                let lines = Arc::clone(&lines);
                async move {
                    sleep(INTERVAL).await;
                    (lines.admit(), lines.lock().left_out)
                }
            });
            yield_now().await;
            assert_eq!((0..1000).filter(|_| lines.admit()).count(), 10);
            yield_now().await; // the task that reports begins to wait
            advance(INTERVAL).await;
            assert_eq!(fails_first.await.expect("it does not panic"), (false, 991));
            assert_eq!(lines.lock().left_out, 0);
        });
    }

    #[test]
    fn failures_that_were_all_logged_leave_no_timer_behind() {
        let runtime = Builder::new().start_paused(true).build().expect("epoll");
        runtime.block_on(async {
            let lines = FailureLines::with_burst(BURST);
            assert!((0..BURST).all(|_| lines.admit()));
            assert!(!lines.lock().is_reported, "an idle server must not wake up");
            advance(INTERVAL * 100).await;
            assert_eq!((0..100).filter(|_| lines.admit()).count(), 10);
        });
    }

    #[test]
    fn without_a_burst_failures_are_counted_for_the_end() {
        let lines = FailureLines::with_burst(0);
        assert_eq!((0..1000).filter(|_| lines.admit()).count(), 0);
        assert_eq!(lines.log_left_out(), 1000);
    }

    #[test]
    fn control_bytes_of_a_peer_are_escaped() {
        let every: Vec<u8> = (0..=255).collect();
        let text = escaped(&every).to_string();
        assert!(
            text.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{text}"
        );
        assert!(text.contains("\\x1b") && text.contains("\\x00") && text.contains("\\n"));
    }

    #[test]
    fn long_messages_are_shortened() {
        let text = escaped(&[0; 100_000]).to_string();
        assert!(
            text.len() < 2000 && text.ends_with("and 99744 more"),
            "{text}"
        );
    }
}
