//! `top`: asks the loop for keyframes and shows what changed between two of them.

use std::cmp::Reverse;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::{Duration, Instant};

use wakeful_trace::live::{self, Live};
use wakeful_trace::table::{self, Row, State};
use wakeful_trace::words::{counted, duration, short_place};
use wakeful_trace::{Model, Trace};

use crate::args::{Sort, Top};
use crate::screen::{Key, Screen};
use crate::{Failure, PATIENCE, paths, print, unreadable, warn};

/// Runs the command.
pub(crate) fn run(options: &Top) -> Result<(), Failure> {
    let recording = open(options)?;
    let mut view = View::new(recording, options.sort)?;
    if options.once {
        view.refresh()?;
        thread::sleep(options.interval);
        view.refresh()?;
        view.sort();
        warn(&view.trace);
        return print(&match options.json {
            true => table::to_json(&view.trace, &view.rows, view.elapsed),
            false => format!(
                "{}\n\n{}",
                view.status(),
                table::aligned(&view.lines(), NUMBERS)
            ),
        });
    }
    if !io::stdout().is_terminal() {
        let message = "the output of top is no terminal; --once prints one table";
        return Err(Failure::Other(message.to_owned()));
    }
    let mut screen = Screen::enter()?;
    let outcome = show(&mut view, &mut screen, options.interval);
    screen.leave()?;
    outcome
}

/// Opens the recording, that of the runtime with the given number if there are several.
fn open(options: &Top) -> Result<Live, Failure> {
    let mut known = Vec::new();
    for path in paths(&options.from)? {
        let recording = Live::open(&path)?;
        let runtime = recording
            .read()
            .map_err(|error| unreadable(&options.from.words(), error))?
            .runtime;
        if options.runtime.is_none_or(|wanted| wanted == runtime) {
            return Ok(recording);
        }
        known.push(runtime.to_string());
    }
    Err(Failure::Other(format!(
        "no recording is of that runtime; there are runtimes {}",
        known.join(", ")
    )))
}

fn show(view: &mut View, screen: &mut Screen, interval: Duration) -> Result<(), Failure> {
    view.refresh()?;
    loop {
        let next = Instant::now() + interval;
        loop {
            view.sort();
            screen.draw(&view.page(screen.size()))?;
            match screen.key(next.saturating_duration_since(Instant::now()))? {
                Some(key) if !view.key(key) => return Ok(()),
                Some(_) => {}
                None if Instant::now() >= next => break,
                None => {}
            }
        }
        view.refresh()?;
    }
}

const HEADS: [&str; 8] = [
    "TASK",
    "BUSY %",
    "POLLS/S",
    "WAKES/S",
    "STATE",
    "FOR",
    "SPAWNED AT",
    "WAITS IN",
];
const NUMBERS: &[usize] = &[1, 2, 3, 5];

/// What is shown.
struct View {
    recording: Live,
    trace: Trace,
    model: Model,
    rows: Vec<Row>,
    /// Time between the last two keyframes.
    elapsed: u64,
    /// Moment of the last look.
    looked: Option<Instant>,
    /// Since when no keyframe has come.
    silent: Option<Instant>,
    readable: bool,
    sort: Sort,
    /// Number of the line with the cursor.
    cursor: usize,
    filter: String,
    /// Whether keys are letters of the filter.
    typing: bool,
    details: bool,
}

impl View {
    fn new(recording: Live, sort: Sort) -> Result<Self, Failure> {
        let trace = recording.read()?;
        Ok(Self {
            model: Model::new(&trace),
            recording,
            trace,
            rows: Vec::new(),
            elapsed: 0,
            looked: None,
            silent: None,
            readable: true,
            sort,
            cursor: 0,
            filter: String::new(),
            typing: false,
            details: false,
        })
    }

    /// Asks for a keyframe, waits for it, and reads the recording.
    fn refresh(&mut self) -> Result<(), Failure> {
        let asked = Instant::now();
        // A process of another namespace seems to have ended, too.
        let patience = match live::thread_state(&self.trace) {
            Some(_) if !self.trace.ended => PATIENCE,
            _ => PATIENCE / 10,
        };
        let answered = self.recording.keyframe(patience)?;
        self.readable = answered.is_some();
        let now = Instant::now();
        self.silent = match (answered, self.silent) {
            (Some(true), _) => None,
            (_, since) => since.or(Some(asked)),
        };
        self.trace = self.recording.read()?;
        self.model = Model::new(&self.trace);
        let mut rows = table::rows(&self.trace, &self.model);
        if live::thread_state(&self.trace).is_some()
            && !self.trace.ended
            && let Some(age) = live::age(&self.trace)
        {
            table::add_age(&mut rows, age);
        }
        let before = std::mem::replace(&mut self.rows, rows);
        if let Some(looked) = self.looked {
            self.elapsed = (now - looked).as_nanos() as u64;
            table::rates(&mut self.rows, &before, self.elapsed);
        }
        self.looked = Some(now);
        Ok(())
    }

    fn sort(&mut self) {
        let sort = self.sort;
        let figure = |row: &Row| match sort {
            Sort::Busy => row.busy_percent * 1000.0,
            Sort::Polls => row.polls_rate * 1000.0,
            Sort::Wakes => row.wakes_rate * 1000.0,
            Sort::Wait if row.state == State::Waits => row.since as f64,
            Sort::Wait => 0.0,
        };
        self.rows.sort_by_key(|row| {
            (
                row.state != State::Polled,
                Reverse(figure(row) as u64),
                row.task,
            )
        });
    }

