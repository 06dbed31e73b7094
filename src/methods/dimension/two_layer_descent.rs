//! Plain gradient descent on a two-layer linear network with one output.

use faer::{Mat, MatRef};

use super::products::{check_elements, check_shape};
use crate::statistics::ParticipationRatio;
use crate::{Error, Result};

/// What is trained, and on how much of the data at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Descent<'a> {
    /// Both layers, one sample a step, in this order.
    Stochastic(&'a [usize]),
    /// The hidden layer alone, one sample a step: the readout, and so its noise, is frozen.
    FrozenReadout(&'a [usize]),
    /// Both layers, all samples at every step.
    FullBatch,
}

/// r·(W x) trained on ½ (r·(W x) − y)²: what noise of the readout does to hidden activity
/// orthogonal to it.
///
/// W ← W − η e r xᵀ, r ← r − η e h with e = r·h − y, h = W x, averaged over the batch.
///
/// Source: experiments of Farrell et al., Nature Machine Intelligence (2022), with their measures.
pub struct TwoLayerDescent {
    x: Mat<f64>,
    y: Vec<f64>,
    w: Mat<f64>,
    r: Vec<f64>,
    rate: f64,
}

/// The network at one step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DescentLook {
    /// Steps done.
    pub step: u64,
    /// Mean over samples of |P h|/|P h₀|, P the projector orthogonal to the readout of this step and
    /// h₀ the hidden activity at the start.
    pub orthogonal_ratio: f64,
    /// Naive participation ratio of the hidden activity, centred.
    pub participation_ratio: f64,
    /// ½ mean (r·h − y)².
    pub loss: f64,
}

/// A training to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DescentRun {
    /// At the steps asked for.
    pub looks: Vec<DescentLook>,
    /// W at the end.
    pub w: Mat<f64>,
    /// r at the end.
    pub r: Vec<f64>,
}

