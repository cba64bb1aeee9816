//! Looking for secrets with all that a processor has. What it has cannot be asked here: whoever runs us, says it.

use alloc::vec::Vec;
use core::ops::Range;

use crate::detect::{Finding, Subject, detect_by};
use crate::lanes::Lanes;
#[cfg(target_arch = "x86_64")]
use crate::lanes::avx2;
use crate::runs::{Watch, go_through};
use crate::sieve;

/// The means to look for secrets that a processor has. All find the same.
///
/// ```
/// use shieldrun_secrets::{Detector, Subject, detect};
/// let text = b"API_KEY=k3Jd8sLq0ZpXv7Rt2NwYb6Hm";
/// assert_eq!(Detector::new().detect(text, Subject::default()), detect(text, Subject::default()));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Detector(Lanes);

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// What every processor has.
    ///
    /// ```
    /// use shieldrun_secrets::{Detector, Subject};
    /// assert!(Detector::new().detect(b"API_KEY=changeme", Subject::default()).is_empty());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self(Lanes::PLAIN)
    }

    /// The same with wider registers: twice as fast.
    ///
    /// # Safety
    /// The processor has AVX2. What this gives back can be used by anyone on it.
    ///
    /// ```
    /// use shieldrun_secrets::{Detector, Subject};
    /// let mut detector = Detector::new();
    /// if std::arch::is_x86_feature_detected!("avx2") {
    ///     // SAFETY: the processor was asked.
    ///     detector = unsafe { Detector::with_avx2() };
    /// }
    /// assert_eq!(detector.detect(b"API_KEY=k3Jd8sLq0ZpXv7Rt2NwYb6Hm", Subject::default()).len(), 1);
    /// ```
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    #[must_use]
    pub fn with_avx2() -> Self {
        Self(avx2::lanes())
    }

    /// As [`detect`](crate::detect).
    ///
    /// ```
    /// use shieldrun_secrets::{Detector, Subject};
    /// let found = Detector::new().detect(b"API_KEY=k3Jd8sLq0ZpXv7Rt2NwYb6Hm", Subject::default());
    /// assert_eq!(found[0].span, 8..32);
    /// ```
    #[must_use]
    pub fn detect(self, bytes: &[u8], subject: Subject<'_>) -> Vec<Finding> {
        detect_by(self.0, bytes, subject)
    }

    /// What it would look at more closely, for tests of whoever can ask a processor: all means say the same.
    #[doc(hidden)]
    #[must_use]
    pub fn in_sight(self, text: &[u8]) -> InSight {
        let mut sight = InSight::default();
        go_through(text, self.0, &mut sight);
        for (found, sieve) in [(&mut sight.anchors, &sieve::ANCHORS), (&mut sight.names, &sieve::NAMES)] {
            sieve.places(self.0, text, 0..text.len(), |at| found.push(at));
        }
        sight
    }
}

/// What is looked at more closely.
#[doc(hidden)]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InSight {
    /// Where forms and tokens could begin.
    pub starts: Vec<usize>,
    /// Where forms without a beginning could be.
    pub long: Vec<Range<usize>>,
    /// Names with their values.
    pub values: Vec<Range<usize>>,
    /// What forms without a beginning have in them.
    pub anchors: Vec<usize>,
    /// What names have in them that speak of secrets.
    pub names: Vec<usize>,
}

impl Watch for InSight {
    fn start(&mut self, at: usize) {
        self.starts.push(at);
    }

    fn long(&mut self, stretch: Range<usize>) {
        self.long.push(stretch);
    }

    fn value(&mut self, stretch: Range<usize>) {
        self.values.push(stretch);
    }
}
