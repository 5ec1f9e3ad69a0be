//! Panels with ratios: for each number of clients a group, and in it a symbol per contestant, side by
//! side, so that equal values do not hide each other.
//!
//! The axis covers the contestants that take part in every round. Where another one is farther away, its
//! symbol is in a strip above or below the axis, with its value; otherwise the differences between the
//! others would be too small to see.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::marks::{legend, legend_height, mark};
use super::{Area, Drawn, FONT, GRID, Head, Panels, Point, TEXT, Values, grid};
use crate::contestants::{color, takes_part_in_every_round};
use crate::format::{clients, number};
use crate::part::CLIENTS;
use crate::record::Row;

const PANEL_WIDTH: u32 = 560;
const PANEL_HEIGHT: u32 = 340;
const LEFT: i32 = 56;
const RIGHT: i32 = 12;
const TOP: i32 = 34;
const BOTTOM: i32 = 30;
/// The frame extends beyond the ends of the axis by this part of its length, so that symbols at the ends are
/// inside.
const MARGIN: f64 = 0.1;
/// A value beyond the end of the axis by less than this part of its length is drawn in the frame.
const TOLERANCE: f64 = 0.06;
/// Height of a strip: a symbol and three lines of values.
const STRIP: i32 = 56;
/// Distance between the symbols of neighboring groups, besides that between all symbols.
const GAP: i32 = 8;
const STRIP_COLOR: RGBColor = RGBColor(243, 243, 243);

pub(super) fn draw(file: &Path, head: &Head<'_>, x: &str, to: &str, values: &Values<'_>) -> Drawn {
    let (cases, names) = (values.series.cases(), values.names());
    let columns = cases.len().clamp(1, 2);
    let panels = Panels {
        count: cases.len(),
        columns,
        width: PANEL_WIDTH,
        height: PANEL_HEIGHT,
        below: legend_height(names.len(), columns as u32 * PANEL_WIDTH),
    };
    let root = SVGBackend::new(file, panels.size(head)).into_drawing_area();
    let (cells, bottom) = grid(&root, head, panels)?;
    for (cell, case) in cells.iter().zip(&cases) {
        let mut rows = values.series.rows();
        rows.retain(|row| row.case == *case);
        rows.sort_by(|one, other| one.x.total_cmp(&other.x));
        let groups = rows.iter().map(|row| Group::new(row, x, values, &names));
        Panel::new(cell, groups.collect()).draw(&format!("{case} (ratio to {to})"))?;
    }
    legend(&bottom, &names)?;
    root.present()?;
    Ok(())
}

/// The points for one number of clients, one per contestant.
struct Group {
    title: String,
    points: Vec<(String, Option<Point>)>,
}

impl Group {
    fn new(row: &Row, x: &str, values: &Values<'_>, names: &[String]) -> Group {
        let points = names
            .iter()
            .map(|name| (name.clone(), values.point(row, name)));
        Group {
            title: match x {
                CLIENTS => clients(row.x),
                _ => format!("{} {x}", number(row.x)),
            },
            points: points.collect(),
        }
    }
}

struct Panel<'c, 'a> {
    cell: &'c Area<'a>,
    groups: Vec<Group>,
    /// Values on the axis.
    range: Range<f64>,
    /// Vertical positions of the frame around the axis. The strips, if any, are outside of it.
    frame: Range<i32>,
    /// Horizontal position of the right side.
    right: i32,
    /// Vertical position of the lower end of the panel.
    bottom: i32,
}

impl<'c, 'a> Panel<'c, 'a> {
    fn new(cell: &'c Area<'a>, groups: Vec<Group>) -> Panel<'c, 'a> {
        let (width, height) = cell.dim_in_pixel();
        let (right, bottom) = (width as i32 - RIGHT, height as i32 - BOTTOM);
        let range = range(&groups);
        let strip = |side: Side| {
            let mut points = groups.iter().flat_map(|group| &group.points);
            let any = points.any(|(_, point)| {
                point.is_some_and(|point| outside(&range, point.median) == Some(side))
            });
            if any { STRIP } else { 0 }
        };
        let (above, below) = (strip(Side::Above), strip(Side::Below));
        Panel {
            cell,
            frame: TOP + above..bottom - below,
            groups,
            range,
            right,
            bottom,
        }
    }

