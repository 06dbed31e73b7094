//! The cases of `hesse bench`, one entry each: to add a kernel, add a function that returns its
//! [`Case`] and a line in [`all`].

use hesse_kernels::Real;
use hesse_kernels::panel::{
    Panel, PanelMut, multiply_in_place, subtract_product, transpose_product,
};

use super::{Case, Work, keep};
use crate::inputs::uniform;

/// Every case, in the order of the table.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    // (rows, columns, block): one vector and a block, out of cache.
    for (n, k, b) in [(1_000_000, 16, 1), (1_000_000, 16, 4)] {
        cases.push(panel_transpose_product::<f32>(n, k, b));
        cases.push(panel_transpose_product::<f64>(n, k, b));
        cases.push(panel_subtract_product::<f32>(n, k, b));
        cases.push(panel_subtract_product::<f64>(n, k, b));
    }
    cases.push(panel_multiply_in_place::<f32>(1_000_000, 16, 8));
    cases.push(panel_multiply_in_place::<f64>(1_000_000, 16, 8));
    cases
}

fn bytes<T>(elements: usize) -> f64 {
    (elements * size_of::<T>()) as f64
}

fn flops(products: usize) -> f64 {
    2.0 * products as f64
}

fn panel_transpose_product<T: Real>(n: usize, k: usize, b: usize) -> Case {
    Case {
        name: "panel/transpose_product",
        dtype: T::NAME,
        shape: format!("{n:07}x{k:02},{b}"),
        threads: 1,
        work: Work { flops: flops(n * k * b), read: bytes::<T>(n * (k + b)), written: 0.0 },
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
