//! What has to be on a cartridge, and what may be.
//!
//! A sync point that was answered fixes everything before it. What was sent after it forms one run of objects from one position on,
//! because every change of position is a sync point itself. After a crash the cartridge therefore has to hold either exactly what
//! was synced, or what was synced before the run's position and then the beginning of the run, of any length.

use vtl_tools::random::Random;

/// A block, by what its content follows from; or a filemark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    Block(Block),
    Filemark,
}

/// One block: no two have the same round and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) round: u32,
    pub(crate) number: u32,
    pub(crate) length: usize,
}

/// What was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Block(Vec<u8>),
    Filemark,
}

/// What is known of a cartridge's content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape {
    /// What was acknowledged at the last completed sync point.
    synced: Vec<Object>,
    /// What was sent since then, acknowledged or not.
    run: Option<Run>,
    /// Where the drive is.
    position: usize,
}

// Invariant: at <= synced.len(), and position == at + objects.len() while there is a run.
#[derive(Debug, Clone)]
struct Run {
    at: usize,
    objects: Vec<Object>,
}

/// Compares what is read back, object by object.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    tape: &'a Tape,
    seed: u64,
    count: usize,
    /// Why it cannot be what was synced.
    not_synced: Option<String>,
    /// Why it cannot be the beginning of the run either.
    not_run: Option<String>,
}

impl Block {
    /// The bytes of this block.
    pub(crate) fn content(&self, seed: u64) -> Vec<u8> {
        let purpose = u64::from(self.round) << 32 | u64::from(self.number);
        Random::new(seed, purpose).bytes(self.length)
    }
}

impl Tape {
    /// How many objects there are if everything that was sent has arrived.
    pub(crate) fn end(&self) -> usize {
        self.run.as_ref().map_or(self.synced.len(), |_| self.position)
    }

    /// Where the drive is.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// An object goes to the drive, to be written at the position.
    pub(crate) fn sending(&mut self, object: Object) {
        self.giving_up_the_rest().objects.push(object);
        self.position += 1;
    }

    /// An ERASE goes to the drive.
    pub(crate) fn erasing(&mut self) {
        self.giving_up_the_rest();
    }

    /// A sync point was answered: everything that was sent counts. Says whether there was anything.
    pub(crate) fn synced(&mut self) -> bool {
        let had_news = self.run.is_some();
        self.synced_before(self.position);
        had_news
    }

    /// Everything that was sent for places before this one counts, as after an unbuffered write.
    pub(crate) fn synced_before(&mut self, position: usize) {
        let Some(run) = &mut self.run else { return };
        let count = position.saturating_sub(run.at).min(run.objects.len());
        self.synced.truncate(run.at);
        self.synced.extend(run.objects.drain(..count));
        run.at = self.synced.len();
        if run.objects.is_empty() {
            self.run = None;
        }
    }

    /// The drive has gone there, which is a sync point.
    pub(crate) fn moved_to(&mut self, position: usize) {
        self.synced();
        self.position = position.min(self.synced.len());
    }

    /// The cartridge was read back after a crash: what was found is what it holds from now on.
    pub(crate) fn found(&mut self, objects: Vec<Object>) {
        self.position = objects.len();
        self.synced = objects;
        self.run = None;
    }

    /// The cartridge was loaded, so the drive is at its beginning.
    pub(crate) fn loaded(&mut self) {
        self.position = 0;
    }

    /// Begins a comparison.
    pub(crate) fn compare(&self, seed: u64) -> Comparison<'_> {
        Comparison { tape: self, seed, count: 0, not_synced: None, not_run: None }
    }

    fn giving_up_the_rest(&mut self) -> &mut Run {
        self.run.get_or_insert_with(|| Run { at: self.position, objects: Vec::new() })
    }
}

