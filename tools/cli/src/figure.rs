//! Figures as SVG: curves, bands, points, reference lines, histograms and heat maps.
//!
//! The one module that knows the plotting library. It decides the ranges of the axes itself, leaves
//! out what is not finite (a curve breaks there) or not positive on a logarithmic axis, and puts
//! names into a legend below the axes, where they cannot cover data.

mod axis;

use std::sync::Arc;

use kuva::plot::legend::{LegendEntry, LegendPosition, LegendShape};
use kuva::plot::line::LineStyle;
use kuva::plot::{BandPlot, ColorMap, Heatmap, Histogram, LinePlot, ScatterPlot};
use kuva::render::annotations::{ReferenceLine, TextAnnotation};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;

use axis::{Axis, decimal};

/// Distinguishable in print and with any kind of colour vision, dark enough on white (after Okabe
/// and Ito, without the yellow).
const COLORS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#aa3377", "#b8860b", "#56b4e9", "#000000"];
const REFERENCE: &str = "#555555";
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 460.0;

/// How an axis is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences.
    #[default]
    Linear,
    /// Equal ratios; values that are not positive are left out.
    Log,
}

#[derive(Clone, Debug)]
enum Mark {
    Line { name: String, points: Vec<(f64, f64)> },
    Band { points: Vec<(f64, f64, f64)> },
    Points { name: String, points: Vec<(f64, f64)> },
    Bars { name: String, edges: Vec<f64>, heights: Vec<f64> },
    Horizontal { name: String, y: f64 },
    Vertical { name: String, x: f64 },
}

/// A figure with two axes, built mark by mark.
///
/// ```
/// use hesse_cli::figure::Figure;
/// let svg = Figure::new("Training", "step", "loss")
///     .log_y()
///     .line("small rate", [(0.0, 1.0), (1.0, 0.1), (2.0, 0.01)])
///     .horizontal("target", 0.05)
///     .to_svg();
/// assert!(svg.starts_with("<svg") && svg.contains("small rate"));
/// ```
#[derive(Clone, Debug)]
pub struct Figure {
    title: String,
    labels: [String; 2],
    scales: [Scale; 2],
    limits: [Option<(f64, f64)>; 2],
    marks: Vec<Mark>,
}

