//! Both sides of every bound of sensitivity by sharpness.

use super::layer::mean;
use super::report::log_sum_exp;
use super::{GeometryReport, LayerGeometry, LogVolume, OverLayers};
use crate::{Error, Result};

/// What stands for ‖W_l‖ and ‖∂f/∂W_l‖_F in a layer whose weights act at several places, where
/// ‖∂f/∂W‖_F = ‖δ‖_F ‖x‖ fails because positions may cancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvBound {
    /// ‖K‖_F √positions and the gradient of the shared kernel, ‖W‖_F of dense layers: the reference
    /// code's convention for convolutional networks. Not a theorem where weights are shared: a 1 × 1
    /// kernel with a readout orthogonal to the input violates it.
    ReferenceCode,
    /// ‖T(K)‖₂ of the unrolled map and ‖δ‖_F ‖x‖ in the place of the gradient: a theorem about the
    /// network whose copies of the kernel are free.
    #[default]
    Untied,
    /// ‖T(K)‖₂ and σ_min of the matrix of patches in the place of ‖x‖: a theorem about the network
    /// itself, since ‖∂f/∂K‖_F ≥ σ_min ‖δ‖_F; +∞ where the patches are dependent.
    PatchRank,
}

/// A chain of inequalities a₀ ≤ a₁ ≤ …, as logarithms where numbers may overflow.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Chain {
    /// What each side is.
    pub sides: Vec<&'static str>,
    /// log aᵢ: −∞ for 0, +∞ for an infinite bound.
    pub logs: Vec<f64>,
    /// Whether it is a theorem for this network, or a convention of the reference code.
    pub theorem: bool,
}

/// Relative rounding that [`Chain::holds`] allows.
const ROUNDING: f64 = 1e-9;

impl Chain {
    /// aᵢ; infinite where it overflows.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.logs.iter().map(|l| l.exp()).collect()
    }

    /// The sensitivity, a₀.
    #[must_use]
    pub fn lhs(&self) -> f64 {
        self.logs.first().map_or(f64::NAN, |l| l.exp())
    }

    /// The last bound.
    #[must_use]
    pub fn rhs(&self) -> f64 {
        self.logs.last().map_or(f64::NAN, |l| l.exp())
    }

    /// log of the last bound over the sensitivity, not negative where the chain holds; NaN where both
    /// are 0 or both infinite.
    #[must_use]
    pub fn log_slack(&self) -> f64 {
        match (self.logs.first(), self.logs.last()) {
            (Some(a), Some(b)) => b - a,
            _ => f64::NAN,
        }
    }

    /// The last bound over the sensitivity.
    #[must_use]
    pub fn slack(&self) -> f64 {
        self.log_slack().exp()
    }

    /// Whether every side is at most the next one, up to 10⁻⁹ relative.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.logs.windows(2).all(|w| w[0] <= w[1] + ROUNDING)
    }
}

/// One layer as the bounds see it: ‖Jᵢ‖_F ≤ amplifiersᵢ · gradientsᵢ, unless by [`ConvBound::ReferenceCode`].
#[derive(Clone, Debug)]
struct Factors {
    /// ‖W‖/‖x‖, +∞ for a zero input.
    amplifiers: Vec<f64>,
    /// ‖∂f/∂W‖_F, or what stands for it.
    gradients: Vec<f64>,
}

impl Factors {
    fn trace(&self) -> f64 {
        mean(&self.gradients.iter().map(|g| g * g).collect::<Vec<_>>())
    }

    /// Amplifier times gradient: infinite for a zero input, whose gradient is 0.
    fn products(&self) -> Vec<f64> {
        let product = |(&a, &g): (&f64, &f64)| if a.is_infinite() { a } else { a * g };
        self.amplifiers.iter().zip(&self.gradients).map(product).collect()
    }
}

