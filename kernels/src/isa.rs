//! The instruction set that a kernel runs on.

use core::fmt;
use std::sync::OnceLock;

use pulp::{Scalar, Simd, WithSimd};

/// An instruction set that this machine has; a value of this type proves it.
#[derive(Clone, Copy, Debug)]
pub struct Isa(Path);

#[derive(Clone, Copy, Debug)]
enum Path {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    V3(pulp::x86::V3),
    #[cfg(target_arch = "x86_64")]
    V4(pulp::x86::V4),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
}

/// `HESSE_ISA` names an instruction set that is unknown or that this machine lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaError {
    got: String,
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let available: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
        write!(f, "HESSE_ISA: expected one of {}, got {:?}", available.join(", "), self.got)
    }
}

impl std::error::Error for IsaError {}

impl Isa {
    /// Plain code without vector instructions, on every machine.
    pub const SCALAR: Isa = Isa(Path::Scalar);

    /// The instruction sets of this machine, slowest first.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        let mut list = vec![Isa::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            list.extend(pulp::x86::V3::try_new().map(|t| Isa(Path::V3(t))));
            list.extend(pulp::x86::V4::try_new().map(|t| Isa(Path::V4(t))));
        }
        #[cfg(target_arch = "aarch64")]
        list.extend(pulp::aarch64::Neon::try_new().map(|t| Isa(Path::Neon(t))));
        list
    }

    /// The instruction set named by `HESSE_ISA` (`scalar`, `v3`, `v4`, `neon`), or the best one of
    /// this machine where the variable is unset or empty.
    ///
    /// # Errors
    /// The name is unknown, or this machine lacks that instruction set.
    pub fn from_env() -> Result<Isa, IsaError> {
        match std::env::var_os("HESSE_ISA") {
            Some(name) if !name.is_empty() => Isa::named(&name.to_string_lossy()),
            _ => Ok(Isa::available().pop().unwrap_or(Isa::SCALAR)),
        }
    }

    /// The instruction set with this name.
    ///
    /// # Errors
    /// The name is unknown, or this machine lacks that instruction set.
    pub fn named(name: &str) -> Result<Isa, IsaError> {
        Isa::available()
            .into_iter()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| IsaError { got: name.to_owned() })
    }

    /// The instruction set of this process: [`Isa::from_env`], read once.
    ///
    /// # Panics
    /// If `HESSE_ISA` asks for what is not there: a forced path must not fall back in silence.
    /// A program checks [`Isa::from_env`] first and reports the error itself.
    #[must_use]
    pub fn current() -> Isa {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| Isa::from_env().unwrap_or_else(|error| panic!("{error}")))
    }

    /// `scalar`, `v3` (AVX2 and FMA), `v4` (AVX-512) or `neon`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Path::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Path::V3(_) => "v3",
            #[cfg(target_arch = "x86_64")]
            Path::V4(_) => "v4",
            #[cfg(target_arch = "aarch64")]
            Path::Neon(_) => "neon",
        }
    }

    /// Whether a multiplication and an addition are fused into one rounding on this path.
    #[must_use]
    pub fn has_fma(self) -> bool {
        !matches!(self.0, Path::Scalar)
    }

    /// Runs `op` on this path.
    #[inline]
    pub fn dispatch<Op: WithSimd>(self, op: Op) -> Op::Output {
        match self.0 {
            Path::Scalar => Simd::vectorize(Scalar::new(), op),
            #[cfg(target_arch = "x86_64")]
            Path::V3(simd) => Simd::vectorize(simd, op),
            #[cfg(target_arch = "x86_64")]
            Path::V4(simd) => Simd::vectorize(simd, op),
            #[cfg(target_arch = "aarch64")]
            Path::Neon(simd) => Simd::vectorize(simd, op),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for Isa {
    fn eq(&self, other: &Isa) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Isa {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_unknown_names_are_refused() {
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.name()), Ok(isa));
        }
        let error = Isa::named("v9").unwrap_err().to_string();
        assert!(error.starts_with("HESSE_ISA: expected one of scalar"), "{error}");
        assert!(error.ends_with("got \"v9\""), "{error}");
    }
}
