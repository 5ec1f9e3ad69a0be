//! Pictures of traces, as SVG: a lane for each task or part, and a row for each step. No time appears in
//! them, so the same program draws the same bytes.

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::{Command, Stdio};

use crate::check::lay_out;
use crate::layout::LAB;
use crate::stage::Stage;
use crate::{Problem, compile, layout, run};

/// Width of a letter.
const LETTER: usize = 8;
const ROW: usize = 24;
const TOP: usize = 64;
const LEFT: usize = 44;

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

    /// Returns where each lane begins, and the width of all.
    fn places(&self) -> (Vec<usize>, usize) {
        let mut places = Vec::new();
        let mut at = LEFT;
        for (lane, name) in self.lanes.iter().enumerate() {
            places.push(at);
            let texts =
                self.steps.iter().filter(|step| step.0 == lane).map(|step| step.1.trim().len());
            at += LETTER * texts.chain([name.len()]).max().unwrap_or(0) + 48;
        }
        (places, at)
    }

    fn width(&self) -> usize {
        self.places().1
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
            "![{}](picture.svg)\n\n<details><summary>The same steps as a list</summary>\n\n{}\n</details>\n",
            self.title,
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
<style>
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
</style>
";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Draws runs side by side, each under its heading.
pub(crate) fn svg(runs: &[(&str, &Picture)]) -> String {
    let width: usize = runs.iter().map(|(_, picture)| picture.width()).sum();
    let rows = runs.iter().map(|(_, picture)| picture.steps.len()).max().unwrap_or(0);
    let height = TOP + ROW * rows + 16;
    let (title, description) =
        runs.first().map_or(("", ""), |(_, picture)| (&*picture.title, &*picture.description));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
         <title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n{STYLE}\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n",
        escape(title),
        escape(description)
    );
    let mut left = 0;
    for (heading, picture) in runs {
        draw(&mut out, left, heading, picture);
        left += picture.width();
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, left: usize, heading: &str, picture: &Picture) {
    let places = picture.places().0;
    let bottom = TOP + ROW * picture.steps.len();
    if !heading.is_empty() {
        let _ = writeln!(
            out,
            "<text class=\"head\" x=\"{}\" y=\"20\">{}</text>",
            left + 12,
            escape(heading)
        );
    }
    for (number, name) in picture.lanes.iter().enumerate() {
        let x = left + places[number] + 12;
        let _ =
            writeln!(out, "<text class=\"head\" x=\"{}\" y=\"44\">{}</text>", x - 6, escape(name));
        let _ = writeln!(out, "<path class=\"lane\" d=\"M{x} {} V{bottom}\"/>", TOP - 12);
    }
    for (number, (lane, text)) in picture.steps.iter().enumerate() {
        let (x, y) = (left + places[*lane] + 12, TOP + ROW * number + 8);
        let _ = writeln!(
            out,
            "<text class=\"number\" x=\"{}\" y=\"{}\">{}</text>",
            left + 12,
            y + 4,
            number + 1
        );
        let _ = writeln!(out, "{}", shape(text.trim(), x, y));
        let _ =
            writeln!(out, "<text x=\"{}\" y=\"{}\">{}</text>", x + 14, y + 4, escape(text.trim()));
    }
}

/// The mark of a step, by its first word.
fn shape(text: &str, x: usize, y: usize) -> String {
    let end = |c: char| !c.is_alphanumeric() && c != '_';
    match text.split(end).next().unwrap_or_default() {
        "poll" | "polls" | "polled" | "read" | "write" | "accept" => {
            format!(
                "<rect class=\"poll\" x=\"{}\" y=\"{}\" width=\"12\" height=\"12\"/>",
                x - 6,
                y - 6
            )
        }
        "wake" | "wakes" | "expires" | "signals" => {
            format!("<path class=\"wake\" d=\"M{} {} h14 l-7 -13 z\"/>", x - 7, y + 6)
        }
        "Ready" | "ends" | "returns" | "gets" => {
            format!("<circle class=\"end\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>")
        }
        "Pending" | "blocks" | "sleeps" => {
            format!("<circle class=\"wait\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>")
        }
        _ => format!("<path class=\"other\" d=\"M{x} {} l5 5 l-5 5 l-5 -5 z\"/>", y - 5),
    }
}
