//! The tables, graphs and geodesics of the reference files.

use std::path::Path;

use faer::Mat;
use hesse::io::Archive;
use hesse::neighbors::{Geodesics, Graph, Knn, Precision, Search, Sources};

use crate::npz::{Arrays, golden};

const CLOUDS: [&str; 10] = [
    "swiss",
    "sphere",
    "linear",
    "digits38",
    "dup",
    "grid",
    "wide",
    "line",
    "offset",
    "twoclusters",
];

fn cloud(clouds: &Arrays, name: &str) -> Mat<f64> {
    let (shape, values) = &clouds[name];
    Mat::from_fn(shape[0], shape[1], |i, j| values[i * shape[1] + j])
}

/// Indices exactly, distances to 10⁻¹² of their size.
#[test]
fn tables_of_neighbours() {
    let (clouds, tables) = (golden("dimension/clouds.npz"), golden("dimension/knn.npz"));
    for name in CLOUDS {
        let x = cloud(&clouds, name);
        let (shape, distances) = &tables[&format!("{name}_dist")];
        let (_, indices) = &tables[&format!("{name}_idx")];
        for (search, precision) in [
            (Search::Direct, Precision::Double),
            (Search::Tree, Precision::Double),
            (Search::Tiles, Precision::Double),
            (Search::Tiles, Precision::MixedCertified),
        ] {
            let knn = Knn::new(shape[1]).search(search).precision(precision);
            let table = knn.build(x.as_ref()).unwrap();
            assert_eq!((table.len(), table.k()), (shape[0], shape[1]));
            for (e, (got, want)) in table.all_distances().iter().zip(distances).enumerate() {
                assert!((got - want).abs() <= 1e-12 * want, "{name} {search:?} {e}: {got} {want}");
            }
            let got: Vec<f64> = table.all_indices().iter().map(|&j| f64::from(j)).collect();
            assert_eq!(&got, indices, "{name} {search:?} {precision:?}");
        }
    }
}

fn union_graph(clouds: &Arrays, name: &str, k: usize) -> Graph {
    let table = Knn::new(k).build(cloud(clouds, name).as_ref()).unwrap();
    Graph::union(&table, k).unwrap()
}

fn assert_close(got: f64, want: f64, what: &str) {
    let close = if want.is_finite() { (got - want).abs() <= 1e-12 * want } else { got == want };
    assert!(close, "{what}: {got} {want}");
}

#[test]
fn geodesics_components_and_longest_edges() {
    let clouds = golden("dimension/clouds.npz");
    let want = golden("dimension/geodesic_small.npz");
    for name in ["swiss", "twoclusters", "sphere", "digits38"] {
        for k in [3, 5, 10] {
            let graph = union_graph(&clouds, name, k);
            let sources = Sources::Vertices((0..4).collect());
            let rows = Geodesics::new(&graph).sources(sources).matrix().unwrap();
            let (shape, values) = &want[&format!("{name}__geo{k}_rows")];
            assert_eq!(*shape, [4, graph.vertices()]);
            for i in 0..4 {
                for j in 0..shape[1] {
                    let what = format!("{name} k = {k} ({i}, {j})");
                    assert_close(rows[(i, j)], values[i * shape[1] + j], &what);
                }
            }
            let number = |what: &str| want[&format!("{name}__gc{k}_{what}")].1[0];
            let parts = graph.components();
            assert_eq!(parts.sizes[parts.largest()] as f64, number("n_used"), "{name} {k}");
            assert_close(graph.longest_edge(), number("r_nn"), "longest edge");

            // Mean and standard deviation of the distances within the largest part, streamed.
            let part = graph.induced(&parts.vertices(parts.largest())).unwrap();
            let add = |sums: &mut [f64; 3], i: usize, row: &[f64]| {
                for d in &row[i + 1..] {
                    *sums = [sums[0] + 1.0, sums[1] + d, sums[2] + d * d];
                }
            };
            let merge =
                |a: &mut [f64; 3], b: [f64; 3]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            let sums = Geodesics::new(&part).fold(|| [0.0; 3], add, merge).unwrap();
            let mean = sums[1] / sums[0];
            assert!((mean / number("mean") - 1.0).abs() < 1e-12, "{name} {k}");
            let deviation = (sums[2] / sums[0] - mean * mean).sqrt();
            assert!((deviation / number("sd") - 1.0).abs() < 1e-11, "{name} {k}");
        }
    }
}

fn whole_matrix(clouds: &Arrays, name: &str, want: &[f64]) {
    let all = Geodesics::new(&union_graph(clouds, name, 5)).matrix().unwrap();
    let n = all.nrows();
    assert_eq!(want.len(), n * (n - 1) / 2);
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    for ((i, j), &want) in pairs.zip(want) {
        assert_close(all[(i, j)], want, &format!("{name} ({i}, {j})"));
    }
}

#[test]
fn all_geodesics_of_the_reference() {
    let clouds = golden("dimension/clouds.npz");
    let small = golden("dimension/geodesic_small.npz");
    whole_matrix(&clouds, "twoclusters", &small["twoclusters__geo5_condensed"].1);
    let large = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(|folder| folder.join("shared/golden/dimension/geodesic.npz"))
        .filter(|path| path.exists());
    match large {
        Some(path) => {
            let archive = Archive::read(&path).unwrap();
            let entry = archive.iter().find(|(name, _)| *name == "swiss__geo5_condensed");
            whole_matrix(&clouds, "swiss", &entry.unwrap().1.to_f64().unwrap());
        }
        None => eprintln!("skipped: ../shared/golden/dimension/geodesic.npz is not there"),
    }
}
