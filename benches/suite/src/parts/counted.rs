//! What can be counted exactly: system calls under strace, instructions and allocations under
//! valgrind. Two runs that differ only in how much is done, and the difference of what was counted,
//! divided by the difference of the work: so start-up and end cancel out.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::contest::{Contestant, ECHO_SERVER, FLOOR, MINIMAL, SERVERS, TOKIO};
use crate::server::Server;
use crate::stage::{Gathered, Run, Stage};

/// What is done a little and a lot.
#[derive(Clone, Copy)]
enum Task {
    /// Messages of 64 bytes, by so many clients.
    Messages { clients: u32 },
    /// Connections that live for one message, so many at once.
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

/// Whom a quick run counts: valgrind is slow.
const QUICK: [&str; 4] = [FLOOR, ECHO_SERVER.name, MINIMAL.name, TOKIO];

pub(crate) fn syscalls(stage: &Stage, gathered: &mut Gathered) -> io::Result<()> {
    gathered.note(
        "Counted by `strace -c -f` on the server; a traced server is slow, so that more clients are \
         ready at once than otherwise, for everybody alike.",
    );
    let kind = Kind {
        program: "strace",
        arguments: &["-c", "-f", "-o"],
        few_many: stage.either((500, 2500), (1000, 6000)),
        read: read_strace,
    };
    kind.measure(stage, gathered, |run, title, counts| {
        run.add(title, 0.0, "calls", counts.values().sum());
        for (name, count) in counts {
            // What happens once in a hundred times is not part of the path.
            if *count >= 0.01 {
                run.add(&format!("{title}: {name}"), 0.0, "each", *count);
            }
        }
    })
}

pub(crate) fn instructions(stage: &Stage, gathered: &mut Gathered) -> io::Result<()> {
    gathered.note(
        "User-space instructions by valgrind's callgrind, allocations (also of memory that is freed \
         again) by its memcheck, in the server only. Under valgrind the server is slow, so that all \
         clients are ready whenever it looks.",
    );
    let callgrind = Kind {
        program: "valgrind",
        arguments: &["--tool=callgrind", "--callgrind-out-file"],
        few_many: stage.either((500, 1500), (1000, 5000)),
        read: read_callgrind,
    };
    callgrind.measure(stage, gathered, |run, title, counts| {
        run.add(title, 0.0, "instructions", counts.values().sum());
    })?;
    let memcheck = Kind {
        arguments: &["--tool=memcheck", "--leak-check=no", "--log-file"],
        read: read_memcheck,
        ..callgrind
    };
    memcheck.measure(stage, gathered, |run, title, counts| {
        run.add(title, 0.0, "allocations", counts.values().sum());
    })
}

/// Counts by name.
type Counts = BTreeMap<String, f64>;

/// A tool that counts.
#[derive(Clone, Copy)]
struct Kind {
    program: &'static str,
    /// The last one names the file to write.
    arguments: &'static [&'static str],
    few_many: (u32, u32),
    read: fn(&str) -> Counts,
}

impl Kind {
    fn measure(
        &self,
        stage: &Stage,
        gathered: &mut Gathered,
        mut write: impl FnMut(&mut Run<'_>, &str, &Counts),
    ) -> io::Result<()> {
        let there = Command::new(self.program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !there.is_ok_and(|status| status.success()) {
            let failure = format!("{} is not installed", self.program);
            gathered.failures.push(failure);
            return Ok(());
        }
        // Threads of a per-connection thread end before they are counted to the end; and nobody
        // doubts what that server does.
        let mut contestants = stage.selected(&SERVERS);
        contestants.retain(|one| one.name != "thread per connection");
        if stage.quick {
            contestants.retain(|one| QUICK.contains(&one.name));
        }
        let file = std::env::temp_dir().join(format!("bench-suite-{}", std::process::id()));
        let (few, many) = self.few_many;
        stage.in_turns(
            self.program,
            1,
            &TASKS,
            &contestants,
            gathered,
            |task, one, run| {
                let less = self.count(stage, one, *task, few, &file)?;
                let more = self.count(stage, one, *task, many, &file)?;
                let each = more.into_iter().map(|(name, count)| {
                    let before = less.get(&name).copied().unwrap_or(0.0);
                    (name, (count - before) / f64::from(many - few))
                });
                write(run, &task.title(), &each.collect());
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
        stage: &Stage,
        contestant: &Contestant,
        task: Task,
        count: u32,
        file: &Path,
    ) -> io::Result<Counts> {
        let mut tool = vec![self.program.to_owned()];
        tool.extend(self.arguments.iter().map(|&argument| argument.to_owned()));
        let path: PathBuf = file.to_owned();
        // strace takes the file as the next argument, valgrind behind a sign of equality.
        match tool.last_mut() {
            Some(last) if last.starts_with("--") => *last = format!("{last}={}", path.display()),
            _ => tool.push(path.display().to_string()),
        }
        let cores = [stage.server_core];
        let server = Server::start(&stage.programs, contestant, &[], &tool, &cores)?;
        stage.load(&server, &task.load(count))?;
        server.stop()?;
        let counts = (self.read)(&fs::read_to_string(file)?);
        if counts.is_empty() {
            let what = format!("{} wrote no counts", self.program);
            return Err(io::Error::other(what));
        }
        Ok(counts)
    }
}

/// The table of `strace -c`: share, seconds, time per call, calls, errors (or nothing), name.
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

/// The line `summary: N` (or `totals: N`) of a callgrind file.
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

/// The line `total heap usage: 1,234 allocs, ..` of memcheck.
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
    fn the_sums_of_valgrind_are_read() {
        let callgrind = "events: Ir\nfn=(1) main\n1 5\n\ntotals: 123456\n";
        assert_eq!(read_callgrind(callgrind)["instructions"], 123_456.0);
        let memcheck = "==1==   total heap usage: 1,234 allocs, 1,200 frees, 9 bytes allocated\n";
        assert_eq!(read_memcheck(memcheck)["allocations"], 1234.0);
        assert!(read_memcheck("killed").is_empty());
    }
}
