//! Medians, and what surrounds them.

/// The resolution of the times that EXPLAIN prints, in milliseconds.
const EXPLAIN_RESOLUTION: f64 = 0.001;

/// Median and quartiles of some measurements.
#[derive(Clone, Copy)]
pub struct Summary {
    /// A quarter is below.
    pub lower: f64,
    /// Half is below.
    pub median: f64,
    /// A quarter is above.
    pub upper: f64,
}

impl Summary {
    /// Of measurements as they are. `None` without any.
    pub fn of(samples: &[f64]) -> Option<Summary> {
        let sorted = sorted(samples);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        (!sorted.is_empty()).then(|| Summary { lower: at(0.25), median: at(0.5), upper: at(0.75) })
    }

    /// Of times that EXPLAIN printed. Its microseconds are coarse for a query of ten of them, so the median is
    /// interpolated within its step (the median of grouped data).
    pub fn of_explain(samples: &[f64]) -> Option<Summary> {
        let plain = Summary::of(samples)?;
        let below =
            samples.iter().filter(|sample| **sample < plain.median - EXPLAIN_RESOLUTION / 2.0).count();
        let within = samples.iter().filter(|s| (**s - plain.median).abs() < EXPLAIN_RESOLUTION / 2.0).count();
        let share = (samples.len() as f64 / 2.0 - below as f64) / within as f64;
        Some(Summary { median: plain.median + (share - 0.5) * EXPLAIN_RESOLUTION, ..plain })
    }
}

/// The ratios of measurements taken in the same round.
pub fn paired_ratios(numerator: &[f64], denominator: &[f64]) -> Vec<f64> {
    numerator.iter().zip(denominator).map(|(n, d)| n / d.max(EXPLAIN_RESOLUTION / 2.0)).collect()
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Random numbers for the order of the contenders (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// Shuffles in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
