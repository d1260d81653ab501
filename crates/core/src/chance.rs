//! Randomness, given from outside: the system's in production, seeded in tests.

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// A number uniform in [0, 1), with 53 bits.
    fn unit(&self) -> f64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}

/// `prefix` followed by `bytes_count` random bytes (at most 32) in hexadecimal.
pub fn random_id(entropy: &dyn Entropy, prefix: &str, bytes_count: usize) -> String {
    let mut bytes = [0_u8; 32];
    let bytes = &mut bytes[..bytes_count.min(32)];
    entropy.fill(bytes);
    let mut id = String::with_capacity(prefix.len() + bytes.len() * 2);
    id.push_str(prefix);
    id.push_str(&hex(bytes));
    id
}
