//! From arrays as they were stored to what computations take, never losing anything unsaid.

use faer::{Mat, MatRef, c64};
use hesse_kernels::pulp::bytemuck;

use super::array::{Array, ArrayData};
use crate::{Error, Real, Result};

/// 2⁵³: up to here every integer is an `f64`.
const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;

/// The most rows or columns of a matrix without elements: a file of 128 bytes can claim 2⁶² of them.
const MOST_EMPTY: usize = 1 << 24;

impl Array {
    fn unfit(&self, expected: &str, got: impl std::fmt::Display) -> Error {
        Error::range(self.label(), expected, got)
    }

    /// The elements as `f64`, exactly; false is 0 and true is 1.
    ///
    /// # Errors
    /// [`Error::Range`] for complex numbers and text, and for an integer that no `f64` equals, with
    /// its index.
    pub fn to_f64(&self) -> Result<Vec<f64>> {
        macro_rules! small {
            ($values:expr) => {
                Ok($values.iter().map(|&value| f64::from(value)).collect())
            };
        }
        macro_rules! large {
            ($values:expr) => {{
                let values = $values.iter().enumerate();
                values
                    .map(|(index, &value)| {
                        let float = value as f64;
                        // Through i128, where the comparison neither rounds nor saturates.
                        if float as i128 == i128::from(value) {
                            return Ok(float);
                        }
                        let got = format!("{value} at index {index}");
                        Err(self.unfit("integers that float64 holds exactly", got))
                    })
                    .collect()
            }};
        }
        match self.data() {
            ArrayData::Bool(values) => small!(values),
            ArrayData::I8(values) => small!(values),
            ArrayData::I16(values) => small!(values),
            ArrayData::I32(values) => small!(values),
            ArrayData::I64(values) => large!(values),
            ArrayData::U8(values) => small!(values),
            ArrayData::U16(values) => small!(values),
            ArrayData::U32(values) => small!(values),
            ArrayData::U64(values) => large!(values),
            ArrayData::F32(values) => small!(values),
            ArrayData::F64(values) => Ok(values.clone()),
            ArrayData::C64(_) | ArrayData::Text(_) => Err(self.unfit("real numbers", self.dtype())),
        }
    }

    /// The elements as `T`. From `float64` to `f32` each is rounded to the nearest; everything else
    /// is exact.
    ///
    /// # Errors
    /// As [`Array::to_f64`]; also [`Error::Range`] for an integer that `T` does not hold exactly, or
    /// a finite number beyond its largest, with the index.
    pub fn to_real<T: Real>(&self) -> Result<Vec<T>> {
        if let Some(values) = self.as_real::<T>() {
            return Ok(values.to_vec());
        }
        let rounds = matches!(self.data(), ArrayData::F64(_));
        let values = self.to_f64()?.into_iter().enumerate();
        values
            .map(|(index, value)| {
                let real = T::from_f64(value);
                let fits = if rounds {
                    real.is_finite() || !value.is_finite()
                } else {
                    real.to_f64() == value || value.is_nan()
                };
                if fits {
                    return Ok(real);
                }
                let expected = format!("numbers that {} holds", T::NAME);
                Err(self.unfit(&expected, format!("{value} at index {index}")))
            })
            .collect()
    }

    /// The elements in place, if they are stored as `T`.
    #[must_use]
    pub fn as_real<T: Real>(&self) -> Option<&[T]> {
        match self.data() {
            ArrayData::F32(values) if T::NAME == f32::NAME => bytemuck::try_cast_slice(values).ok(),
            ArrayData::F64(values) if T::NAME == f64::NAME => bytemuck::try_cast_slice(values).ok(),
            _ => None,
        }
    }

