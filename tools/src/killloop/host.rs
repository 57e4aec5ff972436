//! A host of the library: the SCSI commands that the loop uses, over one iSCSI session.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use crate::tape::Seen;
use vtl::measure::{Done, Initiator};

const GOOD: u8 = 0;
const CHECK_CONDITION: u8 = 2;
const UNIT_ATTENTION: u8 = 6;
const BLANK_CHECK: u8 = 8;
const END_OF_DATA: [u8; 2] = [0x00, 0x05];
const FILEMARK_BIT: u8 = 0x80;
const CHANGER: u64 = 0;
const TRANSPORT: u16 = 1;
const MAX_ATTENTIONS: usize = 16;
/// Longer than any block that is written.
const READ_BYTES: u32 = 2 << 20;
const ELEMENT_STATUS_BYTES: u32 = 1 << 20;
/// In a descriptor of an element: up to the volume tag, and the characters in it.
const VOLUME_TAG_AT: usize = 12;
const VOLUME_TAG_CHARACTERS: usize = 32;

/// One session.
#[derive(Debug)]
pub(crate) struct Host {
    initiator: Initiator,
}

/// Where a command stands that changes no medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SenseCode {
    pub(crate) key: u8,
    pub(crate) asc: u8,
    pub(crate) ascq: u8,
}

/// What is in the elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Elements {
    /// Each element's address and the barcode in it.
    pub(crate) contents: BTreeMap<u16, Option<String>>,
}

impl Host {
    /// Logs in.
    pub(crate) fn login(portal: &str, target: &str) -> anyhow::Result<Self> {
        Ok(Self { initiator: Initiator::login(portal, "iqn.2026-11.io.vtl:killloop", target)? })
    }

    /// Logs out. What this session wrote is durable when this returns.
    pub(crate) fn logout(self) -> anyhow::Result<()> {
        self.initiator.logout()
    }

    /// Takes all unit attentions; then `None` if the unit is ready, else why not.
    pub(crate) fn take_attentions(&mut self, lun: u64) -> anyhow::Result<Option<SenseCode>> {
        for _ in 0..MAX_ATTENTIONS {
            let done = self.initiator.run(lun, &[0; 6], Vec::new(), 0)?;
            match sense(&done) {
                Some(sense) if sense.key == UNIT_ATTENTION => {}
                Some(sense) => return Ok(Some(sense)),
                None => {
                    good(&done, "TEST UNIT READY")?;
                    return Ok(None);
                }
            }
        }
        bail!("logical unit {lun} has more than {MAX_ATTENTIONS} unit attentions")
    }

    /// Sends a WRITE of one block without waiting for its end.
    pub(crate) fn send_write(&mut self, lun: u64, block: Vec<u8>) -> anyhow::Result<u32> {
        let [_, high, middle, low] = u32::try_from(block.len())?.to_be_bytes();
        self.initiator.send(lun, &[0x0a, 0, high, middle, low, 0], block, 0)
    }

    /// Waits for the end of a WRITE, and says which one it was.
    pub(crate) fn wait_for_write(&mut self) -> anyhow::Result<u32> {
        let done = self.initiator.wait()?;
        good(&done, "WRITE")?;
        Ok(done.tag)
    }

    /// WRITE FILEMARKS; a sync point unless it is immediate.
    pub(crate) fn write_filemarks(
        &mut self,
        lun: u64,
        count: u8,
        is_immediate: bool,
    ) -> anyhow::Result<()> {
        self.run(lun, &[0x10, u8::from(is_immediate), 0, 0, count, 0], "WRITE FILEMARKS")
    }

    /// REWIND.
    pub(crate) fn rewind(&mut self, lun: u64) -> anyhow::Result<()> {
        self.run(lun, &[0x01, 0, 0, 0, 0, 0], "REWIND")
    }

    /// SPACE to the end of data.
    pub(crate) fn space_to_end_of_data(&mut self, lun: u64) -> anyhow::Result<()> {
        self.run(lun, &[0x11, 3, 0, 0, 0, 0], "SPACE")
    }

    /// LOCATE(10).
    pub(crate) fn locate(&mut self, lun: u64, object: usize) -> anyhow::Result<()> {
        let [a, b, c, d] = u32::try_from(object)?.to_be_bytes();
        self.run(lun, &[0x2b, 0, 0, a, b, c, d, 0, 0, 0], "LOCATE")
    }

    /// ERASE(6).
    pub(crate) fn erase(&mut self, lun: u64) -> anyhow::Result<()> {
        self.run(lun, &[0x19, 0, 0, 0, 0, 0], "ERASE")
    }

    /// MODE SELECT(6) of the buffered mode: without it each WRITE is a sync point.
    pub(crate) fn set_buffered(&mut self, lun: u64, is_buffered: bool) -> anyhow::Result<()> {
        let header = vec![0, 0, u8::from(is_buffered) << 4, 0];
        let done = self.initiator.run(lun, &[0x15, 0x10, 0, 0, 4, 0], header, 0)?;
        good(&done, "MODE SELECT")
    }

    /// MOVE MEDIUM.
    pub(crate) fn move_medium(&mut self, from: u16, to: u16) -> anyhow::Result<()> {
        let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
        let [high, low] = TRANSPORT.to_be_bytes();
        self.run(CHANGER, &[0xa5, 0, high, low, a, b, c, d, 0, 0, 0, 0], "MOVE MEDIUM")
    }

