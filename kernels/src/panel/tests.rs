use proptest::prelude::*;

use super::*;
use crate::oracle;

/// 2⁻⁵³.
const UNIT: f64 = f64::EPSILON / 2.0;

/// Rows that meet every vector length, unroll and tile boundary with a short panel.
const ROWS: [usize; 17] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 129, 1003];
/// (columns of V, columns of W) that meet every block.
const COLUMNS: [(usize, usize); 16] = [
    (0, 0),
    (0, 3),
    (2, 0),
    (1, 1),
    (1, 2),
    (2, 1),
    (2, 3),
    (3, 4),
    (4, 1),
    (4, 3),
    (5, 5),
    (7, 2),
    (9, 1),
    (15, 7),
    (17, 1),
    (6, 67),
];

struct Case<T> {
    v: Vec<T>,
    w: Vec<T>,
    h: Vec<f64>,
    rows: usize,
    k: usize,
    m: usize,
    offset: usize,
    v_stride: usize,
    w_stride: usize,
}

impl<T: Real> Case<T> {
    fn new(rows: usize, k: usize, m: usize, offset: usize, integers: bool) -> Self {
        let (v_stride, w_stride) = (rows + 3 * offset, rows + offset);
        let numbers = |seed, n| -> Vec<f64> {
            let x = oracle::uniform(seed + (rows * 31 + k * 7 + m) as u64, n);
            if integers { x.iter().map(|x| (8.0 * x).round()).collect() } else { x }
        };
        let store = |seed, n| numbers(seed, n).into_iter().map(T::from_f64).collect();
        Self {
            v: store(1, offset + k * v_stride),
            w: store(2, offset + m * w_stride),
            h: numbers(3, k * m),
            rows,
            k,
            m,
            offset,
            v_stride,
            w_stride,
        }
    }

    fn all(check: impl Fn(Isa, Self, bool)) {
        for isa in Isa::available() {
            for rows in ROWS {
                for (i, (k, m)) in COLUMNS.into_iter().enumerate() {
                    for integers in [false, true] {
                        check(isa, Self::new(rows, k, m, (i + rows) % 5, integers), integers);
                    }
                }
            }
        }
    }

    fn v(&self) -> Panel<'_, T> {
        Panel::new(&self.v[self.offset..], self.rows, self.k, self.v_stride)
    }

    fn w(&self) -> Panel<'_, T> {
        Panel::new(&self.w[self.offset..], self.rows, self.m, self.w_stride)
    }

    fn at(panel: Panel<'_, T>, r: usize, c: usize) -> f64 {
        panel.column(c)[r].to_f64()
    }

    /// Vᵀ W and |V|ᵀ|W|.
    fn transpose_product(&self, w: Panel<'_, T>) -> (Vec<f64>, Vec<f64>) {
        oracle::product(
            (self.k, self.rows, w.columns()),
            |i, r| Self::at(self.v(), r, i),
            |r, j| Self::at(w, r, j),
        )
    }

    /// V H and |V||H| for the first `m` columns of H.
    fn product(&self, m: usize) -> (Vec<f64>, Vec<f64>) {
        let (v, h) = (self.v(), &self.h);
        oracle::product((self.rows, self.k, m), |r, i| Self::at(v, r, i), |i, j| h[i + j * self.k])
    }

    fn label(&self, isa: Isa) -> String {
        format!("{isa} {} {}x({}, {}) offset {}", T::NAME, self.rows, self.k, self.m, self.offset)
    }
}

/// Both sides commit n roundings: twice γ_n.
fn assert_close(got: &[f64], want: &[f64], abs: &[f64], terms: usize, exact: bool, label: &str) {
    assert_eq!(got.len(), want.len(), "{label}");
    for (i, ((got, want), abs)) in got.iter().zip(want).zip(abs).enumerate() {
        let bound = if exact { 0.0 } else { 2.0 * (terms + 2) as f64 * UNIT * abs };
        assert!((got - want).abs() <= bound, "{label}: {got} for {want} at {i}");
    }
}

fn transpose_product_is_the_oracles<T: Real>() {
    Case::<T>::all(|isa, case, exact| {
        let mut h = vec![f64::NAN; case.k * case.m];
        transpose_product(isa, case.v(), case.w(), &mut h);
        let (want, abs) = case.transpose_product(case.w());
        assert_close(&h, &want, &abs, case.rows, exact, &case.label(isa));
    });
}

