//! Elements as they lie in a file, read and written in pieces.

use std::io::{self, Read, Write};

use faer::c64;
use hesse_kernels::pulp::bytemuck::{self, Pod};

use super::array::ArrayData;
use super::half::{bf16_to_f32, f16_to_f32};
use super::source::{Budget, Source};
use crate::Result;

/// Bytes read at a time: what comes from the file is still in the second-level cache when it is
/// converted, and a lying header costs no more than this.
const PIECE: usize = 1 << 18;

/// A type of element in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    Bf16,
    F32,
    F64,
    Complex64,
    Complex128,
    /// UTF-32 padded with zeros to this many code points, at least one.
    Text(usize),
}

/// About how many bytes `data` take in a file, to reserve memory.
pub(super) fn size_hint(data: &ArrayData) -> usize {
    let size = match data {
        ArrayData::Bool(_) | ArrayData::I8(_) | ArrayData::U8(_) => 1,
        ArrayData::I16(_) | ArrayData::U16(_) => 2,
        ArrayData::I32(_) | ArrayData::U32(_) | ArrayData::F32(_) => 4,
        ArrayData::I64(_) | ArrayData::U64(_) | ArrayData::F64(_) => 8,
        ArrayData::C64(_) | ArrayData::Text(_) => 16,
    };
    data.len() * size + 512
}

impl Stored {
    /// Bytes of an element in the file.
    pub fn size(self) -> usize {
        match self {
            Stored::Bool | Stored::I8 | Stored::U8 => 1,
            Stored::I16 | Stored::U16 | Stored::F16 | Stored::Bf16 => 2,
            Stored::I32 | Stored::U32 | Stored::F32 => 4,
            Stored::I64 | Stored::U64 | Stored::F64 | Stored::Complex64 => 8,
            Stored::Complex128 => 16,
            Stored::Text(width) => width.saturating_mul(4),
        }
    }

    /// Bytes of an element in memory, at most.
    fn size_in_memory(self) -> usize {
        match self {
            Stored::F16 | Stored::Bf16 => 4,
            Stored::Complex64 => 16,
            Stored::Text(_) => self.size().saturating_add(size_of::<String>()),
            _ => self.size(),
        }
    }

    /// Reads `count` elements, each in reversed byte order if `swap`.
    ///
    /// With `present` the caller has made sure that so many bytes are there, and the memory is
    /// taken at once; otherwise it grows with what comes.
    pub fn read(
        self,
        reader: &mut dyn Read,
        count: usize,
        swap: bool,
        present: bool,
        budget: &mut Budget,
        source: Source<'_>,
    ) -> Result<ArrayData> {
        budget.take(count, self.size_in_memory(), source)?;
        let mut input = Input { reader, present, swap, source };
        Ok(match self {
            Stored::Bool => ArrayData::Bool(truths(&input.numbers::<u8>(count)?, source)?),
            Stored::I8 => ArrayData::I8(input.numbers(count)?),
            Stored::I16 => ArrayData::I16(input.numbers(count)?),
            Stored::I32 => ArrayData::I32(input.numbers(count)?),
            Stored::I64 => ArrayData::I64(input.numbers(count)?),
            Stored::U8 => ArrayData::U8(input.numbers(count)?),
            Stored::U16 => ArrayData::U16(input.numbers(count)?),
            Stored::U32 => ArrayData::U32(input.numbers(count)?),
            Stored::U64 => ArrayData::U64(input.numbers(count)?),
            Stored::F16 => {
                let bits = input.numbers::<u16>(count)?;
                ArrayData::F32(bits.into_iter().map(f16_to_f32).collect())
            }
            Stored::Bf16 => {
                let bits = input.numbers::<u16>(count)?;
                ArrayData::F32(bits.into_iter().map(bf16_to_f32).collect())
            }
            Stored::F32 => ArrayData::F32(input.numbers(count)?),
            Stored::F64 => ArrayData::F64(input.numbers(count)?),
            // The caller has checked that count × size does not overflow.
            Stored::Complex64 => {
                let parts = input.numbers::<f32>(2 * count)?;
                let pairs = parts.chunks_exact(2);
                ArrayData::C64(pairs.map(|z| c64::new(z[0].into(), z[1].into())).collect())
            }
            Stored::Complex128 => {
                let parts = input.numbers::<f64>(2 * count)?;
                ArrayData::C64(parts.chunks_exact(2).map(|z| c64::new(z[0], z[1])).collect())
            }
            Stored::Text(width) => {
                let points = input.numbers::<u32>(width * count)?;
                ArrayData::Text(texts(&points, width, source)?)
            }
        })
    }
}

