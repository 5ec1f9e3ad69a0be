//! A recording as a static picture: a lane for the loop and one for each row, polls colored by what woke the
//! task, waits with what they are for.

use std::collections::HashMap;
use std::fmt::Write;

use crate::format::ROOT_ROW;
use crate::model::{CAUSES, Model};
use crate::read::Trace;
use crate::text::{cause_words, task_line, wait_words};
use crate::words::{counted, duration, moment, short_place, xml};

const WIDTH: f64 = 1200.0;
const GUTTER: f64 = 150.0;
const LANE: f64 = 24.0;
const TOP: f64 = 52.0;

/// Lanes at most: the busiest rows.
const LANES: usize = 60;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1b2027}.d{fill:#57606c;font-size:11px}\
.bg{fill:#fff}.e{fill:#eceff3}.t{fill:#9aa3af}.l{fill:#dfe4ea}.w{stroke:#9aa3af}.a{stroke:#1b2027;fill:none}\
.c0{fill:#6b7280}.c1{fill:#1f6fb4}.c2{fill:#a16207}.c3{fill:#0f7b55}.c4{fill:#a3418f}.c5{fill:#b91c1c}\
.c6{fill:#0e7490}.c7{fill:#111827}@media(prefers-color-scheme:dark){text{fill:#e6e9ee}.d{fill:#a3acb9}\
.bg{fill:#14171c}.e{fill:#222831}.t{fill:#6f7a89}.l{fill:#2a313b}.w{stroke:#6f7a89}.a{stroke:#e6e9ee}\
.c0{fill:#9aa4b2}.c1{fill:#5aa9f0}.c2{fill:#f0b040}.c3{fill:#3ecf8e}.c4{fill:#e08ad0}.c5{fill:#ff7a6b}\
.c6{fill:#4fd1e0}.c7{fill:#f5f5f5}}";

/// Wakes by tasks are drawn if they are not more than this.
const ARROWS: usize = 200;

/// Returns the recording as a picture.
pub fn render(trace: &Trace, model: &Model) -> String {
    let rows = rows(model);
    let height = TOP + LANE * (rows.len() as f64 + 1.0) + 12.0;
    let mut picture = Picture {
        out: String::new(),
        trace,
        model,
        rows,
        height,
    };
    picture.draw().ok();
    picture.out
}

/// Returns the rows that are drawn, the root future first.
fn rows(model: &Model) -> Vec<u32> {
    let mut busy: std::collections::BTreeMap<u32, u64> = std::collections::BTreeMap::new();
    for task in &model.tasks {
        *busy.entry(task.row).or_default() += task.busy;
    }
    let mut rows: Vec<(u32, u64)> = busy.into_iter().collect();
    rows.sort_by_key(|(row, busy)| (*row != ROOT_ROW, std::cmp::Reverse(*busy)));
    rows.truncate(LANES);
    let mut rows: Vec<u32> = rows.into_iter().map(|(row, _)| row).collect();
    rows.sort_by_key(|row| (*row != ROOT_ROW, *row));
    rows
}

struct Picture<'a> {
    out: String,
    trace: &'a Trace,
    model: &'a Model,
    rows: Vec<u32>,
    height: f64,
}

impl Picture<'_> {
    fn x(&self, time: u64) -> f64 {
        let all = (self.model.end - self.model.begin).max(1) as f64;
        let since = time.saturating_sub(self.model.begin) as f64;
        GUTTER + since / all * (WIDTH - GUTTER - 8.0)
    }

    /// Returns the top of a row's lane.
    fn y(&self, row: u32) -> Option<f64> {
        let lane = self.rows.iter().position(|known| *known == row)?;
        Some(TOP + LANE * (lane as f64 + 1.0))
    }

    fn draw(&mut self) -> std::fmt::Result {
        let (trace, height) = (self.trace, self.height);
        let title = format!("Wakeful runtime {}, process {}", trace.runtime, trace.pid);
        let description = format!(
            "{} in {}, a lane per task: bars are polls, the lines between them waits",
            counted(self.model.polls.len(), "poll"),
            duration(self.model.end - self.model.begin)
        );
        write!(
            self.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
             <title>{title}</title>\n<desc>{description}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"bg\" width=\"{WIDTH}\" height=\"{height}\"/>\n<text x=\"8\" y=\"17\">{title}</text>\n"
        )?;
        self.legend()?;
        self.axis()?;
        self.turns()?;
        self.labels()?;
        self.lives()?;
        self.waits()?;
        self.polls()?;
        self.wakes()?;
        self.out.push_str("</svg>\n");
        Ok(())
    }

    fn legend(&mut self) -> std::fmt::Result {
        let mut x = 330.0;
        for (kind, cause) in CAUSES.iter().enumerate() {
            write!(
                self.out,
                "<rect class=\"c{kind}\" x=\"{x}\" y=\"8\" width=\"10\" height=\"10\"/>\
                 <text class=\"d\" x=\"{}\" y=\"17\">{cause}</text>",
                x + 14.0
            )?;
            x += 68.0;
        }
        self.out.push('\n');
        Ok(())
    }

    fn axis(&mut self) -> std::fmt::Result {
        let all = self.model.end - self.model.begin;
        let step = step_of(all / 9);
        let mut time = self.model.begin.div_ceil(step) * step;
        while time <= self.model.end {
            let x = self.x(time);
            if x > WIDTH - 50.0 {
                break;
            }
            write!(
                self.out,
                "<text class=\"d\" x=\"{:.1}\" y=\"38\">{}</text><rect class=\"t\" x=\"{x:.1}\" y=\"41\" \
                 width=\"1\" height=\"5\"/>",
                x + 3.0,
                duration(time)
            )?;
            time += step;
        }
        self.out.push('\n');
        Ok(())
    }

    fn turns(&mut self) -> std::fmt::Result {
        let mut bars = Bars::default();
        for (index, turn) in self.model.turns.iter().enumerate() {
            bars.add(self.x(turn.begin), self.x(turn.end), 0, index);
        }
        for bar in bars.finish() {
            let (x, width) = (bar.from, bar.width());
            write!(
                self.out,
                "<rect class=\"e\" x=\"{x:.2}\" y=\"{TOP}\" width=\"{width:.2}\" height=\"{}\"/>\
                 <rect class=\"t\" x=\"{x:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"{}\"/>",
                self.height - TOP,
                TOP + 7.0,
                LANE - 14.0
            )?;
        }
        self.out.push('\n');
        Ok(())
    }

    fn labels(&mut self) -> std::fmt::Result {
        self.label(TOP, "loop (epoll_wait)")?;
        for index in 0..self.rows.len() {
            let row = self.rows[index];
            let mut label = match row {
                ROOT_ROW => "root".to_owned(),
                row => format!("row {row}"),
            };
            let named = self
                .model
                .tasks
                .iter()
                .find(|t| t.row == row && t.name != 0);
            if let Some(task) = named {
                label = format!("{label} {}", self.trace.text(task.name));
            }
            self.label(TOP + LANE * (index as f64 + 1.0), &label)?;
        }
        Ok(())
    }

    fn label(&mut self, y: f64, label: &str) -> std::fmt::Result {
        let y = y + 16.0;
        writeln!(
            self.out,
            "<text x=\"8\" y=\"{y}\">{}</text>",
            xml(&cut(label, 21))
        )
    }

    fn lives(&mut self) -> std::fmt::Result {
        // Right end of what is drawn in each row: short lives beside it are not seen.
        let mut drawn = HashMap::new();
        for (index, task) in self.model.tasks.iter().enumerate() {
            let Some(y) = self.y(task.row) else {
                continue;
            };
            let to = task.end.map_or(self.model.end, |end| end.0);
            let (from, to) = (self.x(task.begin), self.x(to));
            let last = drawn.entry(task.row).or_insert(f64::MIN);
            if to - *last < 0.5 {
                continue;
            }
            *last = to;
            writeln!(
                self.out,
                "<rect class=\"l\" x=\"{from:.2}\" y=\"{}\" width=\"{:.2}\" height=\"{}\"><title>{}</title></rect>",
                y + 4.0,
                (to - from).max(0.5),
                LANE - 8.0,
                xml(&task_line(self.trace, self.model, index))
            )?;
        }
        Ok(())
    }

    /// Draws a line for each wait that is wider than 3 pixels, and its label if it fits.
    fn waits(&mut self) -> std::fmt::Result {
        for wait in &self.model.waits {
            let (from, to) = (
                self.x(wait.begin),
                self.x(wait.end.unwrap_or(self.model.end)),
            );
            let Some(y) = self.y(self.model.tasks[wait.task].row) else {
                continue;
            };
            if to - from < 3.0 {
                continue;
            }
            let mut label = match wait.operation {
                0 => "waits".to_owned(),
                operation => self.trace.text(operation).to_owned(),
            };
            if wait.place != 0 {
                write!(label, " {}", short_place(self.trace.text(wait.place))).ok();
            }
            let label = cut(&label, ((to - from - 14.0) / 5.8).max(0.0) as usize);
            let width = match label.chars().count() {
                0..10 => 0.0,
                _ => 8.0 + label.chars().count() as f64 * 5.8,
            };
            let middle = y + LANE / 2.0;
            let words = wait_words(self.trace, self.model, wait);
            write!(self.out, "<g><title>{}</title>", xml(&words))?;
            if width > 0.0 {
                let (x, y) = (from + 4.0, middle + 4.0);
                let label = xml(&label);
                write!(
                    self.out,
                    "<text class=\"d\" x=\"{x:.1}\" y=\"{y}\">{label}</text>"
                )?;
            }
            writeln!(
                self.out,
                "<path class=\"w\" d=\"M{:.1} {middle}H{to:.1}\"/></g>",
                (from + width).min(to)
            )?;
        }
        Ok(())
    }

    /// Draws polls; those that nearly touch are one bar, with the tooltip of the longest one.
    fn polls(&mut self) -> std::fmt::Result {
        let mut lanes: Vec<Bars> = self.rows.iter().map(|_| Bars::default()).collect();
        for (index, poll) in self.model.polls.iter().enumerate() {
            let row = self.model.tasks[poll.task].row;
            let Some(lane) = self.rows.iter().position(|known| *known == row) else {
                continue;
            };
            let (from, to) = (self.x(poll.begin), self.x(poll.end));
            lanes[lane].add(from, to, poll.cause.kind, index);
        }
        for (lane, bars) in lanes.into_iter().enumerate() {
            let y = TOP + LANE * (lane as f64 + 1.0) + 3.0;
            for bar in bars.finish() {
                writeln!(
                    self.out,
                    "<rect class=\"c{}\" x=\"{:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"{}\"><title>{}</title></rect>",
                    bar.cause.min(7),
                    bar.from,
                    bar.width(),
                    LANE - 6.0,
                    xml(&self.poll_words(bar.entry))
                )?;
            }
        }
        Ok(())
    }

    fn poll_words(&self, poll: usize) -> String {
        let poll = &self.model.polls[poll];
        format!(
            "{}: poll of {} at {}, {}, {}",
            task_line(self.trace, self.model, poll.task),
            duration(poll.duration()),
            moment(poll.begin),
            cause_words(self.trace, self.model, poll),
            poll.outcome.word()
        )
    }

    fn wakes(&mut self) -> std::fmt::Result {
        if self.model.wakes.len() > ARROWS {
            return Ok(());
        }
        for wake in &self.model.wakes {
            let (Some(by), Some(to)) = (wake.by, wake.to_poll) else {
                continue;
            };
            let to = &self.model.polls[to];
            let rows = (
                self.y(self.model.tasks[by].row),
                self.y(self.model.tasks[to.task].row),
            );
            let (Some(y0), Some(y1)) = rows else {
                continue;
            };
            let (x0, x1) = (self.x(wake.time), self.x(to.begin));
            let bend = ((x1 - x0) / 2.0).clamp(2.0, 30.0);
            let (y0, y1) = (y0 + LANE / 2.0, y1 + LANE / 2.0);
            writeln!(
                self.out,
                "<path class=\"a\" stroke-width=\".7\" d=\"M{x0:.1} {y0}C{:.1} {y0} {:.1} {y1} {x1:.1} {y1}\"/>",
                x0 + bend,
                x1 - bend
            )?;
        }
        Ok(())
    }
}

/// Returns the smallest step of the form 1, 2 or 5 times a power of ten that is not below a length.
fn step_of(length: u64) -> u64 {
    let mut power = 1;
    while power * 10 < length.min(1 << 60) {
        power *= 10;
    }
    let steps = [1, 2, 5, 10].map(|factor| factor * power);
    steps
        .into_iter()
        .find(|step| *step >= length)
        .unwrap_or(steps[3])
}

/// Returns at most `limit` letters of a text, with an ellipsis if there are more.
fn cut(text: &str, limit: usize) -> String {
    match text.chars().count() {
        count if count <= limit => text.to_owned(),
        _ if limit < 3 => String::new(),
        _ => text.chars().take(limit - 1).chain(['…']).collect(),
    }
}

/// A bar of a lane.
struct Bar {
    from: f64,
    to: f64,
    cause: u8,
    /// Number of the longest entry in the bar.
    entry: usize,
    longest: f64,
}

impl Bar {
    fn width(&self) -> f64 {
        (self.to - self.from).max(0.4)
    }
}

/// Bars of one lane, joined where they nearly touch: a picture of a million polls has a thousand bars.
#[derive(Default)]
struct Bars(Vec<Bar>);

impl Bars {
    fn add(&mut self, from: f64, to: f64, cause: u8, entry: usize) {
        let longest = to - from;
        if let Some(last) = self.0.last_mut()
            && from - last.to < 0.3
            && (last.cause == cause || longest < 0.8)
        {
            last.to = last.to.max(to);
            if longest > last.longest {
                (last.longest, last.entry, last.cause) = (longest, entry, cause);
            }
            return;
        }
        self.0.push(Bar {
            from,
            to,
            cause,
            entry,
            longest,
        });
    }

    fn finish(self) -> Vec<Bar> {
        self.0
    }
}
