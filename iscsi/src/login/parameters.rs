//! Operational keys and what they are negotiated to (RFC 7143 §13).

use std::ops::RangeInclusive;

use crate::config::TargetConfig;
use crate::text::parse_number;

/// Lengths that a key may name: 512 to 2^24 - 1 (RFC 7143 §13.12 to §13.14).
const LENGTHS: RangeInclusive<u32> = 512..=(1 << 24) - 1;

/// Keys that mean nothing in a session without SCSI.
const IRRELEVANT_TO_DISCOVERY: [&str; 8] = [
    "MaxConnections",
    "InitialR2T",
    "ImmediateData",
    "MaxBurstLength",
    "FirstBurstLength",
    "MaxOutstandingR2T",
    "DataPDUInOrder",
    "DataSequenceInOrder",
];

/// What a session has agreed on. The defaults are the standard's and hold for keys that are not negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) has_header_digest: bool,
    pub(crate) has_data_digest: bool,
    /// Unsolicited Data-Out PDUs are forbidden.
    pub(crate) initial_r2t: bool,
    /// A command may carry data.
    pub(crate) immediate_data: bool,
    /// The initiator's MaxRecvDataSegmentLength.
    pub(crate) max_send_data_segment_bytes: u32,
    pub(crate) max_burst_bytes: u32,
    pub(crate) first_burst_bytes: u32,
    pub(crate) max_outstanding_r2t: u32,
    /// DefaultTime2Wait.
    pub(crate) time_to_wait_seconds: u16,
}

/// How a key is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyAnswer {
    /// Not at all: it declares something, and that was taken note of.
    Silent,
    /// With this value.
    Value(String),
    /// Nobody here knows the key.
    NotUnderstood,
}

impl Parameters {
    /// Takes a proposal or declaration, and says how to answer it.
    pub(crate) fn negotiate(
        &mut self,
        key: &str,
        value: &str,
        config: &TargetConfig,
        is_discovery: bool,
    ) -> KeyAnswer {
        if is_discovery && IRRELEVANT_TO_DISCOVERY.contains(&key) {
            return KeyAnswer::value("Irrelevant");
        }
        let limits = &config.limits;
        match key {
            "InitiatorName" | "InitiatorAlias" | "TargetName" | "SessionType" => KeyAnswer::Silent,
            "MaxRecvDataSegmentLength" => self.declare_receive_length(value),
            "HeaderDigest" => {
                choose_digest(&mut self.has_header_digest, value, config.accepts_header_crc32c)
            }
            "DataDigest" => {
                choose_digest(&mut self.has_data_digest, value, config.accepts_data_crc32c)
            }
            "InitialR2T" => either(&mut self.initial_r2t, value, false),
            "ImmediateData" => both(&mut self.immediate_data, value),
            "MaxBurstLength" => {
                least(&mut self.max_burst_bytes, value, LENGTHS, limits.max_burst_bytes)
            }
            "FirstBurstLength" => {
                // It must not exceed MaxBurstLength, as far as that is known.
                let ours = limits.first_burst_bytes.min(self.max_burst_bytes);
                least(&mut self.first_burst_bytes, value, LENGTHS, ours)
            }
            "MaxOutstandingR2T" => least(
                &mut self.max_outstanding_r2t,
                value,
                1..=65_535,
                u32::from(limits.max_outstanding_r2t.max(1)),
            ),
            "MaxConnections" => least(&mut 0, value, 1..=65_535, 1),
            "ErrorRecoveryLevel" => least(&mut 0, value, 0..=2, 0),
            "DefaultTime2Wait" => self.choose_time_to_wait(value),
            "DefaultTime2Retain" => least(&mut 0, value, 0..=3600, 0),
            "DataPDUInOrder" | "DataSequenceInOrder" => either(&mut false, value, true),
            "TaskReporting" => choose_task_reporting(value),
            "iSCSIProtocolLevel" => least(&mut 0, value, 0..=31, 1),
            // RFC 7143 §13.25: obsolete, and still proposed by older initiators.
            "IFMarker" | "OFMarker" => both(&mut false, value),
            "IFMarkInt" | "OFMarkInt" => KeyAnswer::value("Irrelevant"),
            _ => KeyAnswer::NotUnderstood,
        }
    }

