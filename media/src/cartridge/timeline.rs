//! What has been on a cartridge: its recovery points and its generations.

use std::sync::Arc;

use jiff::Timestamp;
use nom::bytes::complete::take;
use nom::number::complete::le_u16;
use nom::{IResult, Parser};
use serde::{Deserialize, Serialize};

use super::{Cartridge, MediumError};
use crate::journal::{
    Begun, Header, Index, IndexHome, Kind, Place, Point, SegmentReader, Waypoint, read_index,
    read_payload, time_from_us,
};
use crate::label::Origin;

/// A moment that a cartridge can be taken back to: a sync point, or filemarks that became durable later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// The number of its record, by which it is named; it never changes.
    pub sequence: u64,
    /// When it was written.
    pub time: Timestamp,
    /// The generation that was written then.
    pub generation: u32,
    /// Blocks and filemarks on the tape then.
    pub objects: u64,
    /// Filemarks among them.
    pub filemarks: u64,
    /// Bytes of the blocks.
    pub written_bytes: u64,
    /// Who had written, where that is known.
    pub initiator: Option<String>,
    /// Whether it was answered only when it was durable.
    pub is_sync: bool,
    /// Whether the tape is as it was then.
    pub is_current: bool,
    /// The partition.
    #[serde(default, skip_serializing_if = "is_first")]
    pub partition: u8,
    /// Where its record begins.
    #[serde(skip)]
    place: Place,
}

impl RecoveryPoint {
    /// The same as a point of another partition.
    pub(super) fn of_partition(self, partition: u8) -> Self {
        Self { partition, ..self }
    }
}

/// Which recovery point is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedPoint {
    /// The one with this number.
    Sequence(u64),
    /// The last one that is not younger than this.
    Time(Timestamp),
}

impl WantedPoint {
    /// The time that is meant, where it is this point.
    pub fn time(self, point: &RecoveryPoint) -> Timestamp {
        match self {
            Self::Time(time) => time,
            Self::Sequence(_) => point.time,
        }
    }
}

/// A generation, and what began it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationBegun {
    /// Its number.
    pub generation: u32,
    /// When it began, where that is known.
    pub time: Option<Timestamp>,
    /// The first object that it replaced.
    pub first_object: u64,
    /// What began it: `overwritten`, `erased`, `rewound` or `formatted`.
    pub reason: String,
    /// The objects that there had been before.
    pub objects_before: Option<u64>,
}

impl Cartridge {
    /// The newest recovery points, at most so many, oldest first.
    pub fn recovery_points(&self, limit: usize) -> Result<Vec<RecoveryPoint>, MediumError> {
        let mut points = Vec::new();
        self.each_waypoint(|segments, place, waypoint| {
            points.push((place, waypoint, writer_of(segments, place, &waypoint)?));
            Ok(points.len() >= limit)
        })?;
        let (end, generation) = (self.end, self.generation);
        let points = points.into_iter().rev().map(|(place, waypoint, initiator)| {
            let is_current = waypoint.generation == generation && waypoint.moment == end;
            point(place, &waypoint, initiator, is_current)
        });
        Ok(points.collect())
    }

    /// The recovery point that is meant; `None` if there is no such point, or not any more.
    pub fn find_point(&self, wanted: WantedPoint) -> Result<Option<RecoveryPoint>, MediumError> {
        let mut found = None;
        self.each_waypoint(|segments, place, waypoint| {
            let is_it = match wanted {
                WantedPoint::Sequence(sequence) => waypoint.sequence == sequence,
                WantedPoint::Time(time) => waypoint.time_us <= time.as_microsecond(),
            };
            if is_it {
                found = Some((place, waypoint, writer_of(segments, place, &waypoint)?));
            }
            Ok(is_it)
        })?;
        let (end, generation) = (self.end, self.generation);
        Ok(found.map(|(place, waypoint, initiator)| {
            let is_current = waypoint.generation == generation && waypoint.moment == end;
            point(place, &waypoint, initiator, is_current)
        }))
    }

    /// The newest recovery point, if there is one.
    pub fn last_point(&self) -> Result<Option<RecoveryPoint>, MediumError> {
        Ok(self.recovery_points(1)?.pop())
    }

    /// All generations but the first one, oldest first.
    pub fn generations(&self) -> Result<Vec<GenerationBegun>, MediumError> {
        let begun: Vec<Begun> = {
            let view = self.view();
            let own = view.lineage().beginnings().iter();
            own.filter(|begun| begun.place.segment >= self.layers.first_own()).copied().collect()
        };
        let mut segments = self.own_reader();
        let mut generations = Vec::new();
        for begun in begun {
            let record = read_payload(&mut segments, begun.place, Kind::GENERATION)?;
            if record.is_none() && begun.generation == 0 {
                continue;
            }
            generations.push(generation(
                &begun,
                record.as_ref().map(|(header, payload)| (header, &payload[..])),
            ));
        }
        Ok(generations)
    }

