//! Curves as an SVG: one small chart for each, all on one scale.

use anyhow::anyhow;
use plotters::chart::ChartBuilder;
use plotters::drawing::IntoDrawingArea;
use plotters::element::Circle;
use plotters::prelude::{LineSeries, SVGBackend};
use plotters::style::{Color, RGBColor, WHITE};

use crate::growth::Curve;

/// Pixels of a chart.
const SIZE: (u32, u32) = (440, 300);
const LINE: RGBColor = RGBColor(31, 119, 180);

/// The charts, side by side in pairs.
pub(crate) fn svg(curves: &[Curve]) -> anyhow::Result<String> {
    let mut text = String::new();
    let rows = curves.len().div_ceil(2);
    let highest = curves.iter().flat_map(|curve| &curve.points).map(|(_, rate)| *rate).fold(0.0, f64::max);
    {
        let area = SVGBackend::with_string(&mut text, (2 * SIZE.0, SIZE.1 * u32::try_from(rows)?)).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        for (curve, area) in curves.iter().zip(area.split_evenly((rows, 2))) {
            let last = i32::try_from(curve.points.len())? - 1;
            // Values double or more from one to the next: they stand at equal distances, under their own names.
            let mut chart = ChartBuilder::on(&area)
                .margin(12)
                .caption(format!("logs/s, by {}", curve.of), ("sans-serif", 16))
                .x_label_area_size(28)
                .y_label_area_size(64)
                .build_cartesian_2d(-0.3..f64::from(last) + 0.3, 0.0..highest * 1.1)
                .map_err(drawing)?;
            let points: Vec<(f64, f64)> = (0..=last).map(f64::from).zip(curve.points.iter().map(|(_, rate)| *rate)).collect();
            chart.configure_mesh().disable_x_mesh().x_labels(0).y_labels(6).draw().map_err(drawing)?;
            chart.draw_series(LineSeries::new(points.iter().copied(), LINE.stroke_width(2))).map_err(drawing)?;
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, LINE.filled()))).map_err(drawing)?;
            let labels = points.iter().zip(&curve.points).map(|((x, _), (value, _))| plotters::element::Text::new(value.to_string(), (*x, highest * 0.03), ("sans-serif", 13)));
            chart.draw_series(labels).map_err(drawing)?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(text)
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_drawn_under_its_name() {
        let curves = [Curve { of: "processes", points: vec![(1, 9_000.0), (2, 12_000.0), (4, 11_500.0)] }, Curve { of: "tenants", points: vec![(1_000, 7_000.0)] }];
        let drawn = svg(&curves).expect("memory");
        assert!(drawn.starts_with("<svg") && drawn.matches("<circle").count() == 4);
        assert!(drawn.contains("by processes") && drawn.contains("1000"));
    }
}