    /// Returns the first line: the loop, and why figures may be old.
    fn status(&self) -> String {
        let mut line = table::loop_line(&self.trace, &self.model);
        let Some(state) = live::thread_state(&self.trace) else {
            line.push_str("; the process has ended");
            return line;
        };
        if !self.readable {
            line.push_str(
                "; the recording cannot be written, so the figures are those of its last events",
            );
        } else if let Some(since) = self.silent
            && !self.trace.ended
        {
            let since = duration(since.elapsed().as_nanos() as u64);
            let why = match self.trace.published.parked {
                true => "it is idle",
                false => "it is stuck",
            };
            line.push_str(&format!("; no keyframe for {since}: {why}, {state}"));
        }
        line
    }

    fn shown(&self) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        let contains = |text: &str| text.to_lowercase().contains(&filter);
        self.rows
            .iter()
            .filter(|row| {
                [&row.id, &row.name, &row.place, &row.wait]
                    .into_iter()
                    .any(|text| contains(text))
            })
            .collect()
    }

    /// Returns the table: a line of heads, and a line per task.
    fn lines(&self) -> Vec<[String; 8]> {
        let mut lines = vec![HEADS.map(str::to_owned)];
        lines.extend(self.shown().into_iter().map(|row| {
            let name = match row.name.as_str() {
                "" => row.id.clone(),
                name => format!("{} \"{name}\"", row.id),
            };
            [
                name,
                format!("{:.1}", row.busy_percent),
                format!("{:.0}", row.polls_rate),
                format!("{:.0}", row.wakes_rate),
                row.state.word().to_owned(),
                row.since_words(),
                short_place(&row.place),
                row.wait.clone(),
            ]
        }));
        lines
    }

    /// Returns the lines of the screen, and the number of the one to mark.
    fn page(&mut self, (width, height): (usize, usize)) -> (Vec<String>, Option<usize>) {
        let count = self.shown().len();
        self.cursor = self.cursor.min(count.saturating_sub(1));
        let key = match self.sort {
            Sort::Busy => "busy",
            Sort::Polls => "polls",
            Sort::Wakes => "wakes",
            Sort::Wait => "wait",
        };
        let tasks = counted(count, "task");
        let help = match self.typing {
            true => format!("filter: {}_", self.filter),
            false => {
                let filter = match self.filter.as_str() {
                    "" => String::new(),
                    filter => format!("; filter {filter:?}"),
                };
                format!(
                    "{tasks} by {key}{filter}   q quit  s sort  / filter  ↑↓ move  Enter details"
                )
            }
        };
        let mut page = wrapped(&self.status(), width);
        page.push(help);
        if self.details {
            page.extend(self.detail_lines());
            return (page, None);
        }
        let room = height.saturating_sub(page.len() + 1).max(1);
        let first = (self.cursor + 1).saturating_sub(room);
        let table = table::aligned(&self.lines(), NUMBERS);
        let mut lines = table.lines().map(str::to_owned);
        page.extend(lines.next());
        let mark = page.len() + self.cursor - first;
        page.extend(lines.skip(first).take(room));
        (page, (count > 0).then_some(mark))
    }

    fn detail_lines(&self) -> Vec<String> {
        let shown = self.shown();
        let Some(row) = shown.get(self.cursor) else {
            return Vec::new();
        };
        let longest = self.model.tasks[row.task]
            .longest
            .map(|poll| duration(self.model.polls[poll].duration()));
        [
            ("task", row.id.clone()),
            ("name", row.name.clone()),
            ("spawned at", row.place.clone()),
            (
                "state",
                format!("{} for {}", row.state.word(), row.since_words()),
            ),
            ("waits in", row.wait.clone()),
            ("polls", row.polls.to_string()),
            (
                "busy",
                format!("{} ({:.1} %)", duration(row.busy), row.busy_percent),
            ),
            ("longest poll", longest.unwrap_or_default()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:>14}  {value}"))
        .collect()
    }

    /// Handles a key. Returns `false` if the program is to end.
    fn key(&mut self, key: Key) -> bool {
        match (key, self.typing) {
            (Key::Interrupt, _) => return false,
            (Key::Enter | Key::Escape, true) => {
                self.typing = false;
                if key == Key::Escape {
                    self.filter.clear();
                }
            }
            (Key::Backspace, true) => {
                self.filter.pop();
            }
            (Key::Letter(letter), true) => self.filter.push(letter),
            (Key::Letter('q'), _) => return false,
            (Key::Letter('/'), _) => (self.typing, self.details) = (true, false),
            (Key::Letter('s'), _) => {
                self.sort = match self.sort {
                    Sort::Busy => Sort::Polls,
                    Sort::Polls => Sort::Wakes,
                    Sort::Wakes => Sort::Wait,
                    Sort::Wait => Sort::Busy,
                };
            }
            (Key::Up, _) => self.cursor = self.cursor.saturating_sub(1),
            (Key::Down, _) => self.cursor += 1,
            (Key::Enter, _) => self.details = !self.details,
            (Key::Escape, _) => {
                self.details = false;
                self.filter.clear();
            }
            _ => {}
        }
        true
    }
}

/// Returns a line as lines of at most `width` letters, broken between words.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.len() - 1;
        let length = lines[last].chars().count();
        if length > 0 && length + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
            continue;
        }
        if length > 0 {
            lines[last].push(' ');
        }
        lines[last].push_str(word);
    }
    lines
}