/// Bytes as truth values; anything but 0 and 1 is refused.
fn truths(bytes: &[u8], source: Source<'_>) -> Result<Vec<bool>> {
    if let Some(index) = bytes.iter().position(|&byte| byte > 1) {
        let byte = bytes[index];
        return Err(source.error(format!("bool at index {index}: expected 0 or 1, got {byte}")));
    }
    Ok(bytes.iter().map(|&byte| byte == 1).collect())
}

/// Code points in groups of `width`, without the zeros at the end of each.
fn texts(points: &[u32], width: usize, source: Source<'_>) -> Result<Vec<String>> {
    let groups = points.chunks_exact(width).enumerate();
    groups
        .map(|(index, group)| {
            let length = group.iter().rposition(|&point| point != 0).map_or(0, |last| last + 1);
            let one = |&point: &u32| {
                char::from_u32(point).ok_or_else(|| {
                    source.error(format!(
                        "text at index {index}: expected Unicode code points, got {point:#x}"
                    ))
                })
            };
            group[..length].iter().map(one).collect()
        })
        .collect()
}

/// A number whose bytes can be reversed.
trait Number: Pod {
    fn swapped(self) -> Self;
}

macro_rules! number {
    ($($t:ty)*) => {$(
        impl Number for $t {
            fn swapped(self) -> Self {
                self.swap_bytes()
            }
        }
    )*};
}
number!(i8 i16 i32 i64 u8 u16 u32 u64);

impl Number for f32 {
    fn swapped(self) -> Self {
        f32::from_bits(self.to_bits().swap_bytes())
    }
}

impl Number for f64 {
    fn swapped(self) -> Self {
        f64::from_bits(self.to_bits().swap_bytes())
    }
}

struct Input<'a> {
    reader: &'a mut dyn Read,
    present: bool,
    swap: bool,
    source: Source<'a>,
}

impl Input<'_> {
    fn numbers<T: Number>(&mut self, count: usize) -> Result<Vec<T>> {
        let source = self.source;
        let no_memory = |_| {
            let bytes = count as u128 * size_of::<T>() as u128;
            source.error(format!("expected {bytes} bytes of memory, the system has less"))
        };
        let mut values = Vec::new();
        if self.present {
            values.try_reserve_exact(count).map_err(no_memory)?;
        }
        let step = PIECE / size_of::<T>();
        while values.len() < count {
            let start = values.len();
            let end = count.min(start + step);
            if values.capacity() < end {
                let capacity = count.min(end.max(2 * values.capacity()));
                values.try_reserve_exact(capacity - start).map_err(no_memory)?;
            }
            values.resize(end, T::zeroed());
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut values[start..]);
            let filled = source.fill(self.reader, bytes)?;
            if filled < bytes.len() {
                let got = start * size_of::<T>() + filled;
                let expected = count * size_of::<T>();
                return Err(source.error(format!(
                    "expected {expected} bytes of elements, got {got}: the data end too early"
                )));
            }
            if self.swap {
                values[start..].iter_mut().for_each(|value| *value = value.swapped());
            }
        }
        Ok(values)
    }
}

