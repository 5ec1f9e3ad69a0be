//! Draws the results as SVG: one plot per metric, one panel per case.
//!
//! Bars begin at zero. A bar far longer than the others is cut off and labeled with its value;
//! otherwise the other bars would be too short to compare.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contestants::color;
use crate::format::{known, number};
use crate::part::{Metric, Part, Plot};
use crate::record::{Row, Series};
use crate::results::Results;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

const FONT: &str = "sans-serif";
const PANEL_WIDTH: u32 = 460;
const TITLE_HEIGHT: u32 = 40;

/// Returns the file name of a metric's plot.
pub(crate) fn file_name(part: Part, metric: &Metric) -> String {
    format!("{}-{}.svg", part.name(), metric.name)
}

/// Returns the metrics that have a plot.
pub(crate) fn drawn(all: &[Results]) -> Vec<(Part, Metric)> {
    let metrics = all.iter().flat_map(|results| {
        let metrics = results.part.metrics().into_iter();
        metrics.map(move |metric| (results, metric))
    });
    metrics
        .filter(|(_, metric)| metric.plot != Plot::None)
        .filter(|(results, metric)| !Series::new(&results.samples, metric.name).rows().is_empty())
        .map(|(results, metric)| (results.part, metric))
        .collect()
}

/// Draws all plots.
///
/// # Errors
///
/// Returns an error if a file cannot be written.
pub(crate) fn draw(directory: &Path, all: &[Results]) -> Drawn {
    for results in all {
        for metric in results.part.metrics() {
            let series = Series::new(&results.samples, metric.name);
            if series.rows().is_empty() {
                continue;
            }
            let file = directory.join(file_name(results.part, &metric));
            let title = format!("{}: {}", results.part.title(), metric.title);
            match metric.plot {
                Plot::None => {}
                Plot::Bars => bars(&file, &title, &metric, &series)?,
                Plot::Lines(x) => {
                    let value = |row: &Row, name: &str| series.median(row, name);
                    let y = metric.unit.to_owned();
                    lines(&file, &title, &series, &Axes { x, y, log: true }, value)?;
                }
                Plot::Ratio(to, x) => {
                    let value = |row: &Row, name: &str| series.ratio(row, name, to);
                    let title = format!("{title}, relative to {to}");
                    let y = format!("ratio to {to}");
                    lines(&file, &title, &series, &Axes { x, y, log: false }, value)?;
                }
            }
        }
    }
    Ok(())
}

/// Splits a plot into a title, a grid of panels, and an area of height `below` under it.
fn grid<'a>(
    root: &Area<'a>,
    title: &str,
    panels: usize,
    below: u32,
) -> Result<(Vec<Area<'a>>, Area<'a>), Box<dyn Error>> {
    root.fill(&WHITE)?;
    let style = (FONT, 20).into_font().into_text_style(root);
    root.draw_text(title, &style, (12, 10))?;
    let (_, rest) = root.split_vertically(TITLE_HEIGHT);
    let (_, height) = rest.dim_in_pixel();
    let (middle, legend) = rest.split_vertically(height - below);
    let columns = columns(panels);
    let cells = middle.split_evenly((panels.div_ceil(columns), columns));
    Ok((cells, legend))
}

fn columns(panels: usize) -> usize {
    panels.clamp(1, 3)
}

fn size(panels: usize, panel_height: u32, below: u32) -> (u32, u32) {
    let (columns, rows) = (columns(panels), panels.div_ceil(columns(panels)));
    let width = (columns as u32 * PANEL_WIDTH).max(720);
    (width, TITLE_HEIGHT + rows as u32 * panel_height + below)
}

fn bars(file: &Path, title: &str, metric: &Metric, series: &Series<'_>) -> Drawn {
    let (rows, names) = (series.rows(), series.contestants(&known()));
    let height = 50 + 22 * names.len() as u32;
    let root = SVGBackend::new(file, size(rows.len(), height, 0)).into_drawing_area();
    let (cells, _) = grid(&root, title, rows.len(), 0)?;
    for (cell, row) in cells.iter().zip(&rows) {
        bar_panel(cell, row, metric, series, &names)?;
    }
    root.present()?;
    Ok(())
}

