//! The dimension of the sphere whose distances are distributed like these.

use std::f64::consts::FRAC_PI_2;

use super::distance_law::DistanceLaw;

/// Dimensions among which the nearest one is sought.
pub(super) const LARGEST: usize = 25;
/// Bins that a fit needs.
const FEWEST: usize = 4;

/// Why distances determine no sphere.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rejected {
    /// The mode is further from the mean than two bins more than the deviation.
    ModeOffMean {
        /// Middle of the fullest bin.
        mode: f64,
        /// Mean of the distances.
        mean: f64,
        /// Their standard deviation.
        deviation: f64,
    },
    /// The mode is no longer than the longest edge and a bin: distances of single edges.
    ModeOfEdges {
        /// Middle of the fullest bin.
        mode: f64,
        /// The longest edge.
        longest_edge: f64,
    },
    /// Fewer than four bins with counts where a curve is fitted.
    FewBins {
        /// `first parabola`, `second parabola` or `flank`.
        stage: &'static str,
        /// Bins.
        bins: usize,
    },
    /// The counts near the mode have no maximum.
    NoMaximum,
}

impl Rejected {
    /// The same in another unit: distances times 2 to this power.
    pub(super) fn times_power_of_two(self, power: i32) -> Self {
        let times = |distance: f64| libm::ldexp(distance, power);
        match self {
            Self::ModeOffMean { mode, mean, deviation } => Self::ModeOffMean {
                mode: times(mode),
                mean: times(mean),
                deviation: times(deviation),
            },
            Self::ModeOfEdges { mode, longest_edge } => {
                Self::ModeOfEdges { mode: times(mode), longest_edge: times(longest_edge) }
            }
            Self::FewBins { .. } | Self::NoMaximum => self,
        }
    }
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ModeOffMean { mode, mean, deviation } => {
                write!(f, "a mode of {mode}, far from the mean {mean} ± {deviation}")
            }
            Self::ModeOfEdges { mode, longest_edge } => {
                write!(f, "a mode of {mode}, no longer than the longest edge, {longest_edge}")
            }
            Self::FewBins { stage, bins } => write!(f, "{bins} bins for the {stage}"),
            Self::NoMaximum => write!(f, "counts without a maximum near their mode"),
        }
    }
}

/// A hypersphere fitted to the left flank of a histogram of distances.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SphereFit {
    /// The dimension by least squares: 1 + Σ y s/Σ s², s = ln sin(πr/2r_max), y = ln h − ln h_max.
    pub dimension: f64,
    /// The whole dimension, 1 to 25, with the smallest residual.
    pub nearest: usize,
    /// Root of the mean squared residual of y for each dimension from 1 on.
    pub residuals: Vec<f64>,
    /// √(−2 Σ y(u−1)²/Σ(u−1)⁴), u = r/r_max: (π/2)√(D − 1) on a sphere. `None` where y rises.
    pub ratio: Option<f64>,
    /// Half the circumference of the sphere: where the density is largest.
    pub r_max: f64,
    /// Width of the parabola at the maximum.
    pub sigma: f64,
    /// Where the flank begins.
    pub r_min: f64,
    /// Bins with counts on the flank.
    pub bins: usize,
}

/// a x² + b x + c around `centre`, by least squares.
#[derive(Clone, Copy)]
struct Parabola {
    /// Coefficients in x − centre.
    square: f64,
    linear: f64,
    constant: f64,
    centre: f64,
}

impl Parabola {
    /// Through points of different x, three or more, in polynomials that are orthogonal on them.
    fn fit(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        let centre = points.iter().map(|p| p.0).sum::<f64>() / n;
        let scale = points.iter().fold(0.0_f64, |m, p| m.max((p.0 - centre).abs()));
        let u = |x: f64| (x - centre) / scale;
        let moment = |k: i32| points.iter().map(|p| u(p.0).powi(k)).sum::<f64>();
        // p₁ = u, p₂ = u² − β u − γ.
        let (beta, gamma) = (moment(3) / moment(2), moment(2) / n);
        let second = |x: f64| u(x) * (u(x) - beta) - gamma;
        let (mut y0, mut y1, mut y2, mut n2) = (0.0, 0.0, 0.0, 0.0);
        for &(x, y) in points {
            y0 += y;
            y1 += y * u(x);
            y2 += y * second(x);
            n2 += second(x) * second(x);
        }
        let (c0, c1, c2) = (y0 / n, y1 / moment(2), y2 / n2);
        Self {
            square: c2 / (scale * scale),
            linear: (c1 - c2 * beta) / scale,
            constant: c0 - c2 * gamma,
            centre,
        }
    }

    fn vertex(&self) -> f64 {
        self.centre - self.linear / (2.0 * self.square)
    }

    /// Value at the vertex.
    fn peak(&self) -> f64 {
        self.constant - self.linear * self.linear / (4.0 * self.square)
    }

    fn width(&self) -> f64 {
        (-0.5 / self.square).sqrt()
    }
}

impl SphereFit {
    /// The same sphere in another unit: distances times 2 to this power.
    pub(super) fn times_power_of_two(self, power: i32) -> Self {
        let [r_max, sigma, r_min] =
            [self.r_max, self.sigma, self.r_min].map(|distance| libm::ldexp(distance, power));
        Self { r_max, sigma, r_min, ..self }
    }

