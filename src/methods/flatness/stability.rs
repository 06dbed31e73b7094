//! Which minima stochastic gradient descent can stay at.

use crate::krylov::{Eigenpairs, Lanczos, LinearOperator, Status};
use crate::network::{Dataset, Objective, Point};
use crate::numerics::parallel;
use crate::{Error, Real, Result};

/// Linear stability of stochastic gradient descent at a minimum, with learning rate η and batches of B
/// out of n samples drawn without replacement.
///
/// With H_i the Hessian of sample i, H their mean and Σ = (1/n) Σᵢ H_i² − H²: sharpness a = λ_max(H),
/// non-uniformity s = √λ_max(Σ). At a minimum that interpolates, one step multiplies the second moment of
/// the distance by at most λ_max((I − ηH)² + η² (n−B)/(B(n−1)) Σ), which stays bounded where that is at most
/// 1; hence a ≤ 2/η and s ≤ (1/η) √(B(n−1)/(n−B)). Both are necessary conditions. Directions in which no
/// sample has curvature have eigenvalue exactly 1.
///
/// All eigenvalues by [`Lanczos`]: the operators are products with H and with every H_i; Σ costs 2n
/// products of one sample and 2 of all, as much as four products with H. Memory: the primal passes of all
/// samples, twice, and θ and a gradient for each.
///
/// Source: Wu, Ma, E, *How SGD selects the global minima in over-parameterized learning*, NeurIPS 2018.
/// Departure: Lanczos with residuals where the reference code of arXiv 2310.01770 iterates powers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stability {
    /// a = λ_max(H).
    pub sharpness: f64,
    /// s = √λ_max(Σ).
    pub non_uniformity: f64,
    /// λ_max((I − ηH)² + η² (n−B)/(B(n−1)) Σ).
    pub second_moment: f64,
    /// a ≤ 2/η.
    pub sharpness_condition: Condition,
    /// s ≤ (1/η) √(B(n−1)/(n−B)).
    pub non_uniformity_condition: Condition,
    /// The second moment's factor ≤ 1.
    pub second_moment_condition: Condition,
    /// L(θ): the theory is about zero.
    pub loss: f64,
    /// Whether every eigenvalue has a residual within the tolerance of Lanczos.
    pub converged: bool,
}

/// value ≤ limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// The left side.
    pub value: f64,
    /// The right side; infinite where nothing is asked.
    pub limit: f64,
}

impl Condition {
    /// limit − value: negative where the condition fails.
    #[must_use]
    pub fn margin(&self) -> f64 {
        self.limit - self.value
    }

    /// Whether the condition holds, up to 10⁻⁹ of its limit, which is what eigenvalues are known to.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.value <= self.limit * (1.0 + 1e-9)
    }
}

impl Stability {
    /// Checks the minimum `parameters` of `objective`, the plain mean over its samples.
    ///
    /// # Errors
    /// A learning rate that is not positive, a batch outside 1..=n, a wrong number of parameters;
    /// [`Error::NotApplicable`] for weighted or summed samples; [`Error::NonFinite`] where a product is
    /// not finite.
    pub fn check<T: Real>(
        objective: &Objective<'_, T>,
        parameters: &[T],
        learning_rate: f64,
        batch: usize,
    ) -> Result<Self> {
        let n = objective.data().len();
        if !(learning_rate > 0.0 && learning_rate.is_finite()) {
            let expected = "a positive finite number";
            return Err(Error::range("learning rate", expected, learning_rate));
        }
        if !(1..=n).contains(&batch) {
            return Err(Error::range("batch", format!("1 to {n}"), batch));
        }
        if !objective.is_plain_mean() {
            return Err(Error::not_applicable(
                "stability of stochastic gradient descent",
                "the mean over equally weighted samples",
                "weights or a sum",
            ));
        }
        let whole = objective.at(parameters)?;
        let top = largest(&whole.hessian())?;
        let data: Vec<Dataset<T>> =
            (0..n).map(|i| objective.data().select(&[i])).collect::<Result<_>>()?;
        let single: Vec<Objective<'_, T>> = data
            .iter()
            .map(|d| Objective::new(objective.network(), d, objective.loss()))
            .collect::<Result<_>>()?;
        let points: Vec<Point<'_, '_, T>> =
            single.iter().map(|o| o.at(parameters)).collect::<Result<_>>()?;
        let spread = largest(&Spread { whole: &whole, points: &points })?;
        let eta = learning_rate;
        let noise = match n - batch {
            0 => 0.0,
            rest => rest as f64 / (batch as f64 * (n - 1) as f64),
        };
        let moment = largest(&SecondMoment {
            spread: Spread { whole: &whole, points: &points },
            eta,
            noise: eta * eta * noise,
        })?;
        let (a, s) = (top.values[0], spread.values[0].max(0.0).sqrt());
        let second = moment.values[0];
        let condition = |value, limit| Condition { value, limit };
        Ok(Self {
            sharpness: a,
            non_uniformity: s,
            second_moment: second,
            sharpness_condition: condition(a, 2.0 / eta),
            non_uniformity_condition: condition(s, 1.0 / (eta * noise.sqrt())),
            second_moment_condition: condition(second, 1.0),
            loss: whole.value(),
            converged: [&top, &spread, &moment].iter().all(|e| e.status == Status::Converged),
        })
    }
}