fn bar_panel(
    cell: &Area<'_>,
    row: &Row,
    metric: &Metric,
    series: &Series<'_>,
    names: &[String],
) -> Drawn {
    let (width, _) = cell.dim_in_pixel();
    let heading = (FONT, 14).into_font().style(FontStyle::Bold);
    let heading = heading.into_text_style(cell);
    let unit = match metric.unit {
        "" => String::new(),
        unit => format!(" ({unit})"),
    };
    cell.draw_text(&format!("{}{unit}", row.case), &heading, (12, 8))?;
    let medians: Vec<Option<f64>> = names.iter().map(|name| series.median(row, name)).collect();
    let longest = longest(medians.iter().flatten().copied().collect());
    let (left, room) = (150, f64::from(width) - 150.0 - 100.0);
    let right = Pos::new(HPos::Right, VPos::Center);
    let names_style = (FONT, 12).into_font().into_text_style(cell).pos(right);
    let left_aligned = Pos::new(HPos::Left, VPos::Center);
    let values_style = (FONT, 12)
        .into_font()
        .into_text_style(cell)
        .pos(left_aligned);
    for (place, (name, median)) in names.iter().zip(&medians).enumerate() {
        let y = 40 + 22 * place as i32;
        cell.draw_text(name, &names_style, (left - 6, y))?;
        let Some(value) = *median else {
            cell.draw_text("not measured", &values_style, (left + 4, y))?;
            continue;
        };
        let cut = value > longest;
        let end = left + (value.min(longest) / longest * room).max(1.0) as i32;
        let bar = Rectangle::new([(left, y - 8), (end, y + 8)], color(name).filled());
        cell.draw(&bar)?;
        let spread = series
            .spread(row, name)
            .map_or_else(String::new, |spread| format!(" ±{:.0} %", spread * 100.0));
        let text = format!("{}{}{spread}", if cut { "» " } else { "" }, number(value));
        cell.draw_text(&text, &values_style, (end + 5, y))?;
    }
    Ok(())
}

/// Returns the end of the axis: the largest value that is not far above the others.
fn longest(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    while let [rest @ .., last] = &values[..]
        && let Some(before) = rest.last()
        && rest.len() >= 3
        && *last > 4.0 * before
    {
        values.pop();
    }
    values
        .last()
        .copied()
        .filter(|&value| value > 0.0)
        .unwrap_or(1.0)
}

/// Labels and scale of the axes.
struct Axes {
    x: &'static str,
    y: String,
    /// Whether `y` is logarithmic. `x` always is.
    log: bool,
}

/// End of the axis of a ratio.
const MOST: f64 = 2.5;
const GRID: RGBColor = RGBColor(225, 225, 225);
const LEGEND_HEIGHT: u32 = 56;
const LINE_PANEL_HEIGHT: u32 = 340;

fn lines(
    file: &Path,
    title: &str,
    series: &Series<'_>,
    axes: &Axes,
    value: impl Fn(&Row, &str) -> Option<f64>,
) -> Drawn {
    let (cases, names) = (series.cases(), series.contestants(&known()));
    let size = size(cases.len(), LINE_PANEL_HEIGHT, LEGEND_HEIGHT);
    let root = SVGBackend::new(file, size).into_drawing_area();
    let (cells, bottom) = grid(&root, title, cases.len(), LEGEND_HEIGHT)?;
    for (cell, case) in cells.iter().zip(&cases) {
        let rows = series.rows();
        let rows: Vec<&Row> = rows.iter().filter(|row| row.case == *case).collect();
        let points = names.iter().map(|name| {
            let points = rows
                .iter()
                .filter_map(|row| Some((row.x, value(row, name)?)));
            (name.as_str(), points.collect())
        });
        line_panel(cell, case, axes, &points.collect::<Vec<_>>())?;
    }
    legend(&bottom, &names)?;
    root.present()?;
    Ok(())
}

/// The points of one contestant.
type Line<'a> = (&'a str, Vec<(f64, f64)>);

