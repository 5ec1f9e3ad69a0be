//! Pictures of traces, as SVG: a lane for each task or part, and a row for each step. No time appears in
//! them, so the same program draws the same bytes. A picture of a page has two layouts, because half of the
//! lanes of a wide one would be outside of the screen of a phone.

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::check::lay_out;
use crate::layout::LAB;
use crate::stage::Stage;
use crate::{Problem, compile, layout, run};

/// Width of a letter.
const LETTER: usize = 8;
/// Between the middle of a mark and its text.
const GAP: usize = 14;
/// Width of a narrow layout at most: that of a page on a small phone, and of an image without a width.
pub(crate) const NARROW: usize = 300;

/// What a check wrote about a run.
#[derive(Default)]
pub(crate) struct Picture {
    title: String,
    description: String,
    lanes: Vec<String>,
    /// Lane and text.
    steps: Vec<(usize, String)>,
}

impl Picture {
    fn parse(text: &str) -> Picture {
        let mut picture = Picture::default();
        for line in text.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["title", text] => text.clone_into(&mut picture.title),
                ["description", text] => text.clone_into(&mut picture.description),
                ["lane", name] => picture.lanes.push(name.to_owned()),
                ["step", lane, text] => {
                    picture.steps.push((lane.parse().unwrap_or(0), text.to_owned()));
                }
                _ => {}
            }
        }
        picture
    }

    /// Returns the layout with a column of texts for each lane.
    fn wide(&self) -> Layout {
        let (mut lanes, mut at) = (Vec::new(), 44);
        for (lane, name) in self.lanes.iter().enumerate() {
            lanes.push(at);
            let texts = self.steps.iter().filter(|step| step.0 == lane);
            let longest = texts.map(|step| letters(&step.1)).chain([letters(name)]).max();
            at += LETTER * longest.unwrap_or(0) + 44;
        }
        Layout { lanes, text: None, heads: 0, row: 24, width: at }
    }

    /// Returns the layout with one column for the texts of all lanes.
    fn narrow(&self) -> Layout {
        let lanes: Vec<usize> = (0..self.lanes.len()).map(|lane| 38 + 16 * lane).collect();
        let text = lanes.last().copied().unwrap_or(0) + GAP;
        let longest = self.steps.iter().map(|step| letters(&step.1)).max().unwrap_or(0);
        Layout { lanes, text: Some(text), heads: 18, row: 20, width: text + LETTER * longest }
    }

    /// Returns the width of the narrow layout.
    pub(crate) fn narrow_width(&self) -> usize {
        self.narrow().width
    }

    /// The steps as a list, for readers who do not see the picture.
    pub(crate) fn list(&self) -> String {
        let step =
            |(lane, text): &(usize, String)| format!("- {}: {}\n", self.lanes[*lane], text.trim());
        self.steps.iter().map(step).collect()
    }

    /// The lines of the page that show the picture and its steps.
    pub(crate) fn markdown(&self) -> String {
        format!(
            "![{}](picture.svg)\n\n{}\n\n<details><summary>The same steps as a list</summary>\n\n{}\n</details>\n",
            self.title,
            fill(&format!("*{}.* {}", self.title, self.description)),
            self.list()
        )
    }
}

/// Runs the picture of a check that is compiled in `out`. None if the stage has no picture, or if its run
/// never ends.
pub(crate) fn trace(out: &str) -> Result<Option<Picture>, Problem> {
    let failed = |error| format!("running {out}/check: {error}");
    let mut command = Command::new(layout::path(&format!("{out}/check")));
    command.arg("draw").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    // A picture has some kilobytes, so the pipe has room for all of it.
    let output = child.stdout.take();
    run::ends(child)?;
    let mut text = String::new();
    output.map_or(Ok(0), |mut output| output.read_to_string(&mut text)).map_err(failed)?;
    let picture = Picture::parse(&text);
    Ok((!picture.lanes.is_empty()).then_some(picture))
}

/// Returns the picture of the reference.
pub(crate) fn reference(stage: &Stage) -> Result<Option<Picture>, Problem> {
    let out = format!("{LAB}/{}-reference", stage.folder());
    let source = format!("{out}/src");
    lay_out(&stage.solution()?, &source)?;
    let compiled = compile::stage(&source, &stage.path("check.rs"), &out, false)?;
    match compiled.success {
        true => trace(&out),
        false => Err(format!("the reference of stage {} does not compile", stage.number)),
    }
}

