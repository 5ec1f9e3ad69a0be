//! Line plots: a line per model over the number of clients. Called by [`super::draw_all`].

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Drawn, Root, SIZE, TEXT_SIZE, TITLE_SIZE, anchored, axis, color, mark, text};
use crate::compare::result::{Cell, Comparison, Measured};
use crate::compare::table::number;

/// Width of the legend, at the right.
const LEGEND_WIDTH: u32 = 240;

/// Definition of a line plot.
pub(super) struct LinePlot {
    pub(super) caption: &'static str,
    /// Label of the y axis.
    pub(super) unit: &'static str,
    /// Whether the y axis is logarithmic.
    pub(super) is_log: bool,
    pub(super) value: fn(&Cell) -> Option<f64>,
}

/// A model with its points, by number of clients.
type Series<'a> = (&'a Measured, Vec<(f64, f64)>);

/// Draws a plot with a legend.
pub(super) fn draw(found: &Comparison, root: &Root<'_>, plot: &LinePlot) -> Drawn {
    let series: Vec<Series<'_>> = found
        .models
        .iter()
        .map(|model| {
            let cells = model.cells.iter();
            let cells = cells.filter(|cell| !cell.slow_reader && cell.idle_clients == 0);
            let points = cells
                .filter(|cell| cell.all_served())
                .filter_map(|cell| Some((cell.clients as f64, (plot.value)(cell)?)));
            (model, points.collect())
        })
        .collect();
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let max_clients = all().map(|(clients, _)| clients).fold(10.0, f64::max);
    let max = all().map(|(_, value)| value).fold(0.0, f64::max);
    let min = all().map(|(_, value)| value).fold(f64::INFINITY, f64::min);
    let (chart_area, legend_area) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
    // Only within the range, because key points outside it would get a grid line too.
    let mut key_points = vec![1.0, 10.0, 100.0, 1000.0];
    key_points.retain(|clients| *clients <= max_clients);
    let x = (0.8..max_clients * 1.25)
        .log_scale()
        .with_key_points(key_points);
    let mut builder = ChartBuilder::on(&chart_area);
    builder
        .caption(plot.caption, text(TITLE_SIZE))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(78);
    if plot.is_log {
        let decades = decades(min, max);
        let (low, high) = (decades[0], decades[decades.len() - 1]);
        let y = (low..high).log_scale().with_key_points(decades);
        let unit = format!("{} (logarithmic)", plot.unit);
        draw_chart(builder.build_cartesian_2d(x, y)?, &unit, &series)?;
    } else {
        let y: std::ops::Range<f64> = 0.0..(max * 1.08).max(f64::MIN_POSITIVE);
        draw_chart(builder.build_cartesian_2d(x, y)?, plot.unit, &series)?;
    }
    draw_legend(&legend_area, &series)
}

/// Returns the powers of ten that enclose a range.
fn decades(min: f64, max: f64) -> Vec<f64> {
    let low = 10f64.powf(min.max(1e-3).log10().floor());
    let high = 10f64.powf(max.max(1e-3).log10().ceil());
    let mut decades = vec![low];
    while decades.last().is_some_and(|last| *last < high) {
        decades.extend(decades.last().map(|last| last * 10.0));
    }
    decades
}

/// Draws the axes and the lines.
fn draw_chart<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    unit: &str,
    series: &[Series<'_>],
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc("concurrent clients (logarithmic)")
        .y_desc(unit)
        .x_labels(4)
        .y_labels(8)
        .x_label_formatter(&|clients| number(*clients))
        .y_label_formatter(&|value| axis(*value))
        .label_style(text(TEXT_SIZE))
        .axis_desc_style(text(TEXT_SIZE + 1))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    for (model, points) in series {
        let style = color(&model.name).stroke_width(2);
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

/// Returns whether a line is dashed, to distinguish it from the line of a similar model.
fn is_dashed(name: &str) -> bool {
    ["event-loop (edge)", "completion"].contains(&name)
}

/// Draws the names of the models, with a note where a line ends early.
fn draw_legend(area: &Root<'_>, series: &[Series<'_>]) -> Drawn {
    let mut y = 60;
    for (model, points) in series {
        let style = color(&model.name).stroke_width(2);
        let ends = [(6, y), (46, y)];
        if is_dashed(&model.name) {
            area.draw(&DashedPathElement::new(ends, 7, 5, style))?;
        } else {
            area.draw(&PathElement::new(ends, style))?;
        }
        area.draw(&mark(&model.name, (26, y)))?;
        let label = anchored(TEXT_SIZE, HPos::Left, VPos::Center);
        area.draw(&Text::new(model.name.clone(), (56, y), label))?;
        if let Some(note) = note(model, points) {
            y += 17;
            let style = anchored(TEXT_SIZE - 2, HPos::Left, VPos::Center);
            area.draw(&Text::new(note, (56, y), style))?;
        }
        y += 30;
    }
    Ok(())
}

/// Returns why a line ends early.
fn note(model: &Measured, points: &[(f64, f64)]) -> Option<String> {
    if model.skipped.is_some() {
        return Some("skipped: no io_uring".to_owned());
    }
    let cells = model.cells.iter().filter(|cell| !cell.slow_reader);
    let tried = cells.map(|cell| cell.clients as f64).fold(0.0, f64::max);
    let max = points
        .iter()
        .map(|(clients, _)| *clients)
        .fold(0.0, f64::max);
    (max < tried).then(|| match max as u64 {
        0 => "serves no client".to_owned(),
        1 => "serves one client only".to_owned(),
        max => format!("serves up to {max} clients"),
    })
}
