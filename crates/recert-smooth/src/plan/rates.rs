//! How often h leaves the class of f, learned from other inputs.

/// Two proportions that hold over inputs, to a rough degree.
///
/// With `q = P(f != c)` on an input, `P(h != c | f = c)` is about `loss * q` and
/// `P(h != c | f decided for c)` about `decided * q`: both networks err near the
/// same boundary, and how near an input's copies lie to it is what q measures.
/// (Measured on ResNet-20 under noise 0.25 to 1.0: `loss` is 0.002 for fp16,
/// 0.05 to 0.08 for int8 and 10 % pruning, 0.1 to 0.35 for 20 %, much the same
/// for q from 0.005 to 0.4.) And an undecided copy is not of class c with about
/// `(1 - exp(-q/0.055))/2`, whatever h is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Chance that h leaves c where f answered c, over q.
    pub loss: f64,
    /// The same where f was decided.
    pub decided: f64,
}

impl Default for Rates {
    /// Those of an int8 network, where nothing is known.
    fn default() -> Self {
        Self {
            loss: 0.06,
            decided: 0.005,
        }
    }
}

/// What was seen on other inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Seen {
    /// Copies that f answered with c, each counted with its input's q.
    pub(crate) exposure: f64,
    /// Those of them that h left.
    pub(crate) lost: f64,
    /// The same for decided copies.
    pub(crate) decided_exposure: f64,
    pub(crate) decided_lost: f64,
}

impl Seen {
    /// Adds one paired copy of an input with this q.
    pub(crate) fn add(&mut self, q: f64, decided: bool, lost: bool) {
        self.exposure += q;
        self.lost += f64::from(u8::from(lost));
        if decided {
            self.decided_exposure += q;
            self.decided_lost += f64::from(u8::from(lost));
        }
    }

    /// The rates, with half an event of the default thrown in.
    pub(crate) fn rates(&self) -> Rates {
        let default = Rates::default();
        let rate = |lost: f64, exposure: f64, guess: f64| {
            ((lost + 0.5) / (exposure + 0.5 / guess)).clamp(1e-4, 2.0)
        };
        let loss = rate(self.lost, self.exposure, default.loss);
        let decided = rate(self.decided_lost, self.decided_exposure, default.decided);
        Rates {
            loss,
            decided: decided.min(loss),
        }
    }
}

impl Rates {
    /// `P(h != c | f = c)` where `P(f != c)` is q.
    pub(crate) fn lost(self, q: f64) -> f64 {
        (self.loss * q).min(0.5)
    }

    /// `P(h != c | f decided for c)`.
    pub(crate) fn lost_decided(self, q: f64) -> f64 {
        (self.decided * q).clamp(1e-7, 0.5)
    }

    /// `P(h != c | f undecided)`.
    pub(crate) fn other_undecided(q: f64) -> f64 {
        (0.5 * (1.0 - (-q / 0.055).exp())).clamp(1e-4, 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_seen_leaves_the_default_and_much_seen_replaces_it() {
        let mut seen = Seen::default();
        assert_eq!(seen.rates(), Rates::default());
        for i in 0..100_000 {
            seen.add(0.2, i % 2 == 0, i % 50 == 0);
        }
        let rates = seen.rates();
        assert!((rates.loss - 0.1).abs() < 0.002, "{rates:?}");
        assert!((rates.decided - 0.2).abs() < 0.11, "{rates:?}");
    }
}
