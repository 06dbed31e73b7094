//! What is doubtful about an estimate.

use std::fmt;

/// Something doubtful about an [`Estimate`](super::Estimate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flag {
    /// Points were left out: ties, copies, or outliers.
    LeftOut,
    /// The estimate lies at the end of the range that was searched.
    AtLimit,
    /// It is larger than the number of features.
    AboveFeatures,
    /// It is larger than 2 log₁₀ n: so few points look like fewer dimensions than they have, and a
    /// larger sample would give more (Eckmann and Ruelle, Physica D 56, 1992).
    BeyondSample,
}

impl Flag {
    const ALL: [Self; 4] = [Self::LeftOut, Self::AtLimit, Self::AboveFeatures, Self::BeyondSample];

    /// Its name: `left_out`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeftOut => "left_out",
            Self::AtLimit => "at_limit",
            Self::AboveFeatures => "above_features",
            Self::BeyondSample => "beyond_sample",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of [`Flag`]s. Its text is their names, with commas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Whether a flag is set.
    #[must_use]
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Whether nothing is doubtful.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags that are set.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }

    /// With one more, if `when`.
    #[must_use]
    pub(super) fn with(self, flag: Flag, when: bool) -> Self {
        Self(self.0 | if when { flag.bit() } else { 0 })
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, flag) in self.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            f.write_str(flag.name())?;
        }
        Ok(())
    }
}