/// The bounds of a [`GeometryReport`], from [`GeometryReport::bounds`].
///
/// With c_i = ‖W_l‖/‖xᵢ^l‖ and g_i = ‖∂f(xᵢ)/∂W_l‖_F every one of them starts from
/// ‖J^l‖₂ ≤ ‖J^l‖_F ≤ c g. A zero input makes c and the bounds
/// infinite; [`zero_input_rows`](Self::zero_input_rows) lists them.
///
/// Those of volumes are loose by construction; D/MLS of trained perceptrons is between 4 and 35. D and
/// MLS, or NMLS and its bound, need not correlate over networks: the prefactors vary (for tanh networks
/// trained at several rates and batches the correlations are 0.17 and −0.18).
///
/// Sources: Ma and Ying, arXiv 2105.13462, for [`Bounds::ma_ying`]; Chen, Recanatesi, Shea-Brown, arXiv
/// 2310.01770, for the others.
#[derive(Clone, Debug)]
pub struct Bounds<'a> {
    report: &'a GeometryReport,
    convention: ConvBound,
    factors: Vec<Factors>,
    epsilon: f64,
}

impl GeometryReport {
    /// Both sides of every bound, with this convention where weights are shared.
    ///
    /// # Errors
    /// [`Error::Empty`] without linear layers; [`Error::NotApplicable`] unless the pass was asked for
    /// [`weight_norms`](super::Geometry::weight_norms).
    pub fn bounds(&self, convention: ConvBound) -> Result<Bounds<'_>> {
        Bounds::new(self, convention, 0.0)
    }

    /// The same with `epsilon` (10⁻⁴ in the reference code) added to every ‖x^l‖²: finite for zero
    /// inputs, and no longer a theorem.
    ///
    /// # Errors
    /// As [`bounds`](Self::bounds); a negative or infinite `epsilon`.
    pub fn bounds_with_epsilon(&self, convention: ConvBound, epsilon: f64) -> Result<Bounds<'_>> {
        if !(epsilon >= 0.0 && epsilon.is_finite()) {
            return Err(Error::range("epsilon", "a finite number, not negative", epsilon));
        }
        Bounds::new(self, convention, epsilon)
    }
}

impl<'a> Bounds<'a> {
    fn new(report: &'a GeometryReport, convention: ConvBound, epsilon: f64) -> Result<Self> {
        report.check_layers()?;
        let factors = report.layers.iter().map(|l| factors(l, convention, epsilon));
        Ok(Self { report, convention, factors: factors.collect::<Result<_>>()?, epsilon })
    }

    /// Whether the bounds on quantities of the layers `from..to` are theorems.
    fn theorem(&self, layers: &[LayerGeometry]) -> bool {
        let proven = self.convention != ConvBound::ReferenceCode
            || layers.iter().all(LayerGeometry::reads_whole_input);
        self.epsilon == 0.0 && proven
    }

    /// (layer, sample), both from 0, of every layer input that is zero.
    #[must_use]
    pub fn zero_input_rows(&self) -> Vec<(usize, usize)> {
        let rows = |(l, layer): (usize, &LayerGeometry)| {
            let zero = layer.jacobian.norms.iter().enumerate().filter(|(_, x)| **x == 0.0);
            zero.map(move |(i, _)| (l, i)).collect::<Vec<_>>()
        };
        self.report.layers.iter().enumerate().flat_map(rows).collect()
    }

    /// S_W, of the untied network under [`ConvBound::Untied`].
    #[must_use]
    pub fn weight_trace(&self) -> f64 {
        self.factors.iter().map(Factors::trace).sum()
    }

    /// S, of the untied network under [`ConvBound::Untied`].
    #[must_use]
    pub fn trace(&self) -> f64 {
        let biases: f64 = self.report.layers.iter().map(LayerGeometry::bias_trace).sum();
        let others: f64 = self.report.other_layers.iter().map(|l| mean(&l.squares)).sum();
        self.weight_trace() + biases + others
    }

    /// (1/n) Σᵢ Σ_l ‖W_l‖²/‖xᵢ^l‖², the factor of S in the bound on NMLS.
    #[must_use]
    pub fn mean_square_amplifier(&self) -> f64 {
        self.factors.iter().map(|f| mean_square(&f.amplifiers)).sum()
    }