    fn draw(&self, title: &str) -> Drawn {
        let heading = (FONT, 15).into_font().style(FontStyle::Bold);
        let heading = heading.into_text_style(self.cell);
        self.cell.draw_text(title, &heading, (LEFT, 8))?;
        self.strips()?;
        self.axis()?;
        let width = (self.right - LEFT) / self.groups.len().max(1) as i32;
        for (place, group) in self.groups.iter().enumerate() {
            self.group(group, LEFT + place as i32 * width, width)?;
        }
        Ok(())
    }

    /// Returns the vertical position of a value.
    fn y(&self, value: f64) -> i32 {
        let length = self.range.end - self.range.start;
        let part = (value - self.range.start) / length + MARGIN;
        let height = f64::from(self.frame.end - self.frame.start);
        self.frame.end - (part / (1.0 + 2.0 * MARGIN) * height) as i32
    }

    /// Returns the style of the text left of the axis.
    fn label(&self) -> TextStyle<'a> {
        let anchor = Pos::new(HPos::Right, VPos::Center);
        (FONT, 13)
            .into_font()
            .into_text_style(self.cell)
            .pos(anchor)
    }

    fn strips(&self) -> Drawn {
        let strips = [
            ("more", TOP..self.frame.start),
            ("less", self.frame.end..self.bottom),
        ];
        for (title, strip) in strips {
            if strip.is_empty() {
                continue;
            }
            let corners = [(LEFT, strip.start), (self.right, strip.end)];
            self.cell
                .draw(&Rectangle::new(corners, STRIP_COLOR.filled()))?;
            self.cell.draw(&Rectangle::new(corners, TEXT))?;
            let middle = (strip.start + strip.end) / 2;
            self.cell
                .draw_text(title, &self.label(), (LEFT - 6, middle))?;
        }
        Ok(())
    }

    fn axis(&self) -> Drawn {
        for tick in ticks(&self.range) {
            let y = self.y(tick);
            if !(self.frame.start + 4..self.frame.end - 3).contains(&y) {
                continue;
            }
            let one = (tick - 1.0).abs() < 1e-9;
            let stroke = if one { TEXT } else { GRID }.stroke_width(1);
            self.cell
                .draw(&PathElement::new([(LEFT, y), (self.right, y)], stroke))?;
            let text = format!("{tick:.2}");
            self.cell.draw_text(&text, &self.label(), (LEFT - 6, y))?;
        }
        let corners = [(LEFT, self.frame.start), (self.right, self.frame.end)];
        self.cell.draw(&Rectangle::new(corners, TEXT))?;
        Ok(())
    }

    fn group(&self, group: &Group, left: i32, width: i32) -> Drawn {
        self.cell
            .draw(&PathElement::new([(left, TOP), (left, self.bottom)], TEXT))?;
        let anchor = Pos::new(HPos::Center, VPos::Top);
        let style = (FONT, 13)
            .into_font()
            .into_text_style(self.cell)
            .pos(anchor);
        self.cell
            .draw_text(&group.title, &style, (left + width / 2, self.bottom + 8))?;
        let mut in_strips = (0, 0);
        let slots = 2 * group.points.len() as i32;
        for (place, (name, point)) in group.points.iter().enumerate() {
            let slot = GAP + (2 * place as i32 + 1) * (width - 2 * GAP) / slots;
            let x = left + slot;
            let Some(point) = point else { continue };
            match outside(&self.range, point.median) {
                None => self.point(name, *point, x)?,
                Some(side) => {
                    let (strip, count) = match side {
                        Side::Above => (TOP, &mut in_strips.0),
                        Side::Below => (self.frame.end, &mut in_strips.1),
                    };
                    self.cell.draw(&mark(name, (x, strip + 10)))?;
                    let at = (x.min(left + width - 14), strip + 24 + 11 * (*count % 3));
                    *count += 1;
                    self.strip_value(name, point.median, at)?;
                }
            }
        }
        Ok(())
    }

    /// Draws a point with its whisker.
    fn point(&self, name: &str, point: Point, x: i32) -> Drawn {
        let end = |value: f64| (x, self.y(value).clamp(self.frame.start, self.frame.end));
        let whisker = [end(point.low), end(point.high)];
        self.cell
            .draw(&PathElement::new(whisker, color(name).stroke_width(2)))?;
        self.cell.draw(&mark(name, (x, self.y(point.median))))?;
        Ok(())
    }

    /// Writes a value in a strip. The values of a group are at three heights in turn, because their
    /// symbols can be next to each other.
    fn strip_value(&self, name: &str, value: f64, at: (i32, i32)) -> Drawn {
        let anchor = Pos::new(HPos::Center, VPos::Center);
        let style = (FONT, 11).into_font().color(&color(name));
        let style = style.into_text_style(self.cell).pos(anchor);
        self.cell.draw_text(&format!("{value:.2}"), &style, at)?;
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

/// Returns the side on which a value is outside of the frame.
fn outside(range: &Range<f64>, value: f64) -> Option<Side> {
    let tolerance = (range.end - range.start) * TOLERANCE;
    match value {
        _ if value > range.end + tolerance => Some(Side::Above),
        _ if value < range.start - tolerance => Some(Side::Below),
        _ => None,
    }
}

/// Returns the range of the axis: 1 and all medians of contestants that take part in every round.
fn range(groups: &[Group]) -> Range<f64> {
    let (mut from, mut to) = (0.98f64, 1.02f64);
    let points = groups.iter().flat_map(|group| &group.points);
    for (name, point) in points {
        if let (Some(point), true) = (point, takes_part_in_every_round(name)) {
            from = from.min(point.median);
            to = to.max(point.median);
        }
    }
    from..to
}

/// Returns the labels of a linear axis: three to seven round numbers.
fn ticks(range: &Range<f64>) -> Vec<f64> {
    let span = range.end - range.start;
    let steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];
    let step = steps.into_iter().find(|step| span / step <= 6.0);
    let step = step.unwrap_or(5.0);
    // One step more at each end: the frame is larger than the range.
    let from = (range.start / step - 0.5).ceil() as i64;
    let to = (range.end / step + 0.5).floor() as i64;
    (from..=to).map(|place| place as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(points: &[(&str, f64)]) -> Group {
        let point = |&(name, median): &(&str, f64)| {
            let (low, high) = (median, median);
            (name.to_owned(), Some(Point { median, low, high }))
        };
        Group {
            title: String::new(),
            points: points.iter().map(point).collect(),
        }
    }

    #[test]
    fn contestants_far_behind_do_not_stretch_the_axis() {
        let groups = [group(&[
            ("wakeful echo-server", 0.97),
            ("monoio epoll", 0.87),
            ("thread per connection", 0.45),
        ])];
        assert_eq!(range(&groups), 0.87..1.02);
        assert_eq!(range(&[group(&[("raw epoll", 1.0)])]), 0.98..1.02);
    }

    #[test]
    fn a_value_far_from_the_axis_is_in_a_strip() {
        let sides = [0.85, 0.9, 1.005, 1.1].map(|value| outside(&(0.9..1.0), value));
        assert_eq!(sides[0], Some(Side::Below));
        assert_eq!(sides[1..], [None, None, Some(Side::Above)]);
    }

    #[test]
    fn a_ratio_axis_has_three_to_seven_labels() {
        for range in [0.98..1.02, 0.87..1.02, 0.9..1.46, 0.6..2.4] {
            let ticks = ticks(&range);
            assert!((3..=8).contains(&ticks.len()), "{range:?}: {ticks:?}");
            assert!(
                ticks.iter().any(|tick| (tick - 1.0).abs() < 1e-9),
                "{ticks:?}"
            );
        }
    }
}
