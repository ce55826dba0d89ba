//! Whether Weighted Random selects by weight (RFC 5356, 4.4): the weights of
//! the first elements of answers, against what the weights of their pools
//! make probable.

use crate::population::WEIGHTS;

/// How far an honest registrar may be from the expectation, in standard
/// deviations. One honest run in ten thousand million goes beyond.
const DEVIATIONS_MAX: f64 = 6.5;

/// Below this variance a normal distribution says too little.
const VARIANCE_MIN: f64 = 50.0;

/// Selections by weight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    selected: [u64; WEIGHTS],
    expected: [f64; WEIGHTS],
    variance: [f64; WEIGHTS],
}

impl Spread {
    /// Counts an answer that starts with an element of weight `weight`, from
    /// a pool with so many elements of each weight.
    pub(super) fn add(&mut self, weights: &[u32; WEIGHTS], weight: usize) {
        let shares = weights.iter().zip(0_u32..).map(|(&n, w)| f64::from(n) * f64::from(w));
        let sum: f64 = shares.clone().sum();
        if sum <= 0.0 {
            return;
        }
        for (class, share) in shares.enumerate() {
            let probability = share / sum;
            self.expected[class] += probability;
            self.variance[class] += probability * (1.0 - probability);
        }
        if let Some(selected) = self.selected.get_mut(weight) {
            *selected += 1;
        }
    }

    /// Adds those of another client thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        for class in 0..WEIGHTS {
            self.selected[class] += other.selected[class];
            self.expected[class] += other.expected[class];
            self.variance[class] += other.variance[class];
        }
    }

    /// The largest deviation of a weight's share from its expectation, in
    /// standard deviations; `None` if there were too few selections.
    pub(crate) fn deviation(&self) -> Option<f64> {
        (0..WEIGHTS)
            .filter(|&class| self.variance[class] > VARIANCE_MIN)
            .map(|class| {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
                let selected = self.selected[class] as f64;
                (selected - self.expected[class]).abs() / self.variance[class].sqrt()
            })
            .reduce(f64::max)
    }

    /// Whether the selections cannot have been by weight.
    pub(crate) fn is_wrong(&self) -> bool {
        self.deviation().is_some_and(|deviation| deviation > DEVIATIONS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Purpose, draw_below};

    const WEIGHTS_OF_POOL: [u32; WEIGHTS] = [3, 10, 5, 0, 5];

    fn selected(index: u64, by_weight: bool) -> usize {
        let ballots: Vec<usize> = WEIGHTS_OF_POOL
            .iter()
            .enumerate()
            .flat_map(|(weight, &count)| {
                let each = if by_weight { weight } else { usize::from(weight > 0) };
                std::iter::repeat_n(weight, count as usize * each)
            })
            .collect();
        let bound = u32::try_from(ballots.len()).unwrap();
        ballots[draw_below(5, Purpose::Element, index, bound) as usize]
    }

    #[test]
    fn selection_by_weight_passes() {
        let mut spread = Spread::default();
        for index in 0..20_000 {
            spread.add(&WEIGHTS_OF_POOL, selected(index, true));
        }
        assert!(spread.deviation().unwrap() < 4.0, "{:?}", spread.deviation());
        assert!(!spread.is_wrong());
    }

    #[test]
    fn uniform_selection_is_wrong() {
        let mut spread = Spread::default();
        for index in 0..20_000 {
            spread.add(&WEIGHTS_OF_POOL, selected(index, false));
        }
        assert!(spread.is_wrong());
    }

    #[test]
    fn few_selections_say_nothing() {
        let mut spread = Spread::default();
        spread.add(&WEIGHTS_OF_POOL, 1);
        spread.add(&[0; WEIGHTS], 1);
        assert_eq!(spread.deviation(), None);
    }
}
