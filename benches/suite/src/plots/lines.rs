//! Panels with a line per contestant over a number, both on logarithmic axes.

use std::path::Path;

use plotters::prelude::*;

use super::marks::{legend, legend_height, mark};
use super::{Area, Drawn, FONT, GRID, Head, Panels, Point, Values, grid};
use crate::contestants::color;
use crate::format::number;
use crate::record::Row;

pub(super) fn draw(file: &Path, head: &Head<'_>, x: &str, y: &str, values: &Values<'_>) -> Drawn {
    let (cases, names) = (values.series.cases(), values.names());
    let columns = cases.len().clamp(1, 2);
    let width = 560;
    let panels = Panels {
        count: cases.len(),
        columns,
        width,
        height: 340,
        below: legend_height(names.len(), columns as u32 * width),
    };
    let root = SVGBackend::new(file, panels.size(head)).into_drawing_area();
    let (cells, bottom) = grid(&root, head, panels)?;
    for (cell, case) in cells.iter().zip(&cases) {
        let rows = values.series.rows();
        let rows: Vec<&Row> = rows.iter().filter(|row| row.case == *case).collect();
        let lines = names.iter().map(|name| {
            let points = rows
                .iter()
                .filter_map(|row| Some((row.x, values.point(row, name)?)));
            let mut points: Vec<(f64, Point)> = points.collect();
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            (name.as_str(), points)
        });
        panel(cell, case, (x, y), &lines.collect::<Vec<_>>())?;
    }
    legend(&bottom, &names)?;
    root.present()?;
    Ok(())
}

/// The points of one contestant.
type Line<'a> = (&'a str, Vec<(f64, Point)>);

fn panel(cell: &Area<'_>, case: &str, titles: (&str, &str), lines: &[Line<'_>]) -> Drawn {
    let all = || lines.iter().flat_map(|(_, points)| points.iter());
    let from = |of: fn(&(f64, Point)) -> f64| all().map(of).fold(f64::INFINITY, f64::min);
    let to = |of: fn(&(f64, Point)) -> f64| all().map(of).fold(0.0, f64::max);
    let x_range = from(|point| point.0) * 0.7..to(|point| point.0) * 1.4;
    let y_range = from(|point| point.1.low) * 0.9..to(|point| point.1.high) * 1.1;
    let (x_ticks, y_ticks) = (
        decades(x_range.start, x_range.end),
        ticks(y_range.start, y_range.end),
    );
    let mut chart = ChartBuilder::on(cell)
        .caption(case, (FONT, 15))
        .margin(10)
        // Room for the right half of the last label.
        .margin_right(34)
        .x_label_area_size(42)
        .y_label_area_size(66)
        .build_cartesian_2d(
            x_range.log_scale().with_key_points(x_ticks.clone()),
            y_range.log_scale().with_key_points(y_ticks.clone()),
        )?;
    let mut mesh = chart.configure_mesh();
    mesh.x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| number(*value))
        .x_desc(titles.0)
        .y_desc(titles.1)
        .label_style((FONT, 13))
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .x_labels(x_ticks.len())
        .y_labels(y_ticks.len())
        .draw()?;
    for (name, points) in lines {
        let medians = points.iter().map(|&(x, point)| (x, point.median));
        chart.draw_series(LineSeries::new(medians.clone(), stroke(name)))?;
        let whiskers = points.iter().filter(|(_, point)| point.low < point.high);
        chart.draw_series(whiskers.map(|&(x, point)| {
            PathElement::new(
                [(x, point.low), (x, point.high)],
                color(name).stroke_width(1),
            )
        }))?;
        chart.draw_series(medians.map(|at| EmptyElement::at(at) + mark(name, (0, 0))))?;
    }
    Ok(())
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

/// Formats a number of tasks or clients so that the labels of neighboring decades stay apart: `1,000`,
/// `10k`, `1M`.
fn short(value: f64) -> String {
    match value {
        1_000_000.0.. => format!("{}M", number(value / 1_000_000.0)),
        10_000.0.. => format!("{}k", number(value / 1_000.0)),
        _ => number(value),
    }
}

/// Returns the powers of ten on an axis.
fn decades(from: f64, to: f64) -> Vec<f64> {
    let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let all = decades.map(|decade| 10f64.powi(decade));
    all.filter(|tick| (from..=to).contains(tick)).collect()
}

/// Returns the labels of a logarithmic axis: 1, 2, 5, 10, .., fewer if it spans many decades, and
/// more if it spans less than one.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let steps: &[f64] = match (to / from).log10() {
        ..0.7 => &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        0.7..3.0 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
    all.filter(|tick| (from..=to).contains(tick)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_axis_has_a_few_labels_for_any_range() {
        assert_eq!(ticks(0.8, 62.5), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(ticks(8.0, 1_250_000.0).len(), 6);
        assert!(ticks(3.1, 4.4).len() >= 2);
        assert_eq!(decades(7.0, 14_000.0), [10.0, 100.0, 1000.0, 10_000.0]);
    }

    #[test]
    fn a_large_number_on_an_axis_is_short() {
        let shown = [1.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0].map(short);
        assert_eq!(shown, ["1", "1,000", "10k", "100k", "1M"]);
    }
}