fn line_panel(cell: &Area<'_>, case: &str, axes: &Axes, lines: &[Line<'_>]) -> Drawn {
    let all = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let least = |of: fn((f64, f64)) -> f64| all().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn((f64, f64)) -> f64| all().map(of).fold(0.0, f64::max);
    let (x_from, x_to) = (least(|point| point.0), most(|point| point.0));
    let (y_from, y_to) = (least(|point| point.1), most(|point| point.1));
    let (x_from, x_to) = (x_from * 0.8, x_to * 1.25);
    let x_range = (x_from..x_to)
        .log_scale()
        .with_key_points(ticks(x_from, x_to));
    let mut chart = ChartBuilder::on(cell);
    chart
        .caption(case, (FONT, 15))
        .margin(10)
        // Room for the right half of the last label.
        .margin_right(24)
        .x_label_area_size(38)
        .y_label_area_size(66);
    // The two kinds of y axis are different types.
    if axes.log {
        let (y_from, y_to) = (y_from * 0.7, y_to * 1.4);
        let y_range = (y_from..y_to)
            .log_scale()
            .with_key_points(ticks(y_from, y_to));
        let context = chart.build_cartesian_2d(x_range, y_range)?;
        draw_lines(context, axes, 20, number, lines)
    } else {
        // Values beyond the end of the axis are drawn on the border.
        let y_range = 0.0..(y_to * 1.1).clamp(1.2, MOST);
        let context = chart.build_cartesian_2d(x_range, y_range)?;
        draw_lines(context, axes, 8, |value| format!("{value:.1}"), lines)
    }
}

/// Draws the axes, with at most `y_labels` labels on the vertical one, and the lines.
fn draw_lines<X, Y>(
    mut context: ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Y>>,
    axes: &Axes,
    y_labels: usize,
    y_label: impl Fn(f64) -> String,
    lines: &[Line<'_>],
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let x_label = |value: &f64| number(*value);
    let y_label = |value: &f64| y_label(*value);
    let mut mesh = context.configure_mesh();
    mesh.x_label_formatter(&x_label).y_label_formatter(&y_label);
    mesh.x_desc(axes.x)
        .y_desc(axes.y.as_str())
        .label_style((FONT, 12));
    mesh.light_line_style(TRANSPARENT).bold_line_style(GRID);
    mesh.x_labels(5).y_labels(y_labels).draw()?;
    for (name, points) in lines {
        context.draw_series(LineSeries::new(points.clone(), stroke(name)))?;
        let dots = points
            .iter()
            .map(|&at| Circle::new(at, 3, color(name).filled()));
        context.draw_series(dots)?;
    }
    Ok(())
}

/// Returns the labels of a logarithmic axis: 1, 2, 5, 10, .., fewer if it spans many decades, and
/// more if it spans less than one.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let steps: &[f64] = match (to / from).log10() {
        ..0.7 => &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0],
        0.7..3.0 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
    all.filter(|tick| (from..=to).contains(tick)).collect()
}

/// Returns the line style: Wakeful's line is the thickest, then the floor's, then the rivals'.
fn stroke(name: &str) -> ShapeStyle {
    let width = match name {
        _ if name.starts_with("wakeful") => 3,
        _ if name.starts_with("raw") => 2,
        _ => 1,
    };
    color(name).stroke_width(width)
}

fn legend(area: &Area<'_>, names: &[String]) -> Drawn {
    let (width, _) = area.dim_in_pixel();
    let middle = Pos::new(HPos::Left, VPos::Center);
    let style = (FONT, 13).into_font().into_text_style(area).pos(middle);
    let each = 172;
    let in_line = ((width as i32 - 20) / each).max(1);
    for (place, name) in names.iter().enumerate() {
        let (line, column) = (place as i32 / in_line, place as i32 % in_line);
        let (x, y) = (16 + column * each, 12 + line * 20);
        let sample = PathElement::new([(x, y), (x + 20, y)], stroke(name));
        area.draw(&sample)?;
        area.draw(&Circle::new((x + 10, y), 3, color(name).filled()))?;
        area.draw_text(name, &style, (x + 26, y))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_axis_has_a_few_labels_for_any_range() {
        assert_eq!(ticks(0.8, 62.5), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(ticks(8.0, 1_250_000.0).len(), 6);
        assert!(ticks(3.1, 4.4).len() >= 2);
    }

    #[test]
    fn an_axis_ends_at_the_largest_value_that_is_not_far_above_the_others() {
        assert_eq!(longest(vec![1.0, 3.0, 2.0]), 3.0);
        assert_eq!(longest(vec![10.0, 20.0, 30.0, 5000.0]), 30.0);
        assert_eq!(longest(vec![10.0, 20.0, 30.0, 100.0]), 100.0);
        assert_eq!(longest(vec![0.0, 0.0]), 1.0);
    }
}
