//! The line search of Moré and Thuente: sufficient decrease and curvature, inside an interval.

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Search {
    /// Evaluate at this step.
    Try(f64),
    /// The last step fulfils both conditions.
    Done,
    /// No further progress: rounding, or the end of the interval.
    Stuck,
}

/// f(t) ≤ f(0) + `FALL` t f′(0).
const FALL: f64 = 1e-3;
/// |f′(t)| ≤ `CURVATURE` |f′(0)|.
const CURVATURE: f64 = 0.9;
/// Relative width of an interval that is not divided further.
const WIDTH: f64 = 0.1 * f64::EPSILON;

/// A point on the line.
#[derive(Clone, Copy, Debug)]
struct Point {
    step: f64,
    value: f64,
    slope: f64,
}

/// The state of one search.
///
/// Source: J. Moré and D. Thuente, *Line search algorithms with guaranteed sufficient decrease*,
/// ACM TOMS 20 (1994), section 4 and MINPACK-2's `dcsrch`. Departure: a step whose value or slope
/// is not a number is cut to a tenth of the way from the best point.
#[derive(Debug)]
pub(super) struct MoreThuente {
    start: Point,
    best: Point,
    other: Point,
    bracketed: bool,
    first_stage: bool,
    step: f64,
    longest: f64,
    /// Bounds of the next step.
    low: f64,
    high: f64,
    width: f64,
    last_width: f64,
}

impl MoreThuente {
    /// A search from value and slope < 0 at 0, up to the step `longest`; the first is `step`.
    pub fn new(value: f64, slope: f64, step: f64, longest: f64) -> Self {
        let start = Point { step: 0.0, value, slope };
        let width = longest;
        Self {
            start,
            best: start,
            other: start,
            bracketed: false,
            first_stage: true,
            step: step.min(longest),
            longest,
            low: 0.0,
            high: step + 4.0 * step,
            width,
            last_width: 2.0 * width,
        }
    }

    pub fn step(&self) -> f64 {
        self.step
    }

    /// Takes value and slope at the step that was asked for.
    pub fn next(&mut self, value: f64, slope: f64) -> Search {
        let step = self.step;
        if !(value.is_finite() && slope.is_finite()) {
            self.longest = self.longest.min(step);
            self.step = self.best.step + 0.1 * (step - self.best.step);
            if self.step <= self.best.step || self.step == step {
                return Search::Stuck;
            }
            (self.low, self.high) = (self.best.step.min(self.step), step);
            return Search::Try(self.step);
        }
        let test = self.start.value + step * FALL * self.start.slope;
        if self.first_stage && value <= test && slope >= 0.0 {
            self.first_stage = false;
        }
        let narrow = self.high - self.low <= WIDTH * self.high;
        let stuck = (self.bracketed && (step <= self.low || step >= self.high || narrow))
            || (step == self.longest && value <= test && slope <= FALL * self.start.slope)
            || (step == 0.0);
        if value <= test && slope.abs() <= CURVATURE * -self.start.slope {
            return Search::Done;
        }
        if stuck {
            return Search::Stuck;
        }
        let now = Point { step, value, slope };
        // In the first stage the function minus the line of sufficient decrease is minimised.
        if self.first_stage && value <= self.best.value && value > test {
            let tilt = FALL * self.start.slope;
            let tilted =
                |p: Point| Point { value: p.value - p.step * tilt, slope: p.slope - tilt, ..p };
            let straight =
                |p: Point| Point { value: p.value + p.step * tilt, slope: p.slope + tilt, ..p };
            self.best = tilted(self.best);
            self.other = tilted(self.other);
            self.shrink(tilted(now));
            self.best = straight(self.best);
            self.other = straight(self.other);
        } else {
            self.shrink(now);
        }
        if self.bracketed {
            let width = (self.other.step - self.best.step).abs();
            if width >= 0.66 * self.last_width {
                self.step = self.best.step + 0.5 * (self.other.step - self.best.step);
            }
            (self.last_width, self.width) = (self.width, width);
            self.low = self.best.step.min(self.other.step);
            self.high = self.best.step.max(self.other.step);
        } else {
            self.low = self.step + 1.1 * (self.step - self.best.step);
            self.high = self.step + 4.0 * (self.step - self.best.step);
        }
        self.step = self.step.clamp(0.0, self.longest);
        if self.bracketed
            && (self.step <= self.low
                || self.step >= self.high
                || self.high - self.low <= WIDTH * self.high)
        {
            self.step = self.best.step;
        }
        Search::Try(self.step)
    }

