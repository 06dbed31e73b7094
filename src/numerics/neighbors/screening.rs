//! Neighbours by screening all pairs in narrow numbers, certified.
//!
//! Products of blocks of points are compared with the limits of rows and columns where they arise
//! ([`hesse_kernels::screen`]), each pair once for both of its points. Each point keeps those with the
//! smallest lower bounds of d², a few more than k; their distances are computed by direct differences
//! and ordered by (d², index). A point is certified if its k-th distance is below the lower bound of
//! every point that was not kept; the others are searched for again, see [`super::knn`].
//!
//! The numbers are 16-bit integers, `f32` or `f64`. For the last two [`super::bound`] derives the lower
//! bounds. Integers z = round(s(x − c)) are exact: with e = |z − s(x − c)|, which is known for each
//! point, s|x_i − x_j| ≥ |z_i − z_j| − e_i − e_j, and |z_i − z_j|² is what integers compute. Near 2¹⁴ in
//! size, they tell distances apart that differ by about √d/23,000 of the largest norm.

use std::sync::{Mutex, PoisonError};

use hesse_kernels::distance::squared_distances_at;
use hesse_kernels::screen::{self, BLOCK, Candidates, Panels, Screened, Side};
use hesse_kernels::smallest::Entry;
use rayon::prelude::*;

use super::bound::{Frame, relative_error, smallest_subnormal};
use super::problem::Problem;
use super::rows::Rows;
use super::tiles::{Certified, kept, pairs, quota};
use crate::numerics::parallel;
use crate::{Isa, Real};

/// Squared norms of integers stay below 2²⁹, that of the largest point by a margin for rounding.
const LARGEST: f64 = 23_168.0;
/// Added and taken away again, it leaves the nearest integer of what is smaller than 2⁵¹.
const TO_INTEGER: f64 = 1.5 * (1_u64 << 52) as f64;
/// Blocks from which on the first one says whether numbers are fine enough for all.
const PILOT: usize = 4;
/// Numbers are too coarse if more than one in so many rows cannot be certified.
const FAILING: usize = 8;

/// Numbers that points can be screened in.
pub(super) trait Numbers: Screened {
    /// Coordinates in one number.
    const TOGETHER: usize;

    /// Whether bounds hold for points of d coordinates.
    fn hold(d: usize) -> bool;

    /// The scale, and lower bounds without those of single points.
    fn scale(frame: &Frame, d: usize) -> f64;

    /// Puts the numbers of one point, whose coordinates are given in the scale, and returns half of
    /// its squared norm, that norm for sums in `f64`, and the error of the point.
    fn point(z: &[f64], square: f64, put: impl FnMut(usize, Self)) -> (Self, f64, f64);

    /// Relative error of a limit.
    const LIMIT: f64;
}

macro_rules! floats {
    ($t:ident) => {
        impl Numbers for $t {
            const TOGETHER: usize = 1;
            const LIMIT: f64 = 4.0 * $t::EPSILON as f64;

            fn hold(d: usize) -> bool {
                super::bound::holds::<$t>(d)
            }
            fn scale(frame: &Frame, _: usize) -> f64 {
                frame.scale()
            }
            fn point(z: &[f64], square: f64, mut put: impl FnMut(usize, Self)) -> (Self, f64, f64) {
                z.iter().enumerate().for_each(|(p, z)| put(p, $t::from_f64(*z)));
                let absolute = 4.0 * (z.len() + 4) as f64 * smallest_subnormal::<$t>();
                let norm = square * (1.0 - relative_error::<$t>(z.len())) - absolute;
                ($t::from_f64(0.5 * norm), norm, 0.0)
            }
        }
    };
}

floats!(f32);
floats!(f64);

impl Numbers for i32 {
    const TOGETHER: usize = 2;
    const LIMIT: f64 = 1e-12;

