//! Integers of variable length, as QUIC has them (RFC 9000 section 16).
//!
//! The two highest bits of the first byte say how long the integer is; the rest is the value, highest byte
//! first. A writer uses the shortest form. A reader takes every form, as the RFC does.

use alloc::vec::Vec;

/// The largest value there is: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// The most bytes that an integer takes.
pub const MAX_LEN: usize = 8;

const MAX_1: u64 = (1 << 6) - 1;
const MAX_2: u64 = (1 << 14) - 1;
const MAX_4: u64 = (1 << 30) - 1;

/// How many bytes [`encode`] writes for `value`.
pub const fn len(value: u64) -> usize {
    if value <= MAX_1 {
        1
    } else if value <= MAX_2 {
        2
    } else if value <= MAX_4 {
        4
    } else {
        MAX_LEN
    }
}

/// Appends `value` in its shortest form. A value above [`MAX`] is written as [`MAX`]: no counter gets that
/// far (at a million a second it takes 146 000 years), and a bound that large bounds nothing.
///
/// ```
/// use seqlane::wire::varint;
///
/// let mut bytes = Vec::new();
/// varint::encode(15_293, &mut bytes);
/// assert_eq!(bytes, [0x7b, 0xbd]);
/// assert_eq!(varint::decode(&bytes), Some((15_293, 2)));
/// ```
pub fn encode(value: u64, out: &mut Vec<u8>) {
    let len = len(value);
    let tagged = match len {
        1 => value,
        2 => value | 0b01 << 14,
        4 => value | 0b10 << 30,
        _ => value.min(MAX) | 0b11 << 62,
    };
    let bytes = tagged.to_be_bytes();
    out.extend_from_slice(bytes.get(MAX_LEN.saturating_sub(len)..).unwrap_or_default());
}

/// The integer at the front of `input`, and how many bytes it takes; `None` when `input` ends within it.
pub fn decode(input: &[u8]) -> Option<(u64, usize)> {
    let (len, max) = match input.first()? >> 6 {
        0 => (1, MAX_1),
        1 => (2, MAX_2),
        2 => (4, MAX_4),
        _ => (MAX_LEN, MAX),
    };
    let tagged = input.get(..len)?.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
    Some((tagged & max, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(value, &mut bytes);
        bytes
    }

    /// RFC 9000, appendix A.1.
    const SAMPLES: [(&[u8], u64); 4] = [
        (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
        (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
        (&[0x7b, 0xbd], 15_293),
        (&[0x25], 37),
    ];

    #[test]
    fn the_samples_of_the_rfc_read_and_write() {
        for (bytes, value) in SAMPLES {
            assert_eq!(decode(bytes), Some((value, bytes.len())));
            assert_eq!(encoded(value), bytes);
        }
    }

    #[test]
    fn a_longer_form_than_needed_is_read() {
        assert_eq!(decode(&[0x40, 0x25]), Some((37, 2)));
        assert_eq!(decode(&[0xc0, 0, 0, 0, 0, 0, 0, 0]), Some((0, 8)));
    }

    #[test]
    fn every_length_begins_where_the_one_before_ends() {
        for (value, len) in
            [(0, 1), (63, 1), (64, 2), (16_383, 2), (16_384, 4), ((1 << 30) - 1, 4), (1 << 30, 8)]
        {
            assert_eq!(encoded(value).len(), len, "{value}");
            assert_eq!(decode(&encoded(value)), Some((value, len)));
        }
    }

    #[test]
    fn what_is_too_large_becomes_the_largest() {
        assert_eq!(decode(&encoded(u64::MAX)), Some((MAX, 8)));
        assert_eq!(decode(&encoded(MAX + 1)), Some((MAX, 8)));
    }

    #[test]
    fn an_integer_that_ends_early_is_none() {
        for (bytes, _) in SAMPLES {
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None);
            }
        }
    }

    proptest! {
        #[test]
        fn every_value_survives_in_the_foretold_length(value in 0..=MAX, shift in 0_u32..62) {
            let value = value >> shift;
            let bytes = encoded(value);
            prop_assert_eq!(bytes.len(), len(value));
            prop_assert_eq!(decode(&bytes), Some((value, bytes.len())));
        }

        #[test]
        fn any_bytes_read_as_an_integer_or_end_early(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            match decode(&bytes) {
                Some((value, taken)) => {
                    prop_assert!(value <= MAX && taken <= bytes.len());
                    prop_assert!(len(value) <= taken);
                }
                None => prop_assert!(bytes.len() < 1 << (bytes.first().copied().unwrap_or(0xc0) >> 6)),
            }
        }
    }
}
