//! Pictures of what costs more where there is more of it.

use std::fs;
use std::path::Path;

use plotters::prelude::*;

use super::figures::Figures;
use super::markdown::amount;
use super::rows::{Plot, SERIES, Series};
use crate::process::Result;

const SIZE: (u32, u32) = (760, 420);
/// The first is the most prominent; they differ for those who see no colours, too.
const COLOURS: [RGBColor; 5] =
    [RGBColor(213, 94, 0), RGBColor(0, 114, 178), RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(86, 86, 86)];

/// Draws the series that have a picture, each in a file of its own.
pub(crate) fn write(directory: &Path, figures: &Figures) -> Result {
    fs::create_dir_all(directory)?;
    for series in SERIES {
        if let Some(plot) = &series.plot {
            fs::write(directory.join(format!("{}.svg", plot.file)), picture(series, plot, figures)?)?;
        }
    }
    Ok(())
}

/// The points of a line that were measured.
fn points(series: &Series, prefix: &str, figures: &Figures) -> Vec<(f64, f64)> {
    let values = series.values(prefix, figures);
    let sizes = series.sizes.iter().map(|size| size.parse().ok());
    sizes.zip(values).filter_map(|(size, value)| Some((size?, value?))).collect()
}

fn picture(series: &Series, plot: &Plot, figures: &Figures) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let lines: Vec<_> = plot.lines.iter().map(|(name, prefix)| (*name, points(series, prefix, figures))).collect();
        let all: Vec<(f64, f64)> = lines.iter().flat_map(|(_, points)| points.iter().copied()).collect();
        let bounds = |values: &mut dyn Iterator<Item = f64>, room: f64| {
            let (least, most) =
                values.fold((f64::MAX, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
            (least / room..most * room).log_scale()
        };
        if all.is_empty() {
            let style = TextStyle::from(("sans-serif", 18).into_font());
            area.draw(&Text::new(format!("{}: not measured", plot.title), (40, 40), style))?;
        } else {
            let mut chart = ChartBuilder::on(&area)
                .caption(plot.title, ("sans-serif", 20))
                .margin(16)
                .x_label_area_size(44)
                .y_label_area_size(72)
                .build_cartesian_2d(
                    bounds(&mut all.iter().map(|point| point.0), 1.2),
                    bounds(&mut all.iter().map(|point| point.1), 2.0),
                )?;
            chart
                .configure_mesh()
                .x_desc(series.by)
                .x_label_formatter(&|&size| size_label(size))
                .y_label_formatter(&|&time| amount(time, "ns"))
                .light_line_style(RGBColor(240, 240, 240))
                .draw()?;
            let coloured = lines.into_iter().zip(COLOURS.into_iter().cycle());
            for ((name, points), colour) in coloured.filter(|((_, points), _)| !points.is_empty()) {
                chart
                    .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
                    .label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE.mix(0.9))
                .border_style(RGBColor(200, 200, 200))
                .label_font(("sans-serif", 13))
                .draw()?;
        }
        area.present()?;
    }
    Ok(text)
}

/// A size as a power of two where it is one of the larger.
fn size_label(size: f64) -> String {
    let units = [(1_u64 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let unit = units.iter().find(|(unit, _)| size >= *unit as f64 && (size / *unit as f64).fract() == 0.0);
    match unit {
        Some((unit, name)) => format!("{} {name}", size / *unit as f64),
        None => super::markdown::plain(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_line_for_what_was_measured() {
        let (file, mut figures) = (tempfile::NamedTempFile::new().unwrap(), Figures::default());
        let series = SERIES.iter().find(|series| series.plot.is_some()).unwrap();
        let plot = series.plot.as_ref().unwrap();
        assert!(picture(series, plot, &figures).unwrap().contains("not measured"));
        let line = |size: &&str| format!("{{\"id\":\"{}/{size}\",\"value\":{size},\"unit\":\"ns\"}}\n", series.ours);
        fs::write(file.path(), series.sizes.iter().map(line).collect::<String>()).unwrap();
        figures.add_lines(0, file.path()).unwrap();
        let svg = picture(series, plot, &figures).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<polyline") && svg.contains(plot.title), "{svg}");
    }

    #[test]
    fn all_sizes_of_pictures_are_numbers() {
        let drawn = SERIES.iter().filter(|series| series.plot.is_some());
        assert!(drawn.flat_map(|series| series.sizes).all(|size| size.parse::<f64>().is_ok()));
    }
}
