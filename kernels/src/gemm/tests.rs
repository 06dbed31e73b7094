use proptest::prelude::*;

use super::*;
use crate::oracle;

const ENGINES: [Engine; 4] = [Engine::Loop, Engine::Panel, Engine::MatrixMultiply, Engine::Faer];

/// (m, n, k) around every tile and buffer, thin ones on either side.
const SHAPES: [(usize, usize, usize); 22] = [
    (0, 0, 0),
    (0, 3, 2),
    (3, 0, 2),
    (3, 2, 0),
    (1, 1, 1),
    (2, 2, 2),
    (1, 7, 5),
    (7, 1, 5),
    (5, 3, 1),
    (2, 33, 17),
    (33, 2, 17),
    (9, 8, 16),
    (16, 16, 16),
    (17, 15, 33),
    (31, 33, 32),
    (64, 10, 65),
    (10, 64, 3),
    (65, 66, 20),
    (700, 3, 5),
    (4, 600, 70),
    (3, 5, 1200),
    (520, 8, 530),
];

/// Strides of a rows × columns matrix: row-major, column-major, both with gaps, and one in which
/// neither dimension is contiguous.
fn layouts(rows: usize, columns: usize) -> [(usize, usize); 5] {
    let (r, c) = (rows.max(1), columns.max(1));
    [(c, 1), (1, r), (c + 3, 1), (1, r + 2), (2 * c + 1, 2)]
}

fn length(rows: usize, columns: usize, (down, right): (usize, usize)) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * down + (columns - 1) * right + 1 }
}

fn numbers<T: Real>(seed: u64, n: usize, integers: bool) -> Vec<T> {
    let round = |x: f64| if integers { (4.0 * x).round() } else { x };
    oracle::uniform(seed, n).into_iter().map(|x| T::from_f64(round(x))).collect()
}

/// One product against the oracle: rounding bound, exact for integers, gaps of C untouched.
fn check<T: Real>(
    isa: Isa,
    engine: Option<Engine>,
    (m, n, k): (usize, usize, usize),
    [la, lb, lc]: [(usize, usize); 3],
    (alpha, beta): (f64, f64),
    integers: bool,
) {
    let x: Vec<T> = numbers(1, length(m, k, la) + 1, integers);
    let y: Vec<T> = numbers(2, length(k, n, lb) + 1, integers);
    let mut z: Vec<T> = numbers(3, length(m, n, lc) + 1, integers);
    let a = MatrixRef::new(&x[1..], m, k, la.0, la.1);
    let b = MatrixRef::new(&y[1..], k, n, lb.0, lb.1);
    let place = |i: usize, j: usize| 1 + i * lc.0 + j * lc.1;
    if beta == 0.0 {
        for i in 0..m {
            for j in 0..n {
                z[place(i, j)] = T::NAN;
            }
        }
    }
    let old = z.clone();
    let (at, bt) = (T::from_f64(alpha), T::from_f64(beta));
    let c = MatrixMut::new(&mut z[1..], m, n, lc.0, lc.1);
    match engine {
        Some(engine) => gemm_with(isa, engine, at, a, b, bt, c),
        None => gemm(isa, at, a, b, bt, c),
    }
    let label = format!("{isa} {engine:?} {} {m}x{n}x{k} {la:?} {lb:?} {lc:?}", T::NAME);
    let (want, abs) =
        oracle::product((m, k, n), |i, p| a.at(i, p).to_f64(), |p, j| b.at(p, j).to_f64());
    let gamma = 1.01 * (k + 3) as f64 * T::EPSILON.to_f64() / 2.0;
    let mut inside = vec![false; z.len()];
    for i in 0..m {
        for j in 0..n {
            inside[place(i, j)] = true;
            let before = if beta == 0.0 { 0.0 } else { old[place(i, j)].to_f64() };
            let value = alpha * want[i + j * m] + beta * before;
            let size = alpha.abs() * abs[i + j * m] + beta.abs() * before.abs();
            let bound = if integers { 0.0 } else { gamma * size };
            let got = z[place(i, j)].to_f64();
            assert!((got - value).abs() <= bound, "{label}: {got} for {value} at ({i}, {j})");
        }
    }
    for (i, inside) in inside.into_iter().enumerate() {
        assert!(inside || z[i] == old[i], "{label}: a gap was written");
    }
}