    /// mean ‖J‖_F^k ≤ (‖W₁‖/min‖x‖)^k mean ‖∂f/∂W₁‖_F^k ≤ (‖W₁‖/min‖x‖)^k n^{max(k/2−1, 0)} S^{k/2}
    /// (Ma and Ying).
    ///
    /// # Errors
    /// k < 1; [`Error::NotApplicable`] unless the first linear layer reads the inputs alone.
    pub fn ma_ying(&self, k: f64) -> Result<Chain> {
        if !(k >= 1.0 && k.is_finite()) {
            return Err(Error::range("k", "a finite number, at least 1", k));
        }
        let first = self.first("bound of Ma and Ying")?;
        let largest = first.amplifiers.iter().copied().fold(0.0, f64::max);
        let n = self.report.samples as f64;
        let sharpness = 0.5 * k * self.trace().ln() + (0.5 * k - 1.0).max(0.0) * n.ln();
        Ok(self.chain(
            &self.report.layers[..1],
            vec![
                ("mean |J|_F^k", log_mean_power(&self.report.input.frobenius, k)),
                (
                    "with the gradient of the first weights",
                    infinite_or_sum(k * largest.ln(), log_mean_power(&first.gradients, k)),
                ),
                ("with S", infinite_or_sum(k * largest.ln(), sharpness)),
            ],
        ))
    }

    /// A = MLS ≤ B = ‖W₁‖ mean ‖∂f/∂W₁‖_F/‖x‖ ≤ C = ‖W₁‖ q √S_{W₁} ≤ D = ‖W₁‖ q √S with
    /// q = √(mean 1/‖x‖²).
    ///
    /// # Errors
    /// [`Error::NotApplicable`] unless the first linear layer reads the inputs alone.
    pub fn mls(&self) -> Result<Chain> {
        let first = self.first("bounds of MLS")?;
        let q = 0.5 * mean_square(&first.amplifiers).ln();
        Ok(self.chain(
            &self.report.layers[..1],
            vec![
                ("MLS", self.report.mls().ln()),
                ("B", mean(&first.products()).ln()),
                ("C", infinite_or_sum(q, 0.5 * first.trace().ln())),
                ("D", infinite_or_sum(q, 0.5 * self.trace().ln())),
            ],
        ))
    }

    /// NMLS ≤ √((1/n) Σᵢ Σ_l ‖W_l‖²/‖xᵢ^l‖²) √S_W ≤ the same with S.
    ///
    /// # Errors
    /// None for a report with linear layers.
    pub fn nmls(&self) -> Result<Chain> {
        let factor = 0.5 * self.mean_square_amplifier().ln();
        Ok(self.chain(
            &self.report.layers,
            vec![
                ("NMLS", self.report.nmls(OverLayers::Sum)?.ln()),
                ("with S_W", infinite_or_sum(factor, 0.5 * self.weight_trace().ln())),
                ("with S", infinite_or_sum(factor, 0.5 * self.trace().ln())),
            ],
        ))
    }

    /// mean dV ≤ mean (‖J‖_F²/r)^{r/2} ≤ mean (c² g²/r)^{r/2} ≤ (1/n) √(Σ c^{2r}) (nS/r)^{r/2} with
    /// c = ‖W₁‖/‖x‖, g = ‖∂f/∂W₁‖_F, r = min(N, M).
    ///
    /// # Errors
    /// [`Error::NotApplicable`] unless the first linear layer reads the inputs alone, or where only the
    /// largest singular values are known.
    pub fn volume(&self) -> Result<Chain> {
        self.first("bounds of volumes")?;
        self.volume_of_layer(0)
    }