/// The style: colors for light and dark, and shapes that differ without them.
const STYLE: &str = "\
text { font: 13px ui-monospace, monospace; fill: #1b1b1b }
.head { font-weight: bold }
.number { fill: #5a5a5a }
.back { fill: #ffffff }
.lane { stroke: #9a9a9a }
.poll { fill: #1f5fa8 }
.wake { fill: #a84a00 }
.end { fill: #1d6b33 }
.wait { fill: #ffffff; stroke: #1b1b1b; stroke-width: 2 }
.other { fill: #5a5a5a }
@media (prefers-color-scheme: dark) {
text { fill: #ececec }
.number { fill: #b5b5b5 }
.back { fill: #1b1b1b }
.lane { stroke: #6f6f6f }
.poll { fill: #7db4ee }
.wake { fill: #f0a35e }
.end { fill: #7fcf95 }
.wait { fill: #1b1b1b; stroke: #ececec }
.other { fill: #b5b5b5 }
}
";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Breaks a paragraph into lines.
fn fill(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + 1 + word.len() > 110 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn letters(text: &str) -> usize {
    text.trim().chars().count()
}

/// Where the parts of a run are.
struct Layout {
    /// The middle of each lane.
    lanes: Vec<usize>,
    /// Where all texts begin. None: each beside its mark.
    text: Option<usize>,
    /// Between the names of two lanes, from top to bottom.
    heads: usize,
    /// Height of a step.
    row: usize,
    width: usize,
}

impl Layout {
    /// Returns where the name of a lane stands.
    fn head(&self, lane: usize) -> usize {
        24 + self.heads * lane
    }

    /// Returns the middle of a step.
    fn step(&self, number: usize) -> usize {
        self.head(self.lanes.len().saturating_sub(1)) + 28 + self.row * number
    }
}

/// Draws runs side by side, each under its heading.
pub(crate) fn svg(runs: &[(&str, &Picture)]) -> String {
    let width: usize = runs.iter().map(|(_, picture)| picture.wide().width).sum();
    let mut drawing = String::new();
    let (mut left, mut bottom) = (0, 0);
    for (heading, picture) in runs {
        let x = left + 12;
        let _ = writeln!(drawing, "<text class=\"head\" x=\"{x}\" y=\"20\">{heading}</text>");
        let _ = writeln!(drawing, "<g transform=\"translate({left} 24)\">");
        let layout = picture.wide();
        draw(&mut drawing, &layout, picture);
        drawing.push_str("</g>\n");
        left += layout.width;
        bottom = bottom.max(24 + layout.step(picture.steps.len()));
    }
    let pictures: Vec<&Picture> = runs.iter().map(|run| run.1).collect();
    let end = legend(&mut drawing, &marks(&pictures), bottom, width);
    let Some(picture) = pictures.first() else { return String::new() };
    document(picture, &width.to_string(), end, "", &drawing)
}

/// Draws a run for a page, in two layouts. The width of the image decides which of them is visible, so the
/// document has no width of its own.
pub(crate) fn for_page(picture: &Picture) -> String {
    let marks = marks(&[picture]);
    let (wide, mut narrow) = (picture.wide(), picture.narrow());
    let mut drawing = String::new();
    let mut height = 0;
    let from = wide.width.max(legend_width(&marks));
    // One height for both, as far as the rows allow it.
    let steps = picture.steps.len();
    let legend_of = |width| legend(&mut String::new(), &marks, 0, width);
    let rows = wide.step(steps) + legend_of(from) - narrow.step(0) - legend_of(NARROW);
    narrow.row = (rows / steps.max(1)).clamp(20, wide.row);
    for (class, layout, width) in [("wide", &wide, from), ("narrow", &narrow, NARROW)] {
        let _ = writeln!(drawing, "<g class=\"{class}\">");
        draw(&mut drawing, layout, picture);
        let bottom = layout.step(picture.steps.len());
        height = height.max(legend(&mut drawing, &marks, bottom, width));
        drawing.push_str("</g>\n");
    }
    let style = format!(
        ".narrow {{ display: none }}\n@media (max-width: {}px) {{\n.wide {{ display: none }}\n\
         .narrow {{ display: inline }}\n}}\n",
        from - 1
    );
    document(picture, "100%", height, &style, &drawing)
}

fn document(picture: &Picture, width: &str, height: usize, style: &str, drawing: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-labelledby=\"title desc\">\n<title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n\
         <style>\n{STYLE}{style}</style>\n<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n\
         {drawing}</svg>\n",
        escape(&picture.title),
        escape(&picture.description)
    )
}

fn draw(out: &mut String, layout: &Layout, picture: &Picture) {
    let bottom = layout.step(picture.steps.len()) - layout.row / 2;
    for (lane, name) in picture.lanes.iter().enumerate() {
        let (x, y) = (layout.lanes[lane], layout.head(lane));
        let (left, name) = (x - 6, escape(name));
        let _ = writeln!(out, "<text class=\"head\" x=\"{left}\" y=\"{y}\">{name}</text>");
        let _ = writeln!(out, "<path class=\"lane\" d=\"M{x} {} V{bottom}\"/>", y + 6);
    }
    for (number, (lane, text)) in picture.steps.iter().enumerate() {
        let (x, y) = (layout.lanes[*lane], layout.step(number));
        let (line, number) = (y + 4, number + 1);
        let _ = writeln!(out, "<text class=\"number\" x=\"8\" y=\"{line}\">{number}</text>");
        Mark::of(text).draw(out, x, y);
        let left = layout.text.unwrap_or(x + GAP);
        let _ = writeln!(out, "<text x=\"{left}\" y=\"{line}\">{}</text>", escape(text.trim()));
    }
}

/// Returns the marks that occur.
fn marks(pictures: &[&Picture]) -> Vec<Mark> {
    let steps = || pictures.iter().flat_map(|picture| &picture.steps);
    let occurs = |mark: &Mark| steps().any(|step| Mark::of(&step.1) == *mark);
    Mark::ALL.into_iter().filter(occurs).collect()
}

/// Width of a mark and its meaning.
fn entry_width(mark: Mark) -> usize {
    GAP + LETTER * letters(mark.meaning()) + 16
}

fn legend_width(marks: &[Mark]) -> usize {
    8 + marks.iter().map(|mark| entry_width(*mark)).sum::<usize>()
}

/// Draws what the marks mean. Returns where it ends.
fn legend(out: &mut String, marks: &[Mark], top: usize, width: usize) -> usize {
    let (mut x, mut y) = (8, top + 12);
    // One mark says nothing.
    if marks.len() < 2 {
        return top;
    }
    for mark in marks {
        if x > 8 && x + entry_width(*mark) > width {
            (x, y) = (8, y + 20);
        }
        mark.draw(out, x + 6, y);
        let (left, line, meaning) = (x + 6 + GAP, y + 4, mark.meaning());
        let _ = writeln!(out, "<text class=\"number\" x=\"{left}\" y=\"{line}\">{meaning}</text>");
        x += entry_width(*mark);
    }
    y + 16
}

/// What kind of step it is.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Call,
    Wake,
    End,
    Wait,
    Other,
}

impl Mark {
    const ALL: [Mark; 5] = [Mark::Call, Mark::Wake, Mark::End, Mark::Wait, Mark::Other];

    /// Returns the mark of a step, by its first word.
    fn of(text: &str) -> Mark {
        let end = |c: char| !c.is_alphanumeric() && c != '_';
        match text.trim().split(end).next().unwrap_or_default() {
            "poll" | "polls" | "polled" | "read" | "write" | "accept" | "epoll_create1"
            | "epoll_ctl" | "epoll_wait" => Mark::Call,
            "wake" | "wakes" | "expires" | "signals" => Mark::Wake,
            "Ready" | "ends" | "returns" | "gets" | "panics" | "dropped" => Mark::End,
            "Pending" | "blocks" | "sleeps" => Mark::Wait,
            _ => Mark::Other,
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Mark::Call => "poll or call",
            Mark::Wake => "wake",
            Mark::End => "end",
            Mark::Wait => "wait",
            Mark::Other => "other step",
        }
    }

    /// Draws the mark around a point.
    fn draw(self, out: &mut String, x: usize, y: usize) {
        let _ = match self {
            Mark::Call => {
                let (x, y) = (x - 6, y - 6);
                writeln!(
                    out,
                    "<rect class=\"poll\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\"/>"
                )
            }
            Mark::Wake => {
                writeln!(out, "<path class=\"wake\" d=\"M{} {} h14 l-7 -13 z\"/>", x - 7, y + 6)
            }
            Mark::End => writeln!(out, "<circle class=\"end\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>"),
            Mark::Wait => writeln!(out, "<circle class=\"wait\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>"),
            Mark::Other => {
                writeln!(out, "<path class=\"other\" d=\"M{x} {} l5 5 l-5 5 l-5 -5 z\"/>", y - 5)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{NARROW, Picture, fill, for_page, svg};

    fn picture() -> Picture {
        Picture::parse(
            "title\tA picture\nlane\tone\nlane\ttwo\nlane\tthree\nstep\t0\tpoll a\nstep\t2\tPending <1>\n",
        )
    }

    #[test]
    fn a_picture_for_a_page_has_each_step_in_both_layouts() {
        let drawn = for_page(&picture());
        for text in ["poll a", "Pending &lt;1&gt;", "three"] {
            assert_eq!(drawn.matches(&format!(">{text}</text>")).count(), 2, "{text}");
        }
        assert!(drawn.contains("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%\""));
    }

    #[test]
    fn the_legend_has_the_marks_that_occur() {
        for drawn in [for_page(&picture()), svg(&[("yours", &picture())])] {
            assert!(drawn.contains(">poll or call</text>") && drawn.contains(">wait</text>"));
            assert!(!drawn.contains(">wake</text>") && !drawn.contains(">other step</text>"));
        }
    }

    #[test]
    fn the_narrow_layout_has_its_texts_beside_all_lanes() {
        let narrow = picture().narrow();
        let text = narrow.text.unwrap();
        assert!(narrow.lanes.iter().all(|lane| lane + 8 < text));
        let mut long = picture();
        long.steps.push((0, "a step that is longer than thirty".to_owned()));
        assert!(picture().narrow_width() < NARROW && NARROW < long.narrow_width());
    }

    #[test]
    fn a_description_is_broken_into_lines() {
        let text = fill(&"twelve chars ".repeat(20));
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.len() <= 110));
    }
}