fn gram_is_the_oracles_and_symmetric<T: Real>() {
    Case::<T>::all(|isa, case, exact| {
        // Wide enough for two chunks of columns.
        let (v, k) = if case.m > case.k { (case.w(), case.m) } else { (case.v(), case.k) };
        let mut g = vec![f64::NAN; k * k];
        gram(isa, v, &mut g);
        let (want, abs) = oracle::product(
            (k, case.rows, k),
            |i, r| v.column(i)[r].to_f64(),
            |r, j| v.column(j)[r].to_f64(),
        );
        assert_close(&g, &want, &abs, case.rows, exact, &case.label(isa));
        for i in 0..k {
            for j in 0..k {
                assert_eq!(g[i + j * k].to_bits(), g[j + i * k].to_bits());
            }
        }
    });
}

/// The bound of the documentation for one rounded element.
fn element_bound<T: Real>(value: f64, abs: f64, terms: usize, exact: bool) -> f64 {
    let unit = if T::EPSILON.to_f64() > f64::EPSILON { T::EPSILON.to_f64() / 2.0 } else { 0.0 };
    if exact { 0.0 } else { unit * value.abs() + 2.0 * (terms + 2) as f64 * UNIT * abs }
}

fn subtract_product_is_the_oracles<T: Real>() {
    Case::<T>::all(|isa, case, exact| {
        let mut w = case.w.clone();
        let mut panel = PanelMut::new(&mut w[case.offset..], case.rows, case.m, case.w_stride);
        subtract_product(isa, &mut panel, case.v(), &case.h);
        let (product, abs) = case.product(case.m);
        for (index, (&got, &old)) in w.iter().zip(&case.w).enumerate() {
            let place = index.checked_sub(case.offset).filter(|_| case.w_stride > 0);
            let (r, j) = place.map_or((usize::MAX, 0), |p| (p % case.w_stride, p / case.w_stride));
            if r >= case.rows || case.k == 0 {
                assert_eq!(got, old, "{}: outside", case.label(isa));
                continue;
            }
            let (product, abs) = (product[r + j * case.rows], abs[r + j * case.rows]);
            let want = old.to_f64() - product;
            let bound = element_bound::<T>(want, abs + old.to_f64().abs(), case.k, exact);
            assert!(
                (got.to_f64() - want).abs() <= bound,
                "{}: {got} for {want} at ({r}, {j})",
                case.label(isa)
            );
        }

        // The fused form: the same W, and the product with it.
        let mut fused = case.w.clone();
        let mut panel = PanelMut::new(&mut fused[case.offset..], case.rows, case.m, case.w_stride);
        let mut g = vec![f64::NAN; case.k * case.m];
        subtract_then_transpose_product(isa, &mut panel, case.v(), &case.h, &mut g);
        assert!(fused == w, "{}", case.label(isa));
        let w = Panel::new(&w[case.offset..], case.rows, case.m, case.w_stride);
        let (want, abs) = case.transpose_product(w);
        assert_close(&g, &want, &abs, case.rows, exact, &case.label(isa));
    });
}

fn multiply_in_place_is_the_oracles<T: Real>() {
    Case::<T>::all(|isa, case, exact| {
        let m = case.m.min(case.k);
        let mut v = case.v.clone();
        let mut panel = PanelMut::new(&mut v[case.offset..], case.rows, case.k, case.v_stride);
        multiply_in_place(isa, &mut panel, &case.h[..m * case.k]);
        let (product, abs) = case.product(m);
        for (index, (&got, &old)) in v.iter().zip(&case.v).enumerate() {
            let place = index.checked_sub(case.offset).filter(|_| case.v_stride > 0);
            let (r, j) = place.map_or((usize::MAX, 0), |p| (p % case.v_stride, p / case.v_stride));
            if r >= case.rows || j >= m {
                assert_eq!(got, old, "{}: outside", case.label(isa));
                continue;
            }
            let (want, abs) = (product[r + j * case.rows], abs[r + j * case.rows]);
            let bound = element_bound::<T>(want, abs, case.k, exact);
            assert!(
                (got.to_f64() - want).abs() <= bound,
                "{}: {got} for {want} at ({r}, {j})",
                case.label(isa)
            );
        }
    });
}

