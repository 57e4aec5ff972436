//! Motions: they find objects and filemarks in the index, and read no data.

use super::{Cartridge, MediumError, ObjectNumber, SpaceOutcome};
use crate::journal::{Found, Key, Point};

impl Cartridge {
    /// Goes to the first object.
    pub fn rewind(&mut self) -> Result<(), MediumError> {
        self.sync()?;
        self.position = Point::default();
        Ok(())
    }

    /// Goes to an object, or to the end of the data if there is no such object.
    pub fn locate(&mut self, object: ObjectNumber) -> Result<SpaceOutcome, MediumError> {
        self.sync()?;
        if object.0 > self.end.objects {
            return self.stop_at_end(object.0.saturating_sub(self.end.objects));
        }
        self.go_to(object.0)?;
        Ok(SpaceOutcome::Done)
    }

    /// Goes to the place that has `count` filemarks before it: the beginning, or right behind the last of them.
    pub fn locate_filemark(&mut self, count: u64) -> Result<SpaceOutcome, MediumError> {
        self.sync()?;
        if count > self.end.filemarks {
            return self.stop_at_end(count.saturating_sub(self.end.filemarks));
        }
        match count.checked_sub(1) {
            None => self.position = Point::default(),
            Some(mark) => self.position = behind_mark(self.before_mark(mark)?),
        }
        Ok(SpaceOutcome::Done)
    }

    /// Goes behind the last object.
    pub fn space_to_end_of_data(&mut self) -> Result<SpaceOutcome, MediumError> {
        self.sync()?;
        self.position = self.end;
        self.check_end()?;
        Ok(SpaceOutcome::Done)
    }

    /// Passes blocks, forward or backward, but no filemark: one that is met is passed and ends the motion.
    pub fn space_blocks(&mut self, count: i64) -> Result<SpaceOutcome, MediumError> {
        self.sync()?;
        let distance = count.unsigned_abs();
        if count >= 0 { self.blocks_forward(distance) } else { self.blocks_backward(distance) }
    }

    /// Passes filemarks, forward or backward.
    pub fn space_filemarks(&mut self, count: i64) -> Result<SpaceOutcome, MediumError> {
        self.sync()?;
        let distance = count.unsigned_abs();
        let before = self.position.filemarks;
        if distance == 0 {
            return Ok(SpaceOutcome::Done);
        }
        if count > 0 {
            let target = before.saturating_add(distance);
            if target > self.end.filemarks {
                return self.stop_at_end(target.saturating_sub(self.end.filemarks));
            }
            self.position = behind_mark(self.before_mark(target.saturating_sub(1))?);
            return Ok(SpaceOutcome::Done);
        }
        match before.checked_sub(distance) {
            Some(mark) => {
                self.position = self.before_mark(mark)?;
                Ok(SpaceOutcome::Done)
            }
            None => Ok(self.stop_at_beginning(distance.saturating_sub(before))),
        }
    }

    fn blocks_forward(&mut self, distance: u64) -> Result<SpaceOutcome, MediumError> {
        let Point { objects, filemarks, .. } = self.position;
        let target = objects.saturating_add(distance);
        if distance == 0 {
            return Ok(SpaceOutcome::Done);
        }
        if filemarks < self.end.filemarks {
            let mark = self.before_mark(filemarks)?;
            if target > mark.objects {
                self.position = behind_mark(mark);
                return Ok(SpaceOutcome::Filemark {
                    residual: target.saturating_sub(mark.objects),
                });
            }
        }
        if target > self.end.objects {
            return self.stop_at_end(target.saturating_sub(self.end.objects));
        }
        self.go_to(target)?;
        Ok(SpaceOutcome::Done)
    }

    fn blocks_backward(&mut self, distance: u64) -> Result<SpaceOutcome, MediumError> {
        let Point { objects, filemarks, .. } = self.position;
        if let Some(before) = filemarks.checked_sub(1) {
            let mark = self.before_mark(before)?;
            let blocks = objects.saturating_sub(mark.objects).saturating_sub(1);
            if distance > blocks {
                self.position = mark;
                return Ok(SpaceOutcome::Filemark { residual: distance.saturating_sub(blocks) });
            }
        }
        match objects.checked_sub(distance) {
            Some(target) => {
                self.go_to(target)?;
                Ok(SpaceOutcome::Done)
            }
            None => Ok(self.stop_at_beginning(distance.saturating_sub(objects))),
        }
    }

    /// Goes to an object that is there, or to the end.
    fn go_to(&mut self, object: u64) -> Result<(), MediumError> {
        self.position = match object {
            0 => Point::default(),
            _ if object == self.end.objects => self.end,
            _ if object == self.position.objects => self.position,
            _ => match self.reader.find(Key::Object(object))? {
                Found::Record(header, _) => header.point_before(object),
                // Reading there will say that it is damaged; the counts are those of the next record that is known.
                Found::Lost(next) => {
                    Point { objects: object, ..next.map_or(self.end, |next| next.start) }
                }
                Found::Nothing => {
                    return Err(MediumError::EndOfDataMissing { object: ObjectNumber(object) });
                }
            },
        };
        Ok(())
    }

    /// The moment before a filemark.
    pub(super) fn before_mark(&mut self, mark: u64) -> Result<Point, MediumError> {
        match self.reader.find(Key::Filemark(mark))? {
            Found::Record(header, _) => {
                let ahead = mark.saturating_sub(header.start.filemarks);
                Ok(header.point_before(header.start.objects.saturating_add(ahead)))
            }
            Found::Lost(next) => {
                let behind = next.map_or(self.end.objects, |next| next.start.objects);
                Err(MediumError::Damaged { object: ObjectNumber(behind.saturating_sub(1)) })
            }
            Found::Nothing => {
                Err(MediumError::EndOfDataMissing { object: ObjectNumber(self.end.objects) })
            }
        }
    }

    fn stop_at_end(&mut self, residual: u64) -> Result<SpaceOutcome, MediumError> {
        self.position = self.end;
        self.check_end()?;
        Ok(SpaceOutcome::EndOfData { residual })
    }

    fn stop_at_beginning(&mut self, residual: u64) -> SpaceOutcome {
        self.position = Point::default();
        SpaceOutcome::BeginningOfPartition { residual }
    }
}

fn behind_mark(mark: Point) -> Point {
    Point {
        objects: mark.objects.saturating_add(1),
        filemarks: mark.filemarks.saturating_add(1),
        bytes: mark.bytes,
    }
}