impl TwoLayerDescent {
    /// On samples x (N × d) with targets y, from W (n × d) and r, at learning rate η.
    ///
    /// # Errors
    /// Sizes that do not agree, NaN or infinities, fewer than two samples, η ≤ 0.
    pub fn new(
        x: MatRef<'_, f64>,
        y: &[f64],
        w: MatRef<'_, f64>,
        r: &[f64],
        rate: f64,
    ) -> Result<Self> {
        let (samples, d) = x.shape();
        if samples < 2 {
            return Err(Error::range("samples", "2 or more", samples));
        }
        check_elements("x", x)?;
        if y.len() != samples {
            return Err(Error::shape("y", samples, y.len()));
        }
        crate::error::check_finite("y", y)?;
        check_shape("W", w, r.len(), d)?;
        crate::error::check_finite("r", r)?;
        if r.is_empty() || d == 0 {
            return Err(Error::empty("inputs or hidden units"));
        }
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::range("learning rate", "more than 0", rate));
        }
        Ok(Self { x: x.to_owned(), y: y.to_vec(), w: w.to_owned(), r: r.to_vec(), rate })
    }

    /// Trains up to the last of `looks`, ascending, and looks at each of them.
    ///
    /// O(n d) a step of one sample, O(N n d) a step of all.
    ///
    /// # Errors
    /// No look, looks that do not ascend, an order that is too short or names no sample, weights that
    /// run away, hidden activity that is the same for all samples.
    pub fn run(&self, descent: &Descent<'_>, looks: &[u64]) -> Result<DescentRun> {
        let Some(&last) = looks.last() else { return Err(Error::empty("looks")) };
        if looks.windows(2).any(|w| w[0] >= w[1]) {
            return Err(Error::range("looks", "ascending steps", format!("{looks:?}")));
        }
        let (samples, d) = self.x.shape();
        let n = self.r.len();
        if let Descent::Stochastic(order) | Descent::FrozenReadout(order) = descent {
            if (order.len() as u64) < last {
                return Err(Error::range(
                    "order of samples",
                    format!("{last} or more"),
                    order.len(),
                ));
            }
            if let Some(bad) = order.iter().find(|&&i| i >= samples) {
                return Err(Error::range("order of samples", format!("below {samples}"), bad));
            }
        }
        // Rows of W and x one after the other.
        let rows = |a: &Mat<f64>| -> Vec<f64> {
            (0..a.nrows()).flat_map(|i| a.row(i).iter().copied().collect::<Vec<_>>()).collect()
        };
        let (x, mut w, mut r) = (rows(&self.x), rows(&self.w), self.r.clone());
        let start = self.hidden(&w);
        let mut seen = Vec::with_capacity(looks.len());
        let (mut h, mut of_r, mut of_x) = (vec![0.0; n], vec![0.0; n], vec![0.0; d]);
        for step in 0..=last {
            if looks.binary_search(&step).is_ok() {
                seen.push(self.look(step, &start, &self.hidden(&w), &r)?);
            }
            if step == last {
                break;
            }
            let one = |order: &[usize]| order[step as usize]..order[step as usize] + 1;
            let batch = match descent {
                Descent::Stochastic(order) | Descent::FrozenReadout(order) => one(order),
                Descent::FullBatch => 0..samples,
            };
            let size = batch.len() as f64;
            of_r.fill(0.0);
            of_x.fill(0.0);
            for i in batch {
                let x = &x[i * d..(i + 1) * d];
                h.iter_mut().zip(w.chunks_exact(d)).for_each(|(h, w)| *h = dot(w, x));
                let error = dot(&h, &r) - self.y[i];
                of_r.iter_mut().zip(&h).for_each(|(g, h)| *g += error * h / size);
                of_x.iter_mut().zip(x).for_each(|(g, x)| *g += error * x / size);
            }
            for (w, r) in w.chunks_exact_mut(d).zip(&r) {
                w.iter_mut().zip(&of_x).for_each(|(w, g)| *w -= self.rate * r * g);
            }
            if !matches!(descent, Descent::FrozenReadout(_)) {
                r.iter_mut().zip(&of_r).for_each(|(r, g)| *r -= self.rate * g);
            }
        }
        crate::error::check_finite("hidden weights", &w)?;
        crate::error::check_finite("readout", &r)?;
        let w = MatRef::from_row_major_slice(&w, n, d).to_owned();
        Ok(DescentRun { looks: seen, w, r })
    }

    /// N × n.
    fn hidden(&self, w: &[f64]) -> Mat<f64> {
        let w = MatRef::from_row_major_slice(w, self.r.len(), self.x.ncols());
        super::products::times(self.x.as_ref(), w.transpose())
    }

    fn look(&self, step: u64, start: &Mat<f64>, h: &Mat<f64>, r: &[f64]) -> Result<DescentLook> {
        check_elements("hidden activity", h.as_ref())?;
        let norm = dot(r, r).sqrt();
        let unit: Vec<f64> = r.iter().map(|r| r / norm).collect();
        let outside = |h: &Mat<f64>, i: usize| {
            let row: Vec<f64> = h.row(i).iter().copied().collect();
            let along = dot(&row, &unit);
            row.iter().zip(&unit).map(|(h, u)| (h - along * u).powi(2)).sum::<f64>().sqrt()
        };
        let samples = h.nrows();
        let ratios = (0..samples).map(|i| outside(h, i) / outside(start, i));
        let mut loss = 0.0;
        for (i, y) in self.y.iter().enumerate() {
            let output: f64 = h.row(i).iter().zip(r).map(|(h, r)| h * r).sum();
            loss += 0.5 * (output - y).powi(2) / samples as f64;
        }
        Ok(DescentLook {
            step,
            orthogonal_ratio: ratios.sum::<f64>() / samples as f64,
            participation_ratio: ParticipationRatio::of(h.as_ref())?.naive,
            loss,
        })
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
