//! Both forms of sense data, in bytes.

use super::{FieldPointer, Sense, SenseFormat};

const RESPONSE_FIXED: u8 = 0x70;
const RESPONSE_DESCRIPTOR: u8 = 0x72;
/// Fixed sense data is 18 bytes long here; this is what follows byte 7.
const FIXED_ADDITIONAL_LENGTH: u8 = 10;

impl Sense {
    /// The sense data as a transport carries it.
    pub fn encode(&self, format: SenseFormat) -> Vec<u8> {
        match format {
            SenseFormat::Fixed => self.encode_fixed(),
            SenseFormat::Descriptor => self.encode_descriptors(),
        }
    }

    // Fixed format (SPC-5 §4.4.3):
    //  0     VALID (bit 7), response code
    //  2     FILEMARK, EOM, ILI (bits 7-5), sense key
    //  3-6   information                       7      additional length
    //  8-11  command-specific information     12, 13  ASC, ASCQ
    // 15-17  sense key specific
    fn encode_fixed(&self) -> Vec<u8> {
        // A count that does not fit is not sent at all rather than sent wrong.
        let information = self.information.and_then(four_bytes);
        let command_specific =
            self.command_specific.and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(18);
        bytes.push(
            u8::from(information.is_some()) << 7 | RESPONSE_FIXED | u8::from(self.is_deferred),
        );
        bytes.push(0);
        bytes.push(self.stream_bits() | self.key as u8);
        bytes.extend(information.unwrap_or([0; 4]));
        bytes.push(FIXED_ADDITIONAL_LENGTH);
        bytes.extend(command_specific.to_be_bytes());
        bytes.extend([self.asc.code(), self.asc.qualifier()]);
        bytes.push(0); // field replaceable unit
        bytes.extend(self.key_specific().unwrap_or([0; 3]));
        bytes
    }

    // Descriptor format (SPC-5 §4.4.2): response code, key, ASC, ASCQ, 3 reserved, additional length; then descriptors of
    // type 00h information, 01h command-specific, 02h sense key specific, 04h stream commands.
    fn encode_descriptors(&self) -> Vec<u8> {
        let mut descriptors = Vec::new();
        if let Some(information) = self.information {
            descriptors.extend([0x00, 0x0a, 0x80, 0]);
            descriptors.extend(information.to_be_bytes());
        }
        if let Some(value) = self.command_specific {
            descriptors.extend([0x01, 0x0a, 0, 0]);
            descriptors.extend(value.to_be_bytes());
        }
        if let Some([first, second, third]) = self.key_specific() {
            descriptors.extend([0x02, 0x06, 0, 0, first, second, third, 0]);
        }
        if self.stream_bits() != 0 {
            descriptors.extend([0x04, 0x02, 0, self.stream_bits()]);
        }
        let mut bytes = vec![
            RESPONSE_DESCRIPTOR | u8::from(self.is_deferred),
            self.key as u8,
            self.asc.code(),
            self.asc.qualifier(),
            0,
            0,
            0,
            u8::try_from(descriptors.len()).unwrap_or(0),
        ];
        bytes.append(&mut descriptors);
        bytes
    }

    fn stream_bits(&self) -> u8 {
        u8::from(self.filemark) << 7 | u8::from(self.eom) << 6 | u8::from(self.ili) << 5
    }

    /// SKSV and what it makes valid (SPC-5 §4.4.2.4).
    fn key_specific(&self) -> Option<[u8; 3]> {
        if let Some(FieldPointer { is_in_cdb, byte, bit }) = self.field_pointer {
            let bit = bit.map_or(0, |bit| 0x08 | (bit & 0x07));
            let [high, low] = byte.to_be_bytes();
            return Some([0x80 | u8::from(is_in_cdb) << 6 | bit, high, low]);
        }
        self.progress.map(|progress| {
            let [high, low] = progress.to_be_bytes();
            [0x80, high, low]
        })
    }
}

/// A count as the four bytes of fixed format: unsigned where it is positive, two's complement where it is not.
fn four_bytes(count: i64) -> Option<[u8; 4]> {
    match u32::try_from(count) {
        Ok(count) => Some(count.to_be_bytes()),
        Err(_) => i32::try_from(count).ok().map(i32::to_be_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_format_of_a_short_block() {
        let bytes = Sense::incorrect_length(65_536 - 512).encode(SenseFormat::Fixed);
        assert_eq!(bytes, [0xf0, 0, 0x20, 0, 0, 0xfe, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn fixed_format_of_a_long_block_has_a_negative_count() {
        let bytes = Sense::incorrect_length(-1).encode(SenseFormat::Fixed);
        assert_eq!(bytes[3..7], [0xff; 4]);
    }

    #[test]
    fn a_count_that_does_not_fit_is_not_valid() {
        let bytes = Sense::end_of_data().with_information(1 << 40).encode(SenseFormat::Fixed);
        assert_eq!(bytes[0], 0x70);
        let bytes = Sense::end_of_data().with_information(1 << 40).encode(SenseFormat::Descriptor);
        assert_eq!(bytes[8..20], [0, 10, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn field_pointers_say_cdb_byte_and_bit() {
        let sense = Sense::invalid_field_in_cdb(1, Some(3));
        assert_eq!(sense.encode(SenseFormat::Fixed)[15..18], [0xcb, 0, 1]);
        let sense = Sense::invalid_field_in_parameter_list(260, None);
        assert_eq!(sense.encode(SenseFormat::Descriptor)[8..16], [2, 6, 0, 0, 0x80, 1, 4, 0]);
    }

    #[test]
    fn deferred_errors_have_their_own_response_codes() {
        assert_eq!(Sense::write_error().deferred().encode(SenseFormat::Fixed)[0], 0x71);
        assert_eq!(Sense::write_error().deferred().encode(SenseFormat::Descriptor)[0], 0x73);
    }

    #[test]
    fn stream_bits_have_a_descriptor() {
        let bytes = Sense::filemark_detected(1).encode(SenseFormat::Descriptor);
        assert_eq!(bytes[20..24], [4, 2, 0, 0x80]);
        assert_eq!(bytes[7], 16);
    }
}