    /// The elements as indices or labels: integers, or floating point numbers whose values are
    /// integers (which is how many programs save labels), from 0 to 2⁵³ for the latter.
    ///
    /// # Errors
    /// [`Error::Range`] for a negative number, a fraction, a NaN or an infinity, with its index, and
    /// for booleans: a mask is not a list of indices.
    pub fn to_indices(&self) -> Result<Vec<usize>> {
        let expected = "integers of at least 0";
        macro_rules! integers {
            ($values:expr) => {{
                let values = $values.iter().enumerate();
                values
                    .map(|(index, &value)| {
                        usize::try_from(value)
                            .map_err(|_| self.unfit(expected, format!("{value} at index {index}")))
                    })
                    .collect()
            }};
        }
        macro_rules! floats {
            ($values:expr) => {{
                let values = $values.iter().enumerate();
                values
                    .map(|(index, &value)| {
                        let value = f64::from(value);
                        let whole = value >= 0.0 && value <= EXACT as f64 && value.fract() == 0.0;
                        let got = || self.unfit(expected, format!("{value} at index {index}"));
                        if whole {
                            usize::try_from(value as u64).map_err(|_| got())
                        } else {
                            Err(got())
                        }
                    })
                    .collect()
            }};
        }
        match self.data() {
            ArrayData::I8(values) => integers!(values),
            ArrayData::I16(values) => integers!(values),
            ArrayData::I32(values) => integers!(values),
            ArrayData::I64(values) => integers!(values),
            ArrayData::U8(values) => integers!(values),
            ArrayData::U16(values) => integers!(values),
            ArrayData::U32(values) => integers!(values),
            ArrayData::U64(values) => integers!(values),
            ArrayData::F32(values) => floats!(values),
            ArrayData::F64(values) => floats!(values),
            ArrayData::Bool(_) | ArrayData::C64(_) | ArrayData::Text(_) => {
                Err(self.unfit(expected, self.dtype()))
            }
        }
    }

    /// The elements as truth values: booleans, or numbers that are 0 or 1.
    ///
    /// # Errors
    /// [`Error::Range`] for any other number, with its index, and for other types.
    pub fn to_bools(&self) -> Result<Vec<bool>> {
        if let ArrayData::Bool(values) = self.data() {
            return Ok(values.clone());
        }
        let values = self.to_f64()?.into_iter().enumerate();
        values
            .map(|(index, value)| match value {
                0.0 => Ok(false),
                1.0 => Ok(true),
                _ => Err(self.unfit("0 or 1", format!("{value} at index {index}"))),
            })
            .collect()
    }

    /// The elements as complex numbers, exactly.
    ///
    /// # Errors
    /// As [`Array::to_f64`], which converts what is not complex.
    pub fn to_complex(&self) -> Result<Vec<c64>> {
        match self.data() {
            ArrayData::C64(values) => Ok(values.clone()),
            ArrayData::Text(_) => Err(self.unfit("numbers", self.dtype())),
            _ => Ok(self.to_f64()?.into_iter().map(|value| c64::new(value, 0.0)).collect()),
        }
    }

    /// The elements as text.
    ///
    /// # Errors
    /// [`Error::Range`] if they are not text.
    pub fn texts(&self) -> Result<&[String]> {
        self.as_slice().ok_or_else(|| self.unfit("text", self.dtype()))
    }

    fn check_single(&self) -> Result<()> {
        if self.len() == 1 {
            return Ok(());
        }
        Err(Error::Shape {
            what: self.label().to_owned(),
            expected: "a single element".to_owned(),
            got: format!("{} elements of shape {:?}", self.len(), self.shape()),
        })
    }

    /// The value of an array with a single element, whatever its axes.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is exactly one element; as [`Array::to_f64`].
    pub fn scalar(&self) -> Result<f64> {
        self.check_single()?;
        Ok(self.to_f64()?[0])
    }

    /// The index or count that an array with a single element holds.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is exactly one element; as [`Array::to_indices`].
    pub fn index(&self) -> Result<usize> {
        self.check_single()?;
        Ok(self.to_indices()?[0])
    }

