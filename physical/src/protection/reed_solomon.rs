//! The checksum of ECMA-319: the remainder of the block as a polynomial over GF(2⁸), divided by x⁴ + 38h·x³ + CFh·x² + 38h·x + 1. It
//! begins with zero.

/// The field's polynomial x⁸ + x⁴ + x³ + x² + 1, without its highest power.
const FIELD: u8 = 0x1d;
const GENERATOR: [u8; 4] = [0x38, 0xcf, 0x38, 0x01];

/// What a byte that leaves at the top adds to the remainder.
static ADDED: [u32; 256] = table();

/// The remainder.
pub(super) fn checksum(block: &[u8]) -> u32 {
    block.iter().fold(0, |remainder: u32, byte| {
        let [top, ..] = remainder.to_be_bytes();
        remainder << 8 ^ ADDED.get(usize::from(top ^ byte)).copied().unwrap_or_default()
    })
}

#[expect(
    clippy::indexing_slicing,
    reason = "it is run by the compiler, for which an index out of range is an error"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        let [a, b, c, d] = GENERATOR;
        let row = [times(byte, a), times(byte, b), times(byte, c), times(byte, d)];
        table[byte as usize] = u32::from_be_bytes(row);
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// The product in the field.
const fn times(one: u8, other: u8) -> u8 {
    let (mut product, mut power, mut left) = (0, other, one);
    while left != 0 {
        if left & 1 == 1 {
            product ^= power;
        }
        power = power << 1 ^ if power & 0x80 == 0 { 0 } else { FIELD };
        left >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_that_cern_checks_its_drives_with() {
        const PRIMES: [u8; 54] = [
            2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
            89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179,
            181, 191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251,
        ];
        assert_eq!(checksum(&PRIMES[..37]), 0x733d_4dca);
        assert_eq!(checksum(&PRIMES), 0x754e_d37e);
        assert_eq!(checksum(&[0; 100]), 0);
    }
}
