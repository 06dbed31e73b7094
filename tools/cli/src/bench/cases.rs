//! The cases of `hesse bench`, one entry each: to add a kernel, add a function that returns its
//! [`Case`] and a line in [`of_type`].

use std::hint::black_box;

use hesse_kernels::activation::{Activation, bias_activation_derivatives};
use hesse_kernels::elementary::{erf, exp, ln, sigmoid, tanh};
use hesse_kernels::level1::{
    all_finite, axpby, axpy, dot, dot_compensated, max_abs, nrm2, scal, sum,
};
use hesse_kernels::panel::{
    Panel, PanelMut, multiply_in_place, subtract_product, transpose_product,
};
use hesse_kernels::{Isa, Real};

use super::{Case, Work, keep};
use crate::inputs::uniform;

/// Every case, in the order of the table.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    of_type::<f32>(&mut cases);
    of_type::<f64>(&mut cases);
    cases
}

fn of_type<T: Real>(cases: &mut Vec<Case>) {
    for n in [CACHED, IN_MEMORY / size_of::<T>()] {
        cases.push(reduction::<T>("level1/sum", n, 1, |isa, x, _| sum(isa, x)));
        cases.push(reduction::<T>("level1/dot", n, 2, dot));
        cases.push(reduction::<T>("level1/dot_compensated", n, 2, dot_compensated));
        cases.push(reduction::<T>("level1/nrm2", n, 1, |isa, x, _| nrm2(isa, x)));
        cases.push(reduction::<T>("level1/max_abs", n, 1, |isa, x, _| max_abs(isa, x)));
        cases.push(reduction::<T>("level1/all_finite", n, 1, |isa, x, _| {
            f64::from(u8::from(all_finite(isa, x)))
        }));
        cases.push(update::<T>("level1/axpy", n, 2, |isa, x, y| axpy(isa, 1e-9, x, y)));
        cases.push(update::<T>("level1/axpby", n, 3, |isa, x, y| axpby(isa, 0.5, x, 0.5, y)));
        cases.push(update::<T>("level1/scal", n, 1, |isa, _, y| scal(isa, -1.0, y)));
        cases.push(map::<T>("elementary/exp", n, exp));
        cases.push(map::<T>("elementary/ln", n, ln));
        cases.push(map::<T>("elementary/tanh", n, tanh));
        cases.push(map::<T>("elementary/sigmoid", n, sigmoid));
        cases.push(map::<T>("elementary/erf", n, erf));
    }
    for (name, activation) in [
        ("activation/tanh_derivatives", Activation::Tanh),
        ("activation/gelu_derivatives", Activation::Gelu),
        ("activation/softplus_derivatives", Activation::Softplus),
    ] {
        cases.push(activation_derivatives::<T>(name, activation, 16, 512));
    }
    // (rows, columns, block): one vector and a block, out of cache.
    for b in [1, 4] {
        cases.push(panel_transpose_product::<T>(1_000_000, 16, b));
        cases.push(panel_subtract_product::<T>(1_000_000, 16, b));
    }
    cases.push(panel_multiply_in_place::<T>(1_000_000, 16, 8));
}

/// Elements of arrays that stay in the second-level cache.
const CACHED: usize = 1 << 14;
/// Bytes of arrays that do not stay in any.
const IN_MEMORY: usize = 64 << 20;

fn bytes<T>(elements: usize) -> f64 {
    (elements * size_of::<T>()) as f64
}

fn flops(products: usize) -> f64 {
    2.0 * products as f64
}

/// A number from one or two arrays of `n` elements; `flops` an element, and as many arrays.
fn reduction<T: Real>(
    name: &'static str,
    n: usize,
    arrays: usize,
    f: fn(Isa, &[T], &[T]) -> f64,
) -> Case {
    let read = bytes::<T>(n * arrays);
    Case {
        name,
        dtype: T::NAME,
        shape: format!("{n:08}"),
        threads: 1,
        work: Work { values: n as f64, flops: 2.0 * n as f64, read, written: 0.0 },
        prepare: Box::new(move |isa| {
            let (x, y) = (uniform::<T>(1, n), uniform::<T>(2, if arrays > 1 { n } else { 0 }));
            Box::new(move || keep(f(isa, black_box(&x), &y)))
        }),
    }
}

/// An array of `n` elements changed in place, by another one if there are more flops than one.
fn update<T: Real>(name: &'static str, n: usize, flops: usize, f: fn(Isa, &[T], &mut [T])) -> Case {
    let arrays = flops.min(2);
    Case {
        name,
        dtype: T::NAME,
        shape: format!("{n:08}"),
        threads: 1,
        work: Work {
            values: n as f64,
            flops: (flops * n) as f64,
            read: bytes::<T>(n * arrays),
            written: bytes::<T>(n),
        },
        prepare: Box::new(move |isa| {
            let (x, mut y) = (uniform::<T>(1, n), uniform::<T>(2, n));
            Box::new(move || f(isa, black_box(&x), &mut y))
        }),
    }
}

