//! Values of options, with messages that say what was expected.

/// A whole number.
pub fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number of 0 or more".to_owned())
}

/// A whole number, for what is counted in the memory.
pub fn size(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number of 0 or more".to_owned())
}

/// A whole number between two others.
pub fn between<const LEAST: u16, const MOST: u16>(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {LEAST} to {MOST}"))
}

/// A share, such as 0.02 for two percent.
pub fn share(text: &str) -> Result<f64, String> {
    finite(text).ok_or_else(|| "expected a share, such as 0.02 for two percent".to_owned())
}

/// A confidence, such as 0.95 for 95 percent.
pub fn confidence(text: &str) -> Result<f64, String> {
    finite(text).filter(|value| 0.5 <= *value && *value < 1.0).ok_or_else(|| {
        "expected a share from 0.5 to below 1, such as 0.95 for 95 percent".to_owned()
    })
}

/// NAME=VALUE
pub fn setting(text: &str) -> Result<(String, f64), String> {
    // The last one: a program in front of the name may be a file.
    let (name, value) = text.rsplit_once('=').ok_or("expected NAME=VALUE, such as beta1=0.95")?;
    let value = finite(value.trim())
        .ok_or_else(|| format!("expected a finite number after the `=`, not {value:?}"))?;
    Ok((name.trim().to_owned(), value))
}

/// Parses a divisor of a learning rate: a number above 0.
pub fn factor(text: &str) -> Result<f64, String> {
    finite(text)
        .filter(|factor| *factor > 0.0)
        .ok_or_else(|| "expected a number above 0, such as 3".to_owned())
}

/// A time in seconds that some work may take.
pub fn seconds(text: &str) -> Result<f64, String> {
    const MOST: f64 = 3600.0;
    let seconds = finite(text).filter(|seconds| *seconds > 0.0 && *seconds <= MOST);
    seconds.ok_or_else(|| {
        format!("expected a time in seconds, above 0 and at most {MOST}, such as 0.5")
    })
}

/// A time limit in seconds.
pub fn limit(text: &str) -> Result<f64, String> {
    finite(text)
        .filter(|seconds| *seconds > 0.0)
        .ok_or_else(|| "expected a time in seconds, above 0, such as 600".to_owned())
}

/// A time: a whole number and s, m or h.
pub fn time(text: &str) -> Result<std::time::Duration, String> {
    let parsed = [('s', 1u64), ('m', 60), ('h', 3600)].into_iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds).filter(|seconds| (1..=31_536_000).contains(seconds))
    });
    parsed
        .map(std::time::Duration::from_secs)
        .ok_or_else(|| "expected a time, such as 90s, 10m or 2h".to_owned())
}

/// A time between two lines in seconds, or 0 for none.
pub fn interval(text: &str) -> Result<f64, String> {
    const MOST: f64 = 1e6;
    let seconds = finite(text).filter(|seconds| (0.0..=MOST).contains(seconds));
    seconds
        .ok_or_else(|| format!("expected a time in seconds from 0 (never) to {MOST}, such as 60"))
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A name is one directory below runs/, and nothing else.
pub fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('.') || text.contains(['/', '\\']) {
        return Err("expected a name without `/` and without a dot in front; --store takes a path"
            .to_owned());
    }
    Ok(text.to_owned())
}
