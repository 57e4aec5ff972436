//! A tape as anybody would write it down: the plain reference that the real one is held against.

use vtl_scsi::sense::Sense;

use vtl_tools::random::Random;

/// What is on a tape: a block, whose content follows from its number, or a filemark.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Object {
    Block { id: u64, length: u32 },
    Mark,
}

impl PartialEq for Object {
    /// One block of zeros is like another.
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Mark, Self::Mark) => true,
            (Self::Block { id, length }, Self::Block { id: other, length: other_length }) => {
                length == other_length && (id == other || (is_zeros(id) && is_zeros(other)))
            }
            _ => false,
        }
    }
}

impl Eq for Object {}

/// The objects of a tape, first one first.
pub(crate) type Objects = Vec<Object>;

/// The content of a block: some that a drive cannot compress, some that it can, and now and then nothing at all.
pub(crate) fn content(id: u64, length: u32) -> Vec<u8> {
    let mut bytes = Random::new(id, 0xb10c).bytes(usize::try_from(length).unwrap_or(0));
    match id % 8 {
        1 | 3 | 5 => {
            for byte in &mut bytes {
                *byte = b'a' + *byte % 8;
            }
        }
        4 => {
            let half = bytes.len() / 2;
            bytes.truncate(half);
            bytes.resize(usize::try_from(length).unwrap_or(0), 0);
        }
        _ if is_zeros(id) => bytes.fill(0),
        _ => {}
    }
    bytes
}

fn is_zeros(id: u64) -> bool {
    id % 8 == 7
}

/// A tape with a position.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape {
    pub(crate) objects: Objects,
    // Invariant: position <= objects.len()
    pub(crate) position: usize,
}

/// How a motion ended: `None` is GOOD.
type Motion = Option<Sense>;

impl Tape {
    /// Everything from the position on is given up, and these come instead.
    pub(crate) fn write(&mut self, objects: &[Object]) {
        self.objects.truncate(self.position);
        self.objects.extend_from_slice(objects);
        self.position = self.objects.len();
    }

    /// The next object, which is passed.
    pub(crate) fn read(&mut self) -> Option<Object> {
        let object = self.objects.get(self.position).copied()?;
        self.position += 1;
        Some(object)
    }

    pub(crate) fn filemarks_before(&self) -> u64 {
        let before = self.objects.iter().take(self.position);
        before.filter(|object| **object == Object::Mark).count() as u64
    }

    pub(crate) fn locate(&mut self, object: u64) -> Motion {
        let end = self.objects.len() as u64;
        self.position = usize::try_from(object.min(end)).unwrap_or(0);
        (object > end).then(|| end_of_data(object - end))
    }

    /// One object after the other, as a drive without an index would do it.
    pub(crate) fn space_blocks(&mut self, count: i32) -> Motion {
        for done in 0..count.unsigned_abs() {
            let residual = u64::from(count.unsigned_abs() - done);
            let passed = match self.pass(count, residual) {
                Ok(passed) => passed,
                Err(sense) => return Some(sense),
            };
            if passed == Object::Mark {
                return Some(Sense::filemark_detected(signed(residual)));
            }
        }
        None
    }

    pub(crate) fn space_filemarks(&mut self, count: i32) -> Motion {
        let mut residual = u64::from(count.unsigned_abs());
        while residual > 0 {
            match self.pass(count, residual) {
                Ok(Object::Mark) => residual -= 1,
                Ok(Object::Block { .. }) => {}
                Err(sense) => return Some(sense),
            }
        }
        None
    }

    /// Passes one object in the direction of `count`.
    fn pass(&mut self, count: i32, residual: u64) -> Result<Object, Sense> {
        if count > 0 {
            self.read().ok_or_else(|| end_of_data(residual))
        } else {
            self.position = self
                .position
                .checked_sub(1)
                .ok_or_else(|| Sense::beginning_of_partition(signed(residual)))?;
            Ok(self.objects.get(self.position).copied().unwrap_or(Object::Mark))
        }
    }
}

fn end_of_data(residual: u64) -> Sense {
    Sense::end_of_data().with_information(signed(residual))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn motions_end_where_a_drive_would_end_them() {
        let block = |id| Object::Block { id, length: 10 };
        let mut tape = Tape::default();
        tape.write(&[block(1), block(2), Object::Mark, block(3)]);
        assert_eq!(tape.space_blocks(-2), Some(Sense::filemark_detected(1)));
        assert_eq!(tape.position, 2);
        assert_eq!(tape.space_blocks(-3), Some(Sense::beginning_of_partition(1)));
        assert_eq!(tape.space_filemarks(2), Some(Sense::end_of_data().with_information(1)));
        assert_eq!((tape.position, tape.filemarks_before()), (4, 1));
        assert_eq!(tape.space_filemarks(-1), None);
        assert_eq!(tape.position, 2);
        tape.write(&[block(9)]);
        assert_eq!(tape.objects, [block(1), block(2), block(9)]);
        assert_eq!(tape.locate(7), Some(Sense::end_of_data().with_information(4)));
    }
}
