//! The command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::protocol::{FOOTER, FRAME_LIMIT, LARGEST_FRAME_LIMIT};

/// One key/value server on six I/O models, and their comparison.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves keys and values until SIGINT or SIGTERM.
    Serve(Serve),
    /// Stores a value under a key.
    Put {
        key: String,
        value: String,
        /// The server's address.
        #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDR")]
        connect: SocketAddr,
    },
    /// Prints the value of a key; status 1 when there is none.
    Get {
        key: String,
        /// The server's address.
        #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDR")]
        connect: SocketAddr,
    },
    /// Starts every model, loads it, measures it; writes a table, plots and the raw numbers.
    Compare(Compare),
}

#[derive(Debug, Parser)]
pub(crate) struct Serve {
    /// How the server waits.
    #[arg(long)]
    pub(crate) model: Model,
    /// Where it listens; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDR")]
    pub(crate) bind: SocketAddr,
    /// The largest length that a frame may announce.
    #[arg(long, default_value_t = FRAME_LIMIT, value_name = "BYTES", value_parser = frame_limit)]
    pub(crate) max_frame: usize,
    /// When epoll reports a client again (event-loop only).
    #[arg(long, default_value_t = Trigger::Level)]
    pub(crate) trigger: Trigger,
    /// Past so many clients, accepting waits (threads only).
    #[arg(long, default_value_t = 4096, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_threads: u32,
}

/// How a server waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Model {
    /// One thread, blocking calls, one client at a time.
    Blocking,
    /// A thread per client.
    Threads,
    /// One thread that never waits but asks again, one client at a time.
    BusyWait,
    /// One thread on epoll, a state machine per client.
    EventLoop,
    /// One thread on Wakeful, a task per client.
    Async,
    /// One thread on io_uring.
    Completion,
}

/// When epoll reports a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trigger {
    /// For as long as it is ready.
    Level,
    /// Each time it becomes ready.
    Edge,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Model::Blocking => "blocking",
            Model::Threads => "threads",
            Model::BusyWait => "busy-wait",
            Model::EventLoop => "event-loop",
            Model::Async => "async",
            Model::Completion => "completion",
        })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trigger::Level => "level",
            Trigger::Edge => "edge",
        })
    }
}

#[derive(Debug, Parser)]
pub(crate) struct Compare {
    /// Where the table, the plots and the raw numbers go.
    #[arg(long, default_value = "target/flavors", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Few and short measurements, to see that it works: the numbers mean little.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these models.
    #[arg(long, value_delimiter = ',', value_name = "MODEL,...")]
    pub(crate) models: Vec<Model>,
    /// Also puts the results into this page, between its two marker lines, and the plots into the
    /// folder `flavors` beside it.
    #[arg(long, value_name = "PAGE")]
    pub(crate) publish: Option<PathBuf>,
    /// A remark that stands with the published results.
    #[arg(long, value_name = "TEXT", requires = "publish")]
    pub(crate) remark: Option<String>,
    /// Draws and writes from the raw numbers of an earlier run instead of measuring.
    #[arg(long, value_name = "JSON")]
    pub(crate) from: Option<PathBuf>,
}

fn frame_limit(text: &str) -> Result<usize, String> {
    let allowed = FOOTER.len()..=LARGEST_FRAME_LIMIT;
    match text.parse() {
        Ok(bytes) if allowed.contains(&bytes) => Ok(bytes),
        _ => Err(format!(
            "a number from {} to {}",
            allowed.start(),
            allowed.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn models_and_triggers_are_called_the_same_everywhere() {
        for model in Model::value_variants() {
            let name = model.to_possible_value().expect("none is hidden");
            assert_eq!(name.get_name(), model.to_string());
        }
        for trigger in Trigger::value_variants() {
            let name = trigger.to_possible_value().expect("none is hidden");
            assert_eq!(name.get_name(), trigger.to_string());
        }
    }

    #[test]
    fn a_frame_limit_holds_the_footer_and_leaves_room_for_the_answer() {
        assert_eq!(frame_limit("5"), Ok(5));
        assert_eq!(frame_limit("1073741824"), Ok(1 << 30));
        for wrong in ["4", "-1", "1073741825", "x", ""] {
            assert!(frame_limit(wrong).is_err(), "{wrong}");
        }
    }
}