    /// Takes a key in full feature phase, where nothing but the length of PDUs can change.
    pub(crate) fn renegotiate(
        &mut self,
        key: &str,
        value: &str,
        config: &TargetConfig,
    ) -> KeyAnswer {
        match key {
            "MaxRecvDataSegmentLength" => self.declare_receive_length(value),
            _ => match self.clone().negotiate(key, value, config, false) {
                KeyAnswer::NotUnderstood => KeyAnswer::NotUnderstood,
                _ => KeyAnswer::value("Reject"),
            },
        }
    }

    /// The most data that a command may send without being asked.
    pub(crate) fn unsolicited_bytes(&self) -> usize {
        usize::try_from(self.first_burst_bytes.min(self.max_burst_bytes)).unwrap_or(usize::MAX)
    }

    fn declare_receive_length(&mut self, value: &str) -> KeyAnswer {
        match parse_number(value).filter(|number| LENGTHS.contains(number)) {
            Some(number) => {
                self.max_send_data_segment_bytes = number;
                KeyAnswer::Silent
            }
            None => KeyAnswer::value("Reject"),
        }
    }

    /// The longer time counts.
    fn choose_time_to_wait(&mut self, value: &str) -> KeyAnswer {
        let number = parse_number(value).and_then(|number| u16::try_from(number).ok());
        match number.filter(|number| *number <= 3600) {
            Some(number) => {
                self.time_to_wait_seconds = number.max(Self::default().time_to_wait_seconds);
                KeyAnswer::Value(self.time_to_wait_seconds.to_string())
            }
            None => KeyAnswer::value("Reject"),
        }
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            has_header_digest: false,
            has_data_digest: false,
            initial_r2t: true,
            immediate_data: true,
            max_send_data_segment_bytes: 8192,
            max_burst_bytes: 262_144,
            first_burst_bytes: 65_536,
            max_outstanding_r2t: 1,
            time_to_wait_seconds: 2,
        }
    }
}

impl KeyAnswer {
    fn value(text: &str) -> Self {
        Self::Value(text.to_owned())
    }
}

/// The initiator's first choice that is offered here.
fn choose_digest(agreed: &mut bool, value: &str, accepts_crc32c: bool) -> KeyAnswer {
    let choice =
        value.split(',').find(|name| *name == "None" || *name == "CRC32C" && accepts_crc32c);
    *agreed = choice == Some("CRC32C");
    KeyAnswer::value(choice.unwrap_or("Reject"))
}

/// Yes if one of both says yes.
fn either(agreed: &mut bool, value: &str, ours: bool) -> KeyAnswer {
    choose_boolean(agreed, value, |theirs| theirs || ours)
}

/// Yes if both say yes; the present value is ours.
fn both(agreed: &mut bool, value: &str) -> KeyAnswer {
    let ours = *agreed;
    choose_boolean(agreed, value, |theirs| theirs && ours)
}

fn choose_boolean(agreed: &mut bool, value: &str, combine: impl FnOnce(bool) -> bool) -> KeyAnswer {
    let theirs = match value {
        "Yes" => true,
        "No" => false,
        _ => return KeyAnswer::value("Reject"),
    };
    *agreed = combine(theirs);
    KeyAnswer::value(if *agreed { "Yes" } else { "No" })
}

/// The smaller number.
fn least(agreed: &mut u32, value: &str, range: RangeInclusive<u32>, ours: u32) -> KeyAnswer {
    match parse_number(value).filter(|number| range.contains(number)) {
        Some(theirs) => {
            *agreed = theirs.min(ours);
            KeyAnswer::Value(agreed.to_string())
        }
        None => KeyAnswer::value("Reject"),
    }
}

