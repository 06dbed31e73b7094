use super::*;
use crate::oracle;

const CHANNELS: usize = 2;

/// Uneven planes, runs around every piece, and kernels up to the whole padded plane.
fn windows() -> Vec<Window> {
    let mut windows = Vec::new();
    let sizes = [[1, 1], [3, 4], [5, 9], [4, 17], [2, 33], [7, 6]];
    for size in sizes {
        for kernel in [[1, 1], [3, 3], [2, 5], [5, 1]] {
            for stride in [[1, 1], [2, 2], [1, 3], [3, 4]] {
                for padding in [[0, 0], [1, 1], [2, 0], [0, 3]] {
                    for dilation in [[1, 1], [2, 1], [1, 3], [2, 2]] {
                        windows.extend(Window::new(size, kernel, stride, padding, dilation));
                    }
                }
            }
        }
        let whole = [size[0] + 2, size[1] + 2];
        windows.extend(Window::new(size, whole, [1, 1], [1, 1], [1, 1]));
    }
    assert!(windows.len() > 500);
    windows
}

/// The element of the image that number `entry` of the patch at place (y, x) is, if any.
fn read(window: &Window, entry: usize, y: usize, x: usize) -> Option<usize> {
    let (channel, tap) = (entry / window.taps(), entry % window.taps());
    let [down, across] = [tap / window.kernel()[1], tap % window.kernel()[1]];
    let row = window.input(0, y, down)?;
    Some((channel * window.size()[0] + row) * window.size()[1] + window.input(1, x, across)?)
}

/// Every tile of some rows, in the middle of a matrix of more columns whose others stay as they are.
fn check<T: Real>(isa: Isa, window: &Window, rows: Range<usize>) {
    let whole = |seed, n| -> Vec<T> {
        let round = |x: f64| T::from_f64((8.0 * x).round());
        oracle::uniform(seed, n).into_iter().map(round).collect()
    };
    let image = whole(1, CHANNELS * window.plane());
    let stage = Stage::new(window, CHANNELS, rows.clone());
    let mut staged = vec![T::NAN; stage.len()];
    stage_image(isa, &stage, &image, &mut staged);
    let (first, columns) = (3, stage.places() + 5);
    let before = whole(2, stage.patch() * columns);
    let mut patches = before.clone();
    read_patches(isa, &stage, &staged, &mut patches, columns, first);
    let across = window.outputs()[1];
    let label = format!("{} {isa} {window:?} rows {rows:?}", T::NAME);
    for (i, &got) in patches.iter().enumerate() {
        let (entry, column) = (i / columns, i % columns);
        let place = column.checked_sub(first).filter(|&p| p < stage.places());
        let want = place.map_or(before[i], |p| {
            let from = read(window, entry, rows.start + p / across, p % across);
            from.map_or(T::ZERO, |from| image[from])
        });
        assert_eq!(got, want, "{label}: entry {entry}, column {column}");
    }

    // Back again, onto an image that is not zero; whole numbers, so that every sum is exact.
    let mut want = image.clone();
    for entry in 0..stage.patch() {
        for p in 0..stage.places() {
            if let Some(to) = read(window, entry, rows.start + p / across, p % across) {
                want[to] += before[entry * columns + first + p];
            }
        }
    }
    staged.fill(T::ZERO);
    add_patches(isa, &stage, &before, columns, first, &mut staged);
    let mut got = image;
    add_stage(isa, &stage, &staged, &mut got);
    assert_eq!(got, want, "{label}");
}

#[test]
fn every_path_reads_and_returns_patches_as_the_plain_loops_do() {
    for isa in Isa::available() {
        for window in windows() {
            let down = window.outputs()[0];
            for rows in [0..down, 0..1, down - 1..down, down / 2..down] {
                check::<f32>(isa, &window, rows.clone());
            }
            check::<f64>(isa, &window, 0..down);
        }
    }
}
