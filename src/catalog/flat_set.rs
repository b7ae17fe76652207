//! A hash set of integers or byte strings in one run of words.
//!
//! A user may be permitted a hundred thousand documents, and every row that a query reads is tested against them. The set
//! has no pointers, so the same words serve in shared memory, where parallel workers read them.
//!
//! ```text
//! word 0      magic number and kind
//! word 1      secret: who knows it was given the set
//! word 2      number of values
//! word 3      integers: a value that is not in the set, marking free slots; bytes: where the bytes begin
//! word 4..    slots, a power of two of them, at most half of them taken
//!             integers: the value; bytes: hash (upper half) and number of the value plus one (lower half), 0 if free
//! bytes only  for each value, where it begins (upper half) and its length (lower half); then the bytes
//! ```

const MAGIC: u64 = 0x646f_6370_6572_6d00;
const KIND_INTEGERS: u64 = 1;
const KIND_BYTES: u64 = 2;
const HEADER: usize = 4;

/// A flat set's words, somewhere in memory.
#[derive(Clone, Copy)]
pub struct FlatSet<'a>(&'a [u64]);

impl<'a> FlatSet<'a> {
    /// Views words as a set, if they are one and were given to somebody who knows `secret`.
    pub fn view(words: &'a [u64], secret: u64) -> Option<Self> {
        let known = words.len() > HEADER && words[0] & !0xff == MAGIC && words[1] == secret;
        known.then_some(FlatSet(words))
    }

    /// Holds integers.
    pub fn holds_integers(&self) -> bool {
        self.0[0] & 0xff == KIND_INTEGERS
    }

    /// How many values it holds.
    pub fn count(&self) -> usize {
        self.0[2] as usize
    }

    /// Whether an integer is in it; `false` if it holds bytes.
    #[inline]
    pub fn contains_integer(&self, value: i64) -> bool {
        let free = self.0[3];
        let wanted = value as u64;
        if !self.holds_integers() || wanted == free {
            return false;
        }
        // Not to the end of the words: shared memory may be longer than what was put there.
        let slots = &self.0[HEADER..HEADER + slot_count(self.count())];
        let mask = slots.len() - 1;
        let mut at = mix(wanted) as usize & mask;
        loop {
            match slots[at] {
                found if found == wanted => return true,
                found if found == free => return false,
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Whether a byte string is in it; `false` if it holds integers.
    #[inline]
    pub fn contains_bytes(&self, value: &[u8]) -> bool {
        if self.0[0] & 0xff != KIND_BYTES {
            return false;
        }
        let slot_count = slot_count(self.count());
        let (slots, rest) = self.0[HEADER..].split_at(slot_count);
        let bytes = &self.0[self.0[3] as usize..];
        let mask = slot_count - 1;
        let hash = hash_bytes(value, self.0[1]);
        let mut at = hash as usize & mask;
        loop {
            let slot = slots[at];
            if slot == 0 {
                return false;
            }
            if slot >> 32 == hash >> 32 {
                let entry = rest[(slot as u32 - 1) as usize];
                let (start, len) = ((entry >> 32) as usize, entry as u32 as usize);
                if len == value.len() && bytes_of(&bytes[start..], len) == Some(value) {
                    return true;
                }
            }
            at = (at + 1) & mask;
        }
    }
}

/// Builds the words of a set of integers.
pub fn integers(values: &[i64], secret: u64) -> Box<[u64]> {
    let slots = slot_count(values.len());
    let free =
        (0..).map(|distance| i64::MIN + distance).find(|free| !values.contains(free)).unwrap_or(i64::MIN)
            as u64;
    let mut words = vec![free; HEADER + slots];
    words[..HEADER].copy_from_slice(&[MAGIC | KIND_INTEGERS, secret, values.len() as u64, free]);
    for value in values {
        let mut at = mix(*value as u64) as usize & (slots - 1);
        while words[HEADER + at] != free {
            at = (at + 1) & (slots - 1);
        }
        words[HEADER + at] = *value as u64;
    }
    words.into_boxed_slice()
}

/// Builds the words of a set of byte strings.
pub fn bytes<'v>(values: impl ExactSizeIterator<Item = &'v [u8]>, secret: u64) -> Box<[u64]> {
    let (count, slots) = (values.len(), slot_count(values.len()));
    let start_of_bytes = HEADER + slots + count;
    let mut words = vec![0u64; start_of_bytes];
    words[..HEADER].copy_from_slice(&[MAGIC | KIND_BYTES, secret, count as u64, start_of_bytes as u64]);
    for (number, value) in values.enumerate() {
        let start = words.len() - start_of_bytes;
        words.extend(value.chunks(8).map(word_of));
        words[HEADER + slots + number] = (start as u64) << 32 | value.len() as u64;
        let hash = hash_bytes(value, secret);
        let mut at = hash as usize & (slots - 1);
        while words[HEADER + at] != 0 {
            at = (at + 1) & (slots - 1);
        }
        words[HEADER + at] = hash >> 32 << 32 | (number as u64 + 1);
    }
    words.into_boxed_slice()
}

fn slot_count(values: usize) -> usize {
    (values * 2).next_power_of_two().max(16)
}

fn word_of(chunk: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..chunk.len()].copy_from_slice(chunk);
    u64::from_ne_bytes(word)
}

/// The first `len` bytes of `words`.
fn bytes_of(words: &[u64], len: usize) -> Option<&[u8]> {
    if len > words.len() * 8 {
        return None;
    }
    // SAFETY: any eight bytes are a word and the reverse; the length was checked.
    Some(unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), len) })
}