/// Writes numbers in little-endian byte order, in pieces that stay in the cache for who sums them.
fn write_numbers<T: Number>(values: &[T], writer: &mut dyn Write) -> io::Result<()> {
    let mut piece: Vec<T> = Vec::new();
    for values in values.chunks(PIECE / size_of::<T>()) {
        if cfg!(target_endian = "little") {
            writer.write_all(bytemuck::cast_slice(values))?;
            continue;
        }
        piece.clear();
        piece.extend(values.iter().map(|value| value.swapped()));
        writer.write_all(bytemuck::cast_slice(&piece))?;
    }
    Ok(())
}

/// Writes elements in little-endian byte order; text as UTF-32 in `width` code points.
pub(super) fn write(data: &ArrayData, width: usize, writer: &mut dyn Write) -> io::Result<()> {
    match data {
        ArrayData::Bool(values) => writer.write_all(bytemuck::cast_slice(values)),
        ArrayData::I8(values) => write_numbers(values, writer),
        ArrayData::I16(values) => write_numbers(values, writer),
        ArrayData::I32(values) => write_numbers(values, writer),
        ArrayData::I64(values) => write_numbers(values, writer),
        ArrayData::U8(values) => write_numbers(values, writer),
        ArrayData::U16(values) => write_numbers(values, writer),
        ArrayData::U32(values) => write_numbers(values, writer),
        ArrayData::U64(values) => write_numbers(values, writer),
        ArrayData::F32(values) => write_numbers(values, writer),
        ArrayData::F64(values) => write_numbers(values, writer),
        ArrayData::C64(values) => {
            let mut piece = Vec::new();
            for values in values.chunks(PIECE / 16) {
                piece.clear();
                piece.extend(values.iter().flat_map(|z| [z.re, z.im]));
                write_numbers(&piece, writer)?;
            }
            Ok(())
        }
        ArrayData::Text(values) => {
            let mut points: Vec<u32> = Vec::with_capacity(width);
            for value in values {
                points.clear();
                points.extend(value.chars().map(u32::from));
                points.resize(width, 0);
                write_numbers(&points, writer)?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Limits;
    use super::*;

    /// Gives zeros for ever, and counts them.
    struct Zeros(u64);
    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(0);
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }

    fn read(stored: Stored, bytes: &[u8], count: usize, swap: bool) -> Result<ArrayData> {
        let mut budget = Budget::new(&Limits::default());
        stored.read(&mut &bytes[..], count, swap, false, &mut budget, Source::file("a.npy"))
    }

    #[test]
    fn a_count_beyond_the_bytes_allocates_only_for_them() {
        let error = read(Stored::F64, &[0; 20], 1 << 30, false).unwrap_err().to_string();
        assert_eq!(
            error,
            "a.npy: expected 8589934592 bytes of elements, got 20: the data end too early"
        );
    }

    #[test]
    fn the_budget_is_checked_before_reading() {
        let mut zeros = Zeros(0);
        let mut budget = Budget::new(&Limits { max_bytes: 1000 });
        let result =
            Stored::F16.read(&mut zeros, 251, false, false, &mut budget, Source::file("a.npy"));
        assert!(result.is_err(), "251 halves take 1004 bytes as f32");
        assert_eq!(zeros.0, 0);
    }

    #[test]
    fn pieces_join_without_a_seam() {
        let values: Vec<u32> = (0..200_001).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        let data = read(Stored::U32, &bytes, values.len(), true).unwrap();
        assert!(data.same_bits(&ArrayData::U32(values)));
    }

    #[test]
    fn bad_bools_and_code_points_are_named() {
        let error = read(Stored::Bool, &[0, 1, 7], 3, false).unwrap_err().to_string();
        assert_eq!(error, "a.npy: bool at index 2: expected 0 or 1, got 7");
        let bytes = [b'a', 0, 0, 0, 0, 0xd8, 0, 0];
        let error = read(Stored::Text(1), &bytes, 2, false).unwrap_err().to_string();
        assert_eq!(error, "a.npy: text at index 1: expected Unicode code points, got 0xd800");
    }
}
