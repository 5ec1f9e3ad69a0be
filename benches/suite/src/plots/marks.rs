//! The symbols of the contestants, and the legend.

use plotters::element::{DynElement, IntoDynElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, Drawn, FONT};
use crate::contestants::{Shape, color, shape};

type Mark<'a> = DynElement<'static, SVGBackend<'a>, (i32, i32)>;

/// Returns the symbol of a contestant, centered at `at`.
pub(super) fn mark<'a>(name: &str, at: (i32, i32)) -> Mark<'a> {
    let (shape, filled) = shape(name);
    let color = color(name);
    let points: &[(i32, i32)] = match shape {
        Shape::Circle if filled => return Circle::new(at, 5, color.filled()).into_dyn(),
        Shape::Circle => return Circle::new(at, 4, color.stroke_width(2)).into_dyn(),
        Shape::Square => &[(-4, -4), (4, -4), (4, 4), (-4, 4)],
        Shape::Up => &[(0, -5), (5, 4), (-5, 4)],
        Shape::Down => &[(0, 5), (5, -4), (-5, -4)],
        Shape::Diamond => &[(0, -6), (5, 0), (0, 6), (-5, 0)],
        Shape::Cross => &CROSS,
        Shape::Plus => &PLUS,
    };
    let moved = |&(x, y): &(i32, i32)| (at.0 + x, at.1 + y);
    let mut points: Vec<(i32, i32)> = points.iter().map(moved).collect();
    if filled {
        return Polygon::new(points, color.filled()).into_dyn();
    }
    // The first point again closes the outline; the second makes its last corner like the others.
    points.extend_from_within(..2);
    PathElement::new(points, color.stroke_width(2)).into_dyn()
}

const CROSS: [(i32, i32); 12] = [
    (-5, -4),
    (-4, -5),
    (0, -1),
    (4, -5),
    (5, -4),
    (1, 0),
    (5, 4),
    (4, 5),
    (0, 1),
    (-4, 5),
    (-5, 4),
    (-1, 0),
];

const PLUS: [(i32, i32); 12] = [
    (-1, -5),
    (1, -5),
    (1, -1),
    (5, -1),
    (5, 1),
    (1, 1),
    (1, 5),
    (-1, 5),
    (-1, 1),
    (-5, 1),
    (-5, -1),
    (-1, -1),
];

const ENTRY_WIDTH: i32 = 186;
const ENTRY_HEIGHT: i32 = 20;

/// Returns the height of a legend with this many entries.
pub(super) fn legend_height(names: usize, width: u32) -> u32 {
    let in_line = (width as i32 - 20) / ENTRY_WIDTH;
    (names.div_ceil(in_line.max(1) as usize) as i32 * ENTRY_HEIGHT + 14) as u32
}

pub(super) fn legend(area: &Area<'_>, names: &[String]) -> Drawn {
    let (width, _) = area.dim_in_pixel();
    let middle = Pos::new(HPos::Left, VPos::Center);
    let style = (FONT, 13).into_font().into_text_style(area).pos(middle);
    let in_line = ((width as i32 - 20) / ENTRY_WIDTH).max(1);
    for (place, name) in names.iter().enumerate() {
        let (line, column) = (place as i32 / in_line, place as i32 % in_line);
        let (x, y) = (20 + column * ENTRY_WIDTH, 12 + line * ENTRY_HEIGHT);
        area.draw(&mark(name, (x, y)))?;
        area.draw_text(name, &style, (x + 14, y))?;
    }
    Ok(())
}
