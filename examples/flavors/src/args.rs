//! The command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::protocol::{FOOTER, FRAME_LIMIT, LARGEST_FRAME_LIMIT};

/// A key/value server on six I/O models, and their comparison.
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
    /// Prints the value of a key. Exits with status 1 if the key has no value.
    Get {
        key: String,
        /// The server's address.
        #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDR")]
        connect: SocketAddr,
    },
    /// Starts and measures every model under load; writes a table, plots and the raw numbers.
    Compare(Compare),
}

#[derive(Debug, Parser)]
pub(crate) struct Serve {
    /// How the server waits.
    #[arg(long)]
    pub(crate) model: Model,
    /// Address to listen on; port 0 selects a free port.
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDR")]
    pub(crate) bind: SocketAddr,
    /// Maximum length of a frame.
    #[arg(long, default_value_t = FRAME_LIMIT, value_name = "BYTES", value_parser = frame_limit)]
    pub(crate) max_frame: usize,
    /// Trigger mode of epoll (event-loop only).
    #[arg(long, default_value_t = Trigger::Level)]
    pub(crate) trigger: Trigger,
    /// Maximum number of client threads; further clients wait (threads only).
    #[arg(long, default_value_t = 4096, value_name = "N", value_parser = max_threads())]
    pub(crate) max_threads: u32,
}

/// How a server waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Model {
    /// One thread, blocking calls, one client at a time.
    Blocking,
    /// A thread per client.
    Threads,
    /// One thread that retries without waiting, one client at a time.
    BusyWait,
    /// One thread on epoll with a state machine per client.
    EventLoop,
    /// One thread on Wakeful with a task per client.
    Async,
    /// One thread on io_uring.
    Completion,
}

/// Trigger mode of epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trigger {
    /// Events for as long as a descriptor is ready.
    Level,
    /// An event each time a descriptor becomes ready.
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
    /// Folder for the table, the plots and the raw numbers.
    #[arg(long, default_value = "target/flavors", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Takes few and short measurements, as a smoke test: the numbers mean little.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measures only these models.
    #[arg(long, value_delimiter = ',', value_name = "MODEL,...")]
    pub(crate) models: Vec<Model>,
    /// Also writes the results into this page, between its two marker lines, and the plots into the
    /// folder `flavors` next to it.
    #[arg(long, value_name = "PAGE")]
    pub(crate) publish: Option<PathBuf>,
    /// A remark to publish with the results.
    #[arg(long, value_name = "TEXT", requires = "publish")]
    pub(crate) remark: Option<String>,
    /// Uses the raw numbers of an earlier run instead of measuring.
    #[arg(long, value_name = "JSON")]
    pub(crate) from: Option<PathBuf>,
}

fn max_threads() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

fn frame_limit(text: &str) -> Result<usize, String> {
    let allowed = FOOTER.len()..=LARGEST_FRAME_LIMIT;
    match text.parse() {
        Ok(bytes) if allowed.contains(&bytes) => Ok(bytes),
        _ => Err(format!(
            "expected a number from {} to {}",
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
    fn the_command_line_definition_is_valid() {
        Args::command().debug_assert();
    }

    #[test]
    fn models_and_triggers_are_displayed_as_their_arguments() {
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
    fn a_frame_limit_is_at_least_the_footer_and_at_most_a_gibibyte() {
        assert_eq!(frame_limit("5"), Ok(5));
        assert_eq!(frame_limit("1073741824"), Ok(1 << 30));
        for wrong in ["4", "-1", "1073741825", "x", ""] {
            assert!(frame_limit(wrong).is_err(), "{wrong}");
        }
    }
}