    /// READ of the next object; `None` at the end of data.
    pub(crate) fn read(&mut self, lun: u64) -> anyhow::Result<Option<Seen>> {
        const SUPPRESS_INCORRECT_LENGTH: u8 = 0x02;
        let [_, high, middle, low] = READ_BYTES.to_be_bytes();
        let cdb = [0x08, SUPPRESS_INCORRECT_LENGTH, high, middle, low, 0];
        let done = self.initiator.run(lun, &cdb, Vec::new(), READ_BYTES)?;
        match sense(&done) {
            None => {
                good(&done, "READ")?;
                Ok(Some(Seen::Block(done.data)))
            }
            Some(SenseCode { key: 0, .. }) if byte(&done.sense, 2) & FILEMARK_BIT != 0 => {
                Ok(Some(Seen::Filemark))
            }
            Some(SenseCode { key: BLANK_CHECK, asc, ascq }) if [asc, ascq] == END_OF_DATA => {
                Ok(None)
            }
            Some(_) => good(&done, "READ").map(|()| None),
        }
    }

    /// READ ELEMENT STATUS of everything.
    pub(crate) fn elements(&mut self) -> anyhow::Result<Elements> {
        const VOLUME_TAGS: u8 = 0x10;
        let [_, high, middle, low] = ELEMENT_STATUS_BYTES.to_be_bytes();
        let cdb = [0xb8, VOLUME_TAGS, 0, 0, 0xff, 0xff, 0, high, middle, low, 0, 0];
        let done = self.initiator.run(CHANGER, &cdb, Vec::new(), ELEMENT_STATUS_BYTES)?;
        good(&done, "READ ELEMENT STATUS")?;
        Elements::parse(&done.data).context("READ ELEMENT STATUS data is cut short")
    }

    fn run(&mut self, lun: u64, cdb: &[u8], name: &str) -> anyhow::Result<()> {
        let done = self.initiator.run(lun, cdb, Vec::new(), 0)?;
        good(&done, name)
    }
}

impl Elements {
    // 0-7 header; then pages: 0 type, 1 PVOLTAG (bit 7), 2-3 descriptor length, 5-7 bytes of descriptors, descriptors.
    fn parse(data: &[u8]) -> Option<Self> {
        let mut elements = Self::default();
        let (header, mut pages) = data.split_at_checked(8)?;
        let total = usize::try_from(number(header.get(5..8)?)).ok()?;
        pages = pages.get(..total)?;
        while !pages.is_empty() {
            let (header, rest) = pages.split_at_checked(8)?;
            let descriptor_bytes = usize::try_from(number(header.get(2..4)?)).ok()?;
            let page_bytes = usize::try_from(number(header.get(5..8)?)).ok()?;
            let (descriptors, rest) = rest.split_at_checked(page_bytes)?;
            if descriptor_bytes == 0 || byte(header, 1) & 0x80 == 0 {
                return None;
            }
            for descriptor in descriptors.chunks(descriptor_bytes) {
                let address = u16::try_from(number(descriptor.get(..2)?)).ok()?;
                let tag = descriptor.get(VOLUME_TAG_AT..VOLUME_TAG_AT + VOLUME_TAG_CHARACTERS)?;
                let is_full = byte(descriptor, 2) & 0x01 != 0;
                let barcode = String::from_utf8_lossy(tag).trim_end().to_owned();
                elements.contents.insert(address, is_full.then_some(barcode));
            }
            pages = rest;
        }
        Some(elements)
    }
}

fn sense(done: &Done) -> Option<SenseCode> {
    (done.status == CHECK_CONDITION).then(|| SenseCode {
        key: byte(&done.sense, 2) & 0x0f,
        asc: byte(&done.sense, 12),
        ascq: byte(&done.sense, 13),
    })
}

fn good(done: &Done, name: &str) -> anyhow::Result<()> {
    let SenseCode { key, asc, ascq } = sense(done).unwrap_or(SenseCode { key: 0, asc: 0, ascq: 0 });
    ensure!(
        done.status == GOOD,
        "{name} is answered with status {:02x}h, sense {key:x}/{asc:02x}/{ascq:02x} (flags {:02x}, response code {:02x})",
        done.status,
        byte(&done.sense, 2) & 0xf0,
        byte(&done.sense, 0) & 0x7f
    );
    Ok(())
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(address: u16, flags: u8, tag: &str) -> Vec<u8> {
        let mut bytes = address.to_be_bytes().to_vec();
        bytes.push(flags);
        bytes.resize(12, 0);
        bytes.extend(format!("{tag:<32}").bytes());
        bytes.resize(52, 0);
        bytes
    }

    fn page(kind: u8, descriptors: &[Vec<u8>]) -> Vec<u8> {
        let mut page =
            vec![kind, 0x80, 0, 52, 0, 0, 0, u8::try_from(52 * descriptors.len()).unwrap()];
        page.extend(descriptors.concat());
        page
    }

    #[test]
    fn element_status() {
        let pages = [
            page(4, &[descriptor(0x0101, 0x09, "VTL001L9"), descriptor(0x0102, 0x08, "")]),
            page(2, &[descriptor(0x0400, 0x09, "VTL002L9")]),
        ]
        .concat();
        let mut data = vec![1, 1, 0, 3, 0, 0, 0, u8::try_from(pages.len()).unwrap()];
        data.extend(&pages);
        let elements = Elements::parse(&data).unwrap();
        let expected = [(0x0101, Some("VTL001L9")), (0x0102, None), (0x0400, Some("VTL002L9"))];
        let expected: BTreeMap<_, _> =
            expected.map(|(address, tag)| (address, tag.map(String::from))).into();
        assert_eq!(elements.contents, expected);
        for length in 0..data.len() {
            assert_eq!(Elements::parse(&data[..length]), None, "cut at {length}");
        }
    }
}
