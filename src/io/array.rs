//! One array of any type, in C order.

use faer::{MatRef, c64};
use hesse_kernels::pulp::bytemuck;

use super::source::element_count;
use crate::{Error, Real, Result};

/// An array in C order and native byte order, with its shape and a label that errors quote.
#[derive(Clone, Debug)]
pub struct Array {
    label: String,
    shape: Vec<usize>,
    data: ArrayData,
}

mod sealed {
    pub trait Sealed {}
}

/// A type of element that an [`Array`] can hold.
pub trait Element: sealed::Sealed + Clone {
    /// Its name.
    const DTYPE: Dtype;
    /// The elements as data of an array.
    fn wrap(values: Vec<Self>) -> ArrayData;
    /// The elements, if `data` is of this type.
    fn view(data: &ArrayData) -> Option<&[Self]>;
    /// The elements without a copy, or `data` back if it is of another type.
    ///
    /// # Errors
    /// `data` itself.
    fn take(data: ArrayData) -> Result<Vec<Self>, ArrayData>;
}

macro_rules! elements {
    ($($variant:ident $t:ty, $name:literal, $doc:literal;)*) => {
        /// The elements of an [`Array`] in C order.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum ArrayData {
            $(#[doc = $doc] $variant(Vec<$t>),)*
        }

        /// The type of an array's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Dtype {
            $(#[doc = $doc] $variant,)*
        }

        impl Dtype {
            /// The name of the type, as NumPy spells it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Dtype::$variant => $name,)*
                }
            }
        }

        impl ArrayData {
            /// The type of the elements.
            #[must_use]
            pub fn dtype(&self) -> Dtype {
                match self {
                    $(ArrayData::$variant(_) => Dtype::$variant,)*
                }
            }

            /// The number of elements.
            #[must_use]
            pub fn len(&self) -> usize {
                match self {
                    $(ArrayData::$variant(values) => values.len(),)*
                }
            }
        }

        $(
            impl sealed::Sealed for $t {}

            impl Element for $t {
                const DTYPE: Dtype = Dtype::$variant;

                fn wrap(values: Vec<Self>) -> ArrayData {
                    ArrayData::$variant(values)
                }

                fn view(data: &ArrayData) -> Option<&[Self]> {
                    match data {
                        ArrayData::$variant(values) => Some(values),
                        _ => None,
                    }
                }

                fn take(data: ArrayData) -> Result<Vec<Self>, ArrayData> {
                    match data {
                        ArrayData::$variant(values) => Ok(values),
                        other => Err(other),
                    }
                }
            }
        )*
    };
}