    /// Updates the interval and the step: MINPACK-2's `dcstep`.
    fn shrink(&mut self, now: Point) {
        let (best, other) = (self.best, self.other);
        let opposite = now.slope * best.slope.signum() < 0.0;
        let reach = now.step - best.step;
        let cubic = |theta: f64, spare: bool| {
            let size = theta.abs().max(best.slope.abs()).max(now.slope.abs());
            let square = (theta / size).powi(2) - (best.slope / size) * (now.slope / size);
            size * if spare { square.max(0.0) } else { square }.sqrt()
        };
        let theta = 3.0 * (best.value - now.value) / reach + best.slope + now.slope;
        let secant = now.step + now.slope / (now.slope - best.slope) * (best.step - now.step);
        let next;
        if now.value > best.value {
            // Higher: the minimum is between.
            let gamma = cubic(theta, false) * if now.step < best.step { -1.0 } else { 1.0 };
            let r = (gamma - best.slope + theta) / (gamma - best.slope + gamma + now.slope);
            let c = best.step + r * reach;
            let fall = (best.value - now.value) / reach + best.slope;
            let q = best.step + 0.5 * (best.slope / fall) * reach;
            let near = (c - best.step).abs() < (q - best.step).abs();
            next = if near { c } else { c + 0.5 * (q - c) };
            self.bracketed = true;
        } else if opposite {
            // Lower, and behind the minimum.
            let gamma = cubic(theta, false) * if now.step > best.step { -1.0 } else { 1.0 };
            let r = (gamma - now.slope + theta) / (gamma - now.slope + gamma + best.slope);
            let c = now.step + r * (best.step - now.step);
            let far = (c - now.step).abs() > (secant - now.step).abs();
            next = if far { c } else { secant };
            self.bracketed = true;
        } else if now.slope.abs() < best.slope.abs() {
            // Lower, flatter: the cubic may have no minimum that way.
            let gamma = cubic(theta, true) * if now.step > best.step { -1.0 } else { 1.0 };
            let r = (gamma - now.slope + theta) / (gamma + (best.slope - now.slope) + gamma);
            let c = if r < 0.0 && gamma != 0.0 {
                now.step + r * (best.step - now.step)
            } else if now.step > best.step {
                self.longest
            } else {
                0.0
            };
            let near = (c - now.step).abs() < (secant - now.step).abs();
            if self.bracketed {
                let chosen = if near { c } else { secant };
                let guard = now.step + 0.66 * (other.step - now.step);
                next = if now.step > best.step { guard.min(chosen) } else { guard.max(chosen) };
            } else {
                let chosen = if near { secant } else { c };
                let (low, high) = (self.low.max(0.0), self.high.min(self.longest));
                next = chosen.clamp(low.min(high), high);
            }
        } else if self.bracketed {
            let reach = other.step - now.step;
            let theta = 3.0 * (now.value - other.value) / reach + other.slope + now.slope;
            let size = theta.abs().max(other.slope.abs()).max(now.slope.abs());
            let square = (theta / size).powi(2) - (other.slope / size) * (now.slope / size);
            let gamma = size * square.sqrt() * if now.step > other.step { -1.0 } else { 1.0 };
            let r = (gamma - now.slope + theta) / (gamma - now.slope + gamma + other.slope);
            next = now.step + r * reach;
        } else {
            next = if now.step > best.step { self.longest } else { 0.0 };
        }
        if now.value > best.value {
            self.other = now;
        } else {
            if opposite {
                self.other = best;
            }
            self.best = now;
        }
        // Where the interpolation was not a number the interval is halved.
        self.step = if next.is_finite() { next } else { 0.5 * (best.step + now.step) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moré and Thuente's functions 1 to 3, from steps far too short to far too long.
    #[test]
    fn both_conditions_hold_on_the_published_functions() {
        let functions: [fn(f64) -> (f64, f64); 3] = [
            |t| (-t / (t * t + 2.0), (t * t - 2.0) / (t * t + 2.0).powi(2)),
            |t| {
                let s = t + 0.004;
                (s.powi(5) - 2.0 * s.powi(4), 5.0 * s.powi(4) - 8.0 * s.powi(3))
            },
            |t| {
                let (beta, l) = (0.01, 39.0);
                let (base, slope) = if t <= 1.0 - beta {
                    (1.0 - t, -1.0)
                } else if t >= 1.0 + beta {
                    (t - 1.0, 1.0)
                } else {
                    ((t - 1.0).powi(2) / (2.0 * beta) + beta / 2.0, (t - 1.0) / beta)
                };
                let angle = l * std::f64::consts::FRAC_PI_2 * t;
                let wave = 2.0 * (1.0 - beta) / (l * std::f64::consts::PI);
                (base + wave * angle.sin(), slope + (1.0 - beta) * angle.cos())
            },
        ];
        for (number, f) in functions.iter().enumerate() {
            for first in [1e-3, 1e-1, 1.0, 10.0, 1e3] {
                let (value, slope) = f(0.0);
                let mut search = MoreThuente::new(value, slope, first, 1e4);
                let mut count = 0;
                loop {
                    count += 1;
                    assert!(count < 40, "function {number} from {first}");
                    let t = search.step();
                    let (v, s) = f(t);
                    match search.next(v, s) {
                        Search::Try(_) => {}
                        Search::Stuck => panic!("function {number} from {first} stuck at {t}"),
                        Search::Done => {
                            assert!(v <= value + FALL * t * slope);
                            assert!(s.abs() <= CURVATURE * slope.abs());
                            break;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn steps_to_where_there_is_no_value_are_cut() {
        let f = |t: f64| if t < 0.5 { (t * t - t, 2.0 * t - 1.0) } else { (f64::NAN, 0.0) };
        let (value, slope) = f(0.0);
        let mut search = MoreThuente::new(value, slope, 100.0, 1e4);
        for _ in 0..60 {
            let (v, s) = f(search.step());
            if search.next(v, s) == Search::Done {
                assert!(v < 0.0);
                return;
            }
        }
        panic!("no step found");
    }
}
