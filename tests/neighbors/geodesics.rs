//! Shortest paths against `petgraph`, and what holds for any of them.

use hesse::neighbors::{Geodesics, Graph, Knn, Sources};
use hesse::random::Stream;
use petgraph::algo::{connected_components, dijkstra};
use petgraph::graph::{NodeIndex, UnGraph};
use proptest::prelude::*;

use crate::inputs::{CLOUDS, Cloud, points};

/// Random edges with lengths of which many are tied or zero.
fn random_graph(n: usize, edges: usize, seed: u64) -> Vec<(u32, u32, f64)> {
    let stream = Stream::new(seed, "edges");
    let number =
        |e: usize, what: u64, below: usize| stream.below(3 * e as u64 + what, below as u64);
    (0..edges)
        .map(|e| (number(e, 0, n) as u32, number(e, 1, n) as u32, number(e, 2, 8) as f64 / 8.0))
        .filter(|(i, j, _)| i != j)
        .collect()
}

fn check(graph: &Graph) {
    let n = graph.vertices();
    let mut oracle = UnGraph::<(), f64, u32>::with_capacity(n, graph.edges());
    (0..n).for_each(|_| _ = oracle.add_node(()));
    for i in 0..n {
        let (ends, lengths) = graph.at(i);
        assert!(ends.windows(2).all(|w| w[0] < w[1]));
        for (&j, &length) in ends.iter().zip(lengths).filter(|(j, _)| **j as usize > i) {
            oracle.add_edge(NodeIndex::new(i), NodeIndex::new(j as usize), length);
        }
    }
    assert_eq!(graph.components().sizes.len(), connected_components(&oracle));
    assert_eq!(graph.components().sizes.iter().sum::<usize>(), n);
    let all = Geodesics::new(graph).matrix().unwrap();
    for i in 0..n {
        let want = dijkstra(&oracle, NodeIndex::new(i), None, |e| *e.weight());
        let hops = dijkstra(&oracle, NodeIndex::new(i), None, |_| 1_u32);
        let ours = graph.hops(i).unwrap();
        for j in 0..n {
            let want = want.get(&NodeIndex::new(j)).copied().unwrap_or(f64::INFINITY);
            // Equal paths are summed in the same order; of nearly equal ones either may be taken.
            let close = all[(i, j)] == want || (all[(i, j)] - want).abs() <= 1e-14 * want;
            assert!(close, "({i}, {j}): {} {want}", all[(i, j)]);
            assert_eq!(ours[j], hops.get(&NodeIndex::new(j)).copied());
            assert!(
                (all[(i, j)] == all[(j, i)]) || (all[(i, j)] / all[(j, i)] - 1.0).abs() < 1e-13
            );
        }
    }
    for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let (ends, lengths) = graph.at(i);
        if let Ok(place) = ends.binary_search(&(j as u32)) {
            assert!(all[(i, j)] <= lengths[place]);
        }
        for l in (0..n).step_by(7) {
            let around = all[(i, l)] + all[(l, j)];
            assert!(all[(i, j)] <= around * (1.0 + 1e-13), "triangle {i} {l} {j}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn shortest_paths_are_those_of_petgraph(n in 1_usize..40, density in 0_usize..4, seed in any::<u64>()) {
        check(&Graph::from_edges(n, &random_graph(n, n * density, seed)).unwrap());
    }

    #[test]
    fn paths_among_neighbours_are_those_of_petgraph(
        cloud in 0..CLOUDS.len(),
        n in 5_usize..40,
        k in 1_usize..4,
        seed in any::<u64>(),
    ) {
        let x = points(CLOUDS[cloud], n, 3, seed);
        let table = Knn::new(4).build(x.as_ref()).unwrap();
        let (union, mutual) = (Graph::union(&table, k).unwrap(), Graph::mutual(&table, k).unwrap());
        check(&union);
        check(&mutual);
        prop_assert!(mutual.edges() <= union.edges());
        prop_assert_eq!(mutual.edges() + union.edges(), n * k);
    }
}

#[test]
fn a_complete_graph_has_the_distances_of_the_points() {
    let x = points(Cloud::Normal, 30, 4, 1);
    let table = Knn::new(29).build(x.as_ref()).unwrap();
    let all = Geodesics::new(&Graph::union(&table, 29).unwrap()).matrix().unwrap();
    for i in 0..30 {
        for (&j, &distance) in table.indices(i).iter().zip(table.distances(i)) {
            assert_eq!(all[(i, j as usize)], distance);
        }
    }
}

#[test]
fn threads_and_landmarks_do_not_change_a_bit() {
    let table = Knn::new(5).build(points(Cloud::Normal, 300, 3, 4).as_ref()).unwrap();
    let graph = Graph::union(&table, 5).unwrap();
    let all = Geodesics::new(&graph).matrix().unwrap();
    let landmarks = Geodesics::new(&graph).sources(Sources::Sample { count: 20, seed: 3 });
    let list = landmarks.list().unwrap();
    let rows = landmarks.matrix().unwrap();
    for (s, &source) in list.iter().enumerate() {
        assert!((0..300).all(|j| rows[(s, j)].to_bits() == all[(source, j)].to_bits()));
    }
    let sum = || {
        let add = |sum: &mut f64, _: usize, row: &[f64]| *sum += row.iter().sum::<f64>();
        Geodesics::new(&graph).fold(|| 0.0, add, |a, b| *a += b).unwrap()
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| sum().to_bits())
    };
    assert!([2, 3].into_iter().all(|threads| on(threads) == on(1)));
}
