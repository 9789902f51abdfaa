//! A short number that stands for many: to see that something is not what it was.

/// A digest of 64 bits, the same on every machine. One changed number always changes it; it guards
/// against accidents, not against malice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn new() -> Digest {
        Digest(0x9e37_79b9_7f4a_7c15)
    }

    /// Takes in a number. For a given number this is a bijection of what came before, so no earlier
    /// difference is lost but by chance of a later one.
    pub(crate) fn number(&mut self, number: u64) {
        // The finalizer of SplitMix64 (Steele et al. 2014).
        let x = self.0 ^ number;
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = (x ^ (x >> 31)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }

    /// Takes in bytes with their number.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.number(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.number(u64::from_le_bytes(last));
    }

    /// Takes in numbers by their bits.
    pub(crate) fn floats(&mut self, numbers: &[f32]) {
        self.number(numbers.len() as u64);
        let (pairs, rest) = numbers.as_chunks::<2>();
        pairs
            .iter()
            .for_each(|[a, b]| self.number(u64::from(a.to_bits()) << 32 | u64::from(b.to_bits())));
        rest.iter().for_each(|x| self.number(u64::from(x.to_bits())));
    }

    /// 16 hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bytes(bytes: &[u8]) -> String {
        let mut digest = Digest::new();
        digest.bytes(bytes);
        digest.hex()
    }

    #[test]
    fn any_changed_bit_or_length_changes_the_digest() {
        let bytes: Vec<u8> = (0..21).collect();
        let mut seen = std::collections::BTreeSet::from([
            of_bytes(&bytes),
            of_bytes(&bytes[..20]),
            of_bytes(&[&bytes[..], &[0]].concat()),
        ]);
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            seen.insert(of_bytes(&changed));
        }
        assert_eq!(seen.len(), 3 + 8 * bytes.len());
        // A change here makes every checkpoint that was ever written one of another task.
        assert_eq!(of_bytes(b"symopt"), "42b6b0a3dc0a93c9");
    }
}
