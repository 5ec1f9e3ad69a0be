//! The plots, as SVG: lines over the number of clients, and bars.
//!
//! Each model has one colour and one mark in all of them. A point is drawn only where every client was
//! served; the legend says which models stop where.

use std::io;
use std::path::Path;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::element::{DashedPathElement, DynElement, IntoDynElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::result::{Cell, Comparison, Measured};
use super::table::number;

/// All plots: file and caption.
pub(crate) const PLOTS: [(&str, &str); 8] = [
    ("throughput.svg", "Requests per second by number of clients"),
    (
        "slow-reader.svg",
        "Requests per second of ten clients, without and with a slow reader",
    ),
    (
        "latency.svg",
        "The 99th percentile of the time of a request by number of clients",
    ),
    (
        "cpu.svg",
        "The server's CPU seconds per 100,000 requests by number of clients",
    ),
    (
        "switches.svg",
        "Context switches per request by number of clients",
    ),
    ("memory.svg", "Resident memory by number of clients"),
    ("calls.svg", "System calls per request"),
    ("idle.svg", "CPU use of a server whose clients say nothing"),
];

const SIZE: (u32, u32) = (860, 480);
/// For the legend, at the right.
const LEGEND: u32 = 240;
const FONT: &str = "sans-serif";
const TITLE: u32 = 19;
const TEXT: u32 = 14;

/// A figure and its label, where there is one.
type Bar = Option<(f64, String)>;
type Root<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Mark<'a> = DynElement<'static, SVGBackend<'a>, (i32, i32)>;

/// Draws all of them into a folder.
pub(crate) fn plots(found: &Comparison, folder: &Path) -> io::Result<()> {
    for (file, caption) in PLOTS {
        let path = folder.join(file);
        let root = SVGBackend::new(&path, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(io::Error::other)?;
        draw(file, caption, found, &root)?;
        root.present().map_err(io::Error::other)?;
    }
    Ok(())
}

fn draw(file: &str, caption: &str, found: &Comparison, root: &Root<'_>) -> io::Result<()> {
    match file {
        "throughput.svg" => lines(found, root, caption, "requests per second", false, |cell| {
            Some(cell.per_second())
        }),
        "latency.svg" => lines(found, root, caption, "p99, microseconds", true, |cell| {
            cell.p99_us
        }),
        "cpu.svg" => lines(
            found,
            root,
            caption,
            "CPU seconds per 100,000 requests",
            true,
            |cell| cell.cpu_per_100_000(),
        ),
        "switches.svg" => lines(
            found,
            root,
            caption,
            "context switches per request",
            false,
            |cell| cell.switches_per_request(),
        ),
        "memory.svg" => lines(
            found,
            root,
            caption,
            "resident memory, MiB",
            false,
            |cell| Some(cell.resident_kib as f64 / 1024.0),
        ),
        "slow-reader.svg" => bars(
            found,
            root,
            caption,
            "requests per second",
            &["alone", "beside a client that does not read"],
            |model| {
                let rate = |slow: bool| {
                    let mut cells = model.cells.iter();
                    let cell = cells.find(|cell| {
                        cell.clients == 10 && cell.slow_reader == slow && cell.idle_clients == 0
                    })?;
                    let label = if cell.holds() {
                        thousands(cell.per_second())
                    } else {
                        format!("{}/{}", cell.served, cell.clients)
                    };
                    Some((if cell.holds() { cell.per_second() } else { 0.0 }, label))
                };
                vec![rate(false), rate(true)]
            },
        ),
        "calls.svg" => bars(
            found,
            root,
            caption,
            "system calls per request",
            &["one at a time", "a hundred at once"],
            |model| {
                [1, 100]
                    .map(|clients| {
                        let calls = model.calls.iter().find(|calls| calls.clients == clients)?;
                        Some(match calls.total() {
                            Some(total) => (total, format!("{total:.1}")),
                            None => (0.0, "not all".to_owned()),
                        })
                    })
                    .into()
            },
        ),
        _ => bars(
            found,
            root,
            caption,
            "% of a core",
            &["all clients silent"],
            |model| {
                let idle = model.idle.as_ref();
                vec![idle.map(|idle| (idle.cpu_percent(), format!("{:.0}", idle.cpu_percent())))]
            },
        ),
    }
    .map_err(|error| io::Error::other(format!("{file}: {error}")))
}

type Drawn = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Colours that also those tell apart who see no red or no green (M. Okabe and K. Ito).
fn colour(name: &str) -> RGBColor {
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

fn mark<'a>(name: &str, at: (i32, i32)) -> Mark<'a> {
    let colour = colour(name);
    let (full, line) = (colour.filled(), colour.stroke_width(2));
    let path = |corners: &[(i32, i32)]| {
        let corners = corners.iter().map(|(x, y)| (at.0 + x, at.1 + y));
        PathElement::new(corners.collect::<Vec<_>>(), line).into_dyn()
    };
    match name {
        "blocking" => Cross::new(at, 6, colour.stroke_width(3)).into_dyn(),
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

/// One line per model over the number of clients.
fn lines(
    found: &Comparison,
    root: &Root<'_>,
    caption: &str,
    unit: &str,
    is_log: bool,
    figure: impl Fn(&Cell) -> Option<f64>,
) -> Drawn {
    let series: Vec<(&Measured, Vec<(f64, f64)>)> = found
        .models
        .iter()
        .map(|model| {
            let cells = model.cells.iter();
            let cells = cells.filter(|cell| !cell.slow_reader && cell.idle_clients == 0);
            let points = cells
                .filter(|cell| cell.holds())
                .filter_map(|cell| Some((cell.clients as f64, figure(cell)?)));
            (model, points.collect())
        })
        .collect();
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let most_clients = all().map(|(clients, _)| clients).fold(10.0, f64::max);
    let most = all().map(|(_, figure)| figure).fold(0.0, f64::max);
    let least = all()
        .map(|(_, figure)| figure)
        .fold(f64::INFINITY, f64::min);
    let (chart_area, legend_area) = root.split_horizontally(SIZE.0 - LEGEND);
    // Also those outside the range would get a line.
    let mut key_points = vec![1.0, 10.0, 100.0, 1000.0];
    key_points.retain(|clients| *clients <= most_clients);
    let x = (0.8..most_clients * 1.25)
        .log_scale()
        .with_key_points(key_points);
    let mut builder = ChartBuilder::on(&chart_area);
    builder
        .caption(caption, text(TITLE))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(78);
    if is_log {
        let (low, high) = (
            10f64.powf(least.max(1e-3).log10().floor()),
            10f64.powf(most.max(1e-3).log10().ceil()),
        );
        let mut decades = vec![low];
        while decades.last().is_some_and(|last| *last < high) {
            decades.extend(decades.last().map(|last| last * 10.0));
        }
        let y = (low..high).log_scale().with_key_points(decades);
        let unit = format!("{unit} (logarithmic)");
        line_chart(builder.build_cartesian_2d(x, y)?, &unit, &series)?;
    } else {
        let y: std::ops::Range<f64> = 0.0..(most * 1.08).max(f64::MIN_POSITIVE);
        line_chart(builder.build_cartesian_2d(x, y)?, unit, &series)?;
    }
    legend(&legend_area, &series)
}

fn line_chart<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    unit: &str,
    series: &[(&Measured, Vec<(f64, f64)>)],
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc("clients at once (logarithmic)")
        .y_desc(unit)
        .x_labels(4)
        .y_labels(8)
        .x_label_formatter(&|clients| number(*clients))
        .y_label_formatter(&|figure| axis(*figure))
        .label_style(text(TEXT))
        .axis_desc_style(text(TEXT + 1))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    for (model, points) in series {
        let style = colour(&model.name).stroke_width(2);
        if is_dashed(&model.name) {
            chart.draw_series(DashedLineSeries::new(points.iter().copied(), 7, 5, style))?;
        } else {
            chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        }
        chart.draw_series(
            points
                .iter()
                .map(|point| EmptyElement::at(*point) + mark(&model.name, (0, 0))),
        )?;
    }
    Ok(())
}

/// Two of a kind lie close together: one of them is drawn in dashes.
fn is_dashed(name: &str) -> bool {
    ["event-loop (edge)", "completion"].contains(&name)
}

fn legend(area: &Root<'_>, series: &[(&Measured, Vec<(f64, f64)>)]) -> Drawn {
    let mut y = 60;
    for (model, points) in series {
        let style = colour(&model.name).stroke_width(2);
        let ends = [(6, y), (46, y)];
        if is_dashed(&model.name) {
            area.draw(&DashedPathElement::new(ends, 7, 5, style))?;
        } else {
            area.draw(&PathElement::new(ends, style))?;
        }
        area.draw(&mark(&model.name, (26, y)))?;
        let label = anchored(TEXT, HPos::Left, VPos::Center);
        area.draw(&Text::new(model.name.clone(), (56, y), label))?;
        if let Some(note) = note(model, points) {
            y += 17;
            let style = anchored(TEXT - 2, HPos::Left, VPos::Center);
            area.draw(&Text::new(note, (56, y), style))?;
        }
        y += 30;
    }
    Ok(())
}

/// Why a line ends early.
fn note(model: &Measured, points: &[(f64, f64)]) -> Option<String> {
    if model.skipped.is_some() {
        return Some("skipped: no io_uring".to_owned());
    }
    let cells = model.cells.iter().filter(|cell| !cell.slow_reader);
    let tried = cells.map(|cell| cell.clients as f64).fold(0.0, f64::max);
    let most = points
        .iter()
        .map(|(clients, _)| *clients)
        .fold(0.0, f64::max);
    (most < tried).then(|| match most as u64 {
        0 => "serves nobody".to_owned(),
        1 => "does not serve two clients".to_owned(),
        most => format!("served up to {most} clients"),
    })
}

/// A group of bars per model.
fn bars(
    found: &Comparison,
    root: &Root<'_>,
    caption: &str,
    unit: &str,
    groups: &[&str],
    figures: impl Fn(&Measured) -> Vec<Bar>,
) -> Drawn {
    let all: Vec<(&Measured, Vec<Bar>)> = found
        .models
        .iter()
        .map(|model| (model, figures(model)))
        .collect();
    let mut most: Vec<f64> = all
        .iter()
        .flat_map(|(_, figures)| figures.iter().flatten())
        .map(|(figure, _)| *figure)
        .collect();
    most.sort_by(f64::total_cmp);
    // One that is far taller than all others is cut off (its label says how tall), or nothing could be
    // seen of them. Not where the others are nothing.
    let high = match most[..] {
        [.., second, most] if second > 0.0 && most > 3.0 * second => second * 1.3,
        [.., most] if most > 0.0 => most * 1.15,
        _ => 1.0,
    };
    let mut chart = ChartBuilder::on(root)
        .caption(caption, text(TITLE))
        .margin(12)
        .x_label_area_size(34)
        .top_x_label_area_size(if groups.len() > 1 { 28 } else { 0 })
        .y_label_area_size(78)
        .build_cartesian_2d(0.0..all.len() as f64, 0.0..high)?;
    let chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<RangedCoordf64, RangedCoordf64>> =
        &mut chart;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_desc(unit)
        .y_labels(8)
        .y_label_formatter(&|figure| axis(*figure))
        .label_style(text(TEXT))
        .axis_desc_style(text(TEXT + 1))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    let width = 0.8 / groups.len() as f64;
    for (place, (model, figures)) in all.iter().enumerate() {
        let middle = place as f64 + 0.5;
        for (group, figure) in figures.iter().enumerate() {
            let left = place as f64 + 0.1 + group as f64 * width;
            let (figure, label) = figure.clone().unwrap_or((0.0, "-".to_owned()));
            let cut = figure > high;
            let figure = figure.min(high * 0.94);
            let label = if cut {
                format!("{label} (cut off)")
            } else {
                label
            };
            let corners = [(left, 0.0), (left + width * 0.94, figure)];
            let style = shade(&model.name, group).filled();
            chart.draw_series([Rectangle::new(corners, style)])?;
            let at = (left + width * 0.47, figure);
            let style = anchored(TEXT - 2, HPos::Center, VPos::Bottom);
            chart.draw_series([EmptyElement::at(at) + Text::new(label, (0, -3), style)])?;
        }
        let style = anchored(TEXT, HPos::Center, VPos::Top);
        let name = Text::new(model.name.clone(), (0, 8), style);
        chart.draw_series([EmptyElement::at((middle, 0.0)) + name])?;
    }
    if groups.len() > 1 {
        bar_legend(root, groups)?;
    }
    Ok(())
}

fn bar_legend(root: &Root<'_>, groups: &[&str]) -> Drawn {
    let mut x = 120;
    for (group, name) in groups.iter().enumerate() {
        let corners = [(x, 46), (x + 14, 60)];
        root.draw(&Rectangle::new(corners, shade("blocking", group).filled()))?;
        let style = anchored(TEXT, HPos::Left, VPos::Center);
        root.draw(&Text::new((*name).to_owned(), (x + 20, 53), style))?;
        x += 60 + 8 * i32::try_from(name.len())?;
    }
    Ok(())
}

/// The model's colour, paler for the second group.
fn shade(name: &str, group: usize) -> RGBAColor {
    colour(name).mix(if group == 0 { 1.0 } else { 0.45 })
}

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

fn thousands(figure: f64) -> String {
    if figure < 10_000.0 {
        number(figure)
    } else {
        format!("{:.0}k", figure / 1000.0)
    }
}