fn every_engine<T: Real>() {
    for isa in Isa::available() {
        for (s, (m, n, k)) in SHAPES.into_iter().enumerate() {
            for turn in 0..5 {
                // Every layout of each matrix, in changing company.
                let la = layouts(m, k)[turn];
                let lb = layouts(k, n)[(2 * turn + s) % 5];
                let lc = layouts(m, n)[(3 * turn + s + 1) % 5];
                let factors = [(1.0, 0.0), (1.0, 1.0), (-2.0, 0.5), (0.0, 0.0), (3.0, -1.0)];
                let integers = (turn + s) % 2 == 0;
                for engine in ENGINES.map(Some).into_iter().chain([None]) {
                    let factors = if integers && turn == 2 { (2.0, 4.0) } else { factors[turn] };
                    check::<T>(isa, engine, (m, n, k), [la, lb, lc], factors, integers);
                }
            }
        }
    }
}

#[test]
fn every_engine_is_the_oracle_in_single_precision() {
    every_engine::<f32>();
}

#[test]
fn every_engine_is_the_oracle_in_double_precision() {
    every_engine::<f64>();
}

#[test]
fn plans() {
    use Engine::{Faer, Loop, MatrixMultiply, Panel};
    let both = |m, n, k, contiguous| {
        let plans = [plan::<f32>(m, n, k, contiguous), plan::<f64>(m, n, k, contiguous)];
        assert_eq!(plans, [plan::<f32>(n, m, k, contiguous), plan::<f64>(n, m, k, contiguous)]);
        plans
    };
    assert_eq!(both(2, 2, 2, true), [Loop; 2]);
    assert_eq!(both(16, 1, 1, true), [Loop; 2]);
    assert_eq!(both(4, 4, 4, true), [Faer; 2]);
    assert_eq!(both(1024, 1024, 1024, true), [Faer; 2]);
    assert_eq!(both(2048, 10, 512, true), [Faer; 2]);
    assert_eq!(both(512, 1, 784, true), [Faer; 2]);
    assert_eq!(both(512, 2, 784, true), [Panel; 2]);
    assert_eq!(both(512, 4, 784, true), [Panel; 2]);
    assert_eq!(both(512, 4, 784, false), [Faer; 2]);
    assert_eq!(both(512, 5, 784, true), [Faer; 2]);
    assert_eq!(both(32, 4, 32, true), [Faer; 2]);
    assert_eq!(both(512, 784, 20, true), [Faer, MatrixMultiply]);
    assert_eq!(both(512, 784, 25, true), [Faer; 2]);
    assert_eq!(both(2048, 32, 10, true), [Faer; 2]);
    assert_eq!(both(usize::MAX, usize::MAX, 20, true), [Faer, MatrixMultiply]);
}

