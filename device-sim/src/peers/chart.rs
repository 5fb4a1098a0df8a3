//! The picture: a panel of bars for each of the figures that matter most, each on a scale of its own.
//!
//! Nothing is drawn behind it, and all its colours stand out from white and from black.

use plotters::prelude::{DrawingArea, IntoDrawingArea, RGBColor, Rectangle, SVGBackend, Text};
use plotters::style::{Color, IntoFont, TextStyle};

use super::marks::OURS;
use super::page::{short, title_of};
use super::results::Results;
use super::servers::ServerKind;

const SIZE: (u32, u32) = (960, 660);
const PANELS: (usize, usize) = (3, 2);
const INK: RGBColor = RGBColor(128, 128, 128);
const HIGHLIGHT: RGBColor = RGBColor(224, 128, 16);
const BAR: RGBColor = RGBColor(110, 140, 175);
const NAME_WIDTH: i32 = 96;
const VALUE_WIDTH: i32 = 84;
const HEAD_HEIGHT: i32 = 44;
const BAR_HEIGHT: i32 = 20;
const BAR_STEP: i32 = 30;
const TITLE_SIZE: i32 = 18;
const TEXT_SIZE: i32 = 16;
const FONT: &str = "sans-serif";

/// A panel: its title, and where its figures are.
const SHOWN: [(&str, &str, &str); 6] = [
    ("S1 one at a time: µs of CPU a delivery", "s1_single", "cpu_us"),
    ("S1 bursts of 32: µs of CPU a delivery", "s1_burst32", "cpu_us"),
    ("S1 as fast as it goes: deliveries a second", "s1_most", "delivered_per_s"),
    ("S2 fan-in at 10,000/s: µs of CPU a message", "s2", "cpu_us"),
    ("S3 pairwise at 5,000/s: µs of CPU a message", "s3", "cpu_us"),
    ("S4 idle ws: KiB a connection", "s4_ws", "kib"),
];

/// The picture as SVG.
///
/// # Errors
/// The drawing library's words.
pub(super) fn draw(results: &Results) -> Result<String, String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        for (panel, shown) in root.split_evenly(PANELS).iter().zip(SHOWN) {
            draw_panel(panel, shown, results).map_err(|error| error.to_string())?;
        }
        root.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

type Area<'s> = DrawingArea<SVGBackend<'s>, plotters::coord::Shift>;
type DrawError<'s> = plotters::drawing::DrawingAreaErrorKind<
    <SVGBackend<'s> as plotters::prelude::DrawingBackend>::ErrorType,
>;

fn draw_panel<'s>(
    panel: &Area<'s>,
    (title, step, figure): (&str, &str, &str),
    results: &Results,
) -> Result<(), DrawError<'s>> {
    panel.draw(&Text::new(title, (10, 16), style(TITLE_SIZE)))?;
    let known = ServerKind::ALL.into_iter().filter_map(|server| {
        Some((server, results.median(step, server.name(), figure).filter(|value| *value > 0.0)?))
    });
    let known: Vec<(ServerKind, f64)> = known.collect();
    let most = known.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let room = f64::from(panel.dim_in_pixel().0) - f64::from(NAME_WIDTH + VALUE_WIDTH);
    for (row, (server, value)) in (0..).zip(&known) {
        let top = HEAD_HEIGHT + row * BAR_STEP;
        let end = NAME_WIDTH + ((value / most * room) as i32).max(1);
        let color = if server.name() == OURS { HIGHLIGHT } else { BAR };
        panel.draw(&Text::new(title_of(*server), (10, top + 4), style(TEXT_SIZE)))?;
        let corners = [(NAME_WIDTH, top), (end, top + BAR_HEIGHT)];
        panel.draw(&Rectangle::new(corners, color.filled()))?;
        panel.draw(&Text::new(short(*value), (end + 6, top + 4), style(TEXT_SIZE)))?;
    }
    Ok(())
}

fn style(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

#[cfg(test)]
mod tests {
    use super::super::results::{Figures, Rounds};
    use super::*;

    #[test]
    fn a_server_without_a_figure_has_no_bar_and_ours_stands_out() {
        let mut rounds = Rounds::default();
        rounds.add("s2", OURS, &Figures::new().with("cpu_us", 30.0));
        rounds.add("s2", "nats", &Figures::new().with("cpu_us", 60.0));
        let results = Results { steps: rounds.steps(), ..Results::default() };
        let svg = draw(&results).expect("drawn");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert_eq!(svg.matches("#E08010").count(), 1);
        assert!(svg.contains("NATS") && !svg.contains("Mosquitto"));
    }
}
