//! Tapes with several cartridges: their copies go together.

use std::collections::HashMap;

use vtl_media::CopyRecord;

use super::{WalkError, volume_of};

/// A tape, as its copies name it: all members of a stack have the same words for it.
type Name<'a> = (Option<&'a str>, Option<&'a str>);

/// The copies that are on one tape with others.
#[derive(Debug, Default)]
pub(super) struct Stacks<'a>(HashMap<Name<'a>, Vec<&'a CopyRecord>>);

impl<'a> Stacks<'a> {
    pub(super) fn of(copies: &'a [CopyRecord]) -> Self {
        let mut all: HashMap<Name<'a>, Vec<&'a CopyRecord>> = HashMap::new();
        for copy in copies.iter().filter(|copy| !copy.state.is_over()) {
            all.extend(
                name(copy).filter(|name| !all.contains_key(name)).map(|name| (name, Vec::new())),
            );
            if let Some(there) = name(copy).and_then(|name| all.get_mut(&name)) {
                there.push(copy);
            }
        }
        let is_stack = |there: &Vec<&CopyRecord>| {
            there
                .iter()
                .any(|copy| there.first().is_some_and(|one| one.cartridge != copy.cartridge))
        };
        all.retain(|_, there| is_stack(there));
        Self(all)
    }

    /// All copies on the tape of this one, if it is a stack.
    pub(super) fn members<'b>(&'b self, copy: &'b CopyRecord) -> &'b [&'a CopyRecord] {
        let there = name(copy).and_then(|name| self.0.get(&name));
        there.map_or(&[], Vec::as_slice)
    }

    /// These copies, and those that are on the same tapes, which have to be ready as well.
    pub(super) fn with(
        &self,
        chosen: Vec<&'a CopyRecord>,
        is_ready: impl Fn(&CopyRecord) -> bool,
    ) -> Result<Vec<&'a CopyRecord>, WalkError> {
        let mut together = chosen.clone();
        for copy in chosen {
            for other in self.members(copy) {
                if together.iter().any(|known| known.id == other.id) {
                    continue;
                }
                if !is_ready(other) {
                    return Err(WalkError::Stack {
                        volume: volume_of(other).to_owned(),
                        barcode: other.barcode.clone(),
                        number: other.number,
                        state: other.state,
                    });
                }
                together.push(other);
            }
        }
        Ok(together)
    }
}

fn name(copy: &CopyRecord) -> Option<Name<'_>> {
    let name = (copy.facts.medium_serial.as_deref(), copy.facts.volume.as_deref());
    (name != (None, None)).then_some(name)
}
