//! How parameters start.

use hesse_kernels::panel::{self, Panel, PanelMut};
use serde::{Deserialize, Serialize};

use super::layer::ParameterSpec;
use crate::random::Stream;
use crate::{Isa, Real};

/// The distribution that an array of parameters is drawn from.
///
/// Limits and deviations are in the units of the parameters. Draws come from counter-based streams,
/// one for each array, so that an array does not change when another is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Initializer {
    /// Uniform on ±1/√fan_in, weights and biases alike: the default of common packages.
    #[default]
    UniformFanIn,
    /// Uniform on ±√(6/(fan_in + fan_out)) (Glorot and Bengio 2010); biases zero.
    GlorotUniform,
    /// Normal with deviation √(2/(fan_in + fan_out)); biases zero.
    GlorotNormal,
    /// Uniform on ±√(6/fan_in) (He et al. 2015); biases zero.
    HeUniform,
    /// Normal with deviation √(2/fan_in); biases zero.
    HeNormal,
    /// Uniform on ±√(3/fan_in) (LeCun et al. 1998); biases zero.
    LecunUniform,
    /// Normal with deviation 1/√fan_in; biases zero.
    LecunNormal,
    /// `gain` times a matrix with orthonormal rows or columns, Haar distributed (Saxe et al. 2014);
    /// biases zero.
    Orthogonal {
        /// Singular value of the matrix.
        gain: f64,
    },
    /// Normal with this deviation; biases zero.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
    /// Uniform on ±limit; biases zero.
    Uniform {
        /// Largest absolute value.
        limit: f64,
    },
    /// One value everywhere.
    Constant {
        /// The value.
        value: f64,
    },
}

impl Initializer {
    /// What the bias of a layer with these weights starts from.
    #[must_use]
    pub fn for_bias(self) -> Self {
        match self {
            Initializer::UniformFanIn | Initializer::Constant { .. } => self,
            _ => Initializer::Constant { value: 0.0 },
        }
    }

    /// Fills `out` with a draw for the array `spec`; `index` is the number of the array in its
    /// network.
    pub fn fill<T: Real>(self, spec: &ParameterSpec, seed: u64, index: u64, out: &mut [T]) {
        let stream = Stream::new(seed, "initial parameters").child(index);
        let fan_in = spec.fan_in.max(1) as f64;
        let fans = (spec.fan_in + spec.fan_out).max(1) as f64;
        let uniform = |limit: f64, out: &mut [T]| {
            stream.uniforms(0, out);
            for x in out {
                *x = T::from_f64(limit * (2.0 * x.to_f64() - 1.0));
            }
        };
        let normal = |deviation: f64, out: &mut [T]| {
            stream.normals(0, out);
            for x in out {
                *x = T::from_f64(deviation * x.to_f64());
            }
        };
        match self {
            Initializer::UniformFanIn => uniform(fan_in.sqrt().recip(), out),
            Initializer::GlorotUniform => uniform((6.0 / fans).sqrt(), out),
            Initializer::GlorotNormal => normal((2.0 / fans).sqrt(), out),
            Initializer::HeUniform => uniform((6.0 / fan_in).sqrt(), out),
            Initializer::HeNormal => normal((2.0 / fan_in).sqrt(), out),
            Initializer::LecunUniform => uniform((3.0 / fan_in).sqrt(), out),
            Initializer::LecunNormal => normal(fan_in.sqrt().recip(), out),
            Initializer::Normal { deviation } => normal(deviation, out),
            Initializer::Uniform { limit } => uniform(limit, out),
            Initializer::Constant { value } => out.fill(T::from_f64(value)),
            Initializer::Orthogonal { gain } => orthogonal(&stream, gain, spec, out),
        }
    }
}

/// Q of a Gaussian matrix by Gram-Schmidt, twice is enough: R's diagonal is positive, so Q is Haar
/// distributed.
fn orthogonal<T: Real>(stream: &Stream, gain: f64, spec: &ParameterSpec, out: &mut [T]) {
    let isa = Isa::current();
    let rows = spec.shape.first().copied().unwrap_or(1).max(1);
    let columns = out.len() / rows;
    let (tall, thin) = (rows.max(columns), rows.min(columns));
    let mut q = vec![0.0; tall * thin];
    stream.normals(0, &mut q);
    let mut h = vec![0.0; thin];
    for j in 0..thin {
        let (before, column) = q.split_at_mut(j * tall);
        let column = &mut column[..tall];
        let basis = Panel::new(before, tall, j, tall);
        for _ in 0..2 {
            let mut vector = PanelMut::new(column, tall, 1, tall);
            panel::transpose_product(isa, basis, vector.as_panel(), &mut h[..j]);
            panel::subtract_product(isa, &mut vector, basis, &h[..j]);
        }
        let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
        column.iter_mut().for_each(|x| *x /= norm);
    }
    for (i, x) in out.iter_mut().enumerate() {
        let (row, column) = (i / columns, i % columns);
        let entry = if rows >= columns { row + column * tall } else { column + row * tall };
        *x = T::from_f64(gain * q[entry]);
    }
}
