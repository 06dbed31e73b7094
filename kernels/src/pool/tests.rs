use super::*;
use crate::oracle;

/// Windows of many kinds on uneven planes, paddings as far as a maximum allows.
fn windows() -> Vec<Window> {
    let mut windows = Vec::new();
    for (height, width) in [(1, 1), (2, 3), (5, 4), (7, 18), (6, 35)] {
        for kernel in [[1, 1], [2, 2], [3, 2], [1, 3], [5, 4]] {
            for stride in [[1, 1], [2, 2], [3, 1]] {
                for padded in [false, true] {
                    let padding = if padded { kernel.map(|k| k / 2) } else { [0, 0] };
                    windows.extend(Window::new([height, width], kernel, stride, padding, [1, 1]));
                }
            }
        }
    }
    assert!(windows.len() > 80);
    windows
}

/// The inputs that place (y, x) of a window reads, in scan order.
fn members(window: &Window, y: usize, x: usize) -> Vec<usize> {
    let mut members = Vec::new();
    for down in 0..window.kernel()[0] {
        for across in 0..window.kernel()[1] {
            let row = window.input(0, y, down);
            if let (Some(row), Some(column)) = (row, window.input(1, x, across)) {
                members.push(row * window.size()[1] + column);
            }
        }
    }
    members
}

fn places(window: &Window) -> Vec<Vec<usize>> {
    let [down, across] = window.outputs();
    (0..down).flat_map(|y| (0..across).map(move |x| members(window, y, x))).collect()
}

const PLANES: usize = 3;

fn check<T: Real>() {
    for isa in Isa::available() {
        for window in windows() {
            let places = places(&window);
            // Coarse numbers, so that there are ties.
            let numbers = |seed, n| -> Vec<T> {
                let coarse = |x: f64| T::from_f64((4.0 * x).round());
                oracle::uniform(seed, n).into_iter().map(coarse).collect()
            };
            let input = numbers(1, PLANES * window.plane());
            let outputs = PLANES * window.positions();
            let (mut maxima, mut indices) = (vec![T::NAN; outputs], vec![u32::MAX; outputs]);
            max_pool(isa, &window, &input, &mut maxima, &mut indices);
            let mut averages = vec![T::NAN; outputs];
            average_pool(isa, &window, &input, &mut averages);
            for (i, (&maximum, &index)) in maxima.iter().zip(&indices).enumerate() {
                let plane = &input[i / window.positions() * window.plane()..][..window.plane()];
                let members = &places[i % window.positions()];
                let mut first = members[0];
                members
                    .iter()
                    .for_each(|&m| first = if plane[m] > plane[first] { m } else { first });
                let label = format!("{} {isa} {window:?} output {i}", T::NAME);
                assert_eq!((maximum, index as usize), (plane[first], first), "{label}");
                let sum: f64 = members.iter().map(|&m| plane[m].to_f64()).sum();
                let want = T::from_f64(sum) / T::from_f64(window.taps() as f64);
                assert_eq!(averages[i], want, "{label}");
            }

            let tangent = numbers(2, input.len());
            let mut got = vec![T::NAN; outputs];
            take_maxima(&window, &indices, &tangent, &mut got);
            let base = |i: usize| i / window.positions() * window.plane();
            assert!((0..outputs).all(|i| got[i] == tangent[base(i) + indices[i] as usize]));

            // The adjoints: whole numbers times taps, so that every sum is exact.
            let taps = T::from_f64(window.taps() as f64);
            let error: Vec<T> = numbers(3, outputs).into_iter().map(|x| x * taps).collect();
            let (mut of_maxima, mut of_average) =
                (vec![T::ZERO; input.len()], vec![T::ZERO; input.len()]);
            for i in 0..outputs {
                of_maxima[base(i) + indices[i] as usize] += error[i];
                for member in &places[i % window.positions()] {
                    of_average[base(i) + member] += error[i] / taps;
                }
            }
            let mut got = vec![T::NAN; input.len()];
            return_maxima(&window, &indices, &error, &mut got);
            assert_eq!(got, of_maxima);
            got.fill(T::NAN);
            return_average(isa, &window, &error, &mut got);
            assert_eq!(got, of_average, "{isa} {window:?}");
        }
    }
}

#[test]
fn every_path_pools_as_the_plain_loops_do() {
    check::<f32>();
    check::<f64>();
}

#[test]
fn nan_and_infinities() {
    let infinity = f64::INFINITY;
    for isa in Isa::available() {
        for kernel in [[2, 2], [1, 4]] {
            let size = if kernel[0] == 2 { [2, 2] } else { [1, 4] };
            let window = Window::new(size, kernel, [2, 2], [0, 0], [1, 1]).unwrap();
            let of = |plane: [f64; 4]| {
                let (mut maximum, mut index) = ([0.0], [9]);
                max_pool(isa, &window, &plane, &mut maximum, &mut index);
                (maximum[0], index[0])
            };
            assert_eq!(of([-infinity; 4]), (-infinity, 0));
            assert_eq!(of([1.0, infinity, infinity, 2.0]), (infinity, 1));
            assert_eq!(of([-0.0, 0.0, 0.0, -1.0]).1, 0);
            for at in 0..4 {
                let mut plane = [3.0, infinity, 1.0, 4.0];
                plane[at] = f64::NAN;
                let (maximum, index) = of(plane);
                assert!(maximum.is_nan() && index as usize == at, "{isa} {at}");
            }
            let (maximum, index) = of([f64::NAN, 1.0, f64::NAN, 2.0]);
            assert!(maximum.is_nan() && index == 2);
        }
    }
}
