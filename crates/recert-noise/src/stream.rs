//! The separate streams of noise that one seed feeds, and their numbers on disk.

/// The purpose that a sample's noise is drawn for; samples of different streams are independent.
///
/// The numbers are part of every ledger's identity: they never change, and a
/// number once given is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u32)]
pub enum Stream {
    /// Samples that choose the class and the margin edges, and are used for nothing else (the
    /// n0 samples of Cohen et al. 2019, CERTIFY).
    Selection = 0,
    /// Estimation samples, from which a certificate's counts come, and which a recertification
    /// regenerates.
    Certify = 1,
    /// Samples that the original network has not answered, for bounds from the modified
    /// network's answers alone.
    Fresh = 2,
    /// Samples on which ranges for quantization are calibrated, engines are compared, and a first
    /// look at a network's accuracy is taken: no certificate rests on them.
    Calibration = 3,
    /// Samples for prediction without a radius (Cohen et al. 2019, PREDICT).
    Predict = 4,
    /// Training: initial weights and noise added to training images, so that no network is trained
    /// on the noise that it is certified with, whatever the seeds.
    Train = 5,
}

impl Stream {
    /// All streams known to this version, in the order of their tags.
    pub const ALL: [Self; 6] = [
        Self::Selection,
        Self::Certify,
        Self::Fresh,
        Self::Calibration,
        Self::Predict,
        Self::Train,
    ];

    /// The number that stands for this stream on disk and in the generator's counter.
    #[must_use]
    pub const fn tag(self) -> u32 {
        self as u32
    }

    /// The stream with this number, or `None` if this version knows none.
    ///
    /// ```
    /// use recert_noise::Stream;
    /// assert_eq!(Stream::from_tag(1), Some(Stream::Certify));
    /// assert_eq!(Stream::from_tag(u32::MAX), None);
    /// ```
    #[must_use]
    pub fn from_tag(tag: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.tag() == tag)
    }

    /// A short lowercase name, for messages and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Selection => "selection",
            Self::Certify => "certify",
            Self::Fresh => "fresh",
            Self::Calibration => "calibration",
            Self::Predict => "predict",
            Self::Train => "train",
        }
    }
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    /// The numbers are on disk: this list may grow and may not change.
    #[test]
    fn tags_are_frozen() {
        let frozen = [
            (Stream::Selection, 0, "selection"),
            (Stream::Certify, 1, "certify"),
            (Stream::Fresh, 2, "fresh"),
            (Stream::Calibration, 3, "calibration"),
            (Stream::Predict, 4, "predict"),
            (Stream::Train, 5, "train"),
        ];
        assert_eq!(frozen.len(), Stream::ALL.len());
        for (stream, tag, name) in frozen {
            assert_eq!(stream.tag(), tag);
            assert_eq!(Stream::from_tag(tag), Some(stream));
            assert_eq!(stream.to_string(), name);
        }
        assert_eq!(Stream::from_tag(6), None);
    }
}
