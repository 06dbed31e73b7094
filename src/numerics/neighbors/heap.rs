//! A heap of vertices by distance, in which a distance can be lowered in place.

/// Children of a node: four lie side by side in a cache line.
const ARITY: usize = 4;
/// Position of a vertex that is not in the heap.
const ABSENT: u32 = u32::MAX;

/// A 4-ary heap of the vertices 0..n, smallest distance first, of equal ones the smaller vertex.
pub(super) struct Heap {
    /// (distance, vertex) in heap order.
    nodes: Vec<(f64, u32)>,
    positions: Vec<u32>,
}

impl Heap {
    pub fn new(n: usize) -> Self {
        Self { nodes: Vec::new(), positions: vec![ABSENT; n] }
    }

    /// Inserts a vertex, or lowers its distance.
    pub fn lower(&mut self, vertex: u32, distance: f64) {
        let place = match self.positions[vertex as usize] {
            ABSENT => {
                self.nodes.push((distance, vertex));
                self.nodes.len() - 1
            }
            place => place as usize,
        };
        self.up(place, (distance, vertex));
    }

    /// Takes the nearest vertex out.
    pub fn pop(&mut self) -> Option<(f64, u32)> {
        let last = self.nodes.pop()?;
        let Some(&top) = self.nodes.first() else {
            self.positions[last.1 as usize] = ABSENT;
            return Some(last);
        };
        self.positions[top.1 as usize] = ABSENT;
        self.down(last);
        Some(top)
    }

    fn set(&mut self, place: usize, node: (f64, u32)) {
        self.nodes[place] = node;
        self.positions[node.1 as usize] = place as u32;
    }

    fn up(&mut self, mut place: usize, node: (f64, u32)) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if !before(node, self.nodes[parent]) {
                break;
            }
            self.set(place, self.nodes[parent]);
            place = parent;
        }
        self.set(place, node);
    }

    /// Puts a node in place of the top.
    fn down(&mut self, node: (f64, u32)) {
        let mut place = 0;
        loop {
            let first = place * ARITY + 1;
            let children = first..(first + ARITY).min(self.nodes.len());
            let Some(least) =
                children.reduce(|a, b| if before(self.nodes[b], self.nodes[a]) { b } else { a })
            else {
                break;
            };
            if !before(self.nodes[least], node) {
                break;
            }
            self.set(place, self.nodes[least]);
            place = least;
        }
        self.set(place, node);
    }
}

fn before(a: (f64, u32), b: (f64, u32)) -> bool {
    a.0 < b.0 || (a.0 == b.0 && a.1 < b.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vertices_come_out_in_order_of_their_lowest_distance() {
        let n = 300;
        let mut heap = Heap::new(n);
        assert_eq!(heap.pop(), None);
        let mut lowest = vec![f64::INFINITY; n];
        // Each vertex three times, with many ties.
        for step in 0..3 * n {
            let vertex = step * 7 % n;
            let distance = f64::from((step * step % 97) as u32);
            if distance < lowest[vertex] {
                lowest[vertex] = distance;
                heap.lower(vertex as u32, distance);
            }
        }
        let mut want: Vec<(f64, u32)> = lowest.into_iter().zip(0..).collect();
        want.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let got: Vec<_> = std::iter::from_fn(|| heap.pop()).collect();
        assert_eq!(got, want);
        heap.lower(3, 1.0);
        assert_eq!((heap.pop(), heap.pop()), (Some((1.0, 3)), None));
    }
}
