//! Which search finds neighbours fastest: a pure function of the sizes.

/// How neighbours are searched for. All of them find the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Search {
    /// Every distance by direct differences.
    Direct,
    /// A k-d tree, for few dimensions.
    Tree,
    /// Distances by matrix products in tiles, with certified selection.
    Tiles,
}

/// Points below which no structure pays.
const FEW: usize = 64;
/// Dimensions in which a k-d tree can win, and the points that it needs there: a query visits about
/// 2^d leaves and more, a tile costs about d/20 ns a point.
const TREE: [(usize, usize); 4] = [(3, 256), (5, 2_000), (7, 20_000), (9, 150_000)];

/// The search for `neighbours` of each of many points among `points` of `dimensions` coordinates.
#[must_use]
pub fn plan(points: usize, dimensions: usize, neighbours: usize) -> Search {
    if points <= FEW {
        return Search::Direct;
    }
    let tree = TREE.iter().find(|(most, _)| dimensions <= *most);
    match tree {
        // Many neighbours lie in many leaves.
        Some((_, fewest)) if points >= *fewest && points / 32 >= neighbours => Search::Tree,
        _ => Search::Tiles,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_is_data() {
        assert_eq!(plan(40, 300, 10), Search::Direct);
        assert_eq!(plan(20_000, 100, 20), Search::Tiles);
        assert_eq!(plan(10_000, 500, 20), Search::Tiles);
        assert_eq!(plan(100_000, 2, 20), Search::Tree);
        assert_eq!(plan(1_000, 3, 5), Search::Tree);
        assert_eq!(plan(1_000, 3, 500), Search::Tiles);
        assert_eq!(plan(1_000, 4, 5), Search::Tiles);
        assert_eq!(plan(30_000, 6, 10), Search::Tree);
        assert_eq!(plan(100_000, 10, 20), Search::Tiles);
        assert_eq!(plan(1_000_000, 9, 20), Search::Tree);
    }
}