/// A function of each element. Its flops are its own business: only values and bytes count.
fn map<T: Real>(name: &'static str, n: usize, f: fn(Isa, &[T], &mut [T])) -> Case {
    Case {
        name,
        dtype: T::NAME,
        shape: format!("{n:08}"),
        threads: 1,
        work: Work { values: n as f64, flops: 0.0, read: bytes::<T>(n), written: bytes::<T>(n) },
        prepare: Box::new(move |isa| {
            let (x, mut out) = (uniform::<T>(1, n), vec![T::ONE; n]);
            Box::new(move || f(isa, black_box(&x), &mut out))
        }),
    }
}

/// Bias, activation and both derivatives of a tile.
fn activation_derivatives<T: Real>(
    name: &'static str,
    activation: Activation,
    rows: usize,
    columns: usize,
) -> Case {
    let n = rows * columns;
    Case {
        name,
        dtype: T::NAME,
        shape: format!("{rows:04}x{columns:04}"),
        threads: 1,
        work: Work {
            values: n as f64,
            flops: 0.0,
            read: bytes::<T>(n + columns),
            written: bytes::<T>(3 * n),
        },
        prepare: Box::new(move |isa| {
            let (bias, z) = (uniform::<T>(1, columns), uniform::<T>(2, n));
            let (mut a, mut d1, mut d2) = (z.clone(), z.clone(), z.clone());
            Box::new(move || {
                // Activations of activations would drift to a fixed point.
                a.copy_from_slice(black_box(&z));
                bias_activation_derivatives(
                    isa,
                    activation,
                    Some(&bias),
                    &mut a,
                    &mut d1,
                    Some(&mut d2),
                );
            })
        }),
    }
}

fn panel_transpose_product<T: Real>(n: usize, k: usize, b: usize) -> Case {
    Case {
        name: "panel/transpose_product",
        dtype: T::NAME,
        shape: format!("{n:07}x{k:02},{b}"),
        threads: 1,
        work: Work {
            values: n as f64,
            flops: flops(n * k * b),
            read: bytes::<T>(n * (k + b)),
            written: 0.0,
        },
        prepare: Box::new(move |isa| {
            let (v, w) = (uniform::<T>(1, n * k), uniform::<T>(2, n * b));
            let mut h = vec![0.0; k * b];
            Box::new(move || {
                transpose_product(isa, Panel::new(&v, n, k, n), Panel::new(&w, n, b, n), &mut h);
                keep(&mut h);
            })
        }),
    }
}

fn panel_subtract_product<T: Real>(n: usize, k: usize, b: usize) -> Case {
    Case {
        name: "panel/subtract_product",
        dtype: T::NAME,
        shape: format!("{n:07}x{k:02},{b}"),
        threads: 1,
        work: Work {
            values: n as f64,
            flops: flops(n * k * b),
            read: bytes::<T>(n * (k + b)),
            written: bytes::<T>(n * b),
        },
        prepare: Box::new(move |isa| {
            let (v, mut w) = (uniform::<T>(1, n * k), uniform::<T>(2, n * b));
            // Small coefficients: W stays finite however often it is updated.
            let h: Vec<f64> = uniform::<f64>(3, k * b).iter().map(|h| h * 1e-3).collect();
            Box::new(move || {
                let v = Panel::new(&v, n, k, n);
                subtract_product(isa, &mut PanelMut::new(&mut w, n, b, n), v, &h);
                keep(&mut w);
            })
        }),
    }
}

fn panel_multiply_in_place<T: Real>(n: usize, k: usize, columns: usize) -> Case {
    Case {
        name: "panel/multiply_in_place",
        dtype: T::NAME,
        shape: format!("{n:07}x{k:02},{columns}"),
        threads: 1,
        work: Work {
            values: n as f64,
            flops: flops(n * k * columns),
            read: bytes::<T>(n * k),
            written: bytes::<T>(n * columns),
        },
        prepare: Box::new(move |isa| {
            let mut v = uniform::<T>(1, n * k);
            // A shift of columns by one keeps every entry as it is, so nothing over- or underflows.
            let mut h = vec![0.0; k * columns];
            (0..columns).for_each(|j| h[(j + 1) % k + j * k] = 1.0);
            Box::new(move || {
                multiply_in_place(isa, &mut PanelMut::new(&mut v, n, k, n), &h);
                keep(&mut v);
            })
        }),
    }
}
