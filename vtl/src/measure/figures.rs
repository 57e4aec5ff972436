//! From measurements to figures.

use std::time::Duration;

/// Bytes as MB, 1 MB being 1 000 000 B.
#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
pub fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// The middle one; 0 of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The lowest and the highest.
pub fn spread(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, 0.0), |(low, high), value| (low.min(*value), high.max(*value)))
}

/// What half of the times and 99 in 100 of them do not exceed, in microseconds.
pub fn percentiles(mut times: Vec<Duration>) -> (u128, u128) {
    times.sort();
    let at = |percent: usize| {
        times.get(times.len().saturating_sub(1) * percent / 100).map_or(0, Duration::as_micros)
    };
    (at(50), at(99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_few_measurements() {
        assert!((median(vec![9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 3.0));
        let times = (1..=100).map(Duration::from_micros).rev().collect();
        assert_eq!(percentiles(times), (50, 99));
        assert_eq!(percentiles(Vec::new()), (0, 0));
    }
}