elements! {
    Bool bool, "bool", "Truth values.";
    I8 i8, "int8", "8-bit signed integers.";
    I16 i16, "int16", "16-bit signed integers.";
    I32 i32, "int32", "32-bit signed integers.";
    I64 i64, "int64", "64-bit signed integers.";
    U8 u8, "uint8", "8-bit unsigned integers.";
    U16 u16, "uint16", "16-bit unsigned integers.";
    U32 u32, "uint32", "32-bit unsigned integers.";
    U64 u64, "uint64", "64-bit unsigned integers.";
    F32 f32, "float32", "Single precision, also what `float16` and `bfloat16` are read as.";
    F64 f64, "float64", "Double precision.";
    C64 c64, "complex128", "Complex numbers of two `f64`, also what `complex64` is read as.";
    Text String, "str", "Unicode text.";
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl ArrayData {
    /// No elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same type and the same bits, NaN payloads and signs of zero included.
    #[must_use]
    pub fn same_bits(&self, other: &ArrayData) -> bool {
        fn bits<T: bytemuck::NoUninit>(a: &[T], b: &[T]) -> bool {
            bytemuck::cast_slice::<T, u8>(a) == bytemuck::cast_slice::<T, u8>(b)
        }
        match (self, other) {
            (ArrayData::F32(a), ArrayData::F32(b)) => bits(a, b),
            (ArrayData::F64(a), ArrayData::F64(b)) => bits(a, b),
            (ArrayData::C64(a), ArrayData::C64(b)) => {
                let parts = |z: &c64| (z.re.to_bits(), z.im.to_bits());
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| parts(a) == parts(b))
            }
            (ArrayData::Bool(a), ArrayData::Bool(b)) => a == b,
            (ArrayData::I8(a), ArrayData::I8(b)) => a == b,
            (ArrayData::I16(a), ArrayData::I16(b)) => a == b,
            (ArrayData::I32(a), ArrayData::I32(b)) => a == b,
            (ArrayData::I64(a), ArrayData::I64(b)) => a == b,
            (ArrayData::U8(a), ArrayData::U8(b)) => a == b,
            (ArrayData::U16(a), ArrayData::U16(b)) => a == b,
            (ArrayData::U32(a), ArrayData::U32(b)) => a == b,
            (ArrayData::U64(a), ArrayData::U64(b)) => a == b,
            (ArrayData::Text(a), ArrayData::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Array {
    /// An array of `shape` whose elements are `data` in C order.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the product of `shape` is the number of elements.
    pub fn new<T: Element>(shape: impl Into<Vec<usize>>, data: Vec<T>) -> Result<Self> {
        Self::from_data(shape.into(), T::wrap(data))
    }

    /// An array of `shape` whose elements are `data` in C order, of a type known when it runs.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the product of `shape` is the number of elements;
    /// [`Error::Range`] for more than 64 axes, or axes whose product (leaving out zeros) overflows.
    pub fn from_data(shape: Vec<usize>, data: ArrayData) -> Result<Self> {
        let count = element_count(&shape).map_err(|(expected, got)| Error::Range {
            what: "shape of the array".to_owned(),
            expected,
            got,
        })?;
        if count != data.len() {
            let expected = format!("{count} elements for shape {shape:?}");
            let got = format!("{} elements", data.len());
            return Err(Error::Shape { what: "array".to_owned(), expected, got });
        }
        Ok(Self { label: "array".to_owned(), shape, data })
    }

    /// An array without axes that holds one value.
    #[must_use]
    pub fn from_scalar<T: Element>(value: T) -> Self {
        Self { label: "array".to_owned(), shape: Vec::new(), data: T::wrap(vec![value]) }
    }

    /// An array with one axis.
    #[must_use]
    pub fn from_vector<T: Element>(values: Vec<T>) -> Self {
        Self { label: "array".to_owned(), shape: vec![values.len()], data: T::wrap(values) }
    }

    /// An array of `f32` or `f64`, whichever `T` is.
    ///
    /// # Errors
    /// As [`Array::from_data`].
    pub fn from_real<T: Real>(shape: impl Into<Vec<usize>>, values: &[T]) -> Result<Self> {
        Self::from_data(shape.into(), real_data(values.to_vec()))
    }

    /// A matrix (rows × columns), copied from any strides.
    ///
    /// # Errors
    /// [`Error::Range`] if rows × columns overflows, which needs a matrix without elements.
    pub fn from_mat<T: Real>(matrix: MatRef<'_, T>) -> Result<Self> {
        let (rows, columns) = matrix.shape();
        let mut values = Vec::with_capacity(rows.saturating_mul(columns));
        if columns > 0 {
            for i in 0..rows {
                values.extend((0..columns).map(|j| matrix[(i, j)]));
            }
        }
        Self::from_data(vec![rows, columns], real_data(values))
    }

    /// The same array under another label: the name that errors quote.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The name that errors quote.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The length of each axis; empty for a scalar.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// No elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The type of the elements.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.data.dtype()
    }

    /// The elements in C order.
    #[must_use]
    pub fn data(&self) -> &ArrayData {
        &self.data
    }

    /// The elements in C order, without a copy.
    #[must_use]
    pub fn into_data(self) -> ArrayData {
        self.data
    }

    /// The elements in C order, if they are of type `T`.
    #[must_use]
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::view(&self.data)
    }

    /// The same shape, type and bits; labels do not count.
    #[must_use]
    pub fn same_bits(&self, other: &Array) -> bool {
        self.shape == other.shape && self.data.same_bits(&other.data)
    }
}

/// `values` as `f32` or `f64` data.
fn real_data<T: Real>(values: Vec<T>) -> ArrayData {
    if T::NAME == f32::NAME {
        ArrayData::F32(bytemuck::cast_slice(&values).to_vec())
    } else {
        ArrayData::F64(bytemuck::cast_slice(&values).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_must_hold_its_elements() {
        let error = Array::new([2, 3], vec![1.0; 5]).unwrap_err().to_string();
        assert_eq!(error, "array: expected 6 elements for shape [2, 3], got 5 elements");
        let error = Array::new([0, usize::MAX, 2], Vec::<f64>::new()).unwrap_err().to_string();
        assert!(error.starts_with("shape of the array: expected axes whose product"), "{error}");
        let error = Array::new([1; 65], vec![1.0]).unwrap_err().to_string();
        assert_eq!(error, "shape of the array: expected at most 64 axes, got 65");
        assert_eq!(Array::from_scalar(3_u8).shape(), &[] as &[usize]);
        assert_eq!(Array::from_vector(vec![true, false]).shape(), [2]);
    }

    #[test]
    fn a_matrix_is_copied_row_by_row() {
        let matrix = faer::Mat::from_fn(2, 3, |i, j| (10 * i + j) as f32);
        let array = Array::from_mat(matrix.as_ref()).unwrap();
        assert_eq!(array.as_slice::<f32>().unwrap(), [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        let array = Array::from_mat(matrix.transpose()).unwrap();
        assert_eq!(array.shape(), [3, 2]);
        assert_eq!(array.as_slice::<f32>().unwrap(), [0.0, 10.0, 1.0, 11.0, 2.0, 12.0]);
        assert!(array.as_slice::<f64>().is_none());
    }

    #[test]
    fn same_bits_tells_zeros_and_nans_apart() {
        let of = |values: &[f64]| Array::from_vector(values.to_vec());
        assert!(of(&[f64::NAN]).same_bits(&of(&[f64::NAN])));
        assert!(!of(&[0.0]).same_bits(&of(&[-0.0])));
        assert!(!of(&[1.0]).same_bits(&Array::from_vector(vec![1.0_f32])));
        assert!(!of(&[1.0]).same_bits(&Array::from_scalar(1.0)));
    }
}
