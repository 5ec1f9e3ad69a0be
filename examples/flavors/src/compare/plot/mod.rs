//! The plots, as SVG: line plots over the number of clients ([`lines`]), and bar plots ([`bars`]).
//!
//! Each model has the same color and mark in all plots. A line plot has points only where every
//! client was served; its legend marks lines that end early.

mod bars;
mod lines;

use std::fs;
use std::io;
use std::path::Path;

use plotters::element::{DynElement, IntoDynElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::result::{Cell, Comparison, Measured};
use super::table::{number, repeatability};
use bars::{Bar, BarPlot};
use lines::LinePlot;

/// File name and caption of each plot.
pub(crate) const PLOTS: [(&str, &str); 8] = [
    (
        "throughput.svg",
        "Requests per second by number of clients (higher is better)",
    ),
    (
        "slow-reader.svg",
        "Requests per second of ten clients, without and with a slow reader (higher is better)",
    ),
    (
        "latency.svg",
        "99th percentile of the request time by clients (lower is better)",
    ),
    (
        "cpu.svg",
        "CPU seconds of the server per 100,000 requests (lower is better)",
    ),
    (
        "switches.svg",
        "Context switches per request by number of clients (lower is better)",
    ),
    (
        "memory.svg",
        "Resident memory by number of clients (lower is better)",
    ),
    ("calls.svg", "System calls per request (lower is better)"),
    (
        "idle.svg",
        "CPU use of a server with idle clients (lower is better)",
    ),
];

const SIZE: (u32, u32) = (860, 480);
const FONT: &str = "sans-serif";
const TITLE_SIZE: u32 = 19;
const TEXT_SIZE: u32 = 14;

type Root<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Mark<'a> = DynElement<'static, SVGBackend<'a>, (i32, i32)>;
type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Draws all plots into a folder.
pub(crate) fn draw_all(found: &Comparison, folder: &Path) -> io::Result<()> {
    for (file, caption) in PLOTS {
        let path = folder.join(file);
        let root = SVGBackend::new(&path, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(io::Error::other)?;
        let drawn = match file {
            "slow-reader.svg" | "calls.svg" | "idle.svg" => {
                bars::draw(found, &root, &bar_plot(found, file, caption))
            }
            _ => lines::draw(found, &root, &line_plot(file, caption)),
        };
        drawn.map_err(|error| io::Error::other(format!("draw {file}: {error}")))?;
        root.present().map_err(io::Error::other)?;
        describe(&path, caption)?;
    }
    Ok(())
}

/// Adds the caption to a file for programs that read it aloud. The backend has no element for it.
fn describe(path: &Path, caption: &str) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let start = text.find("<svg").unwrap_or(0);
    let end = text[start..].find('>').map(|length| start + length + 1);
    let (head, body) = text.split_at(end.unwrap_or(start));
    let head = head.replacen("<svg", "<svg role=\"img\"", 1);
    fs::write(path, format!("{head}\n<title>{caption}</title>{body}"))
}

/// Returns the definition of a line plot.
fn line_plot(file: &str, caption: &'static str) -> LinePlot {
    let (unit, is_log, value): (_, _, fn(&Cell) -> Option<f64>) = match file {
        "latency.svg" => ("p99, microseconds", true, |cell| cell.p99_us),
        "cpu.svg" => (
            "CPU seconds per 100,000 requests",
            true,
            Cell::cpu_per_100_000,
        ),
        "switches.svg" => (
            "context switches per request",
            false,
            Cell::switches_per_request,
        ),
        "memory.svg" => ("resident memory, MiB", false, |cell| {
            Some(cell.resident_kib as f64 / 1024.0)
        }),
        _ => ("requests per second", false, |cell| Some(cell.per_second())),
    };
    LinePlot {
        caption,
        unit,
        is_log,
        value,
    }
}

/// Returns the definition of a bar plot.
fn bar_plot(found: &Comparison, file: &str, caption: &'static str) -> BarPlot {
    let mut note = None;
    let (unit, groups, bars): (_, _, fn(&Measured) -> Vec<Bar>) = match file {
        "slow-reader.svg" => {
            note = repeatability(found).map(|percent| {
                format!(
                    "Each bar was measured once. Measurements that should be equal differ by up to \
                     {percent:.0} %: two bars of a model are equal within the noise."
                )
            });
            (
                "requests per second",
                &["without a slow reader", "with a slow reader"][..],
                |model| {
                    [false, true]
                        .map(|slow| slow_reader_bar(model, slow))
                        .into()
                },
            )
        }
        "calls.svg" => (
            "system calls per request",
            &["1 client", "100 clients"][..],
            |model| [1, 100].map(|clients| calls_bar(model, clients)).into(),
        ),
        _ => ("% of a core", &["idle clients"][..], |model| {
            let percent = model.idle.as_ref().map(|idle| idle.cpu_percent());
            vec![percent.map(|percent| (percent, format!("{percent:.0}")))]
        }),
    };
    BarPlot {
        caption,
        unit,
        groups,
        note,
        bars,
    }
}

fn slow_reader_bar(model: &Measured, slow_reader: bool) -> Bar {
    let cell = model.cells.iter().find(|cell| {
        cell.clients == 10 && cell.slow_reader == slow_reader && cell.idle_clients == 0
    })?;
    if cell.all_served() {
        Some((cell.per_second(), thousands(cell.per_second())))
    } else {
        Some((0.0, format!("{}/{}", cell.served, cell.clients)))
    }
}

fn calls_bar(model: &Measured, clients: usize) -> Bar {
    let calls = model.calls.iter().find(|calls| calls.clients == clients)?;
    Some(match calls.total() {
        Some(total) => (total, format!("{total:.1}")),
        None => (0.0, "not all".to_owned()),
    })
}

/// Returns the color of a model, from the palette for color-blind readers by M. Okabe and K. Ito.
fn color(name: &str) -> RGBColor {
    match name {
        "blocking" => RGBColor(70, 70, 70),
        "threads" => RGBColor(213, 94, 0),
        "busy-wait" => RGBColor(204, 121, 167),
        "event-loop (level)" => RGBColor(0, 114, 178),
        "event-loop (edge)" => RGBColor(86, 180, 233),
        "async" => RGBColor(0, 158, 115),
        _ => RGBColor(214, 150, 0),
    }
}

/// Returns the mark of a model.
fn mark<'a>(name: &str, at: (i32, i32)) -> Mark<'a> {
    let color = color(name);
    let (full, line) = (color.filled(), color.stroke_width(2));
    let path = |corners: &[(i32, i32)]| {
        let corners = corners.iter().map(|(x, y)| (at.0 + x, at.1 + y));
        PathElement::new(corners.collect::<Vec<_>>(), line).into_dyn()
    };
    match name {
        "blocking" => Cross::new(at, 6, color.stroke_width(3)).into_dyn(),
        "threads" => Rectangle::new([(at.0 - 5, at.1 - 5), (at.0 + 5, at.1 + 5)], full).into_dyn(),
        "busy-wait" => path(&[(-8, 0), (8, 0), (0, 0), (0, -8), (0, 8)]),
        "event-loop (level)" => TriangleMarker::new(at, 8, full).into_dyn(),
        "event-loop (edge)" => path(&[(0, 9), (-8, -5), (8, -5), (0, 9), (-8, -5)]),
        "async" => Circle::new(at, 5, full).into_dyn(),
        _ => Circle::new(at, 6, line).into_dyn(),
    }
}

fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&RGBColor(30, 30, 30))
}

fn anchored(size: u32, h: HPos, v: VPos) -> TextStyle<'static> {
    text(size).pos(Pos::new(h, v))
}

/// Formats the label of an axis.
fn axis(figure: f64) -> String {
    match figure {
        f if f < 10.0 => {
            let text = format!("{f:.2}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            text.to_owned()
        }
        f => number(f),
    }
}

/// Formats the label of a bar.
fn thousands(figure: f64) -> String {
    if figure < 10_000.0 {
        number(figure)
    } else {
        format!("{:.0}k", figure / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plot_says_what_is_better_and_names_itself() {
        for (file, caption) in PLOTS {
            assert!(caption.ends_with(" is better)"), "{file}: {caption}");
        }
        let path = std::env::temp_dir().join(format!("flavors-plot-{}.svg", std::process::id()));
        fs::write(&path, "<svg width=\"1\">\n<rect/></svg>").expect("the folder is writable");
        describe(&path, "caption").expect("the file exists");
        let text = fs::read_to_string(&path).expect("the file exists");
        fs::remove_file(&path).expect("the file exists");
        let expected = "<svg role=\"img\" width=\"1\">\n<title>caption</title>\n<rect/></svg>";
        assert_eq!(text, expected);
    }
}
