//! What a classifier answers to a batch: logits, or classes alone.

/// The number of a class, counted from 0.
pub type Class = u16;

/// The answers of a classifier to a batch of images.
///
/// Invalid answers (a NaN or an infinite logit, a class number out of range)
/// are answers too: they count against every class, and are reported, but are
/// never an answer *for* a class.
///
/// # Examples
/// ```
/// use recert_engine::Answers;
///
/// let answers = Answers::Logits {
///     classes: 3,
///     values: vec![1.0, 4.0, 2.5, f32::NAN, 0.0, 0.0],
/// };
/// assert_eq!(answers.len(), 2);
/// assert_eq!(answers.class(0), Some(1));
/// assert_eq!(answers.margin(0, 1), Some(1.5));
/// assert_eq!(answers.class(1), None);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Answers {
    /// Row-major logits, `[count, classes]`.
    Logits {
        /// The number of classes, at least 1.
        classes: usize,
        /// `count * classes` values.
        values: Vec<f32>,
    },
    /// One class number per image; `None` where the classifier gave none.
    Classes(Vec<Option<Class>>),
}

impl Answers {
    /// The number of images answered.
    pub fn len(&self) -> usize {
        match self {
            Self::Logits { classes, values } => values.len() / classes,
            Self::Classes(classes) => classes.len(),
        }
    }

    /// Whether no image was answered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether margins can be computed.
    pub fn has_logits(&self) -> bool {
        matches!(self, Self::Logits { .. })
    }

    /// The class of image `i`: the largest logit, ties to the lower index;
    /// `None` if any logit is NaN or infinite.
    pub fn class(&self, i: usize) -> Option<Class> {
        match self {
            Self::Logits { classes, values } => argmax(&values[i * classes..(i + 1) * classes]),
            Self::Classes(classes) => classes[i],
        }
    }

    /// The margin of class `class` on image `i`: its logit less the largest
    /// other logit, in logit units. Positive where the class wins outright;
    /// `None` without logits, for an invalid answer, or with a single class.
    pub fn margin(&self, i: usize, class: Class) -> Option<f32> {
        let Self::Logits { classes, values } = self else {
            return None;
        };
        let row = &values[i * classes..(i + 1) * classes];
        let logit = *row.get(usize::from(class))?;
        let mut other = f32::NEG_INFINITY;
        for (j, &value) in row.iter().enumerate() {
            if !value.is_finite() {
                return None;
            }
            if j != usize::from(class) {
                other = other.max(value);
            }
        }
        let margin = logit - other;
        margin.is_finite().then_some(margin)
    }

    /// Makes the answer to image `i` invalid.
    pub(crate) fn invalidate(&mut self, i: usize) {
        match self {
            Self::Logits { classes, values } => {
                values[i * *classes..(i + 1) * *classes].fill(f32::NAN);
            }
            Self::Classes(classes) => classes[i] = None,
        }
    }

    /// Appends the answers of a further batch of the same kind.
    ///
    /// # Panics
    /// If the two are of different kinds or class counts: a classifier's
    /// answers are of one kind throughout.
    pub fn extend(&mut self, more: Self) {
        match (self, more) {
            (
                Self::Logits { classes, values },
                Self::Logits {
                    classes: more_classes,
                    values: more,
                },
            ) if *classes == more_classes => values.extend(more),
            (Self::Classes(classes), Self::Classes(more)) => classes.extend(more),
            _ => panic!("a classifier changed the kind of its answers"),
        }
    }
}

/// The index of the largest value, ties to the lower index; `None` if any
/// value is NaN or infinite.
fn argmax(row: &[f32]) -> Option<Class> {
    let mut best = 0;
    for (j, &value) in row.iter().enumerate() {
        if !value.is_finite() {
            return None;
        }
        if value > row[best] {
            best = j;
        }
    }
    Class::try_from(best).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(rows: &[[f32; 3]]) -> Answers {
        Answers::Logits {
            classes: 3,
            values: rows.concat(),
        }
    }

    #[test]
    fn ties_go_to_the_lower_index() {
        let answers = logits(&[[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [-1.0, -1.0, -1.0]]);
        assert_eq!(
            (0..3).map(|i| answers.class(i)).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(0)]
        );
    }

    #[test]
    fn a_non_finite_logit_anywhere_makes_the_answer_invalid() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in 0..3 {
                let mut row = [5.0, 1.0, 2.0];
                row[place] = bad;
                let answers = logits(&[row]);
                assert_eq!(answers.class(0), None, "{bad} at {place}");
                assert_eq!(answers.margin(0, 0), None, "{bad} at {place}");
            }
        }
    }

    #[test]
    fn margin_is_own_logit_less_the_largest_other() {
        let answers = logits(&[[1.0, 4.0, 2.5]]);
        assert_eq!(answers.margin(0, 1), Some(1.5));
        assert_eq!(answers.margin(0, 0), Some(-3.0));
        assert_eq!(answers.margin(0, 9), None);
        assert_eq!(Answers::Classes(vec![Some(1)]).margin(0, 1), None);
    }
}