    /// The text that an array with a single element holds.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is exactly one element; [`Error::Range`] if it is not text.
    pub fn text(&self) -> Result<&str> {
        self.check_single()?;
        Ok(&self.texts()?[0])
    }

    /// (rows, columns) of an array with two axes.
    fn matrix_shape(&self) -> Result<(usize, usize)> {
        match *self.shape() {
            // Matrix code loops over rows or columns also when they are empty.
            [rows, columns] if self.is_empty() && rows.max(columns) > MOST_EMPTY => {
                let expected = format!("at most {MOST_EMPTY} rows or columns without elements");
                Err(self.unfit(&expected, rows.max(columns)))
            }
            [rows, columns] => Ok((rows, columns)),
            _ => Err(Error::Shape {
                what: self.label().to_owned(),
                expected: "2 axes".to_owned(),
                got: format!("{} axes of shape {:?}", self.shape().len(), self.shape()),
            }),
        }
    }

    /// The array as a row-major matrix in place.
    ///
    /// # Errors
    /// [`Error::Shape`] unless it has two axes, [`Error::Range`] unless it is stored as `T`, or with
    /// more than 2²⁴ rows or columns but no elements.
    pub fn as_mat<T: Real>(&self) -> Result<MatRef<'_, T>> {
        let (rows, columns) = self.matrix_shape()?;
        let values = self.as_real().ok_or_else(|| self.unfit(T::NAME, self.dtype()))?;
        Ok(MatRef::from_row_major_slice(values, rows, columns))
    }

    /// The array as a matrix of its own, converted as by [`Array::to_real`].
    ///
    /// # Errors
    /// [`Error::Shape`] unless it has two axes; as [`Array::to_real`]; [`Error::Range`] with more
    /// than 2²⁴ rows or columns but no elements.
    pub fn to_mat<T: Real>(&self) -> Result<Mat<T>> {
        let (rows, columns) = self.matrix_shape()?;
        if let Ok(view) = self.as_mat::<T>() {
            return Ok(view.to_owned());
        }
        let values: Vec<T> = self.to_real()?;
        Ok(MatRef::from_row_major_slice(&values, rows, columns).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::array::Element;
    use super::*;

    fn of<T: Element>(values: &[T]) -> Array {
        Array::from_vector(values.to_vec()).labelled("x")
    }

    #[test]
    fn integers_become_floats_exactly_or_not_at_all() {
        assert_eq!(of(&[-3_i8, 4]).to_f64().unwrap(), [-3.0, 4.0]);
        assert_eq!(of(&[true, false]).to_f64().unwrap(), [1.0, 0.0]);
        assert_eq!(of(&[i64::MIN, 1 << 53]).to_f64().unwrap(), [-(2_f64.powi(63)), 2_f64.powi(53)]);
        let error = of(&[0, (1_i64 << 53) + 1]).to_f64().unwrap_err().to_string();
        assert_eq!(
            error,
            "x: expected integers that float64 holds exactly, got 9007199254740993 at index 1"
        );
        assert!(of(&[u64::MAX]).to_f64().is_err(), "2⁶⁴ − 1 would round to 2⁶⁴");
        assert!(of(&[i64::MAX]).to_f64().is_err());
        let error = of(&["a".to_owned()]).to_f64().unwrap_err().to_string();
        assert_eq!(error, "x: expected real numbers, got str");
    }

    #[test]
    fn narrowing_rounds_floats_and_refuses_integers_and_overflow() {
        assert_eq!(of(&[0.1_f64]).to_real::<f32>().unwrap(), [0.1_f32]);
        assert!(of(&[f64::NAN]).to_real::<f32>().unwrap()[0].is_nan());
        assert_eq!(of(&[f64::INFINITY]).to_real::<f32>().unwrap(), [f32::INFINITY]);
        let error = of(&[1e39_f64]).to_real::<f32>().unwrap_err().to_string();
        assert!(error.starts_with("x: expected numbers that f32 holds, got 1"), "{error}");
        assert_eq!(of(&[1_i32 << 24]).to_real::<f32>().unwrap(), [16_777_216.0]);
        assert!(of(&[(1_i32 << 24) + 1]).to_real::<f32>().is_err());
        assert_eq!(of(&[1.5_f32]).to_real::<f64>().unwrap(), [1.5]);
        assert_eq!(of(&[1.5_f32]).as_real::<f64>(), None);
        assert_eq!(of(&[1.5_f32]).as_real::<f32>(), Some(&[1.5][..]));
    }

    #[test]
    fn indices_are_whole_and_not_negative() {
        assert_eq!(of(&[0_u8, 255]).to_indices().unwrap(), [0, 255]);
        assert_eq!(of(&[3.0_f64, -0.0]).to_indices().unwrap(), [3, 0]);
        assert_eq!(of(&[7.0_f32]).to_indices().unwrap(), [7]);
        for bad in [-1.0, 0.5, f64::NAN, f64::INFINITY, 1e300] {
            assert!(of(&[0.0, bad]).to_indices().is_err(), "{bad}");
        }
        let error = of(&[4_i64, -2]).to_indices().unwrap_err().to_string();
        assert_eq!(error, "x: expected integers of at least 0, got -2 at index 1");
        let error = of(&[true]).to_indices().unwrap_err().to_string();
        assert_eq!(error, "x: expected integers of at least 0, got bool");
    }

    #[test]
    fn truth_is_zero_or_one() {
        assert_eq!(of(&[1_u8, 0]).to_bools().unwrap(), [true, false]);
        let error = of(&[1.0, 2.0]).to_bools().unwrap_err().to_string();
        assert_eq!(error, "x: expected 0 or 1, got 2 at index 1");
    }

    #[test]
    fn a_scalar_is_a_single_element() {
        assert_eq!(Array::from_scalar(2_i32).scalar().unwrap(), 2.0);
        assert_eq!(Array::new([1, 1], vec![5_u16]).unwrap().index().unwrap(), 5);
        assert_eq!(Array::from_scalar("tanh".to_owned()).text().unwrap(), "tanh");
        let error = of(&[1.0, 2.0]).scalar().unwrap_err().to_string();
        assert_eq!(error, "x: expected a single element, got 2 elements of shape [2]");
        assert!(of::<f64>(&[]).scalar().is_err());
        assert_eq!(of(&[1.5]).to_complex().unwrap(), [c64::new(1.5, 0.0)]);
    }

    #[test]
    fn matrices_are_row_major_views() {
        let array = Array::new([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let view = array.as_mat::<f64>().unwrap();
        assert_eq!((view[(0, 2)], view[(1, 0)], view.col_stride()), (3.0, 4.0, 1));
        assert_eq!(array.to_mat::<f32>().unwrap()[(1, 2)], 6.0_f32);
        let error = array.as_mat::<f32>().unwrap_err().to_string();
        assert_eq!(error, "array: expected f32, got float64");
        let error = of(&[1.0]).to_mat::<f64>().unwrap_err().to_string();
        assert_eq!(error, "x: expected 2 axes, got 1 axes of shape [1]");
        for shape in [[0, 1000], [1000, 0], [0, 0]] {
            let empty = Array::new(shape, Vec::<f64>::new()).unwrap();
            let view = empty.as_mat::<f64>().unwrap();
            assert_eq!(view.shape(), (shape[0], shape[1]));
            assert_eq!(empty.to_mat::<f32>().unwrap().shape(), view.shape());
            assert!(Array::from_mat(view).unwrap().same_bits(&empty));
        }
        let empty = Array::new([0, 1 << 60], Vec::<f64>::new()).unwrap();
        let error = empty.to_mat::<f64>().unwrap_err().to_string();
        let text = "array: expected at most 16777216 rows or columns without elements, \
                    got 1152921504606846976";
        assert_eq!(error, text);
    }
}
