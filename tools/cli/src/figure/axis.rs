//! Limits, ticks and numbers of an axis.

use std::sync::Arc;

use kuva::render::layout::TickFormat;

use super::Scale;

/// Limits and ticks of one axis, in the units that the plotting library sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) step: f64,
    pub(super) scale: Scale,
}

impl Axis {
    /// A little more than `low..high`, unless the limits are `fixed`, with about five round ticks.
    pub(super) fn linear(low: f64, high: f64, fixed: bool) -> Self {
        // Room in proportion to the data; to the size of a constant, so that ticks stay apart.
        let room = if fixed {
            0.0
        } else if high > low {
            0.03 * (high - low)
        } else if low != 0.0 {
            0.1 * low.abs()
        } else {
            1.0
        };
        // An axis that starts or ends at zero keeps doing so.
        let below = if low == 0.0 && high > 0.0 { 0.0 } else { room };
        let above = if high == 0.0 && low < 0.0 { 0.0 } else { room };
        let (low, high) = ((low - below).max(-1e300), (high + above).min(1e300));
        let raw = (high - low).max(1e-300) / 5.0;
        let magnitude = 10f64.powf(raw.log10().floor());
        let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
        let factor = factors.into_iter().find(|f| f * magnitude >= raw * 0.8).unwrap_or(10.0);
        Self { low, high, step: factor * magnitude, scale: Scale::Linear }
    }

    /// Whole decades around `low..high`, both already logarithms, unless they are `fixed`.
    pub(super) fn log(low: f64, high: f64, fixed: bool) -> Self {
        let (low, high) = if fixed { (low, high) } else { (low.floor(), high.ceil()) };
        let high = if high > low { high } else { low + 1.0 };
        let step = ((high - low) / 6.0).ceil().max(1.0);
        if fixed {
            return Self { low, high, step, scale: Scale::Log };
        }
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high, step, scale: Scale::Log }
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    pub(super) fn clamp(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    pub(super) fn tick_format(&self) -> TickFormat {
        let Self { low, high, step, scale } = *self;
        TickFormat::Custom(Arc::new(move |value| match scale {
            Scale::Log => power_of_ten(value),
            Scale::Linear => decimal(value, step, low.abs().max(high.abs())),
        }))
    }
}

/// `10⁻³` for −3.
pub(super) fn power_of_ten(exponent: f64) -> String {
    let digits: String = format!("{exponent:.0}")
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            digit => digit.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(digit),
        })
        .collect();
    format!("10{digits}")
}

/// `value` with as many digits as ticks that are `step` apart need to differ, in one notation for
/// an axis that reaches to `size`.
pub(super) fn decimal(value: f64, step: f64, size: f64) -> String {
    if value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    let strip = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    // One digit more than the step's own first, for steps like 2.5.
    let place = step.log10().floor() - 1.0;
    if (1e-3..1e5).contains(&size) {
        strip(&format!("{value:.*}", (-place).clamp(0.0, 17.0) as usize))
    } else {
        let digits = (value.abs().log10().floor() - place).clamp(0.0, 17.0) as usize;
        let text = format!("{value:.digits$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{}e{exponent}", strip(mantissa))
    }
}
