//! Lists of words that are asked far more often for what they do not hold.

/// A sorted list that nearly always tells by one bit that a word is not in it.
pub(crate) struct Words {
    words: &'static [&'static str],
    bits: [u64; 64],
}

impl Words {
    pub(crate) const fn of(words: &'static [&'static str]) -> Self {
        let mut bits = [0; 64];
        let mut at = 0;
        while at < words.len() {
            let bit = bit(words[at].as_bytes());
            bits[bit >> 6] |= 1 << (bit & 63);
            at += 1;
        }
        Self { words, bits }
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        let bit = bit(word.as_bytes());
        self.bits[bit >> 6] >> (bit & 63) & 1 == 1 && self.words.binary_search(&word).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn is_sorted(&self) -> bool {
        self.words.is_sorted()
    }
}

/// One of 4096, by the length, the ends and the middle.
const fn bit(word: &[u8]) -> usize {
    let len = word.len();
    if len == 0 {
        return 0;
    }
    let (first, middle, last) = (word[0] as u32, word[len / 2] as u32, word[len - 1] as u32);
    let key = first << 24 ^ middle << 16 ^ last << 8 ^ len as u32;
    (key.wrapping_mul(0x9E37_79B1) >> 20) as usize
}
