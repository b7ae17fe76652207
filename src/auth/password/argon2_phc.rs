//! Argon2 hashes, written as the reference implementation writes them: `$argon2id$v=19$m=19456,t=2,p=1$salt$tag`.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64ct::{Base64Unpadded, Encoding};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Trouble;

/// Bytes of the tags that docperm makes.
pub const TAG_BYTES: usize = 32;

/// Bytes that tags of others may have. Shorter ones could be hit by chance.
const TAG_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

/// Bytes that salts of others may have.
const SALT_LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;

/// What hashing costs. The default is the first choice of OWASP's Password Storage Cheat Sheet.
///
/// Hashing cannot be interrupted and its memory is not counted in work_mem, hence the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes. They are worked on one after the other.
    pub parallelism: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Cost { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

impl Cost {
    /// Most memory in KiB: 256 MiB.
    pub const MAX_MEMORY_KIB: u32 = 262_144;
    /// Most KiB written, memory times passes: about a second.
    pub const MAX_WORK_KIB: u32 = 1_048_576;
    /// Most lanes.
    pub const MAX_PARALLELISM: u32 = 16;

    /// Refuses what would take the server's memory, or a backend's time, or what Argon2 does not define.
    ///
    /// # Errors
    /// A cost out of bounds.
    pub fn require_bounds(self) -> Result<(), Trouble> {
        let Cost { memory_kib, iterations, parallelism } = self;
        let is_defined = parallelism >= 1 && iterations >= 1 && memory_kib / 8 >= parallelism;
        let is_bearable = parallelism <= Self::MAX_PARALLELISM
            && memory_kib <= Self::MAX_MEMORY_KIB
            && memory_kib.saturating_mul(iterations) <= Self::MAX_WORK_KIB;
        if is_defined && is_bearable { Ok(()) } else { Err(Trouble::CostOutOfBounds) }
    }
}

/// The variant that a scheme's name means.
pub fn variant(scheme: &str) -> Option<Algorithm> {
    [Algorithm::Argon2id, Algorithm::Argon2i, Algorithm::Argon2d]
        .into_iter()
        .find(|variant| variant.as_str() == scheme)
}

/// Makes a hash of today's kind.
pub fn make(password: &str, salt: &[u8], cost: Cost) -> Result<String, Trouble> {
    let mut tag = Zeroizing::new([0; TAG_BYTES]);
    compute(Algorithm::Argon2id, Version::V0x13, cost, password, salt, tag.as_mut())?;
    Ok(encode(cost, salt, tag.as_ref()))
}

/// Writes a hash of today's kind.
pub fn encode(cost: Cost, salt: &[u8], tag: &[u8]) -> String {
    let Cost { memory_kib, iterations, parallelism } = cost;
    let (salt, tag) = (Base64Unpadded::encode_string(salt), Base64Unpadded::encode_string(tag));
    format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${tag}")
}

fn compute(
    variant: Algorithm,
    version: Version,
    cost: Cost,
    password: &str,
    salt: &[u8],
    tag: &mut [u8],
) -> Result<(), Trouble> {
    cost.require_bounds()?;
    let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(tag.len()))
        .map_err(|_| Trouble::CostOutOfBounds)?;
    // Not the library's own, which it gives back as it is: with it, guesses could be tried without the cost.
    let mut memory: Zeroizing<Vec<Block>> = Zeroizing::default();
    memory.try_reserve_exact(params.block_count()).map_err(|_| Trouble::OutOfMemory)?;
    memory.resize(params.block_count(), Block::new());
    Argon2::new(variant, version, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, tag, memory.as_mut_slice())
        .map_err(|_| Trouble::Malformed(variant.as_str()))
}

/// A stored hash, read.
pub struct Argon2Hash {
    variant: Algorithm,
    version: Version,
    cost: Cost,
    salt: Vec<u8>,
    tag: Vec<u8>,
}

impl Argon2Hash {
    /// Reads what the reference implementation accepts; without a version it is the first one, 0x10.
    pub fn read(stored: &str, variant: Algorithm) -> Option<Argon2Hash> {
        let mut parts = stored.strip_prefix('$')?.split('$').skip(1).peekable();
        let version = match parts.peek()?.strip_prefix("v=") {
            None => Version::V0x10,
            Some(version) => {
                parts.next();
                match version {
                    "16" => Version::V0x10,
                    "19" => Version::V0x13,
                    _ => return None,
                }
            }
        };
        let mut costs = parts.next()?.split(',');
        let mut cost = |name: &str| number(costs.next()?.strip_prefix(name)?.strip_prefix('=')?);
        let cost = Cost { memory_kib: cost("m")?, iterations: cost("t")?, parallelism: cost("p")? };
        let mut bytes = || Base64Unpadded::decode_vec(parts.next()?).ok();
        let (salt, tag) = (bytes()?, bytes()?);
        let is_complete = costs.next().is_none() && parts.next().is_none();
        let is_sound = SALT_LENGTHS.contains(&salt.len()) && TAG_LENGTHS.contains(&tag.len());
        (is_complete && is_sound).then_some(Argon2Hash { variant, version, cost, salt, tag })
    }

    /// What it takes to verify against it.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether it is what [`make`] makes at this cost.
    pub fn is_current(&self, cost: Cost) -> bool {
        self.variant == Algorithm::Argon2id
            && self.version == Version::V0x13
            && self.cost == cost
            && self.salt.len() >= 16
            && self.tag.len() == TAG_BYTES
    }

    /// Whether it was made of this very text.
    pub fn is_of(&self, password: &str) -> Result<bool, Trouble> {
        let mut tag = Zeroizing::new(vec![0; self.tag.len()]);
        compute(self.variant, self.version, self.cost, password, &self.salt, &mut tag)?;
        Ok(tag.as_slice().ct_eq(&self.tag).into())
    }
}

/// A decimal number as the reference implementation writes it: nothing but digits, no zero in front.
pub fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}