fn choose_task_reporting(value: &str) -> KeyAnswer {
    let is_offered = value.split(',').any(|name| name == "RFC3720");
    KeyAnswer::value(if is_offered { "RFC3720" } else { "Reject" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(keys: &[(&str, &str, &str)], is_discovery: bool) -> Parameters {
        let config = TargetConfig::new(Vec::new());
        let mut parameters = Parameters::default();
        for (key, value, expected) in keys {
            let answer = match parameters.negotiate(key, value, &config, is_discovery) {
                KeyAnswer::Silent => String::new(),
                KeyAnswer::Value(value) => value,
                KeyAnswer::NotUnderstood => "NotUnderstood".to_owned(),
            };
            assert_eq!(answer, *expected, "{key}={value}");
        }
        parameters
    }

    #[test]
    fn what_linux_proposes_lets_256_kib_travel_with_the_command() {
        let parameters = answers(
            &[
                ("HeaderDigest", "None,CRC32C", "None"),
                ("DataDigest", "CRC32C,None", "CRC32C"),
                ("DefaultTime2Wait", "2", "2"),
                ("DefaultTime2Retain", "0", "0"),
                ("IFMarker", "No", "No"),
                ("OFMarker", "Yes", "No"),
                ("ErrorRecoveryLevel", "0", "0"),
                ("InitialR2T", "No", "No"),
                ("ImmediateData", "Yes", "Yes"),
                ("MaxBurstLength", "16776192", "1048576"),
                ("FirstBurstLength", "262144", "262144"),
                ("MaxOutstandingR2T", "1", "1"),
                ("MaxConnections", "1", "1"),
                ("DataPDUInOrder", "Yes", "Yes"),
                ("DataSequenceInOrder", "Yes", "Yes"),
                ("MaxRecvDataSegmentLength", "262144", ""),
            ],
            false,
        );
        assert!(!parameters.initial_r2t && parameters.immediate_data);
        assert!(!parameters.has_header_digest && parameters.has_data_digest);
        assert_eq!(parameters.max_send_data_segment_bytes, 262_144);
        assert_eq!(parameters.unsolicited_bytes(), 262_144);
    }

    #[test]
    fn every_key_has_its_rule() {
        let parameters = answers(
            &[
                ("InitialR2T", "Yes", "Yes"),
                ("ImmediateData", "No", "No"),
                ("MaxBurstLength", "0x10000", "65536"),
                ("FirstBurstLength", "131072", "65536"),
                ("MaxOutstandingR2T", "65535", "4"),
                ("MaxConnections", "8", "1"),
                ("ErrorRecoveryLevel", "2", "0"),
                ("DefaultTime2Wait", "30", "30"),
                ("DefaultTime2Retain", "20", "0"),
                ("DataPDUInOrder", "No", "Yes"),
                ("TaskReporting", "FastAbort,RFC3720", "RFC3720"),
                ("iSCSIProtocolLevel", "2", "1"),
                ("IFMarkInt", "2048", "Irrelevant"),
                ("X-com.example", "1", "NotUnderstood"),
            ],
            false,
        );
        assert!(parameters.initial_r2t && !parameters.immediate_data);
        assert_eq!((parameters.max_outstanding_r2t, parameters.time_to_wait_seconds), (4, 30));
    }

    #[test]
    fn values_that_make_no_sense_are_rejected_and_change_nothing() {
        let parameters = answers(
            &[
                ("MaxBurstLength", "511", "Reject"),
                ("FirstBurstLength", "16777216", "Reject"),
                ("MaxRecvDataSegmentLength", "many", "Reject"),
                ("MaxOutstandingR2T", "0", "Reject"),
                ("MaxConnections", "0", "Reject"),
                ("ErrorRecoveryLevel", "3", "Reject"),
                ("DefaultTime2Wait", "3601", "Reject"),
                ("InitialR2T", "yes", "Reject"),
                ("ImmediateData", "", "Reject"),
                ("HeaderDigest", "MD5", "Reject"),
                ("TaskReporting", "FastAbort", "Reject"),
            ],
            false,
        );
        assert_eq!(parameters, Parameters::default());
    }

    #[test]
    fn discovery_has_no_use_for_keys_about_data() {
        let expected = IRRELEVANT_TO_DISCOVERY.map(|key| (key, "1", "Irrelevant"));
        answers(&expected, true);
        answers(&[("HeaderDigest", "None", "None"), ("DefaultTime2Wait", "0", "2")], true);
    }

    #[test]
    fn full_feature_phase_only_changes_the_length_of_pdus() {
        let config = TargetConfig::new(Vec::new());
        let mut parameters = Parameters::default();
        assert_eq!(
            parameters.renegotiate("MaxRecvDataSegmentLength", "65536", &config),
            KeyAnswer::Silent
        );
        assert_eq!(parameters.max_send_data_segment_bytes, 65_536);
        assert_eq!(
            parameters.renegotiate("MaxBurstLength", "512", &config),
            KeyAnswer::value("Reject")
        );
        assert_eq!(parameters.renegotiate("Unheard", "512", &config), KeyAnswer::NotUnderstood);
        assert_eq!(parameters.max_burst_bytes, 262_144);
    }
}