#[test]
fn transpose_product_on_every_path() {
    transpose_product_is_the_oracles::<f32>();
    transpose_product_is_the_oracles::<f64>();
}

#[test]
fn gram_on_every_path() {
    gram_is_the_oracles_and_symmetric::<f32>();
    gram_is_the_oracles_and_symmetric::<f64>();
}

#[test]
fn subtract_product_on_every_path() {
    subtract_product_is_the_oracles::<f32>();
    subtract_product_is_the_oracles::<f64>();
}

#[test]
fn multiply_in_place_on_every_path() {
    multiply_in_place_is_the_oracles::<f32>();
    multiply_in_place_is_the_oracles::<f64>();
}

/// Rows across several tiles of every kernel; integers, so that every path must agree exactly.
#[test]
fn tiles_meet_without_gaps() {
    let (rows, k) = (2 * inner::tile_rows::<f32>(1) + 37, 9);
    for isa in Isa::available() {
        for m in [1, 2, 9] {
            let case = Case::<f32>::new(rows, k, m, 1, true);
            let label = case.label(isa);
            let mut h = vec![f64::NAN; k * m];
            transpose_product(isa, case.v(), case.w(), &mut h);
            assert_eq!(h, case.transpose_product(case.w()).0, "{label}");

            let (product, _) = case.product(m);
            let mut w = case.w.clone();
            let mut panel = PanelMut::new(&mut w[1..], rows, m, case.w_stride);
            let mut g = vec![f64::NAN; k * m];
            subtract_then_transpose_product(isa, &mut panel, case.v(), &case.h, &mut g);
            let w = Panel::new(&w[1..], rows, m, case.w_stride);
            assert_eq!(g, case.transpose_product(w).0, "{label}");
            for j in 0..m {
                for r in 0..rows {
                    let want = Case::at(case.w(), r, j) - product[r + j * rows];
                    assert_eq!(Case::at(w, r, j), want, "{label} ({r}, {j})");
                }
            }

            let mut v = case.v.clone();
            multiply_in_place(
                isa,
                &mut PanelMut::new(&mut v[1..], rows, k, case.v_stride),
                &case.h,
            );
            let v = Panel::new(&v[1..], rows, k, case.v_stride);
            for j in 0..m {
                for r in 0..rows {
                    assert_eq!(Case::at(v, r, j), product[r + j * rows], "{label} ({r}, {j})");
                }
            }
        }
    }
}

/// More columns than the tile on the stack holds.
#[test]
fn very_wide_panels_are_multiplied_too() {
    let (rows, k) = (19, 600);
    let v: Vec<f64> = (0..rows * k).map(|i| (i % 13) as f64).collect();
    // A cyclic shift of the columns, doubled.
    let mut h = vec![0.0; k * k];
    for j in 0..k {
        h[(j + 1) % k + j * k] = 2.0;
    }
    for isa in Isa::available() {
        let mut out = v.clone();
        multiply_in_place(isa, &mut PanelMut::new(&mut out, rows, k, rows), &h);
        for j in 0..k {
            for r in 0..rows {
                assert_eq!(out[r + j * rows], 2.0 * v[r + (j + 1) % k * rows]);
            }
        }
    }
}

#[test]
fn special_values_stay_in_their_rows_and_columns() {
    for isa in Isa::available() {
        for special in [f64::NAN, f64::INFINITY] {
            let (rows, k, m) = (37, 5, 3);
            let mut case = Case::<f64>::new(rows, k, m, 0, false);
            case.v[36 + 2 * rows] = special;
            let mut h = vec![0.0; k * m];
            transpose_product(isa, case.v(), case.w(), &mut h);
            for i in 0..k {
                for j in 0..m {
                    assert_eq!(h[i + j * k].is_finite(), i != 2, "{isa}");
                }
            }
            let mut w = case.w.clone();
            let mut panel = PanelMut::new(&mut w, rows, m, rows);
            subtract_product(isa, &mut panel, case.v(), &case.h);
            for j in 0..m {
                for r in 0..rows {
                    assert_eq!(w[r + j * rows].is_finite(), r != 36, "{isa}");
                }
            }
        }
        // 1e-310 is subnormal: products with whole numbers are exact unless it is flushed to zero.
        let (v, w) = ([1e-310; 9], [3.0; 9]);
        let mut h = [0.0];
        transpose_product(isa, Panel::new(&v, 9, 1, 9), Panel::new(&w, 9, 1, 9), &mut h);
        assert_eq!(h[0], 27.0 * 1e-310, "{isa}");
        let (v, w) = ([f32::from_bits(1); 9], [1.0_f32; 9]);
        transpose_product(isa, Panel::new(&v, 9, 1, 9), Panel::new(&w, 9, 1, 9), &mut h);
        assert_eq!(h[0], 9.0 * f64::from(f32::from_bits(1)), "{isa}");
    }
}

