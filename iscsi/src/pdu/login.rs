//! Login Request and Login Response (RFC 7143 §11.12 and §11.13).

use super::fields::{Fields, HeaderWriter, bit};
use super::{Bhs, InitiatorTaskTag, Isid, LoginStage, LoginStatus, Opcode, Sequence};
use crate::serial::{CmdSn, StatSn};

/// A step of the login; text keys are its data segment.
///
/// ```text
///  1  T C . . CSG(2) NSG(2) │ 2 version max │ 3 version min │ 8 ISID (6) │ 14 TSIH │ 16 ITT │ 20 CID │ 24 CmdSN │ 28 ExpStatSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginRequest {
    /// The initiator wants to go on to the next stage.
    pub is_transit: bool,
    /// The keys go on in the next request.
    pub is_continued: bool,
    /// The stage that the keys belong to.
    pub current_stage: LoginStage,
    /// The stage to go on to.
    pub next_stage: LoginStage,
    /// The newest version that the initiator speaks.
    pub version_max: u8,
    /// The oldest version that the initiator speaks.
    pub version_min: u8,
    /// The initiator's part of the session's identity.
    pub isid: Isid,
    /// The session to join, or zero for a new one.
    pub tsih: u16,
    /// The same through the whole login.
    pub itt: InitiatorTaskTag,
    /// The connection's number within its session.
    pub cid: u16,
    /// The number that the first command will have.
    pub cmd_sn: CmdSn,
    /// The next status that the initiator expects.
    pub exp_stat_sn: StatSn,
}

impl LoginRequest {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let [_, flags, version_max, version_min, ..] = *bhs;
        let mut fields = Fields::behind_lengths(bhs);
        let (isid, tsih, itt, cid) = (fields.isid(), fields.u16(), fields.itt(), fields.u16());
        fields.skip(2);
        Self {
            is_transit: flags & 0x80 != 0,
            is_continued: flags & 0x40 != 0,
            current_stage: LoginStage((flags >> 2) & 0x03),
            next_stage: LoginStage(flags & 0x03),
            version_max,
            version_min,
            isid,
            tsih,
            itt,
            cid,
            cmd_sn: fields.cmd_sn(),
            exp_stat_sn: fields.stat_sn(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        let flags = flags(self.is_transit, self.is_continued, self.current_stage, self.next_stage);
        let bytes = [flags, self.version_max, self.version_min];
        HeaderWriter::with_bytes_1_to_3(Opcode::LOGIN_REQUEST, true, bytes)
            .bytes(&self.isid.0)
            .u16(self.tsih)
            .u32(self.itt.0)
            .u16(self.cid)
            .skip(2)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .finish()
    }
}

/// The answer to a step of the login; text keys are its data segment.
///
/// ```text
///  1  T C . . CSG(2) NSG(2) │ 2 version max │ 3 version active │ 8 ISID (6) │ 14 TSIH │ 16 ITT
///  24 StatSN ExpCmdSN MaxCmdSN │ 36 status class and detail
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginResponse {
    /// The next stage begins.
    pub is_transit: bool,
    /// The keys go on in the next response.
    pub is_continued: bool,
    /// The stage that the keys belong to.
    pub current_stage: LoginStage,
    /// The stage that begins.
    pub next_stage: LoginStage,
    /// From the request.
    pub isid: Isid,
    /// The session's number, in the last response only; else from the request.
    pub tsih: u16,
    /// From the request.
    pub itt: InitiatorTaskTag,
    /// StatSN and the command window.
    pub sequence: Sequence,
    /// How it went.
    pub status: LoginStatus,
}

impl LoginResponse {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let [_, flags, ..] = *bhs;
        let mut fields = Fields::behind_lengths(bhs);
        let (isid, tsih, itt) = (fields.isid(), fields.u16(), fields.itt());
        fields.skip(4);
        Self {
            is_transit: flags & 0x80 != 0,
            is_continued: flags & 0x40 != 0,
            current_stage: LoginStage((flags >> 2) & 0x03),
            next_stage: LoginStage(flags & 0x03),
            isid,
            tsih,
            itt,
            sequence: fields.sequence(),
            status: LoginStatus(fields.u16()),
        }
    }

    /// Writes a header, with lengths of zero. The only version is zero.
    pub fn encode(&self) -> Bhs {
        let flags = flags(self.is_transit, self.is_continued, self.current_stage, self.next_stage);
        HeaderWriter::new(Opcode::LOGIN_RESPONSE, false, flags)
            .bytes(&self.isid.0)
            .u16(self.tsih)
            .u32(self.itt.0)
            .skip(4)
            .sequence(self.sequence)
            .u16(self.status.0)
            .finish()
    }
}

fn flags(is_transit: bool, is_continued: bool, current: LoginStage, next: LoginStage) -> u8 {
    let next = if is_transit { next.0 & 0x03 } else { 0 };
    bit(is_transit, 0x80) | bit(is_continued, 0x40) | ((current.0 & 0x03) << 2) | next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_round_trip() {
        let pdu = LoginRequest {
            is_transit: true,
            is_continued: false,
            current_stage: LoginStage::OPERATIONAL_NEGOTIATION,
            next_stage: LoginStage::FULL_FEATURE_PHASE,
            version_max: 1,
            version_min: 2,
            isid: Isid([1, 2, 3, 4, 5, 6]),
            tsih: 7,
            itt: InitiatorTaskTag(8),
            cid: 9,
            cmd_sn: CmdSn(10),
            exp_stat_sn: StatSn(11),
        };
        let bhs = pdu.encode();
        assert_eq!(bhs[..2], [0x43, 0x87]);
        assert_eq!(LoginRequest::parse(&bhs), pdu);
    }

    #[test]
    fn a_response_survives_the_round_trip() {
        let pdu = LoginResponse {
            is_transit: false,
            is_continued: true,
            current_stage: LoginStage::SECURITY_NEGOTIATION,
            next_stage: LoginStage::SECURITY_NEGOTIATION,
            isid: Isid([1, 2, 3, 4, 5, 6]),
            tsih: 7,
            itt: InitiatorTaskTag(8),
            sequence: Sequence { stat_sn: StatSn(1), exp_cmd_sn: CmdSn(2), max_cmd_sn: CmdSn(3) },
            status: LoginStatus::NOT_FOUND,
        };
        assert_eq!(LoginResponse::parse(&pdu.encode()), pdu);
    }
}
