//! The stored form of an entry's body: JSON that describes itself, with the version of its envelope.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Event, RecordedEvent};

/// An entry's body as it is stored. `v` is the version of this envelope, not of the events in it.
#[derive(Serialize)]
struct EnvelopeOut<'a> {
    v: u32,
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance: Option<Timestamp>,
    actor: &'a str,
    event: &'a Event,
}

#[derive(Deserialize)]
struct EnvelopeVersion {
    v: u32,
}

#[derive(Deserialize)]
struct EnvelopeIn {
    time: Timestamp,
    // What is older than the clock has none.
    compliance: Option<Timestamp>,
    actor: String,
    event: Value,
}

/// Why a body with good checksums could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyError {
    /// No JSON of the expected form, or a known event with unknown fields' values.
    Malformed,
    /// A later version of the envelope.
    Newer(u32),
}

/// When something was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// By the host's clock.
    pub(super) wall: Timestamp,
    /// By the clock that ends locks.
    pub(super) compliance: Option<Timestamp>,
}

/// The stored form of an entry's body.
pub(super) fn encode_body(
    times: Times,
    actor: &str,
    event: &Event,
) -> Result<Vec<u8>, serde_json::Error> {
    let Times { wall: time, compliance } = times;
    serde_json::to_vec(&EnvelopeOut { v: envelope_version(event), time, compliance, actor, event })
}

/// Reads a body back: its times, actor and event.
pub(super) fn decode_body(bytes: &[u8]) -> Result<(Times, String, RecordedEvent), BodyError> {
    let version: EnvelopeVersion =
        serde_json::from_slice(bytes).map_err(|_| BodyError::Malformed)?;
    if version.v > ENVELOPE_VERSION {
        return Err(BodyError::Newer(version.v));
    }
    let envelope: EnvelopeIn = serde_json::from_slice(bytes).map_err(|_| BodyError::Malformed)?;
    let name = envelope.event.get("type").and_then(Value::as_str).ok_or(BodyError::Malformed)?;
    let event = if KNOWN_EVENTS.contains(&name) {
        // A known event that cannot be read must not pass as an unknown one: a move would be silently ignored.
        RecordedEvent::Known(
            serde_json::from_value(envelope.event).map_err(|_| BodyError::Malformed)?,
        )
    } else {
        RecordedEvent::Unknown(envelope.event)
    };
    let times = Times { wall: envelope.time, compliance: envelope.compliance };
    Ok((times, envelope.actor, event))
}

/// A program that does not know of access rules must not let everybody in because it takes no notice of them, and one that does not know of
/// locks must not delete what is locked. One that took a retired copy for a good one would give up the cartridge on disk for it, and one that does
/// not know of the keys of pools would write in the clear.
fn envelope_version(event: &Event) -> u32 {
    match event {
        Event::AccessGranted { .. } | Event::AccessRevoked { .. } => 2,
        // Who knows of locks only would not keep one of governance.
        Event::RetentionSet { retention, .. } if retention.governed_until.is_some() => 5,
        Event::RetentionSet { .. } => 3,
        Event::CopyRetired { .. } => 4,
        Event::PoolKeySet { .. } => 5,
        _ => 1,
    }
}

/// The newest version that is understood.
pub(super) const ENVELOPE_VERSION: u32 = 5;

