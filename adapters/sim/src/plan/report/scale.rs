//! Scales of chart axes, and their ticks.

/// How an axis grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From `low` to `high` by equal steps.
    Linear { low: f64, high: f64, step: f64 },
    /// From `low` to `high`, both above 0, by equal factors.
    Logarithmic { low: f64, high: f64 },
}

/// A tick of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

impl Scale {
    /// A scale that holds all values.
    pub(super) fn new(is_logarithmic: bool, values: impl Iterator<Item = f64>) -> Self {
        if is_logarithmic { Self::logarithmic(values) } else { Self::linear(values) }
    }

    /// A scale from 0 that holds all values, with at most six steps.
    fn linear(values: impl Iterator<Item = f64>) -> Self {
        let most = values.fold(0.0, f64::max).max(1e-9);
        let step = nice(most / 5.0);
        Self::Linear { low: 0.0, high: (most / step).ceil() * step, step }
    }

    /// A scale that holds all values above 0.
    fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self::Logarithmic { low: 0.1, high: 1.0 };
        }
        // A little room, so that nothing lies on the frame.
        Self::Logarithmic { low: low / 1.15, high: high * 1.15 }
    }

    /// The place of a value: 0 at the low end, 1 at the high end.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear { low, high, .. } => (value - low) / (high - low),
            Self::Logarithmic { low, high } => {
                (value.max(low).log10() - low.log10()) / (high.log10() - low.log10())
            }
        }
    }

    /// Its ticks.
    pub(super) fn ticks(self) -> Vec<Tick> {
        match self {
            Self::Linear { low, high, step } => {
                let count = ((high - low) / step).round() as u32;
                (0..=count).map(|nth| Tick::new(low + f64::from(nth) * step)).collect()
            }
            Self::Logarithmic { low, high } => decades(low, high),
        }
    }
}

impl Tick {
    fn new(at: f64) -> Self {
        // Twelve digits hide what adding steps leaves behind.
        let rounded = (at * 1e6).round() / 1e6;
        Self { at, label: format!("{rounded}") }
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn nice(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= least * 0.999);
    step.unwrap_or(10.0) * power
}

/// Powers of ten; the fewer there are, the more between them.
fn decades(low: f64, high: f64) -> Vec<Tick> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let between: &[f64] = match high / low {
        wide if wide > 1e4 => &[1.0],
        narrow if narrow < 8.0 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        _ => &[1.0, 2.0, 5.0],
    };
    (first..=last)
        .flat_map(|power| between.iter().map(move |step| step * 10_f64.powi(power)))
        .filter(|at| (low..=high).contains(at))
        .map(Tick::new)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn a_linear_scale_begins_at_nothing_and_has_round_steps() {
        let scale = Scale::linear([3.0, 7.2].into_iter());
        assert_eq!(labels(scale), ["0", "2", "4", "6", "8"]);
        assert_eq!((scale.place(0.0), scale.place(4.0)), (0.0, 0.5));
        assert_eq!(labels(Scale::linear([0.31].into_iter())), ["0", "0.1", "0.2", "0.3", "0.4"]);
    }

    #[test]
    fn a_logarithmic_scale_has_equal_factors_at_equal_distances() {
        let scale = Scale::Logarithmic { low: 0.1, high: 10.0 };
        assert!((scale.place(1.0) - 0.5).abs() < 1e-12);
        assert_eq!(labels(scale), ["0.1", "0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(labels(Scale::logarithmic([14.0, 31.0].into_iter())), ["15", "20", "30"]);
    }

    #[test]
    fn a_scale_of_nothing_is_a_scale() {
        assert!(!Scale::linear(std::iter::empty()).ticks().is_empty());
        assert!(!Scale::logarithmic(std::iter::empty()).ticks().is_empty());
    }
}
