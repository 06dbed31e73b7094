//! From Fortran order, first axis fastest, to C order, last axis fastest.

use std::collections::TryReserveError;

use super::array::ArrayData;
use super::source::Source;
use crate::Result;

/// Bytes of a line of a block in which the first and the last axis are exchanged: two cache lines.
const LINE: usize = 128;

/// An array's data in C order, from Fortran order.
pub(super) fn c_order_data(
    shape: &[usize],
    data: ArrayData,
    source: Source<'_>,
) -> Result<ArrayData> {
    let no_memory = |_| {
        source.error(format!("expected memory to change the order of {shape:?}, there is less"))
    };
    macro_rules! each {
        ($($variant:ident)*) => {
            match data {
                $(ArrayData::$variant(values) => {
                    ArrayData::$variant(to_c_order(shape, values).map_err(no_memory)?)
                })*
            }
        };
    }
    Ok(each!(Bool I8 I16 I32 I64 U8 U16 U32 U64 F32 F64 C64 Text))
}

/// The elements of an array of `shape`, given in Fortran order, in C order.
///
/// One more array of the same size; each element is read once and written once. Blocks pass through
/// a small buffer, so that both sides are touched a whole line at a time: strides are often powers
/// of two, for which the lines of a block would push each other out of the cache.
fn to_c_order<T: Clone + Default>(
    shape: &[usize],
    data: Vec<T>,
) -> Result<Vec<T>, TryReserveError> {
    let axes: Vec<usize> = shape.iter().copied().filter(|&axis| axis != 1).collect();
    let [first, middle @ .., last] = axes.as_slice() else { return Ok(data) };
    if data.is_empty() {
        return Ok(data);
    }
    let (first, last) = (*first, *last);
    // Only `vec!` takes zeros from the system unwritten; whether there are enough is asked before.
    Vec::<T>::new().try_reserve_exact(data.len())?;
    let mut out = vec![T::default(); data.len()];

    // Strides: of the last axis in `data`, of the first one in `out`; the other two are 1.
    let (from_last, to_first) = (data.len() / last, data.len() / first);
    let side = (LINE / size_of::<T>()).clamp(8, 64);
    let mut block = vec![T::default(); side * side];
    let mut index = vec![0; middle.len()];
    loop {
        let (mut from, mut from_stride) = (0, first);
        for (i, axis) in index.iter().zip(middle) {
            from += i * from_stride;
            from_stride *= axis;
        }
        let (mut to, mut to_stride) = (0, last);
        for (i, axis) in index.iter().zip(middle).rev() {
            to += i * to_stride;
            to_stride *= axis;
        }
        for i0 in (0..first).step_by(side) {
            let rows = side.min(first - i0);
            for j0 in (0..last).step_by(side) {
                let columns = side.min(last - j0);
                for (j, column) in block.chunks_exact_mut(side).take(columns).enumerate() {
                    let start = from + i0 + (j0 + j) * from_last;
                    column[..rows].clone_from_slice(&data[start..start + rows]);
                }
                for i in 0..rows {
                    let start = to + (i0 + i) * to_first + j0;
                    let row = &mut out[start..start + columns];
                    for (element, column) in row.iter_mut().zip(block.chunks_exact(side)) {
                        *element = column[i].clone();
                    }
                }
            }
        }
        let Some(k) = (0..middle.len()).rev().find(|&k| index[k] + 1 < middle[k]) else {
            return Ok(out);
        };
        index[k] += 1;
        index[k + 1..].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The element of C index `c` lies at Fortran index Σ iₖ Π_{l<k} nₗ.
    fn oracle(shape: &[usize], data: &[u32]) -> Vec<u32> {
        (0..data.len())
            .map(|mut c| {
                let mut index = vec![0; shape.len()];
                for k in (0..shape.len()).rev() {
                    index[k] = c % shape[k];
                    c /= shape[k];
                }
                let (mut at, mut stride) = (0, 1);
                for (i, axis) in index.iter().zip(shape) {
                    at += i * stride;
                    stride *= axis;
                }
                data[at]
            })
            .collect()
    }

    #[test]
    fn every_element_goes_to_its_place() {
        let shapes: [&[usize]; 16] = [
            &[],
            &[5],
            &[2, 3],
            &[17, 33],
            &[1, 7],
            &[7, 1],
            &[0, 3],
            &[2, 3, 4],
            &[5, 1, 3],
            &[16, 2, 1, 17],
            &[2, 2, 2, 2, 2, 3],
            &[40, 3, 20],
            &[33, 65],
            &[70, 2, 31],
            &[1, 1],
            &[3, 0, 2, 5],
        ];
        for shape in shapes {
            let n: usize = shape.iter().product();
            let data: Vec<u32> = (0..n as u32).collect();
            assert_eq!(to_c_order(shape, data.clone()).unwrap(), oracle(shape, &data), "{shape:?}");
        }
    }
}