const KNOWN_EVENTS: &[&str] = &[
    "library_created",
    "creation_intended",
    "creation_abandoned",
    "cartridge_created",
    "cartridge_deleted",
    "move_intended",
    "exchange_intended",
    "move_committed",
    "move_abandoned",
    "medium_loaded",
    "medium_unloaded",
    "rewind_intended",
    "rewound",
    "snapshot_members",
    "snapshot_created",
    "snapshot_presented",
    "snapshot_deleted",
    "pruned",
    "verified",
    "reservations_kept",
    "access_granted",
    "access_revoked",
    "secret_replaced",
    "retention_set",
    "copy_staged",
    "copy_advanced",
    "rules_applied",
    "cartridges_pooled",
    "drill_ended",
    "copy_retired",
    "policy_ran",
    "cartridge_imported",
    "drive_failed",
    "drive_fenced",
    "drive_cleared",
    "pool_key_set",
    "pool_key_removed",
    "key_destroyed",
    "fault",
];

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::event::{Motion, MoveStep};
    use super::*;
    use crate::access::SecretOf;
    use crate::place::{LibraryId, Place};
    use crate::retention::Retention;

    #[test]
    fn known_and_later_events_are_read_back() {
        let time: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        let step = MoveStep {
            cartridge: Uuid::from_u128(7),
            from: Place::slot(1),
            to: Place::drive(0),
            source: Some(Place::slot(1)),
            motion: Motion::Move,
        };
        for event in [
            Event::MoveIntended { id: 3, step },
            Event::MoveCommitted { id: 3 },
            Event::AccessRevoked {
                initiator: "iqn.2026-11.example:host".into(),
                library: Some(LibraryId::default()),
            },
            Event::SecretReplaced {
                initiator: "iqn.2026-11.example:host".into(),
                whose: SecretOf::Target,
            },
            Event::PolicyRan { run: Box::default() },
            Event::CartridgeImported { cartridge: Uuid::from_u128(7), source: Box::default() },
            Event::DriveFailed { serial: "D".into(), tape: None, message: "4/53/00".into() },
            Event::DriveFenced { serial: "D".into(), reason: "broken".into() },
            Event::DriveCleared { serial: "D".into() },
            Event::PoolKeyRemoved { pool: "mail".into(), key: Uuid::from_u128(8) },
            Event::KeyDestroyed {
                cartridge: Uuid::from_u128(7),
                pool_key: Uuid::from_u128(8),
                fingerprint: "00".into(),
            },
            Event::Fault {
                cartridge: None,
                place: Some(Place::mail(2)),
                message: "door \"open\"".into(),
            },
        ] {
            let times = Times { wall: time, compliance: "2026-06-01T12:00:00Z".parse().ok() };
            let body = encode_body(times, "cli uid 0", &event).unwrap();
            let (found_times, actor, found) = decode_body(&body).unwrap();
            assert_eq!((found_times, actor.as_str()), (times, "cli uid 0"));
            assert_eq!(found.name(), event.name());
            assert!(KNOWN_EVENTS.contains(&event.name()));
            assert_eq!(found, RecordedEvent::Known(Box::new(event)));
        }
        let time_of = |wall| Times { wall, compliance: None };
        // Whoever does not know of access rules must stop at them.
        let revoked = Event::AccessRevoked { initiator: "iqn.x".into(), library: None };
        assert!(encode_body(time_of(time), "x", &revoked).unwrap().starts_with(br#"{"v":2,"#));
        // And at locks, which they would not keep.
        let retention = Retention { until: Some(time), ..Retention::default() };
        let locked = Event::RetentionSet { reason: None, cartridge: Uuid::from_u128(7), retention };
        assert!(encode_body(time_of(time), "x", &locked).unwrap().starts_with(br#"{"v":3,"#));
        // And at copies that do not count any more.
        let retired =
            Event::CopyRetired { copy: Uuid::from_u128(7), reason: "x".into(), is_last: false };
        assert!(encode_body(time_of(time), "x", &retired).unwrap().starts_with(br#"{"v":4,"#));
        // And at keys of pools, without which they would write in the clear.
        let (pool, key, opens_with) = ("mail".into(), Uuid::from_u128(8), "passphrase".into());
        let set = Event::PoolKeySet { pool, key, opens_with };
        assert!(encode_body(time_of(time), "x", &set).unwrap().starts_with(br#"{"v":5,"#));
        let later = br#"{"v":1,"time":"2031-01-01T00:00:00Z","actor":"x","event":{"type":"warp","factor":9}}"#;
        let (_, _, found) = decode_body(later).unwrap();
        assert_eq!(found.name(), "warp");
        assert_eq!(
            serde_json::to_value(&found).unwrap(),
            serde_json::json!({"type": "warp", "factor": 9})
        );
    }

    #[test]
    fn a_body_that_would_be_misread_is_refused() {
        let newer = br#"{"v":6,"when":1}"#;
        assert_eq!(decode_body(newer), Err(BodyError::Newer(6)));
        for bad in [
            &b"{}"[..],
            b"not json",
            br#"{"v":1,"time":"2031-01-01T00:00:00Z","actor":"x","event":{"type":"move_committed","id":"seven"}}"#,
            br#"{"v":1,"time":"2031-01-01T00:00:00Z","actor":"x","event":{"factor":9}}"#,
        ] {
            assert_eq!(decode_body(bad), Err(BodyError::Malformed));
        }
    }
}
