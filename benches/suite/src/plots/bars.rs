//! Panels with a horizontal bar per contestant.
//!
//! Bars begin at zero. A bar far longer than the others is cut off and labeled with its value;
//! otherwise the other bars would be too short to compare.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Drawn, FONT, Head, Panels, Point, Values, grid};
use crate::contestants::color;
use crate::format::number;
use crate::part::Metric;
use crate::record::Row;

const BAR_HEIGHT: i32 = 22;
const LEFT: i32 = 164;
const WHISKER: RGBColor = RGBColor(20, 20, 20);

pub(super) fn draw(file: &Path, head: &Head<'_>, metric: &Metric, values: &Values<'_>) -> Drawn {
    let (rows, names) = (values.series.rows(), values.names());
    let panels = Panels {
        count: rows.len(),
        columns: rows.len().clamp(1, 2),
        width: 500,
        height: 50 + (BAR_HEIGHT * names.len() as i32) as u32,
        below: 0,
    };
    let root = SVGBackend::new(file, panels.size(head)).into_drawing_area();
    let (cells, _) = grid(&root, head, panels)?;
    for (cell, row) in cells.iter().zip(&rows) {
        panel(cell, row, metric, values, &names)?;
    }
    root.present()?;
    Ok(())
}

fn panel(
    cell: &Area<'_>,
    row: &Row,
    metric: &Metric,
    values: &Values<'_>,
    names: &[String],
) -> Drawn {
    let heading = (FONT, 15).into_font().style(FontStyle::Bold);
    let heading = heading.into_text_style(cell);
    let unit = match metric.unit {
        "" => String::new(),
        unit => format!(" ({unit})"),
    };
    cell.draw_text(&format!("{}{unit}", row.case), &heading, (12, 8))?;
    let points: Vec<Option<Point>> = names.iter().map(|name| values.point(row, name)).collect();
    let axis = Axis::new(points.iter().flatten().copied().collect());
    let right = Pos::new(HPos::Right, VPos::Center);
    let style = (FONT, 13).into_font().into_text_style(cell).pos(right);
    for (place, (name, point)) in names.iter().zip(&points).enumerate() {
        let y = 40 + BAR_HEIGHT * place as i32;
        cell.draw_text(name, &style, (LEFT - 6, y))?;
        bar(cell, name, *point, axis, y)?;
    }
    Ok(())
}

/// Draws a bar with its whisker and its value.
fn bar(cell: &Area<'_>, name: &str, point: Option<Point>, axis: Axis, y: i32) -> Drawn {
    let (width, _) = cell.dim_in_pixel();
    let room = f64::from(width) - f64::from(LEFT) - 100.0;
    let left = Pos::new(HPos::Left, VPos::Center);
    let style = (FONT, 13).into_font().into_text_style(cell).pos(left);
    let Some(point) = point else {
        cell.draw_text("not measured", &style, (LEFT + 4, y))?;
        return Ok(());
    };
    let cut = point.median > axis.longest;
    let end = |value: f64| LEFT + (value / axis.end * room) as i32;
    let bar_end = end(point.median.min(axis.longest)).max(LEFT + 1);
    let bar = Rectangle::new([(LEFT, y - 8), (bar_end, y + 8)], color(name).filled());
    cell.draw(&bar)?;
    let mut text_from = bar_end;
    let (low, high) = (end(point.low), end(point.high));
    if !cut && low + 1 < high {
        text_from = high;
        // The light line below keeps the whisker visible on a dark bar.
        for stroke in [WHITE.stroke_width(3), WHISKER.stroke_width(1)] {
            let line = |from, to| PathElement::new([from, to], stroke);
            cell.draw(&line((low, y), (high, y)))?;
            cell.draw(&line((low, y - 3), (low, y + 3)))?;
            cell.draw(&line((high, y - 3), (high, y + 3)))?;
        }
    }
    let text = format!("{}{}", if cut { "» " } else { "" }, number(point.median));
    cell.draw_text(&text, &style, (text_from + 5, y))?;
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    /// The longest bar. Longer ones are cut.
    longest: f64,
    /// The end of the longest bar or whisker.
    end: f64,
}

impl Axis {
    fn new(points: Vec<Point>) -> Axis {
        let longest = longest(points.iter().map(|point| point.median).collect());
        let uncut = points.iter().filter(|point| point.median <= longest);
        let end = uncut.map(|point| point.high).fold(longest, f64::max);
        Axis { longest, end }
    }
}

/// Returns the largest value that is not far above the others.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_room_for_whiskers_of_bars_that_are_not_cut() {
        let point = |median: f64, high| Point {
            median,
            low: median,
            high,
        };
        let points = [(10.0, 45.0), (20.0, 21.0), (30.0, 31.0), (5000.0, 6000.0)];
        let axis = Axis::new(points.map(|(median, high)| point(median, high)).into());
        assert_eq!((axis.longest, axis.end), (30.0, 45.0));
    }

    #[test]
    fn an_axis_ends_at_the_largest_value_that_is_not_far_above_the_others() {
        assert_eq!(longest(vec![1.0, 3.0, 2.0]), 3.0);
        assert_eq!(longest(vec![10.0, 20.0, 30.0, 5000.0]), 30.0);
        assert_eq!(longest(vec![10.0, 20.0, 30.0, 100.0]), 100.0);
        assert_eq!(longest(vec![0.0, 0.0]), 1.0);
    }
}