    /// To distances along a graph whose longest edge is r_nn; 0 for distances of no graph.
    pub(super) fn of(law: &DistanceLaw, longest_edge: f64) -> Result<Self, Rejected> {
        let dx = law.width();
        let DistanceLaw { mean, deviation, .. } = *law;
        let mode = law.mode();
        if (mode - mean).abs() > deviation + 2.0 * dx {
            return Err(Rejected::ModeOffMean { mode, mean, deviation });
        }
        if mode <= longest_edge + dx {
            return Err(Rejected::ModeOfEdges { mode, longest_edge });
        }
        let bins: Vec<(f64, f64)> = (0..law.counts.len())
            .filter(|&b| law.counts[b] > 0)
            .map(|b| (law.centre(b), (law.counts[b] as f64).ln()))
            .collect();
        let parabola = |stage, low: f64, high: f64| {
            let points: Vec<_> =
                bins.iter().copied().filter(|(x, _)| *x > low && *x < high).collect();
            match points.len() {
                n if n < FEWEST => Err(Rejected::FewBins { stage, bins: n }),
                _ => Ok(Parabola::fit(&points)),
            }
        };
        let first = parabola("first parabola", mode - deviation, mode + 0.5 * deviation)?;
        let (mut r_max, mut sigma) = (first.vertex(), first.width());
        if !(first.square < 0.0 && (r_max - mode).abs() < 0.5 * deviation + dx) {
            (r_max, sigma) = (mean, deviation);
        }
        let second = parabola("second parabola", r_max - sigma, r_max + 0.5 * sigma + dx)?;
        let before = (r_max, sigma);
        if second.square < 0.0 {
            (r_max, sigma) = (second.vertex(), second.width());
        }
        let r_min = (r_max - 2.0 * sigma - 0.5 * dx).max(0.0).max(longest_edge);
        let mut parabola = second;
        if (r_max - before.0).abs() > 0.25 * before.1 + dx {
            (r_max, parabola) = (before.0, first);
        }
        let peak = parabola.peak();
        if !peak.is_finite() {
            return Err(Rejected::NoMaximum);
        }
        let flank: Vec<(f64, f64)> = bins
            .iter()
            .filter(|(x, _)| *x > r_min && *x <= r_max + 0.25 * dx)
            .map(|(x, ln_h)| (x / r_max, ln_h - peak))
            .collect();
        if flank.len() < FEWEST {
            return Err(Rejected::FewBins { stage: "flank", bins: flank.len() });
        }
        Ok(Self { r_max, sigma, r_min, ..Self::flank(&flank) })
    }

    /// To points (u, y).
    fn flank(points: &[(f64, f64)]) -> Self {
        // Four bins above 0 and up to a quarter of one above r_max: 0 < u < 1.1, so sin > 0.
        let s = |u: f64| (FRAC_PI_2 * u).sin().ln();
        let (mut ys, mut ss, mut yq, mut qq) = (0.0, 0.0, 0.0, 0.0);
        for &(u, y) in points {
            let q = (u - 1.0) * (u - 1.0);
            ys += y * s(u);
            ss += s(u) * s(u);
            yq += y * q;
            qq += q * q;
        }
        let residual = |d: usize| {
            let square = |&(u, y): &(f64, f64)| (y - (d - 1) as f64 * s(u)).powi(2);
            (points.iter().map(square).sum::<f64>() / points.len() as f64).sqrt()
        };
        let residuals: Vec<f64> = (1..=LARGEST).map(residual).collect();
        let smaller = |best: usize, d: usize| if residuals[d] < residuals[best] { d } else { best };
        let ratio = -2.0 * yq / qq;
        Self {
            dimension: 1.0 + ys / ss,
            nearest: (0..LARGEST).fold(0, smaller) + 1,
            residuals,
            ratio: (ratio >= 0.0).then(|| ratio.sqrt()),
            r_max: 1.0,
            sigma: 0.0,
            r_min: 0.0,
            bins: points.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parabola_through_its_own_points_at_any_place() {
        for (a, b, c, offset) in
            [(-1.5, 0.2, 3.0, 0.0), (2.0, -1.0, 0.5, 1e4), (-3e-4, 0.1, 9.0, 200.0)]
        {
            let points: Vec<_> = (0..9)
                .map(|i| {
                    let x = 0.3 * f64::from(i);
                    (offset + x, a * x * x + b * x + c)
                })
                .collect();
            let fit = Parabola::fit(&points);
            assert!((fit.square / a - 1.0).abs() < 1e-9, "{a}");
            assert!((fit.vertex() - offset + b / (2.0 * a)).abs() < 1e-9 * (b / a).abs(), "{a}");
            assert!((fit.peak() - (c - b * b / (4.0 * a))).abs() < 1e-9 * c, "{a}");
        }
    }

    #[test]
    fn ideal_flanks_have_their_dimension() {
        for d in [1, 2, 3, 7, 25] {
            let y = |u: f64| (d - 1) as f64 * (FRAC_PI_2 * u).sin().ln();
            let points: Vec<_> = (5..=20).map(|i| f64::from(i) / 20.0).map(|u| (u, y(u))).collect();
            let fit = SphereFit::flank(&points);
            assert!((fit.dimension - f64::from(d)).abs() < 1e-12 * f64::from(d), "{fit:?}");
            assert_eq!(fit.nearest as i32, d);
        }
        // Near its maximum the density is a parabola: R = (π/2)√(D − 1).
        let y = |u: f64| 4.0 * (FRAC_PI_2 * u).sin().ln();
        let near: Vec<_> = (0..10).map(|i| 1.0 - 1e-4 * f64::from(i)).map(|u| (u, y(u))).collect();
        let ratio = SphereFit::flank(&near).ratio.unwrap();
        assert!((ratio - FRAC_PI_2 * 2.0).abs() < 1e-5, "{ratio}");
    }
}
