//! The header of a `.npy` file: a Python dictionary with the type, the order and the shape.

use super::array::{Array, ArrayData};
use super::stored::Stored;

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub stored: Stored,
    /// The bytes of each element are in the order that this machine does not use.
    pub swap: bool,
    pub fortran: bool,
    pub shape: Vec<usize>,
}

impl Header {
    /// Reads the dictionary: the three keys `descr`, `fortran_order` and `shape` once each, in any
    /// order, with any white space and an optional comma at the end.
    ///
    /// # Errors
    /// What was expected, what came and at which byte.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut p = Parser { text, at: 0 };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        p.expect(b'{')?;
        while !p.accept(b'}') {
            let key = p.string("a key")?;
            p.expect(b':')?;
            let again = match key.as_str() {
                "descr" => descr.replace(p.descr()?).is_some(),
                "fortran_order" => fortran.replace(p.truth()?).is_some(),
                "shape" => shape.replace(p.shape()?).is_some(),
                _ => {
                    return Err(format!(
                        "header: expected the keys 'descr', 'fortran_order' and 'shape', \
                         got {key:?}"
                    ));
                }
            };
            if again {
                return Err(format!("header: expected {key:?} once, got it twice"));
            }
            if !p.accept(b',') {
                p.expect(b'}')?;
                break;
            }
        }
        p.skip_space();
        if p.at < text.len() {
            return Err(p.unexpected("the end of the header"));
        }
        let missing = |key| format!("header: expected the key '{key}', got none");
        let (stored, swap) = descr.ok_or_else(|| missing("descr"))?;
        Ok(Self {
            stored,
            swap,
            fortran: fortran.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

/// The type that a `descr` string names, and whether its bytes must be swapped here.
///
/// `<` and `>` say the byte order; `=`, `|` and none mean this machine's.
fn stored(descr: &str) -> Result<(Stored, bool), String> {
    let (swap, name) = match descr.as_bytes().first() {
        Some(b'<') => (cfg!(target_endian = "big"), &descr[1..]),
        Some(b'>') => (cfg!(target_endian = "little"), &descr[1..]),
        Some(b'=' | b'|') => (false, &descr[1..]),
        _ => (false, descr),
    };
    let stored = match name {
        "b1" | "?" => Stored::Bool,
        "i1" => Stored::I8,
        "i2" => Stored::I16,
        "i4" => Stored::I32,
        "i8" => Stored::I64,
        "u1" => Stored::U8,
        "u2" => Stored::U16,
        "u4" => Stored::U32,
        "u8" => Stored::U64,
        "f2" => Stored::F16,
        "f4" => Stored::F32,
        "f8" => Stored::F64,
        "c8" => Stored::Complex64,
        "c16" => Stored::Complex128,
        _ => {
            if let Some(width) = name.strip_prefix('U').and_then(|digits| digits.parse().ok()) {
                if width == 0 {
                    return Err(format!("type {descr:?}: expected text of at least 1 character"));
                }
                return Ok((Stored::Text(width), swap));
            }
            let kind = match name.as_bytes().first() {
                Some(b'f' | b'g') => "floating point numbers of this size",
                Some(b'c' | b'G') => "complex numbers of this size",
                Some(b'O') => "pickled Python objects, never executed here",
                Some(b'S' | b'a') => "byte strings",
                Some(b'V') => "raw or structured bytes",
                Some(b'M') => "dates",
                Some(b'm') => "time differences",
                _ => "an unknown type",
            };
            return Err(format!(
                "type {descr:?}: expected bool, int8 to int64, uint8 to uint64, float16 to \
                 float64, complex or text, got {kind}"
            ));
        }
    };
    Ok((stored, swap))
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c) = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.accept(byte) {
            return Ok(());
        }
        Err(self.unexpected(&format!("'{}'", char::from(byte))))
    }

    fn unexpected(&mut self, expected: &str) -> String {
        let got = match self.peek() {
            None => "its end".to_owned(),
            Some(byte) => format!("'{}'", byte.escape_ascii()),
        };
        format!("header: expected {expected} at byte {}, got {got}", self.at)
    }

    /// A string in either kind of quotes; nothing that we read needs an escape in it.
    fn string(&mut self, what: &str) -> Result<String, String> {
        let Some(quote @ (b'\'' | b'"')) = self.peek() else {
            return Err(self.unexpected(&format!("{what} in quotes")));
        };
        let start = self.at + 1;
        let length = self.text[start..].iter().position(|&b| b == quote || b == b'\\');
        match length.map(|length| start + length) {
            Some(end) if self.text[end] == quote => {
                self.at = end + 1;
                Ok(String::from_utf8_lossy(&self.text[start..end]).into_owned())
            }
            Some(_) => Err(format!("header: expected {what} without a backslash, got one")),
            None => Err(format!("header: expected {what} in quotes, got no closing quote")),
        }
    }

    fn descr(&mut self) -> Result<(Stored, bool), String> {
        if let Some(b'[' | b'(') = self.peek() {
            return Err("type: expected one plain type, got a structured one".to_owned());
        }
        stored(&self.string("a type")?)
    }

    fn truth(&mut self) -> Result<bool, String> {
        self.skip_space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    /// A tuple (or list) of integers; a tuple of one needs its comma, as in Python.
    fn shape(&mut self) -> Result<Vec<usize>, String> {
        let close = match self.peek() {
            Some(b'(') => b')',
            Some(b'[') => b']',
            _ => return Err(self.unexpected("a tuple of axes")),
        };
        self.at += 1;
        let mut shape = Vec::new();
        while !self.accept(close) {
            shape.push(self.axis()?);
            if !self.accept(b',') {
                self.expect(close)?;
                if shape.len() == 1 && close == b')' {
                    return Err(format!("header: expected a tuple of axes, got ({})", shape[0]));
                }
                break;
            }
        }
        Ok(shape)
    }

    /// A non-negative integer, with the `L` that Python 2 wrote after long ones.
    fn axis(&mut self) -> Result<usize, String> {
        if self.peek() == Some(b'-') {
            return Err(format!(
                "header: expected axes of at least 0, got a negative one at byte \
                                {}",
                self.at
            ));
        }
        let start = self.at;
        let mut value = Some(0_usize);
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            let digit = usize::from(digit - b'0');
            value = value.and_then(|v| v.checked_mul(10)?.checked_add(digit));
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected("an axis"));
        }
        let value = value.ok_or_else(|| {
            format!("header: expected axes of at most {}, got more at byte {start}", usize::MAX)
        });
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        value
    }
}