    fn hold(d: usize) -> bool {
        // Rounding adds √d/2 to a norm at most.
        d <= 1 << 22 && i32::fast(Isa::current())
    }
    fn scale(frame: &Frame, d: usize) -> f64 {
        let largest = frame.largest_square().sqrt();
        if largest == 0.0 { 1.0 } else { (LARGEST - (d as f64).sqrt()) / largest }
    }
    fn point(z: &[f64], _: f64, mut put: impl FnMut(usize, Self)) -> (Self, f64, f64) {
        let (mut norm, mut error, mut size) = (0_i64, 0.0, 0.0);
        let mut integer = |z: f64| {
            let rounded = (z + TO_INTEGER) - TO_INTEGER;
            error += (z - rounded) * (z - rounded);
            size += z * z;
            let integer = rounded as i32;
            norm += i64::from(integer * integer);
            integer
        };
        for (p, pair) in z.chunks(2).enumerate() {
            let low = integer(pair[0]) & 0xffff;
            let high = pair.get(1).map_or(0, |z| integer(*z));
            put(p, low | high << 16);
        }
        let half = (norm / 2) as i32;
        // z is rounded itself, twice, and so is the sum of squares.
        let error = 1.000_001 * error.sqrt() + 4.0 * f64::EPSILON * size.sqrt();
        (half, f64::from(half) * 2.0, error)
    }
}

/// Points in panels, with what bounds their distances.
struct Packed<U> {
    /// Numbers of a point.
    depth: usize,
    rows: Vec<U>,
    columns: Vec<U>,
    halves: Vec<U>,
    /// The row that each point is, in random order: the first points are a sample of all.
    order: Vec<u32>,
    norms: Vec<f64>,
    errors: Vec<f64>,
    largest_error: f64,
    /// A squared distance of the points as they are, for one in these numbers.
    square_of_one: f64,
    /// In the units of the points.
    underflow: f64,
}

impl<U: Numbers> Packed<U> {
    fn new<T: Real>(frame: &Frame, points: &Rows<T>) -> Self {
        let (n, d) = (points.n, points.d);
        let depth = d.div_ceil(U::TOGETHER);
        let scale = U::scale(frame, d);
        let order = frame.order(n);
        let Panels { rows: m, columns: w } = Panels::of::<U>(Isa::current());
        let blocks = n.div_ceil(BLOCK);
        let fill = |block: usize| {
            let mut rows = vec![U::default(); BLOCK * depth];
            let mut columns = vec![U::default(); BLOCK * depth];
            let mut halves = [U::BEHIND; BLOCK];
            let (mut norms, mut errors) = (Vec::new(), Vec::new());
            let mut z = vec![0.0; d];
            for (r, &row) in order[block * BLOCK..n.min((block + 1) * BLOCK)].iter().enumerate() {
                frame.shifted(points.row(row as usize), scale, &mut z);
                let row_place = r / m * m * depth + r % m;
                let column_place = r / w * w * depth + r % w;
                let square = frame.square(row as usize) * (scale * scale);
                let (half, norm, error) = U::point(&z, square, |p, number| {
                    rows[row_place + p * m] = number;
                    columns[column_place + p * w] = number;
                });
                halves[r] = half;
                norms.push(norm);
                errors.push(error);
            }
            (rows, columns, halves, norms, errors)
        };
        let mut packed = Self {
            depth,
            rows: Vec::with_capacity(blocks * BLOCK * depth),
            columns: Vec::with_capacity(blocks * BLOCK * depth),
            halves: Vec::with_capacity(blocks * BLOCK),
            order: Vec::new(),
            norms: Vec::with_capacity(n),
            errors: Vec::with_capacity(n),
            largest_error: 0.0,
            square_of_one: 1.0 / (scale * scale),
            // In squares that underflow, and in the two norms.
            underflow: 4.0 * (d + 1) as f64 * f64::from_bits(1),
        };
        // A few blocks at a time: the panels of all exist once.
        for some in parallel::shards(blocks, 64) {
            for (rows, columns, halves, norms, errors) in
                parallel::map(some.len(), |b| fill(some.start + b))
            {
                packed.rows.extend(rows);
                packed.columns.extend(columns);
                packed.halves.extend(halves);
                packed.norms.extend(norms);
                packed.errors.extend(errors);
            }
        }
        packed.order = order;
        packed.largest_error = packed.errors.iter().fold(0.0, |m, e| e.max(m));
        packed
    }