impl Figure {
    /// An empty figure with a title and the names (and units) of its axes.
    #[must_use]
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        Self {
            title: title.to_owned(),
            labels: [x_label, y_label].map(str::to_owned),
            scales: [Scale::Linear; 2],
            limits: [None; 2],
            marks: Vec::new(),
        }
    }

    /// Equal ratios along x.
    #[must_use]
    pub fn log_x(mut self) -> Self {
        self.scales[0] = Scale::Log;
        self
    }

    /// Equal ratios along y.
    #[must_use]
    pub fn log_y(mut self) -> Self {
        self.scales[1] = Scale::Log;
        self
    }

    /// Shows x from `from` to `to` whatever the data.
    #[must_use]
    pub fn x_from_to(mut self, from: f64, to: f64) -> Self {
        self.limits[0] = Some((from, to));
        self
    }

    /// Shows y from `from` to `to` whatever the data.
    #[must_use]
    pub fn y_from_to(mut self, from: f64, to: f64) -> Self {
        self.limits[1] = Some((from, to));
        self
    }

    /// A curve.
    #[must_use]
    pub fn line(mut self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.marks.push(Mark::Line { name: name.to_owned(), points: points.into_iter().collect() });
        self
    }

    /// A shaded region between two curves, (x, lower, upper), in the colour of the next curve or
    /// points.
    #[must_use]
    pub fn band(mut self, points: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        self.marks.push(Mark::Band { points: points.into_iter().collect() });
        self
    }

    /// Separate points.
    #[must_use]
    pub fn points(mut self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.marks
            .push(Mark::Points { name: name.to_owned(), points: points.into_iter().collect() });
        self
    }

    /// Bars between `edges`, one height fewer than edges.
    #[must_use]
    pub fn bars(mut self, name: &str, edges: &[f64], heights: &[f64]) -> Self {
        self.marks.push(Mark::Bars {
            name: name.to_owned(),
            edges: edges.to_vec(),
            heights: heights.to_vec(),
        });
        self
    }

    /// Counts of `values` in `bins` equal bins between the smallest and the largest.
    #[must_use]
    pub fn histogram(self, name: &str, values: &[f64], bins: usize) -> Self {
        let finite = values.iter().copied().filter(|v| v.is_finite());
        let Some((low, high)) = range(finite.clone()) else { return self };
        let (low, high) = if low < high { (low, high) } else { (low - 0.5, high + 0.5) };
        let bins = bins.max(1);
        let edges: Vec<_> =
            (0..=bins).map(|i| low + (high - low) * i as f64 / bins as f64).collect();
        let mut counts = vec![0.0; bins];
        for value in finite {
            // In range by construction; the largest value belongs to the last bin.
            let bin = ((value - low) / (high - low) * bins as f64) as usize;
            counts[bin.min(bins - 1)] += 1.0;
        }
        self.bars(name, &edges, &counts)
    }

    /// A dashed line across the figure at the height `y`.
    #[must_use]
    pub fn horizontal(mut self, name: &str, y: f64) -> Self {
        self.marks.push(Mark::Horizontal { name: name.to_owned(), y });
        self
    }

    /// A dashed line from bottom to top at `x`.
    #[must_use]
    pub fn vertical(mut self, name: &str, x: f64) -> Self {
        self.marks.push(Mark::Vertical { name: name.to_owned(), x });
        self
    }

    /// Position of `value` along `axis` in the units that the plotting library sees: logarithms
    /// are taken here, since its own logarithmic axes end at 1e-10. `None` where it has none.
    fn place(&self, axis: usize, value: f64) -> Option<f64> {
        let placed = match self.scales[axis] {
            Scale::Linear => value,
            Scale::Log => value.log10(),
        };
        placed.is_finite().then_some(placed)
    }

    fn place_point(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.place(0, x)?, self.place(1, y)?))
    }

    /// Everything that has to be visible along one axis.
    fn extent(&self, axis: usize) -> Option<(f64, f64)> {
        let mut values = Vec::new();
        for mark in &self.marks {
            match mark {
                Mark::Line { points, .. } | Mark::Points { points, .. } => {
                    let visible = points.iter().filter_map(|&p| self.place_point(p));
                    values.extend(visible.map(|p| if axis == 0 { p.0 } else { p.1 }));
                }
                Mark::Band { points } => {
                    for &(x, lower, upper) in points {
                        let ends = [lower, upper].map(|y| self.place_point((x, y)));
                        let ends = ends.into_iter().flatten();
                        values.extend(ends.map(|p| if axis == 0 { p.0 } else { p.1 }));
                    }
                }
                Mark::Bars { edges, heights, .. } => {
                    let shown = if axis == 0 { edges } else { heights };
                    values.extend(shown.iter().filter_map(|&v| self.place(axis, v)));
                    if axis == 1 && self.scales[1] == Scale::Linear {
                        values.push(0.0);
                    }
                }
                Mark::Horizontal { y, .. } if axis == 1 => values.extend(self.place(1, *y)),
                Mark::Vertical { x, .. } if axis == 0 => values.extend(self.place(0, *x)),
                Mark::Horizontal { .. } | Mark::Vertical { .. } => {}
            }
        }
        range(values.into_iter())
    }

    /// Limits and tick step of one axis.
    fn axis(&self, axis: usize) -> Axis {
        let given = self.limits[axis].and_then(|(from, to)| {
            let (from, to) = (self.place(axis, from)?, self.place(axis, to)?);
            (from < to).then_some((from, to))
        });
        let (low, high) = given.or_else(|| self.extent(axis)).unwrap_or((0.0, 1.0));
        match self.scales[axis] {
            Scale::Linear => Axis::linear(low, high, given.is_some()),
            Scale::Log => Axis::log(low, high, given.is_some()),
        }
    }

    /// The figure as an SVG document of 720 × 460 points (more with a long legend).
    #[must_use]
    pub fn to_svg(&self) -> String {
        let axes = [self.axis(0), self.axis(1)];
        let mut plots: Vec<Plot> = Vec::new();
        let mut legend = Vec::new();
        let mut layout = layout(&self.title, &axes);
        let mut color = 0;
        for mark in &self.marks {
            let paint = COLORS[color % COLORS.len()];
            match mark {
                Mark::Line { name, points } => {
                    let style = [LineStyle::Solid, LineStyle::Dashed, LineStyle::Dotted]
                        [color / COLORS.len() % 3]
                        .clone();
                    legend.push(entry(name, paint, LegendShape::Line, style.dasharray()));
                    for piece in self.pieces(points, &axes) {
                        plots.push(
                            LinePlot::new()
                                .with_data(piece)
                                .with_color(paint)
                                .with_stroke_width(1.8)
                                .with_line_style(style.clone())
                                .into(),
                        );
                    }
                    color += 1;
                }
                Mark::Points { name, points } => {
                    legend.push(entry(name, paint, LegendShape::Circle, None));
                    let visible: Vec<_> = points
                        .iter()
                        .filter_map(|&p| self.place_point(p))
                        .filter(|p| axes[0].holds(p.0) && axes[1].holds(p.1))
                        .collect();
                    plots.push(
                        ScatterPlot::new()
                            .with_data(visible)
                            .with_color(paint)
                            .with_size(3.5)
                            .into(),
                    );
                    color += 1;
                }
                Mark::Band { points } => {
                    let visible: Vec<_> = points
                        .iter()
                        .filter_map(|&(x, lower, upper)| {
                            let (x, lower) = self.place_point((x, lower))?;
                            let upper = self.place(1, upper)?;
                            axes[0]
                                .holds(x)
                                .then(|| (x, axes[1].clamp(lower), axes[1].clamp(upper)))
                        })
                        .collect();
                    plots.push(
                        BandPlot::new(
                            visible.iter().map(|p| p.0),
                            visible.iter().map(|p| p.1),
                            visible.iter().map(|p| p.2),
                        )
                        .with_color(paint)
                        .with_opacity(0.22)
                        .into(),
                    );
                }
                Mark::Bars { name, edges, heights } => {
                    legend.push(entry(name, paint, LegendShape::Rect, None));
                    plots.extend(self.bar_plots(edges, heights, &axes[1], paint));
                    color += 1;
                }
                Mark::Horizontal { name, y } => {
                    let Some(y) = self.place(1, *y).filter(|&y| axes[1].holds(y)) else {
                        continue;
                    };
                    let dash = dash(layout.reference_lines.len());
                    legend.push(entry(name, REFERENCE, LegendShape::Line, Some(dash.into())));
                    layout = layout.with_reference_line(
                        ReferenceLine::horizontal(y)
                            .with_color(REFERENCE)
                            .with_stroke_width(1.3)
                            .with_dasharray(dash),
                    );
                }
                Mark::Vertical { name, x } => {
                    let Some(x) = self.place(0, *x).filter(|&x| axes[0].holds(x)) else {
                        continue;
                    };
                    let dash = dash(layout.reference_lines.len());
                    legend.push(entry(name, REFERENCE, LegendShape::Line, Some(dash.into())));
                    layout = layout.with_reference_line(
                        ReferenceLine::vertical(x)
                            .with_color(REFERENCE)
                            .with_stroke_width(1.3)
                            .with_dasharray(dash),
                    );
                }
            }
        }
        layout = layout.with_x_label(plain(&self.labels[0])).with_y_label(plain(&self.labels[1]));
        if self.extent(0).is_none() || self.extent(1).is_none() {
            let middle = |axis: &Axis| 0.5 * (axis.low + axis.high);
            let (x, y) = (middle(&axes[0]), middle(&axes[1]));
            layout = layout.with_annotation(TextAnnotation::new("no finite data", x, y));
        }
        legend.retain(|entry| !entry.label.is_empty());
        if !legend.is_empty() {
            let rows = legend.len().div_ceil(2) as f64;
            layout = layout
                .with_height(HEIGHT + 18.0 * rows)
                .with_legend_entries(legend)
                .with_legend_box(false)
                .with_legend_position(LegendPosition::OutsideBottomColumns);
        }
        kuva::render_to_svg(plots, layout)
    }

    /// The visible parts of a curve: it breaks where a point has no place, and is cut at the
    /// limits of x.
    fn pieces(&self, points: &[(f64, f64)], axes: &[Axis; 2]) -> Vec<Vec<(f64, f64)>> {
        let mut pieces = vec![Vec::new()];
        for &point in points {
            match self.place_point(point).filter(|p| axes[0].holds(p.0)) {
                Some((x, y)) => {
                    if let Some(piece) = pieces.last_mut() {
                        piece.push((x, axes[1].clamp(y)));
                    }
                }
                None if pieces.last().is_some_and(|piece| !piece.is_empty()) => {
                    pieces.push(Vec::new());
                }
                None => {}
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// Bars as filled steps, because the library's own start at zero, which a logarithmic axis
    /// lacks.
    fn bar_plots(&self, edges: &[f64], heights: &[f64], axis: &Axis, color: &str) -> Option<Plot> {
        let edges: Option<Vec<_>> = edges.iter().map(|&e| self.place(0, e)).collect();
        let edges = edges?;
        if self.scales[1] == Scale::Linear && edges.len() == heights.len() + 1 {
            let heights: Vec<_> =
                heights.iter().map(|&h| if h.is_finite() { h } else { 0.0 }).collect();
            return Some(
                Histogram::from_bins(edges, heights).with_color(color.to_owned() + "b0").into(),
            );
        }
        let mut x: Vec<f64> = Vec::new();
        let mut top: Vec<f64> = Vec::new();
        for (pair, &height) in edges.windows(2).zip(heights) {
            let height = self.place(1, height).unwrap_or(axis.low);
            x.extend(pair);
            top.extend([axis.clamp(height); 2]);
        }
        let floor = vec![axis.low; x.len()];
        Some(BandPlot::new(x, floor, top).with_color(color).with_opacity(0.6).into())
    }
}

/// A matrix as a grid of colours with a colour bar, the first row on top. Where there are values of
/// both signs, white is zero, red positive and blue negative; what is not finite is grey.
#[must_use]
pub fn heatmap(title: &str, x_label: &str, y_label: &str, rows: &[Vec<f64>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let finite = rows.iter().flatten().copied().filter(|v| v.is_finite());
    let Some((low, high)) = range(finite) else {
        return Figure::new(title, x_label, y_label).to_svg();
    };
    let full = |row: &Vec<f64>| {
        (0..columns).map(|c| row.get(c).copied().unwrap_or(f64::NAN)).collect::<Vec<_>>()
    };
    let height = rows.len() as f64;
    let color = move |share: f64| {
        if !share.is_finite() {
            "#bbbbbb".to_owned()
        } else if low < 0.0 && high > 0.0 {
            let value = low + share * (high - low);
            let size = if -low > high { -low } else { high };
            ColorMap::RedBlue.map(0.5 - 0.5 * value / size)
        } else {
            ColorMap::Viridis.map(share)
        }
    };
    let map = Heatmap::new()
        .with_data(rows.iter().rev().map(full))
        .with_x_range(0.0, columns as f64)
        .with_y_range(0.0, height)
        .with_cell_size(1.0)
        .with_color_map(ColorMap::Custom(Arc::new(color)));
    let plots: Vec<Plot> = vec![map.into()];
    let layout = style(Layout::auto_from_plots(&plots), title)
        .with_y_tick_format(TickFormat::Custom(Arc::new(move |y| decimal(height - y, 1.0, height))))
        .with_x_label(plain(x_label))
        .with_y_label(plain(y_label))
        .with_height(HEIGHT + 60.0);
    kuva::render_to_svg(plots, layout)
}

fn layout(title: &str, axes: &[Axis; 2]) -> Layout {
    let layout = Layout::new((axes[0].low, axes[0].high), (axes[1].low, axes[1].high));
    style(layout, title)
        .with_x_axis_min(axes[0].low)
        .with_x_axis_max(axes[0].high)
        .with_y_axis_min(axes[1].low)
        .with_y_axis_max(axes[1].high)
        .with_x_tick_step(axes[0].step)
        .with_y_tick_step(axes[1].step)
        .with_x_tick_format(axes[0].tick_format())
        .with_y_tick_format(axes[1].tick_format())
}

/// What all figures have in common.
fn style(layout: Layout, title: &str) -> Layout {
    let mut layout = layout
        .with_title(plain(title))
        .with_width(WIDTH)
        .with_height(HEIGHT)
        .with_grid_line_width(0.6)
        .with_font_family("DejaVu Sans, Verdana, sans-serif")
        .with_title_size(16)
        .with_label_size(13)
        .with_tick_size(12)
        .with_body_size(12);
    layout.theme.grid_color = "#dddddd".into();
    layout
}

fn entry(name: &str, color: &str, shape: LegendShape, dasharray: Option<String>) -> LegendEntry {
    LegendEntry { label: plain(name), color: color.to_owned(), shape, dasharray }
}

/// Reference lines differ from each other and from curves.
fn dash(index: usize) -> &'static str {
    ["7 4", "2 3", "9 3 2 3"][index % 3]
}

/// The library reads `$...$` as mathematics: a dollar is only a dollar here.
fn plain(text: &str) -> String {
    crate::failure::one_line(text).replace('$', "\\$")
}

/// Smallest and largest of finite values.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((if v < low { v } else { low }, if v > high { v } else { high })),
    })
}

#[cfg(test)]
mod tests;
