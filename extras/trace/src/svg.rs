//! A recording as a static picture: a lane for the loop and one for each row, polls colored by what woke the
//! task, waits with what they are for. In a merged trace each program has a lane with its name, before the others.

use std::collections::HashMap;
use std::fmt::Write;

use crate::bars::Bars;
use crate::format::ROOT_ROW;
use crate::model::{CAUSES, Index, Model};
use crate::read::Trace;
use crate::text::{cause_words, task_line, wait_words};
use crate::words::{counted, duration, moment, short_place, xml};

const WIDTH: f64 = 1200.0;
const GUTTER: f64 = 150.0;
const LANE: f64 = 24.0;
const TOP: f64 = 52.0;

/// Rows at most: the busiest ones.
const LANES: usize = 60;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1b2027}.d{fill:#57606c;font-size:11px}.h{font-weight:600}\
.bg{fill:#fff}.e{fill:#eceff3}.t{fill:#9aa3af}.l{fill:#dfe4ea}.n{fill:#f3c6c2}.w{stroke:#9aa3af}.a{stroke:#1b2027;fill:none}\
.c0{fill:#6b7280}.c1{fill:#1f6fb4}.c2{fill:#a16207}.c3{fill:#0f7b55}.c4{fill:#a3418f}.c5{fill:#b91c1c}\
.c6{fill:#0e7490}.c7{fill:#111827}@media(prefers-color-scheme:dark){text{fill:#e6e9ee}.d{fill:#a3acb9}\
.bg{fill:#14171c}.e{fill:#222831}.t{fill:#6f7a89}.l{fill:#2a313b}.n{fill:#6b2a24}.w{stroke:#6f7a89}.a{stroke:#e6e9ee}\
.c0{fill:#9aa4b2}.c1{fill:#5aa9f0}.c2{fill:#f0b040}.c3{fill:#3ecf8e}.c4{fill:#e08ad0}.c5{fill:#ff7a6b}\
.c6{fill:#4fd1e0}.c7{fill:#f5f5f5}}";

/// Wakes by tasks are drawn if they are not more than this.
const ARROWS: usize = 200;

/// Returns the recording as a picture.
pub fn render(trace: &Trace, model: &Model) -> String {
    let lanes = lanes(model);
    let height = TOP + LANE * lanes.len() as f64 + 12.0;
    let mut picture = Picture {
        out: String::new(),
        trace,
        model,
        lanes,
        height,
    };
    picture.draw().ok();
    picture.out
}

/// A lane of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Its name, and what happened from outside.
    Name(Index),
    Loop(Index),
    Row(Index, u32),
}

/// Returns the lanes that are drawn: in each group the root future is before the rows.
fn lanes(model: &Model) -> Vec<Lane> {
    let mut busy: std::collections::BTreeMap<(Index, u32), u64> = std::collections::BTreeMap::new();
    for task in &model.tasks {
        let group = model.group_of[task.runtime];
        *busy.entry((group, task.row)).or_default() += task.busy;
    }
    let mut rows: Vec<((Index, u32), u64)> = busy.into_iter().collect();
    rows.sort_by_key(|((_, row), busy)| (*row != ROOT_ROW, std::cmp::Reverse(*busy)));
    rows.truncate(LANES);
    let mut rows: Vec<(Index, u32)> = rows.into_iter().map(|(row, _)| row).collect();
    rows.sort_by_key(|(_, row)| (*row != ROOT_ROW, *row));
    let mut lanes = Vec::new();
    for (number, group) in model.groups.iter().enumerate() {
        if !group.name.is_empty() {
            lanes.push(Lane::Name(number));
        }
        if !group.runtimes.is_empty() {
            lanes.push(Lane::Loop(number));
        }
        let of_group = rows.iter().filter(|(group, _)| *group == number);
        lanes.extend(of_group.map(|(group, row)| Lane::Row(*group, *row)));
    }
    lanes
}

struct Picture<'a> {
    out: String,
    trace: &'a Trace,
    model: &'a Model,
    lanes: Vec<Lane>,
    height: f64,
}

impl Picture<'_> {
    fn x(&self, time: u64) -> f64 {
        let all = (self.model.end - self.model.begin).max(1) as f64;
        let since = time.saturating_sub(self.model.begin) as f64;
        GUTTER + since / all * (WIDTH - GUTTER - 8.0)
    }

    /// Returns the top of a lane.
    fn y(&self, lane: Lane) -> Option<f64> {
        let lane = self.lanes.iter().position(|known| *known == lane)?;
        Some(TOP + LANE * lane as f64)
    }

    fn lane_of(&self, task: Index) -> Lane {
        let task = &self.model.tasks[task];
        Lane::Row(self.model.group_of[task.runtime], task.row)
    }

    /// Returns the top of a task's lane.
    fn y_of(&self, task: Index) -> Option<f64> {
        self.y(self.lane_of(task))
    }

    fn draw(&mut self) -> std::fmt::Result {
        let height = self.height;
        let title = self.trace.headline();
        let (head, title) = (xml(&cut(&title, 46)), xml(&title));
        let description = format!(
            "{} in {}, a lane per task: bars are polls, the lines between them waits",
            counted(self.model.polls.len(), "poll"),
            duration(self.model.end - self.model.begin)
        );
        write!(
            self.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
             <title>{title}</title>\n<desc>{description}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"bg\" width=\"{WIDTH}\" height=\"{height}\"/>\n<text x=\"8\" y=\"17\">{head}</text>\n"
        )?;
        self.legend()?;
        self.axis()?;
        for group in 0..self.model.groups.len() {
            self.turns(group)?;
        }
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

    fn turns(&mut self, group: Index) -> std::fmt::Result {
        let Some(y) = self.y(Lane::Loop(group)) else {
            return Ok(());
        };
        let is_row = |lane: &&Lane| matches!(lane, Lane::Row(of, _) if *of == group);
        let rows = self.lanes.iter().filter(is_row).count();
        let shaded = match self.model.groups.len() {
            1 => self.height - y,
            _ => LANE * (rows as f64 + 1.0),
        };
        let mut bars = Bars::default();
        for (index, turn) in self.model.turns.iter().enumerate() {
            if self.model.group_of[turn.runtime] == group {
                bars.add(self.x(turn.begin), self.x(turn.end), 0, index);
            }
        }
        for bar in bars.finish() {
            let (x, width) = (bar.from, bar.width());
            write!(
                self.out,
                "<rect class=\"e\" x=\"{x:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{shaded}\"/>\
                 <rect class=\"t\" x=\"{x:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"{}\"/>",
                y + 7.0,
                LANE - 14.0
            )?;
        }
        self.out.push('\n');
        Ok(())
    }

    fn labels(&mut self) -> std::fmt::Result {
        for index in 0..self.lanes.len() {
            let y = TOP + LANE * index as f64;
            let (lane, model) = (self.lanes[index], self.model);
            let label = match lane {
                Lane::Name(group) => {
                    self.notes(group, y)?;
                    model.groups[group].name.clone()
                }
                Lane::Loop(_) => "loop (epoll_wait)".to_owned(),
                Lane::Row(_, ROOT_ROW) => "root".to_owned(),
                Lane::Row(_, row) => format!("row {row}"),
            };
            let mut tasks = (0..model.tasks.len()).filter(|task| self.lane_of(*task) == lane);
            let named = tasks.find(|task| model.tasks[*task].name != 0);
            let label = match named {
                Some(task) => format!("{label} {}", self.trace.text(model.tasks[task].name)),
                None => label,
            };
            self.label(y, &label, matches!(lane, Lane::Name(_)))?;
        }
        Ok(())
    }

    /// Draws what happened to a program from outside.
    fn notes(&mut self, group: Index, y: f64) -> std::fmt::Result {
        let trace = self.trace;
        let name = &self.model.groups[group].name;
        for note in trace.notes.iter().filter(|note| note.name == *name) {
            let (from, to) = (self.x(note.begin), self.x(note.end));
            let width = (to - from).max(1.5);
            // Left of it, where it would leave the picture.
            let is_left = from + 6.0 * note.text.chars().count() as f64 > WIDTH - 12.0;
            let (x, anchor) = match is_left {
                true => (from - 4.0, "end"),
                false => (from + 4.0, "start"),
            };
            let text = xml(&note.text);
            writeln!(
                self.out,
                "<rect class=\"n\" x=\"{from:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"{}\"/>\
                 <text class=\"d\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{text}</text>",
                y + 4.0,
                LANE - 8.0,
                y + 16.0,
            )?;
        }
        Ok(())
    }

    fn label(&mut self, y: f64, label: &str, is_bold: bool) -> std::fmt::Result {
        let y = y + 16.0;
        let class = if is_bold { " class=\"h\"" } else { "" };
        writeln!(
            self.out,
            "<text x=\"8\" y=\"{y}\"{class}>{}</text>",
            xml(&cut(label, 21))
        )
    }

    fn lives(&mut self) -> std::fmt::Result {
        // Right end of what is drawn in each lane, by its top: short lives beside it are not seen.
        let mut drawn = HashMap::new();
        for (index, task) in self.model.tasks.iter().enumerate() {
            let Some(y) = self.y_of(index) else {
                continue;
            };
            let (from, to) = (self.x(task.begin), self.x(self.model.task_end(task)));
            let last = drawn.entry(y as u64).or_insert(f64::MIN);
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
            let (from, to) = (self.x(wait.begin), self.x(self.model.wait_end(wait)));
            let Some(y) = self.y_of(wait.task) else {
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
        let mut lanes: Vec<Bars> = self.lanes.iter().map(|_| Bars::default()).collect();
        for (index, poll) in self.model.polls.iter().enumerate() {
            let lane = self.lane_of(poll.task);
            let Some(lane) = self.lanes.iter().position(|known| *known == lane) else {
                continue;
            };
            let (from, to) = (self.x(poll.begin), self.x(poll.end));
            lanes[lane].add(from, to, poll.cause.kind, index);
        }
        for (lane, bars) in lanes.into_iter().enumerate() {
            let y = TOP + LANE * lane as f64 + 3.0;
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
            let (Some(y0), Some(y1)) = (self.y_of(by), self.y_of(to.task)) else {
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