/// The moment form of stability for every parameter: (1/n) Σᵢ ‖∂f(xᵢ)/∂θ_j‖^{2k} ≤ 2^k B^{k−1}/η^k.
/// Returns the largest left side with its index, and the limit.
///
/// k = 1 summed over the parameters gives S ≤ 2P/η. Derived for one output, under the assumption that one
/// step contracts the k-th moment; for several the norm over outputs is taken. Cost: n·N adjoint passes of
/// one sample.
///
/// Source: Ma and Ying, *On linear stability of SGD and input-smoothness of neural networks*, NeurIPS 2021
/// (arXiv 2105.13462).
///
/// # Errors
/// As [`Stability::check`]; k = 0.
pub fn moment_condition<T: Real>(
    objective: &Objective<'_, T>,
    parameters: &[T],
    learning_rate: f64,
    batch: usize,
    k: u32,
) -> Result<(usize, Condition)> {
    let n = objective.data().len();
    if !(learning_rate > 0.0 && learning_rate.is_finite()) {
        return Err(Error::range("learning rate", "a positive finite number", learning_rate));
    }
    if !(1..=n).contains(&batch) {
        return Err(Error::range("batch", format!("1 to {n}"), batch));
    }
    if !(1..=1000).contains(&k) {
        return Err(Error::range("k", "1 to 1000", k));
    }
    let exponent = i32::try_from(k).unwrap_or(1);
    let outputs = objective.network().outputs();
    let network = objective.network();
    objective.at(parameters)?;
    let terms = parallel::reduce(
        n,
        |i| -> Result<Vec<f64>> {
            let data = objective.data().select(&[i])?;
            let single = Objective::new(network, &data, objective.loss())?;
            let point = single.at(parameters)?;
            let mut squares = vec![0.0; parameters.len()];
            for j in 0..outputs {
                let mut unit = vec![T::ZERO; outputs];
                unit[j] = T::ONE;
                let row = point.transposed_jacobian_product(&unit)?;
                squares.iter_mut().zip(&row).for_each(|(s, g)| *s += g.to_f64() * g.to_f64());
            }
            squares.iter_mut().for_each(|s| *s = s.powi(exponent));
            Ok(squares)
        },
        |a, b| match (&mut *a, b) {
            (Ok(a), Ok(b)) => a.iter_mut().zip(b).for_each(|(a, b)| *a += b),
            (Ok(_), b) => *a = b,
            (Err(_), _) => {}
        },
    );
    let sums = terms.unwrap_or_else(|| Err(Error::empty("samples")))?;
    if let Some(index) = sums.iter().position(|sum| !sum.is_finite()) {
        let what = "moments of the gradients of outputs".to_owned();
        return Err(Error::NonFinite { what, index, value: sums[index] });
    }
    let best = sums
        .iter()
        .enumerate()
        .fold((0, 0.0_f64), |best, (j, &sum)| if sum > best.1 { (j, sum) } else { best });
    let limit =
        2.0_f64.powi(exponent) * (batch as f64).powi(exponent - 1) / learning_rate.powi(exponent);
    Ok((best.0, Condition { value: best.1 / n as f64, limit }))
}

fn largest<T: Real>(operator: &impl LinearOperator<T>) -> Result<Eigenpairs<T>> {
    Lanczos::new(operator).largest(1).verify(false).run()
}

/// Σ = (1/n) Σᵢ H_i² − H².
struct Spread<'a, 'p, 'b, T: Real> {
    whole: &'a Point<'p, 'b, T>,
    points: &'a [Point<'p, 'b, T>],
}

impl<T: Real> Spread<'_, '_, '_, T> {
    /// H x and H² x.
    fn powers(&self, x: &[T]) -> (Vec<T>, Vec<T>) {
        let (mut once, mut twice) = (vec![T::ZERO; x.len()], vec![T::ZERO; x.len()]);
        self.whole.hessian().apply(x, &mut once);
        self.whole.hessian().apply(&once, &mut twice);
        (once, twice)
    }

    /// (1/n) Σᵢ H_i² x, in `f64`.
    fn mean_of_squares(&self, x: &[T]) -> Vec<f64> {
        let square = |i: usize| -> Vec<f64> {
            let hessian = self.points[i].hessian();
            let (mut once, mut twice) = (vec![T::ZERO; x.len()], vec![T::ZERO; x.len()]);
            hessian.apply(x, &mut once);
            hessian.apply(&once, &mut twice);
            twice.iter().map(|y| y.to_f64()).collect()
        };
        let add = |a: &mut Vec<f64>, b: Vec<f64>| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        let mut sum = parallel::reduce(self.points.len(), square, add).unwrap_or_default();
        let n = self.points.len() as f64;
        sum.iter_mut().for_each(|s| *s /= n);
        sum
    }
}

impl<T: Real> LinearOperator<T> for Spread<'_, '_, '_, T> {
    fn dimension(&self) -> usize {
        self.whole.parameters().len()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        let (_, twice) = self.powers(x);
        let mean = self.mean_of_squares(x);
        for ((y, m), t) in y.iter_mut().zip(mean).zip(twice) {
            *y = T::from_f64(m - t.to_f64());
        }
    }
}

/// (I − ηH)² + c Σ.
struct SecondMoment<'a, 'p, 'b, T: Real> {
    spread: Spread<'a, 'p, 'b, T>,
    eta: f64,
    noise: f64,
}

impl<T: Real> LinearOperator<T> for SecondMoment<'_, '_, '_, T> {
    fn dimension(&self) -> usize {
        self.spread.dimension()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        let (once, twice) = self.spread.powers(x);
        let mean = self.spread.mean_of_squares(x);
        for (i, y) in y.iter_mut().enumerate() {
            let (once, twice) = (once[i].to_f64(), twice[i].to_f64());
            let contraction = x[i].to_f64() - 2.0 * self.eta * once + self.eta * self.eta * twice;
            *y = T::from_f64(contraction + self.noise * (mean[i] - twice));
        }
    }
}