#[test]
fn single_precision_is_accumulated_in_double() {
    // In f32 the ones would be lost beside 2²⁴.
    let n = 1000;
    let mut v = vec![1.0_f32; n];
    v[0] = 16_777_216.0;
    let ones = vec![1.0_f32; n];
    for isa in Isa::available() {
        let mut h = [0.0];
        transpose_product(isa, Panel::new(&v, n, 1, n), Panel::new(&ones, n, 1, n), &mut h);
        assert_eq!(h[0], 16_777_216.0 + 999.0);
        // A row of three: 2²⁴ + 1 − 2²⁴.
        let v = [16_777_216.0_f32, 1.0, -16_777_216.0];
        let mut w = [0.0_f32];
        let h = [-1.0; 3];
        subtract_product(isa, &mut PanelMut::new(&mut w, 1, 1, 1), Panel::new(&v, 1, 3, 1), &h);
        assert_eq!(w, [1.0]);
    }
}

#[test]
fn views_are_parts_of_the_panel() {
    let data: Vec<f64> = (0..23).map(f64::from).collect();
    let panel = Panel::new(&data, 5, 4, 6);
    let part = panel.row_range(1..3).column_range(2..4);
    assert_eq!((part.rows(), part.columns()), (2, 2));
    assert_eq!(part.column(0), [13.0, 14.0]);
    assert_eq!(part.column(1), [19.0, 20.0]);
    assert_eq!(panel.row_range(5..5).rows(), 0);
    assert_eq!(panel.column_range(4..4).columns(), 0);
    let mut data = data.clone();
    let mut panel = PanelMut::new(&mut data, 5, 4, 6);
    let (mut left, mut right) = panel.split_at_column(3);
    left.column_mut(2)[0] = -1.0;
    right.row_range_mut(4..5).column_mut(0)[0] = -2.0;
    assert_eq!((left.columns(), right.columns()), (3, 1));
    assert_eq!((data[12], data[22]), (-1.0, -2.0));
}

#[test]
#[should_panic(expected = "panel: 10 elements")]
fn a_stride_that_overflows_is_refused() {
    let _ = Panel::new(&[0.0_f64; 10], 2, 3, usize::MAX / 2 + 2);
}

proptest! {
    /// (V A)ᵀ W = Aᵀ (Vᵀ W), exactly for whole numbers.
    #[test]
    fn products_associate(rows in 0_usize..200, k in 1_usize..12, m in 1_usize..12, seed: u64) {
        let numbers = |s, n| -> Vec<f64> {
            oracle::uniform(seed ^ s, n).iter().map(|x| (5.0 * x).round()).collect()
        };
        let (v, w, a) = (numbers(1, rows * k), numbers(2, rows * m), numbers(3, k * k));
        for isa in Isa::available() {
            let w = Panel::new(&w, rows, m, rows);
            let mut h = vec![0.0; k * m];
            transpose_product(isa, Panel::new(&v, rows, k, rows), w, &mut h);
            let mut product = v.clone();
            multiply_in_place(isa, &mut PanelMut::new(&mut product, rows, k, rows), &a);
            let mut left = vec![0.0; k * m];
            transpose_product(isa, Panel::new(&product, rows, k, rows), w, &mut left);
            let (right, _) = oracle::product((k, k, m), |i, p| a[p + i * k], |p, j| h[p + j * k]);
            prop_assert_eq!(&left, &right);
        }
    }
}
