//! Statistics over the samples of interleaved rounds.

/// The times of one contender: nanoseconds per step, one for each round; `None` where it gave none.
pub type Samples = Vec<Option<f64>>;

/// The middle value, or the mean of the two in the middle; `None` of no values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        Some(values[middle])
    } else {
        Some((values.get(middle.checked_sub(1)?)? + values[middle]) / 2.0)
    }
}

/// The median over the rounds of one time divided by another of the same round: what disturbs a
/// whole round does not count.
pub fn median_ratio(numerator: &[Option<f64>], denominator: &[Option<f64>]) -> Option<f64> {
    median(numerator.iter().zip(denominator).filter_map(|(a, b)| Some((*a)? / (*b)?)))
}

/// The samples with the smallest median. Not the fastest of each round: the more contenders, the
/// more that would tell of luck.
pub fn fastest<'a>(contenders: impl Iterator<Item = &'a Samples>) -> Option<&'a Samples> {
    let medians = contenders
        .filter_map(|samples| Some((median(samples.iter().copied().flatten())?, samples)));
    medians.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, samples)| samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0]), Some(5.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 100.0, 2.0]), Some(3.0));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // Twice as slow in every round, on a machine that slows down.
        let (a, b) = ([Some(2.0), Some(4.0), Some(40.0)], [Some(1.0), Some(2.0), Some(20.0)]);
        assert_eq!(median_ratio(&a, &b), Some(2.0));
        // Rounds that one of the two missed don't count.
        assert_eq!(median_ratio(&[Some(6.0), None, Some(9.0)], &[Some(2.0), Some(1.0)]), Some(3.0));
        assert_eq!(median_ratio(&[None], &[Some(1.0)]), None);
    }

    #[test]
    fn the_fastest_is_so_in_the_middle_of_its_rounds() {
        let (lucky, steady, absent) =
            (vec![Some(1.0), Some(5.0), Some(6.0)], vec![Some(3.0), None, Some(3.5)], vec![None]);
        assert_eq!(fastest([&lucky, &steady, &absent].into_iter()), Some(&steady));
        assert_eq!(fastest([&absent].into_iter()), None);
    }
}
