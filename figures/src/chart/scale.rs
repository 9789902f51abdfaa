//! From numbers to places on an axis, and the ticks of the axis.

/// An axis in use: the range of numbers and the places of its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

/// A number for people, with a real minus sign.
pub(super) fn with_minus(text: &str) -> String {
    text.replace('-', "−")
}

impl Scale {
    /// A scale over a range of numbers, which is widened if there is nothing in it. A logarithmic
    /// one needs numbers above 0.
    pub fn new(log: bool, (low, high): (f64, f64), (from, to): (f64, f64)) -> Scale {
        let usable = low.is_finite() && high.is_finite() && (!log || low > 0.0);
        let (low, high) = if usable { (low, high) } else { (1.0, 1.0) };
        let (low, high) = match (high > low, log) {
            (true, _) => (low, high),
            (false, true) => (low / 2.0, low * 2.0),
            (false, false) => (low - low.abs().max(1.0) / 2.0, low + low.abs().max(1.0) / 2.0),
        };
        Scale { log, low, high, from, to }
    }

    /// The same with a part of its length free at each end.
    pub fn padded(self, part: f64) -> Scale {
        let (low, high) = (self.inner(self.low), self.inner(self.high));
        let pad = part * (high - low);
        let outer = |value: f64| if self.log { libm::pow(10.0, value) } else { value };
        Scale { low: outer(low - pad), high: outer(high + pad), ..self }
    }

    fn inner(&self, value: f64) -> f64 {
        if self.log { libm::log10(value) } else { value }
    }

    /// The place of a number; `None` if it has none.
    pub fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || (self.log && value <= 0.0) {
            return None;
        }
        let (low, high) = (self.inner(self.low), self.inner(self.high));
        Some(self.from + (self.inner(value) - low) / (high - low) * (self.to - self.from))
    }

    /// The range of numbers.
    pub fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Numbers with their labels: at most one for each `space` units of the axis' length.
    pub fn ticks(&self, space: f64) -> Vec<(f64, String)> {
        let most = ((self.to - self.from).abs() / space).floor().max(2.0);
        if self.log {
            let ticks = self.log_ticks(most);
            if ticks.len() >= 2 {
                return ticks;
            }
        }
        linear_ticks(self.low, self.high, most)
    }

    fn log_ticks(&self, most: f64) -> Vec<(f64, String)> {
        let (first, last) =
            (libm::log10(self.low).floor() as i32, libm::log10(self.high).ceil() as i32);
        let within =
            |value: f64| value >= self.low * (1.0 - 1e-9) && value <= self.high * (1.0 + 1e-9);
        let of = |mantissas: &[f64], every: usize| -> Vec<f64> {
            let decades = (first..=last).step_by(every);
            decades
                .flat_map(|d| mantissas.iter().map(move |m| m * libm::pow(10.0, f64::from(d))))
                .filter(|v| within(*v))
                .collect()
        };
        let choices = [
            of(&[1.0, 2.0, 5.0], 1),
            of(&[1.0, 3.0], 1),
            of(&[1.0], 1),
            of(&[1.0], 2),
            of(&[1.0], 3),
            of(&[1.0], 6),
        ];
        let chosen =
            choices.into_iter().find(|values| values.len() as f64 <= most).unwrap_or_default();
        chosen.into_iter().map(|value| (value, compact(value))).collect()
    }
}

/// A round number in few characters: 300K, 2M, 0.001, 1e-5.
pub(super) fn compact(value: f64) -> String {
    let magnitude = value.abs();
    // Drops the error that computing a tick has added in the last digit.
    let plain =
        |value: f64| format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned();
    let text = match magnitude {
        0.0 => "0".to_owned(),
        m if !(9.99e-4..9.999e8).contains(&m) => {
            let text = format!("{value:.2e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        m if m >= 9.999e5 => format!("{}M", plain(value / 1e6)),
        m if m >= 9.999e3 => format!("{}K", plain(value / 1e3)),
        _ => plain(value),
    };
    with_minus(&text)
}

fn linear_ticks(low: f64, high: f64, most: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / most;
    let power = libm::pow(10.0, libm::log10(rough).floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power);
    let decimals = (-libm::log10(step).floor()).clamp(0.0, 12.0) as usize;
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    // One label alone says nothing about the scale.
    if last - first < 1 && most < 100.0 {
        return linear_ticks(low, high, 2.0 * most);
    }
    // Labels with K and M only where all of them are whole.
    let large = step >= 1e3 || (step >= 1e2 && high.abs().max(low.abs()) >= 1e4);
    let label = |value: f64| {
        if large || step < 1e-9 {
            compact(value)
        } else {
            with_minus(&format!("{value:.decimals$}"))
        }
    };
    (first..=last)
        .take(100)
        .map(|i| i as f64 * step)
        .map(|value| (value, if value == 0.0 { "0".to_owned() } else { label(value) }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(log: bool, low: f64, high: f64) -> String {
        let ticks = Scale::new(log, (low, high), (0.0, 500.0)).ticks(60.0);
        ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_their_labels_short() {
        assert_eq!(labels(false, -0.103, 0.031), "−0.10 −0.08 −0.06 −0.04 −0.02 0 0.02");
        assert_eq!(labels(false, 0.0, 300_000.0), "0 50K 100K 150K 200K 250K 300K");
        assert_eq!(labels(false, 3.0, 3.0), "1.5 2.0 2.5 3.0 3.5 4.0 4.5");
        assert_eq!(labels(true, 100.0, 300_000.0), "100 300 1000 3000 10K 30K 100K 300K");
        assert_eq!(labels(true, 1e-7, 1.0), "1e−7 1e−6 1e−5 1e−4 0.001 0.01 0.1 1");
        let few = Scale::new(false, (-8.0, 8.4), (0.0, 90.0)).ticks(48.0);
        assert_eq!(few.into_iter().map(|(value, _)| value).collect::<Vec<_>>(), [-5.0, 0.0, 5.0]);
        // Less than a decade has no decades to label.
        assert_eq!(labels(true, 3.0, 4.0), "3.0 3.2 3.4 3.6 3.8 4.0");
        assert_eq!(labels(true, 0.0, 4.0), labels(true, 1.0, 1.0));
    }

    #[test]
    fn what_has_no_logarithm_has_no_place() {
        let scale = Scale::new(true, (1.0, 100.0), (0.0, 10.0));
        assert_eq!(
            [scale.place(10.0), scale.place(0.0), scale.place(f64::NAN)],
            [Some(5.0), None, None]
        );
        assert_eq!(Scale::new(false, (1.0, 3.0), (10.0, 0.0)).place(1.5), Some(7.5));
    }
}