    fn len(&self) -> usize {
        self.order.len()
    }

    fn count(&self, block: usize) -> usize {
        BLOCK.min(self.len() - block * BLOCK)
    }

    fn panels<'a>(&self, panels: &'a [U], block: usize) -> &'a [U] {
        &panels[block * BLOCK * self.depth..(block + 1) * BLOCK * self.depth]
    }

    fn side<'a>(&'a self, panels: &'a [U], block: usize, lists: Candidates<'a, U>) -> Side<'a, U> {
        Side {
            panels: self.panels(panels, block),
            halves: &self.halves[block * BLOCK..(block + 1) * BLOCK],
            count: self.count(block),
            first: (block * BLOCK) as u32,
            candidates: lists,
        }
    }

    /// A lower bound of the squared distance, as direct differences give it, of the point at this
    /// place and one that was offered to it with this value or was not kept because of this limit.
    fn lower(&self, place: usize, value: U) -> f64 {
        let square = 2.0 * value.exact() + self.norms[place];
        let error = self.errors[place] + self.largest_error;
        let distance = (square.max(0.0).sqrt() - error).max(0.0);
        // And the relative error of direct differences.
        let relative = U::LIMIT + (self.depth + 64) as f64 * f64::EPSILON;
        distance * distance * (1.0 - relative) * self.square_of_one - self.underflow
    }
}

/// The lists of a block of points.
struct Block<U> {
    /// Points offered so far, and when lists are cut next.
    seen: usize,
    next: usize,
    values: Vec<U>,
    indices: Vec<u32>,
    counts: Vec<u32>,
    limits: Vec<U>,
}

impl<U: Numbers> Block<U> {
    fn new(count: usize, k: usize) -> Self {
        let room = BLOCK * (2 * kept(k) + 32).next_multiple_of(16);
        let mut limits = vec![U::UNLIMITED; BLOCK];
        limits[count..].fill(U::NEVER);
        Self {
            seen: 0,
            next: BLOCK,
            values: vec![U::default(); room],
            indices: vec![0; room],
            counts: vec![0; BLOCK],
            limits,
        }
    }

    fn lists(&mut self) -> Candidates<'_, U> {
        Candidates::new(&mut self.values, &mut self.indices, &mut self.counts, &mut self.limits)
    }

    /// The lists, cut if many points were offered since the last time, to be offered `count` more.
    fn offered(&mut self, count: usize, k: usize, n: usize) -> Candidates<'_, U> {
        let quota = quota(k, self.seen, n);
        let cut = self.seen >= self.next;
        if cut {
            self.next = self.seen + self.seen / 2;
        }
        self.seen += count;
        let mut lists = self.lists();
        if cut {
            lists.cut(Isa::current(), quota);
        }
        lists
    }
}