/// The header of `array` as it is written, and the width of its text (1 for other types).
///
/// # Errors
/// A text that ends in a zero, which the format takes for padding.
pub(super) fn dictionary(array: &Array) -> Result<(String, usize), String> {
    let mut width = 1;
    let descr = match array.data() {
        ArrayData::Bool(_) => "|b1".to_owned(),
        ArrayData::I8(_) => "|i1".to_owned(),
        ArrayData::I16(_) => "<i2".to_owned(),
        ArrayData::I32(_) => "<i4".to_owned(),
        ArrayData::I64(_) => "<i8".to_owned(),
        ArrayData::U8(_) => "|u1".to_owned(),
        ArrayData::U16(_) => "<u2".to_owned(),
        ArrayData::U32(_) => "<u4".to_owned(),
        ArrayData::U64(_) => "<u8".to_owned(),
        ArrayData::F32(_) => "<f4".to_owned(),
        ArrayData::F64(_) => "<f8".to_owned(),
        ArrayData::C64(_) => "<c16".to_owned(),
        ArrayData::Text(values) => {
            if let Some(index) = values.iter().position(|value| value.ends_with('\0')) {
                return Err(format!(
                    "text at index {index}: expected no zero at its end, which is padding in \
                     .npy, got {:?}",
                    values[index]
                ));
            }
            width = values.iter().map(|value| value.chars().count()).max().unwrap_or(1).max(1);
            format!("<U{width}")
        }
    };
    let axes: Vec<String> = array.shape().iter().map(usize::to_string).collect();
    let comma = if axes.len() == 1 { "," } else { "" };
    let shape = axes.join(", ");
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}{comma}), }}");
    Ok((text, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, String> {
        Header::parse(text.as_bytes())
    }

    #[test]
    fn white_space_order_and_commas_are_free() {
        let want = Header { stored: Stored::F64, swap: false, fortran: true, shape: vec![3, 4] };
        for text in [
            "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }",
            "{\"shape\":(3,4),\"fortran_order\":True,\"descr\":\"<f8\"}\n",
            "  {\n\t'fortran_order' : True ,'shape' : [ 3 , 4L, ] , 'descr': 'f8' }   \r\n",
            "{'descr': '=f8', 'fortran_order': True, 'shape': (3L, 4L,), }",
            "{'descr': '|f8', 'fortran_order': True, 'shape': (3, 4)}",
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&want), "{text}");
        }
        let shape = |text: &str| {
            parse(&format!("{{'descr': '>u2', 'fortran_order': False, 'shape': {text}}}"))
                .map(|header| header.shape)
        };
        assert_eq!(shape("()"), Ok(vec![]));
        assert_eq!(shape("(5,)"), Ok(vec![5]));
        assert_eq!(shape("[5]"), Ok(vec![5]));
    }

    #[test]
    fn each_fault_says_what_was_expected_and_what_came() {
        let with = |descr: &str, fortran: &str, shape: &str| {
            parse(&format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}"))
                .unwrap_err()
        };
        let faults = [
            (with("'<f8'", "False", "(-1,)"), "at least 0, got a negative one at byte 51"),
            (with("'<f8'", "False", "(3)"), "expected a tuple of axes, got (3)"),
            (with("'<f8'", "False", "3"), "expected a tuple of axes at byte 50, got '3'"),
            (with("'<f8'", "False", "(1.5,)"), "expected ')' at byte 52, got '.'"),
            (with("'<f8'", "False", "(99999999999999999999,)"), "got more at byte 51"),
            (with("'<f8'", "1", "()"), "expected True or False at byte 34, got '1'"),
            (with("'<f8", "False", "()"), "type \"<f8, \": "),
            (with("'<f16'", "False", "()"), "got floating point numbers of this size"),
            (with("'|O'", "False", "()"), "got pickled Python objects"),
            (with("'|S5'", "False", "()"), "got byte strings"),
            (with("'|V4'", "False", "()"), "got raw or structured bytes"),
            (with("'<M8[ns]'", "False", "()"), "got dates"),
            (with("'<U0'", "False", "()"), "expected text of at least 1 character"),
            (with("''", "False", "()"), "got an unknown type"),
            (with("'é8'", "False", "()"), "got an unknown type"),
            (with("[('x', '<f8')]", "False", "()"), "expected one plain type, got a structured"),
            (with("[[[[[[[[[[", "False", "()"), "expected one plain type, got a structured"),
            (with("'a\\'b'", "False", "()"), "without a backslash"),
            (parse("").unwrap_err(), "expected '{' at byte 0, got its end"),
            (parse("{").unwrap_err(), "expected a key in quotes at byte 1, got its end"),
            (parse("{'descr").unwrap_err(), "got no closing quote"),
            (parse("{'other': 1}").unwrap_err(), "got \"other\""),
            (parse("{'shape': (), 'shape': ()}").unwrap_err(), "\"shape\" once, got it twice"),
            (parse("{'shape': ()}").unwrap_err(), "expected the key 'descr', got none"),
            (parse("{'shape': ()} x").unwrap_err(), "expected the end of the header at byte 14"),
        ];
        for (got, want) in faults {
            assert!(got.contains(want), "{got:?} lacks {want:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = |array: &Array| dictionary(array).unwrap();
        let scalar = Array::from_scalar(1.0);
        assert_eq!(text(&scalar).0, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }");
        let words = Array::from_vector(vec!["né".to_owned(), "日本語".to_owned()]);
        assert_eq!(
            text(&words),
            ("{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }".to_owned(), 3)
        );
        let header = parse(&text(&words).0).unwrap();
        assert_eq!((header.stored, header.shape), (Stored::Text(3), vec![2]));
        let padded = Array::from_scalar("a\0".to_owned());
        assert!(dictionary(&padded).unwrap_err().contains("no zero at its end"));
    }
}
