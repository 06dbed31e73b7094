//! Products of panels against exact sums.

use arbitrary::{Result, Unstructured};
use hesse_kernels::panel::{
    Panel, PanelMut, gram, multiply_in_place, subtract_product, subtract_then_transpose_product,
    transpose_product,
};
use hesse_kernels::{Isa, Real};

use crate::exact::{Bound, Terms};
use crate::numbers::{Numbers, prolonged, same};

/// 2⁻⁵³.
const UNIT: f64 = f64::EPSILON / 2.0;

/// Products with panels keep their documented bounds, for any numbers, shapes, strides and
/// alignments, and write nothing between the columns.
///
/// # Panics
/// If they do not.
pub fn panel(bytes: &[u8]) {
    let bytes = prolonged(bytes);
    let mut u = Unstructured::new(&bytes);
    let _ = match u.arbitrary() {
        Ok(true) => check::<f32>(&mut u),
        _ => check::<f64>(&mut u),
    };
}

/// A panel and where it lies in memory.
struct Stored<T> {
    data: Vec<T>,
    rows: usize,
    columns: usize,
    offset: usize,
    stride: usize,
}

impl<T: Real> Stored<T> {
    fn read(
        u: &mut Unstructured<'_>,
        numbers: &mut Numbers,
        rows: usize,
        columns: usize,
    ) -> Result<Self> {
        let (offset, gap) = (u.int_in_range(0..=9)?, u.int_in_range(0..=9)?);
        let stride = rows + gap;
        Ok(Self { data: numbers.take(offset + columns * stride), rows, columns, offset, stride })
    }

    fn panel(&self) -> Panel<'_, T> {
        Panel::new(&self.data[self.offset..], self.rows, self.columns, self.stride)
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.data[self.offset + row + column * self.stride].to_f64()
    }

    /// What `run` leaves of this panel.
    fn changed(&self, run: impl FnOnce(&mut PanelMut<'_, T>)) -> Self {
        let mut data = self.data.clone();
        let (rows, columns) = (self.rows, self.columns);
        run(&mut PanelMut::new(&mut data[self.offset..], rows, columns, self.stride));
        Self { data, ..*self }
    }

    /// Everything outside the first `columns` columns is as it was.
    fn kept_outside(&self, old: &Self, columns: usize) -> bool {
        (0..self.data.len()).all(|i| {
            let place = i.checked_sub(self.offset);
            let inside = place.is_some_and(|place| {
                place / self.stride.max(1) < columns && place % self.stride.max(1) < self.rows
            });
            inside || same(self.data[i], old.data[i])
        })
    }
}

fn check<T: Real>(u: &mut Unstructured<'_>) -> Result<()> {
    // Mostly short and narrow; sometimes past the tiles and chunks of the kernels.
    let (rows, k, m) = match u.int_in_range(0..=15_u8)? {
        0 => (u.int_in_range(0..=40)?, u.int_in_range(60..=70)?, u.int_in_range(0..=2)?),
        1 => (u.int_in_range(0..=40)?, u.int_in_range(0..=2)?, u.int_in_range(30..=70)?),
        2 => (u.int_in_range(500..=1500)?, u.int_in_range(1..=4)?, u.int_in_range(1..=3)?),
        _ => (u.int_in_range(0..=70)?, u.int_in_range(0..=9)?, u.int_in_range(0..=6)?),
    };
    let mut numbers = [Numbers::read(u)?, Numbers::read(u)?, Numbers::read(u)?];
    let v = Stored::<T>::read(u, &mut numbers[0], rows, k)?;
    let w = Stored::<T>::read(u, &mut numbers[1], rows, m)?;
    let h: Vec<f64> = numbers[2].take(k * m);
    products(&v, &w);
    updates(&v, &w, &h);
    // H with at most as many columns as V.
    in_place(&v, &h[..k * m.min(k)]);
    Ok(())
}

fn label<T: Real>(name: &str, isa: Isa, v: &Stored<T>, m: usize) -> String {
    let (rows, k, stride) = (v.rows, v.columns, v.stride);
    format!("{name} {isa} {}, {rows} rows {stride} apart, {k} and {m} columns", T::NAME)
}

/// Sums in `f64`, of products that are exact for `f32`.
fn sum_bound<T: Real>(terms: usize) -> Bound {
    let underflow = if size_of::<T>() == 4 { 0.0 } else { terms as f64 * 5e-324 };
    Bound { gamma: terms as f64 * UNIT, relative: 0.0, underflow, overflow: 1022 }
}

