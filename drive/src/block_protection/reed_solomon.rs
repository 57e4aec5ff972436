//! The checksum of ECMA-319: the remainder of the block as a polynomial over GF(2⁸), divided by x⁴ + 38h·x³ + CFh·x² + 38h·x + 1.
//!
//! The field's own polynomial is x⁸ + x⁴ + x³ + x² + 1. It begins with zero, and so zeros have a checksum of zero.

const FIELD: u16 = 0x11d;
const GENERATOR: [u8; 4] = [0x38, 0xcf, 0x38, 0x01];

/// How many bytes are taken at once.
const STRIDE: usize = 8;

/// What a byte adds to the remainder, if so many bytes come after it in the stride.
static TABLES: [[u32; 256]; STRIDE] = tables();

/// The remainder.
pub(super) fn checksum(block: &[u8]) -> u32 {
    let mut remainder = 0;
    let (strides, rest) = block.as_chunks::<STRIDE>();
    for stride in strides {
        let [a, b, c, d, ..] = *stride;
        let ahead = remainder ^ u32::from_be_bytes([a, b, c, d]);
        let mut bytes = *stride;
        if let Some(first) = bytes.first_chunk_mut::<4>() {
            *first = ahead.to_be_bytes();
        }
        remainder = 0;
        for (byte, table) in bytes.iter().zip(TABLES.iter().rev()) {
            remainder ^= added(table, *byte);
        }
    }
    for byte in rest {
        let [first, ..] = remainder.to_be_bytes();
        remainder = remainder << 8 ^ added(&TABLES[0], first ^ byte);
    }
    remainder
}

fn added(table: &[u32; 256], byte: u8) -> u32 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

#[expect(
    clippy::indexing_slicing,
    reason = "it is run by the compiler, for which an index out of range is an error"
)]
const fn tables() -> [[u32; 256]; STRIDE] {
    let mut tables = [[0; 256]; STRIDE];
    let mut byte = 0;
    while byte < 256 {
        let mut coefficient = 0;
        while coefficient < GENERATOR.len() {
            tables[0][byte] = tables[0][byte] << 8 | multiplied(byte, GENERATOR[coefficient]);
            coefficient += 1;
        }
        byte += 1;
    }
    let mut after = 1;
    while after < STRIDE {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[after - 1][byte];
            tables[after][byte] = before << 8 ^ tables[0][(before >> 24) as usize];
            byte += 1;
        }
        after += 1;
    }
    tables
}

/// The product in the field.
const fn multiplied(one: usize, other: u8) -> u32 {
    let mut product: u16 = 0;
    let mut bit = 8;
    while bit > 0 {
        bit -= 1;
        product <<= 1;
        if product & 0x100 != 0 {
            product ^= FIELD;
        }
        if one >> bit & 1 == 1 {
            product ^= other as u16;
        }
    }
    product as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMES: [u8; 54] = [
        2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
        97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181,
        191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251,
    ];

    #[test]
    fn the_vectors_that_cern_checks_its_drives_with() {
        assert_eq!(checksum(&PRIMES[..37]), 0x733d_4dca);
        assert_eq!(checksum(&PRIMES), 0x754e_d37e);
    }

    #[test]
    fn a_stride_is_what_its_bytes_are() {
        let by_byte = |block: &[u8]| {
            block.iter().fold(0_u32, |remainder, byte| {
                remainder << 8 ^ TABLES[0][usize::from(remainder.to_be_bytes()[0] ^ byte)]
            })
        };
        let block: Vec<u8> =
            (0..1000_u32).map(|n| (n * n).rotate_right(3).to_le_bytes()[0]).collect();
        for length in (0..40).chain([999, 1000]) {
            assert_eq!(checksum(&block[..length]), by_byte(&block[..length]), "{length}");
        }
        assert_eq!(checksum(&[0; 100]), 0);
        assert_eq!(checksum(&[1]), 0x38cf_3801);
    }
}
