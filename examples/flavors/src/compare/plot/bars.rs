//! Bar plots: a group of bars per model. Called by [`super::draw_all`].

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Drawn, Root, TEXT_SIZE, TITLE_SIZE, anchored, axis, color, text};
use crate::compare::result::{Comparison, Measured};

/// A value and its label, or `None` if it was not measured.
pub(super) type Bar = Option<(f64, String)>;

/// Definition of a bar plot.
pub(super) struct BarPlot {
    pub(super) caption: &'static str,
    /// Label of the y axis.
    pub(super) unit: &'static str,
    /// Names of the bars of each model.
    pub(super) groups: &'static [&'static str],
    /// What a reader has to know to compare the bars.
    pub(super) note: Option<String>,
    pub(super) bars: fn(&Measured) -> Vec<Bar>,
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws a plot, with a legend if there are several groups.
pub(super) fn draw(found: &Comparison, root: &Root<'_>, plot: &BarPlot) -> Drawn {
    let all: Vec<(&Measured, Vec<Bar>)> = found
        .models
        .iter()
        .map(|model| (model, (plot.bars)(model)))
        .collect();
    let values = all.iter().flat_map(|(_, bars)| bars.iter().flatten());
    let high = axis_end(values.map(|(value, _)| *value).collect());
    let top_area = match (plot.groups.len(), &plot.note) {
        (..=1, _) => 0,
        (_, None) => 28,
        (_, Some(_)) => 50,
    };
    let mut chart = ChartBuilder::on(root)
        .caption(plot.caption, text(TITLE_SIZE))
        .margin(12)
        .x_label_area_size(34)
        .top_x_label_area_size(top_area)
        .y_label_area_size(78)
        .build_cartesian_2d(0.0..all.len() as f64, 0.0..high)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_desc(plot.unit)
        .y_labels(8)
        .y_label_formatter(&|value| axis(*value))
        .label_style(text(TEXT_SIZE))
        .axis_desc_style(text(TEXT_SIZE + 1))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    for (position, (model, bars)) in all.iter().enumerate() {
        draw_model(&mut chart, position as f64, high, model, bars)?;
    }
    if plot.groups.len() > 1 {
        draw_legend(root, plot.groups)?;
    }
    if let Some(note) = &plot.note {
        let style = anchored(TEXT_SIZE - 2, HPos::Left, VPos::Center);
        root.draw(&Text::new(note.clone(), (120, 76), style))?;
    }
    Ok(())
}

/// Returns the end of the y axis.
///
/// A value over three times the second largest is truncated, and its label states it. Otherwise the
/// other bars would be too small to see. It is not truncated if all others are 0.
fn axis_end(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values[..] {
        [.., second, max] if second > 0.0 && max > 3.0 * second => second * 1.3,
        [.., max] if max > 0.0 => max * 1.15,
        _ => 1.0,
    }
}

/// Draws the bars of one model, with their labels and the model's name.
fn draw_model(
    chart: &mut Chart<'_, '_>,
    position: f64,
    high: f64,
    model: &Measured,
    bars: &[Bar],
) -> Drawn {
    let width = 0.8 / bars.len() as f64;
    for (group, bar) in bars.iter().enumerate() {
        let left = position + 0.1 + group as f64 * width;
        let (value, label) = bar.clone().unwrap_or((0.0, "-".to_owned()));
        let label = if value > high {
            format!("{label} (truncated)")
        } else {
            label
        };
        let value = value.min(high * 0.94);
        let corners = [(left, 0.0), (left + width * 0.94, value)];
        let style = shade(&model.name, group).filled();
        chart.draw_series([Rectangle::new(corners, style)])?;
        let at = (left + width * 0.47, value);
        let style = anchored(TEXT_SIZE - 2, HPos::Center, VPos::Bottom);
        chart.draw_series([EmptyElement::at(at) + Text::new(label, (0, -3), style)])?;
    }
    let style = anchored(TEXT_SIZE, HPos::Center, VPos::Top);
    let name = Text::new(model.name.clone(), (0, 8), style);
    chart.draw_series([EmptyElement::at((position + 0.5, 0.0)) + name])?;
    Ok(())
}

/// Draws the names of the groups.
fn draw_legend(root: &Root<'_>, groups: &[&str]) -> Drawn {
    let mut x = 120;
    for (group, name) in groups.iter().enumerate() {
        let corners = [(x, 46), (x + 14, 60)];
        root.draw(&Rectangle::new(corners, shade("blocking", group).filled()))?;
        let style = anchored(TEXT_SIZE, HPos::Left, VPos::Center);
        root.draw(&Text::new((*name).to_owned(), (x + 20, 53), style))?;
        x += 60 + 8 * i32::try_from(name.len())?;
    }
    Ok(())
}

/// Returns the color of a model, lighter for the second group.
fn shade(name: &str, group: usize) -> RGBAColor {
    color(name).mix(if group == 0 { 1.0 } else { 0.45 })
}
