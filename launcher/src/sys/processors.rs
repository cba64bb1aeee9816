//! Owns what is asked of the processors: how many of them this process may run on, and what they can do.

use shieldrun_secrets::Detector;

/// At least one. The standard library's answer reads a dozen files of control groups at every start, for
/// quotas that do not matter to what is asked here.
pub(crate) fn count() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize).max(1)
}

/// Looks for secrets with what the processor has.
pub(crate) fn detector() -> Detector {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor, and the kernel for its registers, were just asked for the one feature that it needs.
        return unsafe { Detector::with_avx2() };
    }
    Detector::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shieldrun_secrets::Subject;

    /// Made-up numbers, the same in every run.
    struct Noise(u64);

    impl Noise {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 20) as usize % end
        }
    }

    /// Between any bytes, so many of which are visible, what is looked for.
    fn text(noise: &mut Noise, length: usize) -> Vec<u8> {
        const PIECES: &[&[u8]] = &[
            b"api_key",
            b"PASSWORD",
            b"sig",
            b"Jwt-",
            b"=",
            b": ",
            b"\"",
            b" ",
            b"\n",
            b"://",
            b"ghp_",
            b"AKIA",
            b"eyJ",
            b"1:AA",
            b"+ASt",
            b"-us1",
            b".atlasv1.",
        ];
        let any = noise.below(8) == 0;
        let mut out = Vec::new();
        while out.len() < length {
            match noise.below(4) {
                0 => out.extend_from_slice(PIECES[noise.below(PIECES.len())]),
                1 if any => out.extend((0..noise.below(9)).map(|_| noise.below(256) as u8)),
                _ => {
                    let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+/.";
                    out.extend((0..noise.below(60)).map(|_| alphabet[noise.below(alphabet.len())]));
                }
            }
        }
        out.truncate(length);
        out
    }

    /// Where the processor has no more than any other, this compares the same with itself.
    #[test]
    fn whatever_the_processor_has_the_same_is_in_sight() {
        let (plain, best) = (Detector::new(), detector());
        let mut noise = Noise(7);
        let (mut places, mut found) = (0, 0);
        for byte in 0..=255 {
            for at in [0, 1, 31, 32, 63, 64, 100] {
                let text = [&vec![b'a'; at][..], &[byte], &[b'1'; 70]].concat();
                assert_eq!(plain.in_sight(&text), best.in_sight(&text), "{byte} at {at}");
            }
        }
        for round in 0..20_000 {
            let text = text(&mut noise, 1 + round % 1_500);
            let sight = plain.in_sight(&text);
            assert_eq!(sight, best.in_sight(&text), "{}", text.escape_ascii());
            let findings = plain.detect(&text, Subject::default());
            assert_eq!(findings, best.detect(&text, Subject::default()), "{}", text.escape_ascii());
            places += sight.starts.len().min(1) + sight.anchors.len().min(1) + sight.names.len().min(1);
            found += findings.len();
        }
        assert!(places > 30_000 && found > 1_000, "{places} {found}");
    }
}
