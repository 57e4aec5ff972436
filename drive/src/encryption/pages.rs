//! SECURITY PROTOCOL IN (SPC-4 §6.29) with the pages of tape data encryption (SSC-4 §8.5.2).

use nom::number::complete::{be_u8, be_u16, be_u32};

use vtl_media::{KEY_BYTES, KeyDescription, MediumError, NextObject, Opening};
use vtl_scsi::device::{Device, Executed, Refusal};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, ItNexus, Task};

use super::set::{AUTHENTICATED, MODE_DECRYPT, MODE_ENCRYPT, MODE_MIXED, UNAUTHENTICATED};
use crate::Drive;
use crate::drive::Bay;
use crate::sense::of_medium_error;

/// Which protocols there are.
const INFORMATION: u8 = 0x00;
/// Tape data encryption.
pub(super) const TAPE_DATA_ENCRYPTION: u8 = 0x20;
/// The one algorithm has this index; 0 is none.
pub(super) const ALGORITHM_INDEX: u8 = 1;
/// AES with 256 bits in Galois/counter mode, and a tag of 16 bytes (SPC-4 table C.1).
const AES_256_GCM: u32 = 0x0001_0014;
/// Pages of SECURITY PROTOCOL IN.
const IN_PAGES: [u16; 7] = [0x0000, 0x0001, 0x0010, 0x0011, 0x0012, 0x0020, 0x0021];
/// The page of SECURITY PROTOCOL OUT.
pub(super) const SET_DATA_ENCRYPTION: u16 = 0x0010;

/// SECURITY PROTOCOL IN.
pub(crate) fn security_protocol_in(drive: &mut Drive, task: &mut Task) -> Executed {
    let fields = task.cdb.fields((be_u8, be_u16, be_u16, be_u32, be_u8, be_u8))?;
    let (protocol, page, _, allocation_length, ..) = fields;
    let data = match protocol {
        INFORMATION => information(page)?,
        TAPE_DATA_ENCRYPTION => encryption_page(drive, task.nexus, page)?,
        _ => return Err(Sense::invalid_field_in_cdb(1, Some(7)).into()),
    };
    Ok(Completion::data_in_allocated(data, allocation_length))
}

fn information(page: u16) -> Result<Vec<u8>, Refusal> {
    match page {
        // 6-7: how many protocols follow.
        0x0000 => Ok(vec![0, 0, 0, 0, 0, 0, 0, 2, INFORMATION, TAPE_DATA_ENCRYPTION]),
        // There is no certificate.
        0x0001 => Ok(vec![0, 0, 0, 0]),
        _ => Err(Sense::invalid_field_in_cdb(2, Some(7)).into()),
    }
}

fn encryption_page(drive: &mut Drive, nexus: ItNexus, page: u16) -> Result<Vec<u8>, Refusal> {
    let body = match page {
        0x0000 => IN_PAGES.iter().flat_map(|page| page.to_be_bytes()).collect(),
        0x0001 => SET_DATA_ENCRYPTION.to_be_bytes().to_vec(),
        0x0010 => capabilities(drive),
        // Keys come as they are.
        0x0011 => vec![0x00],
        0x0012 => management_capabilities(),
        0x0020 => status(drive, nexus),
        0x0021 => next_block_status(drive, nexus)?,
        _ => return Err(Sense::invalid_field_in_cdb(2, Some(7)).into()),
    };
    // Whoever asks is told of changes from now on.
    drive.encryption.interested.insert(nexus);
    let mut data = page.to_be_bytes().to_vec();
    data.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    data.extend(body);
    Ok(data)
}

/// Data Encryption Capabilities: what the one algorithm can do.
fn capabilities(drive: &Drive) -> Vec<u8> {
    const DESCRIPTOR_BYTES: u16 = 20;
    let is_valid = matches!(&drive.bay, Bay::Ready(loaded) if loaded.can_be_encrypted());
    // EXTDECC 01b: no external control; CFG_P 01b: parameters can be set.
    let mut body = vec![0x05];
    body.resize(16, 0);
    body.extend([ALGORITHM_INDEX, 0]);
    body.extend(DESCRIPTOR_BYTES.to_be_bytes());
    // AVFMV, MAC_C, DELB_C (encrypted blocks are told from others), DECRYPT_C and ENCRYPT_C 10b.
    body.push(if is_valid { 0xba } else { 0x3a });
    // AVFCLP 10b, NONCE_C 01b (the drive makes them), KADF_C.
    body.push(if is_valid { 0x98 } else { 0x18 });
    for length in [UNAUTHENTICATED.1, AUTHENTICATED.1, KEY_BYTES] {
        body.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    }
    // DKAD_C 11b: they may come with a key to decrypt; EEMC_C 01b: no external mode; RDMC_C 1: never read raw.
    body.push(0xd2);
    body.resize(body.len() + 7, 0);
    body.extend(AES_256_GCM.to_be_bytes());
    body
}