/// The nearest points of every point among the others, or none if these numbers are too coarse for
/// the points. n² d flops.
pub(super) fn among_themselves<T: Real, U: Numbers>(
    problem: &Problem<'_, T>,
    frame: &Frame,
) -> Option<Vec<Certified>> {
    let isa = Isa::current();
    let packed = Packed::<U>::new(frame, problem.reference);
    let (k, n) = (problem.k, packed.len());
    let count = n.div_ceil(BLOCK);
    let blocks: Vec<Mutex<Block<U>>> =
        (0..count).map(|block| Mutex::new(Block::new(packed.count(block), k))).collect();
    let of = |block: usize| blocks[block].lock().unwrap_or_else(PoisonError::into_inner);

    // Which points a list holds at the end depends on the order of blocks, and so on threads; what a
    // certified row is made of does not, and neither does what the search for others gives. Each block
    // with itself comes first: that brings the first limits at the least cost.
    (0..count).into_par_iter().for_each(|block| {
        let mut lists = of(block);
        lists.seen = packed.count(block);
        let side = packed.side(&packed.rows, block, lists.lists());
        let columns = packed.panels(&packed.columns, block);
        screen::within(isa, packed.depth, side, columns, |seen| quota(k, seen, n));
    });
    // In the order of blocks, so that nobody waits in a circle.
    let two = |(a, b): (usize, usize)| {
        let (a, b) = (a.min(b), a.max(b));
        let (mut of_a, mut of_b) = (of(a), of(b));
        let lists = of_a.offered(packed.count(b), k, n);
        let rows = packed.side(&packed.rows, a, lists);
        let lists = of_b.offered(packed.count(a), k, n);
        screen::between(isa, packed.depth, rows, packed.side(&packed.columns, b, lists));
    };
    let rank = |block: usize| rank(problem, &packed, block, &mut of(block).lists());
    // The first block sees every other before they see each other.
    (1..count).for_each(|block| two((0, block)));
    let first = rank(0);
    if count >= PILOT && too_many_fail(&first) {
        return None;
    }
    let others = pairs(count.saturating_sub(1)).into_par_iter().filter(|(a, b)| a != b);
    others.for_each(|(a, b)| two((a + 1, b + 1)));
    let ranked = parallel::map(count.saturating_sub(1), |block| rank(block + 1));

    let ranked: Vec<Certified> = first.into_iter().chain(ranked.into_iter().flatten()).collect();
    if too_many_fail(&ranked) {
        return None;
    }
    let mut all = vec![None; n];
    packed.order.iter().zip(ranked).for_each(|(&row, nearest)| all[row as usize] = nearest);
    Some(all)
}

/// Wider numbers cost less than searching so many again.
fn too_many_fail(rows: &[Certified]) -> bool {
    rows.iter().filter(|row| row.is_none()).count() * FAILING > rows.len()
}

/// For each point of a block the k nearest of its candidates, if no other point can be nearer than the
/// last of them.
fn rank<T: Real, U: Numbers>(
    problem: &Problem<'_, T>,
    packed: &Packed<U>,
    block: usize,
    lists: &mut Candidates<'_, U>,
) -> Vec<Certified> {
    let (isa, k, data) = (Isa::current(), problem.k, &problem.reference.data);
    lists.cut(isa, kept(k));
    let mut fronts = [0; BLOCK];
    lists.part(isa, k, &mut fronts);
    let (mut rows, mut squares) = (Vec::new(), Vec::new());
    let one = |r: usize| {
        let place = block * BLOCK + r;
        let (values, places, limit) = lists.list(r);
        if values.len() < k {
            return None;
        }
        let point = problem.reference.row(packed.order[place] as usize);
        let mut nearest = Vec::with_capacity(places.len());
        let mut measure = |some: std::ops::Range<usize>, nearest: &mut Vec<Entry<f64>>| {
            rows.clear();
            rows.extend(places[some].iter().map(|&place| packed.order[place as usize]));
            squares.resize(rows.len(), 0.0);
            squared_distances_at(isa, point, data, &rows, &mut squares);
            let entries = rows.iter().zip(&squares);
            nearest.extend(entries.map(|(&index, &value)| Entry { value, index }));
        };
        // The nearest by their bounds at once, then those that can still be nearer than the last.
        let front = fronts[r] as usize;
        measure(0..front, &mut nearest);
        nearest.sort_unstable_by(Entry::order);
        nearest.truncate(k);
        let last = nearest[k - 1].value;
        let before = nearest.len();
        for e in front..values.len() {
            if packed.lower(place, values[e]) <= last {
                measure(e..e + 1, &mut nearest);
            }
        }
        if nearest.len() > before {
            nearest.sort_unstable_by(Entry::order);
            nearest.truncate(k);
        }
        let complete = limit == U::UNLIMITED || nearest[k - 1].value < packed.lower(place, limit);
        complete.then_some(nearest)
    };
    (0..packed.count(block)).map(one).collect()
}
