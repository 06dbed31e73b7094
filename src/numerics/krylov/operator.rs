//! The one thing that Krylov methods know of a matrix.

use crate::Real;

/// A real symmetric n × n matrix A of which only products are known.
///
/// Vectors are slices of length n; a block of k vectors is a slice of length n·k, one vector after
/// the other. Results must depend on the input alone: the same input gives the same bits, for any
/// number of threads. Products may contain NaN or infinities where the operator has none to give:
/// solvers check, and return an error.
pub trait LinearOperator<T: Real>: Sync {
    /// n.
    fn dimension(&self) -> usize;

    /// y ← A x. Whatever `y` held before is overwritten.
    fn apply(&self, x: &[T], y: &mut [T]);

    /// Y ← A X for the k = x.len() / n vectors in `x`. Worth overriding where several products
    /// share reads.
    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let n = self.dimension().max(1);
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            self.apply(x, y);
        }
    }

    /// Y ← α A X + β X + γ Y for k vectors side by side: element i of vector c at `i·k + c`.
    ///
    /// One step of a polynomial recurrence, with the result in the place of the step before the
    /// last. γ = 0 still reads `y`, which must be finite then. Worth overriding together with
    /// [`bytes_per_product`](Self::bytes_per_product), and used only where that is known.
    fn recurrence(&self, k: usize, [alpha, beta, gamma]: [T; 3], x: &[T], y: &mut [T]) {
        let n = self.dimension();
        let columns: Vec<T> = (0..n * k).map(|i| x[i % n * k + i / n]).collect();
        let mut products = vec![T::ZERO; n * k];
        self.apply_block(&columns, &mut products);
        for (i, y) in y.iter_mut().enumerate() {
            *y = alpha * products[i % k * n + i / k] + beta * x[i] + gamma * *y;
        }
    }

    /// Bytes that one product moves, where they are known and are all that a product costs.
    ///
    /// A hint about speed, never about results' accuracy: where products are much cheaper than
    /// orthogonalising their results (sparse matrices, stencils), [`Lanczos`](super::Lanczos)
    /// spends more of the former to save the latter. `None`: products are dear.
    fn bytes_per_product(&self) -> Option<usize> {
        None
    }
}

macro_rules! forward_to_inner {
    ($($pointer:ty),*) => {$(
        impl<T: Real, A: LinearOperator<T> + ?Sized + Send> LinearOperator<T> for $pointer {
            forward_to_inner!(@methods);
        }
    )*};
    (@methods) => {
        fn dimension(&self) -> usize {
            (**self).dimension()
        }
        fn apply(&self, x: &[T], y: &mut [T]) {
            (**self).apply(x, y);
        }
        fn apply_block(&self, x: &[T], y: &mut [T]) {
            (**self).apply_block(x, y);
        }
        fn recurrence(&self, k: usize, factors: [T; 3], x: &[T], y: &mut [T]) {
            (**self).recurrence(k, factors, x, y);
        }
        fn bytes_per_product(&self) -> Option<usize> {
            (**self).bytes_per_product()
        }
    };
}

impl<T: Real, A: LinearOperator<T> + ?Sized> LinearOperator<T> for &A {
    forward_to_inner!(@methods);
}

forward_to_inner!(Box<A>, std::sync::Arc<A>);
