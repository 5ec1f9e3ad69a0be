//! Parts `syscalls` and `instructions`: system calls under strace, instructions and allocations under
//! valgrind.
//!
//! The server runs twice with different amounts of work. The result is the difference of the counts
//! divided by the difference of the work, so that start-up and shutdown cancel out.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::{Bench, Collected, Recorder};
use crate::contestants::{Contestant, ECHO_SERVER, FLOOR, MINIMAL, SERVERS, TOKIO};
use crate::server::Server;

/// The counted work.
#[derive(Clone, Copy)]
enum Task {
    /// Messages of 64 bytes from this number of clients.
    Messages { clients: u32 },
    /// Connections with one message each, this number at once.
    Connections { at_once: u32 },
}

impl Task {
    fn title(self) -> String {
        match self {
            Task::Messages { clients: 1 } => "per message, 1 client".to_owned(),
            Task::Messages { clients } => format!("per message, {clients} clients"),
            Task::Connections { at_once } => format!("per connection, {at_once} at once"),
        }
    }

    fn load(self, count: u32) -> String {
        match self {
            Task::Messages { clients } => format!("echo --clients {clients} --messages {count}"),
            Task::Connections { at_once } => {
                format!("connections --clients {at_once} --count {count}")
            }
        }
    }
}

const TASKS: [Task; 3] = [
    Task::Messages { clients: 1 },
    Task::Messages { clients: 50 },
    Task::Connections { at_once: 50 },
];

/// Contestants of a quick run; valgrind is slow.
const QUICK: [&str; 4] = [FLOOR, ECHO_SERVER.name, MINIMAL.name, TOKIO];

pub(crate) fn syscalls(bench: &Bench, collected: &mut Collected) -> io::Result<()> {
    collected.note(
        "Counted by `strace -c -f` on the server. A traced server is slow, so more clients are ready at \
         once than without strace; this holds for all servers.",
    );
    let kind = Tool {
        program: "strace",
        arguments: &["-c", "-f", "-o"],
        few_many: bench.quick_or_full((500, 2500), (1000, 6000)),
        read: read_strace,
    };
    kind.measure(bench, collected, |recorder, title, counts| {
        recorder.add(title, 0.0, "calls", counts.values().sum());
        for (name, count) in counts {
            // A call that is made less than once per 100 operations is not part of the path.
            if *count >= 0.01 {
                recorder.add(&format!("{title}: {name}"), 0.0, "each", *count);
            }
        }
    })
}

pub(crate) fn instructions(bench: &Bench, collected: &mut Collected) -> io::Result<()> {
    collected.note(
        "User-space instructions of the server, counted by valgrind's callgrind, and allocations \
         (freed ones included), counted by its memcheck. Under valgrind the server is slow, so all \
         clients are ready whenever it polls.",
    );
    let callgrind = Tool {
        program: "valgrind",
        arguments: &["--tool=callgrind", "--callgrind-out-file"],
        few_many: bench.quick_or_full((500, 1500), (1000, 5000)),
        read: read_callgrind,
    };
    callgrind.measure(bench, collected, |recorder, title, counts| {
        recorder.add(title, 0.0, "instructions", counts.values().sum());
    })?;
    let memcheck = Tool {
        arguments: &["--tool=memcheck", "--leak-check=no", "--log-file"],
        read: read_memcheck,
        ..callgrind
    };
    memcheck.measure(bench, collected, |recorder, title, counts| {
        recorder.add(title, 0.0, "allocations", counts.values().sum());
    })
}

/// Counts by name.
type Counts = BTreeMap<String, f64>;

/// A counting tool.
#[derive(Clone, Copy)]
struct Tool {
    program: &'static str,
    /// Arguments; the last one takes the output file.
    arguments: &'static [&'static str],
    few_many: (u32, u32),
    read: fn(&str) -> Counts,
}

