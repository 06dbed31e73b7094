use super::*;
use crate::oracle;

/// Two blocks of points with whole numbers as coordinates, so that everything is exact.
struct Points<T> {
    rows: Vec<T>,
    columns: Vec<T>,
    halves: Vec<T>,
    count: usize,
}

/// A number of the type of a half or a product.
fn number<T: Screened>(x: i32) -> T {
    let mut value = T::default();
    if let Some(x) = crate::missing::cast::<i32, T>(x) {
        value = x;
    } else if let Some(x) = crate::missing::cast::<f32, T>(x as f32) {
        value = x;
    } else if let Some(x) = crate::missing::cast::<f64, T>(f64::from(x)) {
        value = x;
    }
    value
}

fn integers(seed: u64, count: usize, d: usize) -> Vec<i32> {
    oracle::uniform(seed, count * d).iter().map(|x| (9.0 * x) as i32).collect()
}

/// Elements that a point has: pairs of coordinates for integers.
fn depth<T: Screened>(d: usize) -> usize {
    if is_pair::<T>() { d.div_ceil(2) } else { d }
}

fn is_pair<T: Screened>() -> bool {
    crate::missing::cast::<T, i32>(T::default()).is_some()
}

impl<T: Screened> Points<T> {
    fn new(isa: Isa, x: &[i32], count: usize, d: usize) -> Self {
        let Panels { rows: m, columns: w } = Panels::of::<T>(isa);
        let depth = depth::<T>(d);
        let junk = number::<T>(77);
        let mut points = Self {
            rows: vec![junk; BLOCK * depth],
            columns: vec![junk; BLOCK * depth],
            halves: vec![T::BEHIND; BLOCK],
            count,
        };
        for i in 0..count {
            let at = |c: usize| if c < d { x[i * d + c] } else { 0 };
            for p in 0..depth {
                let element = match is_pair::<T>() {
                    true => number((at(2 * p) & 0xffff) | at(2 * p + 1) << 16),
                    false => number(at(p)),
                };
                points.rows[i / m * m * depth + p * m + i % m] = element;
                points.columns[i / w * w * depth + p * w + i % w] = element;
            }
            points.halves[i] = number((0..d).map(|c| at(c) * at(c)).sum::<i32>() / 2);
        }
        points
    }
}

struct Stored<T> {
    values: Vec<T>,
    indices: Vec<u32>,
    counts: Vec<u32>,
    limits: Vec<T>,
}

impl<T: Screened> Stored<T> {
    fn new(count: usize, room: usize) -> Self {
        let mut limits = vec![T::UNLIMITED; BLOCK];
        limits[count..].fill(T::NEVER);
        Self {
            values: vec![number(5); BLOCK * room],
            indices: vec![9; BLOCK * room],
            counts: vec![0; BLOCK],
            limits,
        }
    }

    fn lists(&mut self) -> Candidates<'_, T> {
        Candidates::new(&mut self.values, &mut self.indices, &mut self.counts, &mut self.limits)
    }

    /// Everything of `all` below the limit of a list is in it, and nothing else.
    fn check(&mut self, list: usize, all: &[(i32, u32)], what: &str) {
        let (values, indices, limit) = self.lists().reborrow_list(list);
        let mut got: Vec<(i32, u32)> =
            values.iter().zip(&indices).map(|(v, i)| (v.exact() as i32, *i)).collect();
        let mut want: Vec<(i32, u32)> =
            all.iter().copied().filter(|(v, _)| f64::from(*v) < limit.exact()).collect();
        got.sort_unstable();
        want.sort_unstable();
        assert_eq!(got, want, "{what}, list {list}, limit {}", limit.exact());
    }
}

impl<T: Screened> Candidates<'_, T> {
    fn reborrow_list(&self, list: usize) -> (Vec<T>, Vec<u32>, T) {
        let (values, indices, limit) = self.list(list);
        (values.to_vec(), indices.to_vec(), limit)
    }
}