impl Comparison<'_> {
    /// The next object that was read; `Err` says why it cannot be there.
    pub(crate) fn next(&mut self, seen: &Seen) -> Result<(), String> {
        let (synced, run) = (self.tape.synced.get(self.count), self.tape.in_run(self.count));
        let not_synced = difference(synced, seen, self.seed);
        let not_run = match (&self.tape.run, run == synced) {
            (None, _) => Some("nothing was sent after the last sync point".into()),
            (Some(_), true) => not_synced.clone(),
            (Some(_), false) => difference(run, seen, self.seed),
        };
        let at = |why: String| format!("object {}: {why}", self.count);
        self.not_synced = self.not_synced.take().or(not_synced.map(at));
        self.not_run = self.not_run.take().or(not_run.map(at));
        self.count += 1;
        self.verdict()
    }

    /// The end of the data; says what the cartridge holds.
    pub(crate) fn end(mut self) -> Result<Vec<Object>, String> {
        let (tape, count) = (self.tape, self.count);
        let short =
            |wanted: usize| format!("the data ends after {count} objects in place of {wanted}");
        if count != tape.synced.len() {
            self.not_synced.get_or_insert_with(|| short(tape.synced.len()));
        }
        if let Some(run) = &tape.run
            && count < run.at
        {
            self.not_run.get_or_insert_with(|| short(run.at));
        }
        if tape.run.is_none() {
            self.not_run.get_or_insert_with(|| "nothing was sent after the last sync point".into());
        }
        self.verdict()?;
        if self.not_synced.is_none() {
            return Ok(tape.synced.clone());
        }
        Ok((0..count).filter_map(|index| tape.in_run(index).copied()).collect())
    }

    /// How many objects were read so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    fn verdict(&self) -> Result<(), String> {
        let (Some(not_synced), Some(not_run)) = (&self.not_synced, &self.not_run) else {
            return Ok(());
        };
        let run = self.tape.run.as_ref().map_or_else(String::new, |run| {
            format!(", then {} sent for {} and after", run.objects.len(), run.at)
        });
        Err(format!(
            "acknowledged were {} objects{run}; it is not what was acknowledged: {not_synced}; nor with what came after: {not_run}",
            self.tape.synced.len()
        ))
    }
}

impl Tape {
    /// The object at this place if the run, or a longer part of it, has arrived.
    fn in_run(&self, index: usize) -> Option<&Object> {
        let run = self.run.as_ref()?;
        match index.checked_sub(run.at) {
            None => self.synced.get(index),
            Some(index) => run.objects.get(index),
        }
    }
}

/// Why what was seen is not what was expected.
fn difference(expected: Option<&Object>, found: &Seen, seed: u64) -> Option<String> {
    match (expected, found) {
        (Some(Object::Filemark), Seen::Filemark) => None,
        (Some(Object::Filemark), Seen::Block(bytes)) => {
            Some(format!("a block of {} bytes in place of a filemark", bytes.len()))
        }
        (Some(Object::Block(block)), Seen::Filemark) => {
            Some(format!("a filemark in place of {}", name(block)))
        }
        (None, Seen::Filemark) => Some("a filemark in place of the end of the data".into()),
        (None, Seen::Block(bytes)) => {
            Some(format!("a block of {} bytes in place of the end of the data", bytes.len()))
        }
        (Some(Object::Block(block)), Seen::Block(bytes)) => {
            if bytes.len() != block.length {
                return Some(format!("{} bytes in place of {}", bytes.len(), name(block)));
            }
            let content = block.content(seed);
            let byte = content.iter().zip(bytes).position(|(expected, found)| expected != found)?;
            Some(format!("{} differs from byte {byte} on", name(block)))
        }
    }
}