    /// The same for the volume Π_k s_k(J^l) at the input of layer `l`, from 0, with r_l = min(N, d_l).
    ///
    /// # Errors
    /// No such layer; [`Error::NotApplicable`] where only the largest singular values are known.
    pub fn volume_of_layer(&self, l: usize) -> Result<Chain> {
        let Some((layer, factors)) = self.report.layers.get(l).zip(self.factors.get(l)) else {
            let expected = format!("below {}", self.factors.len());
            return Err(Error::range("layer", expected, l));
        };
        let r = layer.jacobian.rank() as f64;
        let n = self.report.samples as f64;
        let volumes = layer.jacobian.log_volumes(LogVolume::All)?;
        let shift = 0.5 * r * r.ln();
        let amplified: Vec<f64> = factors.amplifiers.iter().map(|a| 2.0 * r * a.ln()).collect();
        Ok(self.chain(
            std::slice::from_ref(layer),
            vec![
                ("mean volume", log_sum_exp(&volumes) - n.ln()),
                ("arithmetic mean", log_mean_power(&layer.jacobian.frobenius, r) - shift),
                (
                    "with the gradient of the weights",
                    log_mean_power(&factors.products(), r) - shift,
                ),
                (
                    "with S",
                    infinite_or_sum(
                        0.5 * log_sum_exp(&amplified) - n.ln(),
                        0.5 * r * (n * self.trace() / r).ln(),
                    ),
                ),
            ],
        ))
    }

    /// NVR ≤ (1/n) √(Σ_l Σᵢ (‖W_l‖/‖xᵢ^l‖)^{2N}) (nS/N)^{N/2}.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] where some layer is narrower than the outputs: then see
    /// [`nvr_by_layers`](Self::nvr_by_layers).
    pub fn nvr(&self) -> Result<Chain> {
        let outputs = self.report.input.outputs;
        if let Some(layer) = self.report.layers.iter().find(|l| l.jacobian.features < outputs) {
            return Err(Error::not_applicable(
                "joint bound of NVR",
                format!("inputs of every layer at least {outputs} wide"),
                format!(
                    "{} of {}; the bound by layers applies",
                    layer.jacobian.features, layer.name
                ),
            ));
        }
        let (n, r) = (self.report.samples as f64, outputs as f64);
        let all = self.factors.iter().flat_map(|f| &f.amplifiers);
        let amplified: Vec<f64> = all.map(|a| 2.0 * r * a.ln()).collect();
        let bound = infinite_or_sum(
            0.5 * log_sum_exp(&amplified) - n.ln(),
            0.5 * r * (n * self.trace() / r).ln(),
        );
        let nvr = self.report.log_nvr()?;
        Ok(self.chain(&self.report.layers, vec![("NVR", nvr), ("with S", bound)]))
    }

    /// NVR ≤ the sum of the bounds (8) of every layer, each with its own r_l: for any widths.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] where only the largest singular values are known.
    pub fn nvr_by_layers(&self) -> Result<Chain> {
        let mut logs = Vec::new();
        for l in 0..self.factors.len() {
            logs.push(self.volume_of_layer(l)?.logs[3]);
        }
        let nvr = self.report.log_nvr()?;
        let bound = log_sum_exp(&logs);
        Ok(self.chain(&self.report.layers, vec![("NVR", nvr), ("sum over layers", bound)]))
    }

    /// (1/n) Σᵢ ‖xᵢ^l‖² ‖Jᵢ^l‖₂² ≤ κ_l ≤ ‖W_l‖² S_{W_l}, κ_l of the Gauss-Newton matrix of half the
    /// squared error: layer-normalised sharpness on the right.
    ///
    /// # Errors
    /// No such layer.
    pub fn relative_flatness(&self, l: usize) -> Result<Chain> {
        let Some((layer, factors)) = self.report.layers.get(l).zip(self.factors.get(l)) else {
            let expected = format!("below {}", self.factors.len());
            return Err(Error::range("layer", expected, l));
        };
        // c g ‖x‖ = ‖W‖ g without the division, which a zero input does not allow.
        let bound = 2.0 * self.layer_norm(layer)?.ln() + factors.trace().ln();
        let theorem = self.convention != ConvBound::PatchRank || layer.reads_whole_input();
        let mut chain = self.chain(
            std::slice::from_ref(layer),
            vec![
                ("mean |x|^2 |J|^2", layer.normalized_sensitivity().ln()),
                ("relative flatness", layer.gauss_newton_flatness().ln()),
                ("layer-normalised sharpness", bound),
            ],
        );
        chain.theorem &= theorem;
        Ok(chain)
    }