/// The same of products with `f64`, rounded to `T` at the end.
fn element_bound<T: Real>(terms: usize) -> Bound {
    let bound = Bound { underflow: terms as f64 * 5e-324, ..sum_bound::<T>(terms) };
    if size_of::<T>() == 4 {
        let unit = f64::from(f32::EPSILON) / 2.0;
        Bound {
            // The last rounding is one of the rounded sum.
            gamma: bound.gamma * (1.0 + unit),
            relative: unit,
            underflow: bound.underflow + f64::from(f32::from_bits(1)) / 2.0,
            overflow: 126,
        }
    } else {
        bound
    }
}

/// What `run` makes on every instruction set; the exact sums are the same for all.
fn on_every_path<R>(run: impl Fn(Isa) -> R) -> Vec<(Isa, R)> {
    Isa::available().into_iter().map(|isa| (isa, run(isa))).collect()
}

fn products<T: Real>(v: &Stored<T>, w: &Stored<T>) {
    let (rows, k, m) = (v.rows, v.columns, w.columns);
    let bound = sum_bound::<T>(rows);
    let runs = on_every_path(|isa| {
        let (mut h, mut g) = (vec![f64::NAN; k * m], vec![f64::NAN; k * k]);
        transpose_product(isa, v.panel(), w.panel(), &mut h);
        gram(isa, v.panel(), &mut g);
        (h, g)
    });
    for index in 0..k * m {
        let (i, j) = (index % k, index / k);
        let want = Terms::of((0..rows).map(|r| (v.at(r, i), w.at(r, j)))).finish(bound);
        for (isa, (h, _)) in &runs {
            if let Err(e) = want.accept(h[index]) {
                panic!("{} at ({i}, {j}): {e}", label("transpose_product", *isa, v, m));
            }
        }
    }
    for (i, j) in (0..k).flat_map(|j| (0..=j).map(move |i| (i, j))) {
        let want = Terms::of((0..rows).map(|r| (v.at(r, i), v.at(r, j)))).finish(bound);
        for (isa, (_, g)) in &runs {
            let (got, mirrored) = (g[i + j * k], g[j + i * k]);
            assert!(same(got, mirrored), "{} at ({i}, {j})", label("gram", *isa, v, m));
            if let Err(e) = want.accept(got) {
                panic!("{} at ({i}, {j}): {e}", label("gram", *isa, v, m));
            }
        }
    }
}

fn updates<T: Real>(v: &Stored<T>, w: &Stored<T>, h: &[f64]) {
    let (rows, k, m) = (v.rows, v.columns, w.columns);
    let runs = on_every_path(|isa| w.changed(|w| subtract_product(isa, w, v.panel(), h)));
    let bound = element_bound::<T>(k + 1);
    for (r, j) in (0..rows).flat_map(|r| (0..m).map(move |j| (r, j))) {
        let mut terms = Terms::of((0..k).map(|i| (-v.at(r, i), h[i + j * k])));
        terms.add(w.at(r, j), 1.0);
        let want = terms.finish(bound);
        for (isa, new) in &runs {
            if let Err(e) = want.accept(new.at(r, j)) {
                panic!("{} at ({r}, {j}): {e}", label("subtract_product", *isa, v, m));
            }
        }
    }
    for (isa, new) in runs {
        assert!(new.kept_outside(w, m), "{} wrote outside", label("subtract_product", isa, v, m));
        let name = "subtract_then_transpose_product";
        let mut g = vec![f64::NAN; k * m];
        let both = w.changed(|w| subtract_then_transpose_product(isa, w, v.panel(), h, &mut g));
        let equal = both.data.iter().zip(&new.data).all(|(&a, &b)| same(a, b));
        assert!(equal, "{}: other bits", label(name, isa, v, m));
        for (index, &got) in g.iter().enumerate() {
            let (i, j) = (index % k, index / k);
            let terms = Terms::of((0..rows).map(|r| (v.at(r, i), new.at(r, j))));
            if let Err(e) = terms.finish(sum_bound::<T>(rows)).accept(got) {
                panic!("{} at ({i}, {j}): {e}", label(name, isa, v, m));
            }
        }
    }
}

fn in_place<T: Real>(v: &Stored<T>, h: &[f64]) {
    let (rows, k) = (v.rows, v.columns);
    let columns = h.len().checked_div(k).unwrap_or(0);
    let runs = on_every_path(|isa| v.changed(|v| multiply_in_place(isa, v, h)));
    for (r, j) in (0..rows).flat_map(|r| (0..columns).map(move |j| (r, j))) {
        let terms = Terms::of((0..k).map(|i| (v.at(r, i), h[i + j * k])));
        let want = terms.finish(element_bound::<T>(k));
        for (isa, new) in &runs {
            if let Err(e) = want.accept(new.at(r, j)) {
                panic!("{} at ({r}, {j}): {e}", label("multiply_in_place", *isa, v, columns));
            }
        }
    }
    for (isa, new) in runs {
        let label = label("multiply_in_place", isa, v, columns);
        assert!(new.kept_outside(v, columns), "{label} wrote outside");
    }
}