    /// What other cartridges and snapshots need to know to read this one as it was at a point.
    pub fn origin_at(&self, point: &RecoveryPoint) -> Result<Origin, MediumError> {
        let behind = self.behind(point)?;
        Ok(Origin {
            cartridge: self.layers.cartridge_of(behind.segment),
            segment: behind.segment,
            sector: behind.sector(),
            sequence: point.sequence,
            objects: point.objects,
            filemarks: point.filemarks,
            bytes: point.written_bytes,
        })
    }

    /// Behind the record of a point, which is looked at once more before anything rests on it.
    pub(super) fn behind(&self, point: &RecoveryPoint) -> Result<Place, MediumError> {
        let mut segments = self.own_reader();
        match segments.header(point.place, u64::MAX)? {
            Ok(header) if header.sequence == point.sequence => Ok(header.behind()),
            Ok(_) | Err(_) => Err(MediumError::PointLost { sequence: point.sequence }),
        }
    }

    /// A reader that leaves alone what the drive is reading.
    pub(super) fn own_reader(&self) -> SegmentReader {
        SegmentReader::new(Arc::clone(&self.disk), Arc::clone(&self.layers))
    }

    /// The newest record that is known to be durable.
    fn durable_sequence(&self) -> u64 {
        let written =
            self.writer.as_ref().map_or(0, |writer| writer.queue.state().durable_sequence);
        written.max(self.recovered_sequence)
    }

    /// Shows waypoints that can be gone back to, newest first, until it is enough.
    pub(super) fn each_waypoint(
        &self,
        mut show: impl FnMut(&mut SegmentReader, Place, Waypoint) -> Result<bool, MediumError>,
    ) -> Result<(), MediumError> {
        let newest = self.durable_sequence();
        let oldest = self.label.undo_horizon.map_or(0, |horizon| horizon.sequence);
        let first_own = self.layers.first_own();
        let origin = self.label.origin.map(|origin| origin.sequence);
        let numbers: Vec<u32> = self.view().rows().iter().rev().map(|row| row.number).collect();
        let mut segments = self.own_reader();
        for number in numbers {
            let index = self.index_of(&mut segments, number)?;
            for waypoint in index.waypoints.iter().rev() {
                // What lies below a twin's own segments is another cartridge's history, but for the moment it begins with.
                let is_ours = number >= first_own || Some(waypoint.sequence) == origin;
                let is_there = waypoint.sequence <= newest && waypoint.sequence >= oldest;
                let place = Place { segment: number, offset: waypoint.offset };
                if is_ours && is_there && show(&mut segments, place, *waypoint)? {
                    return Ok(());
                }
                if waypoint.sequence < oldest {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The index of a segment: from memory, from the segment, or else from its records.
    fn index_of(&self, segments: &mut SegmentReader, number: u32) -> Result<Index, MediumError> {
        let (home, end) = {
            let view = self.view();
            let Some(row) = view.row(number) else { return Ok(Index::default()) };
            let home = match &row.home {
                IndexHome::Memory(index) => return Ok(Index::clone(index)),
                IndexHome::Disk { offset, counts } => (*offset, *counts),
            };
            (home, row.data_end)
        };
        let (offset, counts) = home;
        match read_index(segments, Place { segment: number, offset }, &counts)? {
            Some(index) => Ok(index),
            None => Ok(segments.walk_index(number, end)?),
        }
    }
}

fn point(
    place: Place,
    waypoint: &Waypoint,
    initiator: Option<String>,
    is_current: bool,
) -> RecoveryPoint {
    let Point { objects, filemarks, bytes } = waypoint.moment;
    RecoveryPoint {
        sequence: waypoint.sequence,
        time: time_from_us(waypoint.time_us).unwrap_or_default(),
        generation: waypoint.generation,
        objects,
        filemarks,
        written_bytes: bytes,
        initiator,
        is_sync: waypoint.is_sync,
        is_current,
        partition: 0,
        place,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_first(partition: &u8) -> bool {
    *partition == 0
}

/// Who wrote, as the record of a sync point says. One that is damaged says nothing.
fn writer_of(
    segments: &mut SegmentReader,
    place: Place,
    waypoint: &Waypoint,
) -> Result<Option<String>, MediumError> {
    if !waypoint.is_sync {
        return Ok(None);
    }
    let Some((_, payload)) = read_payload(segments, place, Kind::SYNC_POINT)? else {
        return Ok(None);
    };
    let parsed: IResult<&[u8], _> = (take(24_usize), le_u16).parse(&payload[..]);
    let Ok((rest, (_, length))) = parsed else { return Ok(None) };
    let name = rest.get(..usize::from(length)).unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty()))
}

fn generation(begun: &Begun, record: Option<(&Header, &[u8])>) -> GenerationBegun {
    let reason = match record.and_then(|(_, payload)| payload.first()) {
        Some(1) => "overwritten",
        Some(2) => "erased",
        Some(3) => "rewound",
        Some(4) => "formatted",
        _ => "unknown",
    };
    let before = record.and_then(|(_, payload)| {
        payload.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    });
    GenerationBegun {
        generation: begun.generation,
        time: record.and_then(|(header, _)| time_from_us(header.time_us)),
        first_object: begun.start.objects,
        reason: reason.to_owned(),
        objects_before: before,
    }
}