fn lists_hold_what_lies_below_their_limits<T: Screened>(name: &str) {
    for isa in Isa::available() {
        for (n, m, d, room, quota) in
            [(240, 240, 7, 64, 20), (240, 100, 16, 32, 4), (1, 3, 1, 16, 1), (49, 240, 33, 48, 9)]
        {
            let what = format!("{name} {isa} {n} {m} {d}");
            let (x, y) = (integers(1, n, d), integers(2, m, d));
            let (a, b) = (Points::<T>::new(isa, &x, n, d), Points::<T>::new(isa, &y, m, d));
            let (mut of_a, mut of_b) = (Stored::<T>::new(n, room), Stored::<T>::new(m, room));
            let depth = depth::<T>(d);
            fn rows<'a, T: Screened>(
                p: &'a Points<T>,
                panels: &'a [T],
                first: u32,
                candidates: Candidates<'a, T>,
            ) -> Side<'a, T> {
                Side { panels, halves: &p.halves, count: p.count, first, candidates }
            }
            within(isa, depth, rows(&a, &a.rows, 0, of_a.lists()), &a.columns, |seen| {
                assert!(seen <= n);
                quota
            });
            let (left, right) =
                (rows(&a, &a.rows, 0, of_a.lists()), rows(&b, &b.columns, 1000, of_b.lists()));
            between(isa, depth, left, right);

            let dot = |x: &[i32], i: usize, y: &[i32], j: usize| -> i32 {
                (0..d).map(|c| x[i * d + c] * y[j * d + c]).sum()
            };
            let half = |halves: &[T], i: usize| halves[i].exact() as i32;
            for i in 0..n {
                let own = (0..n).filter(|j| *j != i);
                let own = own.map(|j| (half(&a.halves, j) - dot(&x, i, &x, j), j as u32));
                let others =
                    (0..m).map(|j| (half(&b.halves, j) - dot(&x, i, &y, j), 1000 + j as u32));
                let all: Vec<(i32, u32)> = own.chain(others).collect();
                of_a.check(i, &all, &what);
                assert!(all.len() < quota || of_a.lists().list(i).0.len() >= quota.min(room / 2));
            }
            for j in 0..m {
                let all: Vec<(i32, u32)> =
                    (0..n).map(|i| (half(&a.halves, i) - dot(&x, i, &y, j), i as u32)).collect();
                of_b.check(j, &all, &what);
            }

            let mut parts = vec![0; BLOCK];
            of_a.lists().part(isa, quota, &mut parts);
            for i in 0..n {
                let (values, _, _) = of_a.lists().reborrow_list(i);
                let (front, back) = values.split_at(parts[i] as usize);
                assert!(front.len() >= quota.min(values.len()), "{what}");
                assert!(front.iter().all(|a| back.iter().all(|b| a.exact() <= b.exact())));
            }
            assert!(of_a.counts[n..].iter().all(|count| *count == 0));
        }
    }
}

#[test]
fn lists_of_f32_hold_what_lies_below_their_limits() {
    lists_hold_what_lies_below_their_limits::<f32>("f32");
}

#[test]
fn lists_of_f64_hold_what_lies_below_their_limits() {
    lists_hold_what_lies_below_their_limits::<f64>("f64");
}

#[test]
fn lists_of_integers_hold_what_lies_below_their_limits() {
    lists_hold_what_lies_below_their_limits::<i32>("integers");
}

#[test]
fn the_largest_integers_do_not_overflow() {
    // Squared norms just below 2²⁹, in the same and in opposite directions.
    for isa in Isa::available() {
        let x = [16_383, 16_382, -16_383, -16_383, 16_383, -16_382, 0, 0];
        let d = 2;
        let points = Points::<i32>::new(isa, &x, 4, d);
        let mut stored = Stored::<i32>::new(4, 16);
        let side = Side {
            panels: &points.rows,
            halves: &points.halves,
            count: 4,
            first: 0,
            candidates: stored.lists(),
        };
        within(isa, 1, side, &points.columns, |_| 10);
        for i in 0..4 {
            let all: Vec<(i32, u32)> = (0..4)
                .filter(|j| *j != i)
                .map(|j| {
                    let dot = x[2 * i] * x[2 * j] + x[2 * i + 1] * x[2 * j + 1];
                    (points.halves[j] - dot, j as u32)
                })
                .collect();
            assert_eq!(stored.lists().list(i).0.len(), 3, "{isa}");
            stored.check(i, &all, "large");
        }
    }
}

#[test]
fn copies_beyond_the_room_are_dropped_with_a_limit_that_says_so() {
    for isa in Isa::available() {
        let x = vec![3; 240];
        let points = Points::<f32>::new(isa, &x, 240, 1);
        let mut stored = Stored::<f32>::new(240, 16);
        let side = Side {
            panels: &points.rows,
            halves: &points.halves,
            count: 240,
            first: 0,
            candidates: stored.lists(),
        };
        within(isa, 1, side, &points.columns, |_| 4);
        for list in 0..240 {
            let (values, _, limit) = stored.lists().reborrow_list(list);
            assert!(values.is_empty() && limit == points.halves[0] - 9.0, "{isa} {limit}");
        }
    }
}
