//! Pairs within exact radii and minimum spanning trees, against plain loops.

use hesse::faer::Mat;
use hesse::neighbors::{Knn, minimum_spanning_tree, pairs_within};
use hesse::random::Stream;
use hesse_kernels::distance::squared_distance;

fn gaussian(n: usize, d: usize) -> Mat<f64> {
    let mut z = vec![0.0_f64; n * d];
    Stream::new(3, "pairs").normals(0, &mut z);
    Mat::from_fn(n, d, |i, j| z[i * d + j])
}

/// Distances of all pairs i < j, by direct differences.
fn distances(x: &Mat<f64>) -> Vec<f64> {
    let row = |i: usize| x.row(i).iter().copied().collect::<Vec<f64>>();
    let rows: Vec<Vec<f64>> = (0..x.nrows()).map(row).collect();
    let isa = hesse::Isa::current();
    let pairs = (0..rows.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
    pairs.map(|(i, j)| squared_distance(isa, &rows[i], &rows[j]).sqrt()).collect()
}

/// Radii that are distances, between distances, at the ends; smooth data, whole numbers (ties),
/// copies, a large offset, units beyond what squares can express.
#[test]
fn pairs_are_counted_exactly() {
    let smooth = gaussian(300, 5);
    let whole = Mat::from_fn(280, 9, |i, j| (2.0 * smooth[(i, j % 5)]).round());
    let offset = Mat::from_fn(270, 5, |i, j| 1e6 + 1e-3 * smooth[(i, j)]);
    let long = gaussian(40, 700);
    for (name, x) in [("smooth", smooth), ("whole", whole), ("offset", offset), ("long", long)] {
        let all = distances(&x);
        let mut sorted = all.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let mut radii: Vec<f64> = (0..40).map(|s| sorted[s * (all.len() - 1) / 39]).collect();
        radii.extend(radii.clone().iter().map(|r| r * (1.0 + 1e-9)));
        radii.extend([0.0, f64::MIN_POSITIVE, 1e300, f64::INFINITY]);
        let want: Vec<u64> =
            radii.iter().map(|r| all.iter().filter(|d| *d < r).count() as u64).collect();
        assert_eq!(pairs_within(x.as_ref(), &radii).unwrap(), want, "{name}");
        let unit = 2.0_f64.powi(-700);
        let tiny = Mat::from_fn(x.nrows(), x.ncols(), |i, j| unit * x[(i, j)]);
        let scaled: Vec<f64> = radii[..80].iter().map(|r| unit * r).collect();
        let got = pairs_within(tiny.as_ref(), &scaled).unwrap();
        assert_eq!(got, want[..80], "{name} in a small unit");
    }
    // The radius of a table counts what is nearer, and in f32 the same.
    let x = gaussian(100, 3);
    let radius = Knn::new(4).build(x.as_ref()).unwrap().distances(7)[3];
    let below = distances(&x).iter().filter(|d| **d < radius).count() as u64;
    assert_eq!(pairs_within(x.as_ref(), &[radius]).unwrap(), [below]);
    let single = Mat::from_fn(100, 3, |i, j| x[(i, j)] as f32);
    let double = Mat::from_fn(100, 3, |i, j| f64::from(single[(i, j)]));
    let counts = pairs_within(single.as_ref(), &[0.5, 1.0]).unwrap();
    assert_eq!(counts, pairs_within(double.as_ref(), &[0.5, 1.0]).unwrap());
    let text = |r: f64| pairs_within(x.as_ref(), &[r]).unwrap_err().to_string();
    assert_eq!(text(-1.0), "radius: expected 0 or more, got -1");
    assert_eq!(text(f64::NAN), "radius: expected 0 or more, got NaN");
    assert_eq!(pairs_within(x.as_ref(), &[]).unwrap(), [0_u64; 0]);
}

/// Lengths as Kruskal's method finds them: all edges in order, those that join two parts.
#[test]
fn spanning_trees_are_shortest() {
    let smooth = gaussian(150, 4);
    let whole = Mat::from_fn(120, 3, |i, j| (2.0 * smooth[(i, j)]).round());
    for (name, x) in [("smooth", smooth), ("whole", whole)] {
        let n = x.nrows();
        let pairs = (0..n).flat_map(|j| (0..j).map(move |i| (i, j)));
        let mut edges: Vec<(f64, (usize, usize))> = distances(&x).into_iter().zip(pairs).collect();
        edges.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut part: Vec<usize> = (0..n).collect();
        let mut want = Vec::new();
        for (length, (i, j)) in edges {
            let (a, b) = (part[i], part[j]);
            if a != b {
                part.iter_mut().filter(|p| **p == b).for_each(|p| *p = a);
                want.push(length);
            }
        }
        let tree = minimum_spanning_tree(x.as_ref()).unwrap();
        let mut got: Vec<f64> = tree.iter().map(|edge| edge.length).collect();
        got.sort_unstable_by(f64::total_cmp);
        assert_eq!(got, want, "{name}");
        // Each point is reached once, from one that was reached before.
        let mut reached = vec![false; n];
        reached[0] = true;
        for edge in &tree {
            assert!(reached[edge.from as usize] && !reached[edge.to as usize], "{name} {edge:?}");
            reached[edge.to as usize] = true;
        }
        assert!(reached.iter().all(|r| *r), "{name}");
    }
    assert!(minimum_spanning_tree(Mat::<f64>::zeros(1, 2).as_ref()).unwrap().is_empty());
}