impl Tool {
    fn measure(
        &self,
        bench: &Bench,
        collected: &mut Collected,
        mut write: impl FnMut(&mut Recorder<'_>, &str, &Counts),
    ) -> io::Result<()> {
        let status = Command::new(self.program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            collected.skip(format!("{} is not installed", self.program));
            return Ok(());
        }
        // Excluded: its threads end before the tool has counted all of their work.
        let mut contestants = bench.selected(&SERVERS);
        contestants.retain(|one| one.name != "thread per connection");
        if bench.quick {
            contestants.retain(|one| QUICK.contains(&one.name));
        }
        let file = std::env::temp_dir().join(format!("bench-suite-{}", std::process::id()));
        let (few, many) = self.few_many;
        bench.in_turn(
            self.program,
            1,
            &TASKS,
            &contestants,
            collected,
            |task, one, recorder| {
                let less = self.count(bench, one, *task, few, &file)?;
                let more = self.count(bench, one, *task, many, &file)?;
                let each = more.into_iter().map(|(name, count)| {
                    let before = less.get(&name).copied().unwrap_or(0.0);
                    (name, (count - before) / f64::from(many - few))
                });
                write(recorder, &task.title(), &each.collect());
                Ok(())
            },
        );
        if file.exists() {
            fs::remove_file(file)?;
        }
        Ok(())
    }

    fn count(
        &self,
        bench: &Bench,
        contestant: &Contestant,
        task: Task,
        count: u32,
        file: &Path,
    ) -> io::Result<Counts> {
        let mut tool = vec![self.program.to_owned()];
        tool.extend(self.arguments.iter().map(|&argument| argument.to_owned()));
        let path: PathBuf = file.to_owned();
        // strace takes the file as the next argument, valgrind after an equals sign.
        match tool.last_mut() {
            Some(last) if last.starts_with("--") => *last = format!("{last}={}", path.display()),
            _ => tool.push(path.display().to_string()),
        }
        let cores = [bench.server_core];
        let server = Server::start(&bench.programs, contestant, &[], &tool, &cores)?;
        bench.run_load(&server, &task.load(count))?;
        server.stop()?;
        let counts = (self.read)(&fs::read_to_string(file)?);
        if counts.is_empty() {
            let what = format!("no counts in the output of {}", self.program);
            return Err(io::Error::other(what));
        }
        Ok(counts)
    }
}

/// Reads the table of `strace -c`: share, seconds, time per call, calls, errors (or nothing), name.
fn read_strace(text: &str) -> Counts {
    let lines = text.lines().map(|line| line.split_whitespace().collect());
    lines
        .filter_map(|words: Vec<&str>| match words[..] {
            [_, _, _, calls, .., name] if name != "total" => {
                Some((name.to_owned(), calls.parse().ok()?))
            }
            _ => None,
        })
        .collect()
}

/// Reads the line `summary: N` (or `totals: N`) of a callgrind file.
fn read_callgrind(text: &str) -> Counts {
    let line = text.lines().find_map(|line| {
        line.strip_prefix("summary: ")
            .or_else(|| line.strip_prefix("totals: "))
    });
    let count = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    count
        .map(|count| ("instructions".to_owned(), count))
        .into_iter()
        .collect()
}

/// Reads the line `total heap usage: 1,234 allocs, ..` of memcheck.
fn read_memcheck(text: &str) -> Counts {
    let rest = text.split("total heap usage: ").nth(1);
    let word = rest.and_then(|rest| rest.split_whitespace().next());
    let count = word.and_then(|word| word.replace(',', "").parse().ok());
    count
        .map(|count| ("allocations".to_owned(), count))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strace_is_read_with_and_without_errors() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n \
                    60.00    0.000600           6       100           recvfrom\n \
                    40.00    0.000400           4        50        25 accept4\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.001000           6       150        25 total\n";
        let counts = read_strace(text);
        assert_eq!(counts.len(), 2);
        assert_eq!(counts["recvfrom"], 100.0);
        assert_eq!(counts["accept4"], 50.0);
    }

    #[test]
    fn the_totals_of_valgrind_are_read() {
        let callgrind = "events: Ir\nfn=(1) main\n1 5\n\ntotals: 123456\n";
        assert_eq!(read_callgrind(callgrind)["instructions"], 123_456.0);
        let memcheck = "==1==   total heap usage: 1,234 allocs, 1,200 frees, 9 bytes allocated\n";
        assert_eq!(read_memcheck(memcheck)["allocations"], 1234.0);
        assert!(read_memcheck("killed").is_empty());
    }
}