#[test]
fn special_values_stay_in_their_row() {
    for isa in Isa::available() {
        for engine in ENGINES {
            for special in [f64::NAN, f64::INFINITY] {
                let (m, n, k) = (9, 4, 5);
                let mut x = vec![1.0; m * k];
                x[3 * k + 2] = special;
                let y = vec![1.0; k * n];
                let mut z = vec![0.0; m * n];
                let (a, b) = (MatrixRef::row_major(&x, m, k), MatrixRef::row_major(&y, k, n));
                let c = MatrixMut::row_major(&mut z, m, n);
                gemm_with(isa, engine, 1.0, a, b, 1.0, c);
                for (i, row) in z.chunks(n).enumerate() {
                    for &c in row {
                        if i != 3 {
                            assert_eq!(c, 5.0, "{isa} {engine:?}");
                        } else {
                            assert!(c == special || c.is_nan() && special.is_nan());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn thin_products_of_single_precision_are_accumulated_in_double() {
    // In f32 the ones would be lost beside 2²⁴.
    let (m, k) = (64, 1000);
    let mut x = vec![1.0_f32; m * k];
    x.chunks_mut(k).for_each(|row| row[0] = 16_777_216.0);
    let y = vec![1.0_f32; 2 * k];
    let mut z = vec![0.0_f32; 2 * m];
    for isa in Isa::available() {
        let (a, b) = (MatrixRef::row_major(&x, m, k), MatrixRef::row_major(&y, k, 2));
        gemm(isa, 1.0, a, b, 0.0, MatrixMut::row_major(&mut z, m, 2));
        let want = (16_777_216.0_f64 + 999.0) as f32;
        assert!(z.iter().all(|&z| z == want));
    }
}

#[test]
fn views_refuse_what_lies_outside_or_overlaps() {
    let refused = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    let x = [0.0_f64; 12];
    assert!(!refused(&|| _ = MatrixRef::new(&x, 3, 4, 4, 1)));
    assert!(!refused(&|| _ = MatrixRef::new(&x, 3, 4, 0, 0)));
    assert!(!refused(&|| _ = MatrixRef::new(&x[..0], 0, 4, 4, 1)));
    assert!(refused(&|| _ = MatrixRef::new(&x[..11], 3, 4, 4, 1)));
    assert!(refused(&|| _ = MatrixRef::new(&x, 3, 4, usize::MAX / 4, 1)));
    assert!(refused(&|| _ = MatrixRef::new(&x, 3, 4, usize::MAX, 1)));
    let writes =
        |m, n, down, right| refused(&|| _ = MatrixMut::new(&mut [0.0_f64; 12], m, n, down, right));
    assert!(!writes(3, 4, 4, 1));
    assert!(!writes(3, 4, 1, 3));
    assert!(!writes(1, 4, 0, 1));
    assert!(writes(3, 4, 3, 1));
    assert!(writes(3, 4, 0, 1));
    assert!(writes(3, 1, 0, 1));
    assert!(writes(3, 4, 2, 2));
    assert!(writes(4, 4, 4, 1));
}

#[test]
fn parts_of_a_matrix_hold_its_rows() {
    for (down, right) in [(4, 1), (1, 3), (9, 2), (2, 7)] {
        for rows in 0..=3 {
            let mut x: Vec<f64> = (0..32).map(f64::from).collect();
            let all = x.clone();
            let (mut above, mut below) = MatrixMut::new(&mut x, 3, 4, down, right).split_rows(rows);
            assert_eq!((above.rows(), below.rows(), below.columns()), (rows, 3 - rows, 4));
            // Both are alive.
            for i in 0..3 {
                for j in 0..4 {
                    let part = if i < rows { &mut above } else { &mut below };
                    let element = part.at_mut(if i < rows { i } else { i - rows }, j);
                    assert_eq!(*element, all[i * down + j * right]);
                    *element = -1.0;
                }
            }
            assert_eq!(x.iter().filter(|x| **x == -1.0).count(), 12);
        }
    }
    let refused = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    let mut x = [0.0_f64; 12];
    let matrix = std::cell::RefCell::new(MatrixMut::row_major(&mut x, 3, 4));
    assert!(refused(&|| _ = matrix.borrow_mut().reborrow().split_rows(4)));
    assert!(refused(&|| _ = *matrix.borrow_mut().at_mut(3, 0)));
    assert!(refused(&|| _ = *matrix.borrow_mut().at_mut(0, 4)));
    // Nothing at all has parts, too.
    let (above, below) = MatrixMut::row_major(&mut [0.0_f64; 0], 3, 0).split_rows(2);
    assert_eq!((above.rows(), below.rows(), below.columns()), (2, 1, 0));
}

proptest! {
    /// (A B)ᵀ = Bᵀ Aᵀ and (A B) D = A (B D), exactly for whole numbers.
    #[test]
    fn products_transpose_and_associate(
        m in 1_usize..40, n in 1_usize..40, k in 1_usize..40, l in 1_usize..8, seed: u64,
    ) {
        let isa = Isa::current();
        let x: Vec<f64> = numbers(seed, m * k, true);
        let y: Vec<f64> = numbers(seed ^ 1, k * n, true);
        let d: Vec<f64> = numbers(seed ^ 2, n * l, true);
        let product = |x: MatrixRef<'_, f64>, y: MatrixRef<'_, f64>| {
            let mut z = vec![f64::NAN; x.rows() * y.columns()];
            let c = MatrixMut::row_major(&mut z, x.rows(), y.columns());
            gemm(isa, 1.0, x, y, 0.0, c);
            z
        };
        let (a, b) = (MatrixRef::row_major(&x, m, k), MatrixRef::row_major(&y, k, n));
        let d = MatrixRef::row_major(&d, n, l);
        let ab = product(a, b);
        let ab = MatrixRef::row_major(&ab, m, n);
        let ba = product(b.transposed(), a.transposed());
        let ba = MatrixRef::row_major(&ba, n, m);
        for i in 0..m {
            for j in 0..n {
                prop_assert_eq!(ab.at(i, j), ba.at(j, i));
            }
        }
        let bd = product(b, d);
        prop_assert_eq!(product(ab, d), product(a, MatrixRef::row_major(&bd, k, l)));
    }
}