fn name(block: &Block) -> String {
    format!("block {} of round {} ({} bytes)", block.number, block.round, block.length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 7;

    fn block(number: u32) -> Object {
        Object::Block(Block { round: 1, number, length: 100 + number as usize })
    }

    fn seen(object: &Object) -> Seen {
        match object {
            Object::Filemark => Seen::Filemark,
            Object::Block(block) => Seen::Block(block.content(SEED)),
        }
    }

    fn check(tape: &Tape, objects: &[Object]) -> Result<Vec<Object>, String> {
        let mut comparison = tape.compare(SEED);
        for object in objects {
            comparison.next(&seen(object))?;
        }
        comparison.end()
    }

    fn tape(synced: &[Object], at: usize, run: &[Object]) -> Tape {
        let mut tape = Tape::default();
        for object in synced {
            tape.sending(*object);
        }
        tape.moved_to(at);
        for object in run {
            tape.sending(*object);
        }
        tape
    }

    #[test]
    fn append_in_flight() {
        let all = [block(0), Object::Filemark, block(1), block(2)];
        let tape = tape(&all[..2], 2, &all[2..]);
        assert!(check(&tape, &all[..1]).is_err(), "an acknowledged filemark is lost");
        for count in 2..=4 {
            assert_eq!(check(&tape, &all[..count]).unwrap(), &all[..count]);
        }
        assert!(check(&tape, &[block(0), Object::Filemark, block(2)]).is_err(), "a hole");
        assert!(check(&tape, &[block(0), Object::Filemark, block(1), block(2), block(2)]).is_err());
        assert!(check(&tape, &[block(0), block(1)]).is_err());
    }

    #[test]
    fn overwrite_in_flight() {
        let old = [block(0), block(1), block(2), block(3)];
        let tape = tape(&old, 1, &[block(10), block(11)]);
        assert!(check(&tape, &old).is_ok());
        assert!(check(&tape, &old[..3]).is_err(), "neither old nor new");
        assert!(check(&tape, &old[..1]).is_ok(), "given up, and nothing arrived");
        assert!(check(&tape, &[block(0), block(10)]).is_ok());
        assert!(check(&tape, &[block(0), block(10), block(11)]).is_ok());
        assert!(check(&tape, &[block(0), block(10), block(2)]).is_err(), "a mixture");
        assert!(check(&tape, &[]).is_err());
    }

    #[test]
    fn a_sync_point_fixes_the_new() {
        let mut tape = tape(&[block(0), block(1)], 0, &[block(10)]);
        tape.synced();
        assert!(check(&tape, &[block(0), block(1)]).is_err());
        assert!(check(&tape, &[block(10)]).is_ok());
        assert!(check(&tape, &[]).is_err());
    }

    #[test]
    fn an_erase_is_done_or_not() {
        let mut tape = tape(&[block(0), block(1)], 1, &[]);
        tape.erasing();
        assert!(check(&tape, &[block(0), block(1)]).is_ok());
        assert!(check(&tape, &[block(0)]).is_ok());
        assert!(check(&tape, &[]).is_err());
        tape.synced();
        assert!(check(&tape, &[block(0), block(1)]).is_err());
        assert!(check(&tape, &[block(0)]).is_ok());
    }

    #[test]
    fn unbuffered_writes_count_one_by_one() {
        let mut tape = tape(&[block(0)], 1, &[block(1), block(2), block(3)]);
        tape.synced_before(3);
        assert!(check(&tape, &[block(0), block(1)]).is_err());
        assert!(check(&tape, &[block(0), block(1), block(2)]).is_ok());
        assert!(check(&tape, &[block(0), block(1), block(2), block(3)]).is_ok());
        assert_eq!((tape.position(), tape.end()), (4, 4));
    }

    #[test]
    fn a_flipped_bit_and_a_wrong_length_are_found() {
        let tape = tape(&[block(0)], 1, &[]);
        let Seen::Block(mut bytes) = seen(&block(0)) else { unreachable!() };
        bytes[50] ^= 1;
        let why = tape.compare(SEED).next(&Seen::Block(bytes.clone())).unwrap_err();
        assert!(why.contains("byte 50"), "{why}");
        bytes[50] ^= 1;
        bytes.pop();
        assert!(tape.compare(SEED).next(&Seen::Block(bytes)).is_err());
    }
}