    /// (1/(nM)) Σᵢ ‖Jᵢ xᵢ‖² ≤ (1/n) Σᵢ Σ_k xᵢ_k² ‖∂f/∂x_k‖² ≤ h₁ S_ad(W₁), S_ad(W₁) the adaptive
    /// sharpness of the first weights and h₁ their number of rows.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] unless the first linear layer reads the inputs alone, at one place, and
    /// adaptive sharpness was computed.
    pub fn iimls(&self) -> Result<Chain> {
        let what = "bound of IIMLS";
        self.first(what)?;
        let first = &self.report.layers[0];
        if !first.reads_whole_input() {
            return Err(Error::not_applicable(what, "dense first weights", "shared ones"));
        }
        let adaptive = self.report.adaptive_sharpness_of_weights()?[0];
        Ok(self.chain(
            &self.report.layers[..1],
            vec![
                ("directional", self.report.iimls_directional().ln()),
                ("element by element", self.report.iimls_elementwise().ln()),
                ("with adaptive sharpness", (first.rows as f64 * adaptive).ln()),
            ],
        ))
    }

    fn layer_norm(&self, layer: &LayerGeometry) -> Result<f64> {
        norm_of(layer, self.convention)
    }

    fn first(&self, what: &str) -> Result<&Factors> {
        if self.report.reads_input {
            return Ok(&self.factors[0]);
        }
        Err(Error::not_applicable(
            what,
            "a first linear layer that reads the inputs, and it alone",
            format!("{}, whose Jacobian is another one", self.report.layers[0].name),
        ))
    }

    fn chain(&self, layers: &[LayerGeometry], sides: Vec<(&'static str, f64)>) -> Chain {
        let (sides, logs) = sides.into_iter().unzip();
        Chain { sides, logs, theorem: self.theorem(layers) }
    }
}

fn norm_of(layer: &LayerGeometry, convention: ConvBound) -> Result<f64> {
    if convention == ConvBound::ReferenceCode {
        return Ok(layer.weight_frobenius * (layer.positions as f64).sqrt());
    }
    layer.weight_norm.ok_or_else(|| {
        Error::not_applicable("bounds", "a pass with weight_norms()", "one without them")
    })
}

fn factors(layer: &LayerGeometry, convention: ConvBound, epsilon: f64) -> Result<Factors> {
    let norm = norm_of(layer, convention)?;
    let unrolled = !layer.reads_whole_input();
    let lengths = match convention {
        ConvBound::PatchRank if unrolled => &layer.patch_smallest,
        _ => &layer.jacobian.norms,
    };
    let amplifier = |&x: &f64| {
        let x = if epsilon == 0.0 { x } else { (x * x + epsilon).sqrt() };
        if x == 0.0 { f64::INFINITY } else { norm / x }
    };
    let gradients = match convention {
        ConvBound::Untied if unrolled => {
            let pairs = layer.error_norms.iter().zip(&layer.jacobian.norms);
            pairs.map(|(d, x)| d * x).collect()
        }
        _ => layer.weight_squares.iter().map(|g| g.sqrt()).collect(),
    };
    Ok(Factors { amplifiers: lengths.iter().map(amplifier).collect(), gradients })
}

fn mean_square(x: &[f64]) -> f64 {
    mean(&x.iter().map(|x| x * x).collect::<Vec<_>>())
}

/// log of the mean of xᵢ^p.
fn log_mean_power(x: &[f64], p: f64) -> f64 {
    let logs: Vec<f64> = x.iter().map(|x| p * x.ln()).collect();
    log_sum_exp(&logs) - (x.len() as f64).ln()
}

/// a + b of logarithms, +∞ where a is: an infinite factor makes a bound infinite.
fn infinite_or_sum(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY { a } else { a + b }
}