/// Data Encryption Management Capabilities: LOCK; CKOD; all scopes.
fn management_capabilities() -> Vec<u8> {
    vec![0x01, 0x04, 0, 0x07, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Data Encryption Status: what holds for this nexus.
fn status(drive: &Drive, nexus: ItNexus) -> Vec<u8> {
    let (nexus_scope, key_scope) = drive.encryption.scopes(nexus);
    let mut body = vec![(nexus_scope as u8) << 5 | key_scope as u8];
    let Some(parameters) = drive.encryption.parameters(nexus) else {
        body.resize(20, 0);
        return body;
    };
    body.push(if parameters.sealing.is_some() { MODE_ENCRYPT } else { 0 });
    body.push(match parameters.opening {
        Opening::Disabled => 0,
        Opening::Decrypt(_) => MODE_DECRYPT,
        Opening::Mixed(_) => MODE_MIXED,
    });
    body.push(parameters.algorithm_index);
    body.extend(parameters.key_instance.to_be_bytes());
    let description = &parameters.description;
    // CEEMS, RDMD.
    body.push(parameters.external_check << 1 | u8::from(description.is_raw_read_disabled));
    body.push(description.format);
    body.resize(20, 0);
    // Nobody has tried to authenticate anything yet.
    body.extend(descriptors(description, 2));
    body
}

/// Next Block Encryption Status: whether this nexus could read it.
fn next_block_status(drive: &mut Drive, nexus: ItNexus) -> Result<Vec<u8>, Refusal> {
    const NOT_NOW: u8 = 1;
    const NO_BLOCK: u8 = 2;
    if let Some(sense) = drive.not_ready() {
        return Err(sense.into());
    }
    super::prepare_read(drive, nexus)?;
    let loaded = drive.loaded()?;
    let object = loaded.cartridge.position().object.0;
    let next = match loaded.cartridge.next_object() {
        Ok(next) => next,
        Err(error) => {
            // What was written before and has failed is its writer's, as it is when blocks are read.
            if matches!(error, MediumError::WriteFailed { .. }) {
                drive.defer(&error);
            }
            let sense = drive.unit.take_deferred(nexus);
            return Err(sense.unwrap_or_else(|| of_medium_error(&error, None)).into());
        }
    };
    let (compression, encryption, seal) = match &next {
        NextObject::Unknown => (NOT_NOW, NOT_NOW, None),
        NextObject::Filemark => (NO_BLOCK, NO_BLOCK, None),
        NextObject::Block { is_compressed, seal } => {
            let encryption = match seal {
                None => 3,
                Some((_, true)) => 5,
                Some((_, false)) => 6,
            };
            (3 + u8::from(*is_compressed), encryption, seal.as_ref())
        }
    };
    let mut body = object.to_be_bytes().to_vec();
    body.push(compression << 4 | encryption);
    match seal {
        Some((description, is_open)) => {
            body.extend([ALGORITHM_INDEX, u8::from(description.is_raw_read_disabled)]);
            body.push(description.format);
            body.extend(descriptors(description, if *is_open { 3 } else { 2 }));
        }
        None => body.extend([0; 3]),
    }
    Ok(body)
}

/// Key-associated data; `authentication` says what is known of that which is authenticated.
fn descriptors(description: &KeyDescription, authentication: u8) -> Vec<u8> {
    const NOT_COVERED: u8 = 1;
    let mut list = Vec::new();
    for (kind, authentication, data) in [
        (UNAUTHENTICATED.0, NOT_COVERED, &description.unauthenticated),
        (AUTHENTICATED.0, authentication, &description.authenticated),
    ] {
        if !data.is_empty() {
            list.extend([kind, authentication]);
            list.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            list.extend(data);
        }
    }
    list
}