/// Spreads every bit of a word over the word (the finaliser of SplitMix64).
#[inline]
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[inline]
fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        hash = mix(hash ^ u64::from_ne_bytes(*chunk));
    }
    if !rest.is_empty() {
        hash = mix(hash ^ word_of(rest));
    }
    mix(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn integers_are_found(values in prop::collection::btree_set(any::<i64>(), 0..200), others in prop::collection::vec(any::<i64>(), 50)) {
            let list: Vec<i64> = values.iter().copied().collect();
            let words = integers(&list, 7);
            let set = FlatSet::view(&words, 7).unwrap();
            prop_assert_eq!(set.count(), values.len());
            for value in values.iter().chain(&others).chain(&[0, i64::MIN, i64::MAX]) {
                prop_assert_eq!(set.contains_integer(*value), values.contains(value));
            }
        }

        #[test]
        fn bytes_are_found(values in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..20), 0..200), others in prop::collection::vec(prop::collection::vec(0u8..3, 0..10), 50)) {
            let words = bytes(values.iter().map(Vec::as_slice).collect::<Vec<_>>().into_iter(), 9);
            let set = FlatSet::view(&words, 9).unwrap();
            for value in values.iter().chain(&others) {
                prop_assert_eq!(set.contains_bytes(value), values.contains(value));
            }
        }
    }

    #[test]
    fn extremes_and_neighbours_of_the_free_mark() {
        let values: BTreeSet<i64> =
            (0..40).map(|distance| i64::MIN + distance).chain([i64::MAX, -1, 0]).collect();
        let words = integers(&values.iter().copied().collect::<Vec<_>>(), 1);
        let set = FlatSet::view(&words, 1).unwrap();
        assert!(values.iter().all(|value| set.contains_integer(*value)));
        assert!(!set.contains_integer(i64::MIN + 40));
    }

    #[test]
    fn the_wrong_secret_and_other_words_are_no_set() {
        let words = integers(&[1, 2, 3], 42);
        assert!(FlatSet::view(&words, 43).is_none());
        assert!(FlatSet::view(&[0; 64], 0).is_none());
        assert!(FlatSet::view(&[], 0).is_none());
        assert!(!FlatSet::view(&words, 42).unwrap().contains_bytes(b"1"));
    }

    #[test]
    fn padding_does_not_make_values_equal() {
        let words = bytes([b"ab".as_slice(), b""].into_iter(), 3);
        let set = FlatSet::view(&words, 3).unwrap();
        assert!(set.contains_bytes(b"ab") && set.contains_bytes(b""));
        assert!(!set.contains_bytes(b"ab\0") && !set.contains_bytes(b"\0"));
    }
}
