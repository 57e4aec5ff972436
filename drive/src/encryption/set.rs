//! SECURITY PROTOCOL OUT (SPC-4 §6.30) with the Set Data Encryption page (SSC-4 §8.5.3.2).

use std::sync::Arc;

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};

use vtl_media::{
    AUTHENTICATED_BYTES_MAX, KEY_BYTES, Key, KeyDescription, Opening, Sealing,
    UNAUTHENTICATED_BYTES_MAX, forget_key,
};
use vtl_scsi::device::{Executed, Refusal};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Task};

use super::pages::{ALGORITHM_INDEX, SET_DATA_ENCRYPTION, TAPE_DATA_ENCRYPTION};
use super::{Parameters, Scope};
use crate::Drive;

/// Key-associated data: its type, and its longest length.
pub(super) const UNAUTHENTICATED: (u8, usize) = (0x00, UNAUTHENTICATED_BYTES_MAX);
/// The same, authenticated.
pub(super) const AUTHENTICATED: (u8, usize) = (0x01, AUTHENTICATED_BYTES_MAX);
/// Encryption mode ENCRYPT.
pub(super) const MODE_ENCRYPT: u8 = 2;
/// Decryption mode DECRYPT.
pub(super) const MODE_DECRYPT: u8 = 2;
/// Decryption mode MIXED.
pub(super) const MODE_MIXED: u8 = 3;
/// Bytes before the key.
const HEADER_BYTES: usize = 20;

/// SECURITY PROTOCOL OUT. The key is overwritten where it came, whatever becomes of it.
pub(crate) fn security_protocol_out(drive: &mut Drive, task: &mut Task) -> Executed {
    let fields = task.cdb.fields((be_u8, be_u16, be_u16, be_u32, be_u8, be_u8));
    let mut list = std::mem::take(&mut task.data_out);
    let result = fields.and_then(|(protocol, page, _, length, ..)| {
        if protocol != TAPE_DATA_ENCRYPTION {
            return Err(Sense::invalid_field_in_cdb(1, Some(7)).into());
        }
        if page != SET_DATA_ENCRYPTION {
            return Err(Sense::invalid_field_in_cdb(2, Some(7)).into());
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match list.get(..length) {
            Some([]) => Ok(Completion::good()),
            Some(page) => set(drive, task, page),
            None => Err(Sense::parameter_list_length_error().into()),
        }
    });
    forget_key(&mut list);
    result
}

/// What a page asks for, once it has been understood.
struct Wanted {
    scope: Scope,
    is_locked: bool,
    parameters: Parameters,
    has_key: bool,
}

fn set(drive: &mut Drive, task: &Task, page: &[u8]) -> Executed {
    let (nexus, mut wanted) = (task.nexus, parse(page)?);
    // Who may only read brings keys to read with, and stenc and Bareos bring them for all. Taken at that word, it would choose what
    // others write with: its key, which they do not have, or none. So the page is for itself, as the drive says when it is asked.
    let only_reads = task.rights.is_read_only;
    if only_reads && wanted.scope == Scope::AllNexuses {
        wanted.scope = Scope::Local;
    }
    // A key cannot go with a volume that is not there (SSC-4 §8.5.3.2.2).
    if wanted.parameters.is_cleared_on_demount && drive.cartridge().is_none() {
        return Err(Sense::invalid_field_in_parameter_list(5, Some(2)).into());
    }
    let encryption = &mut drive.encryption;
    let before = encryption.for_all.clone();
    let mut parameters = wanted.parameters;
    if wanted.has_key {
        encryption.key_instances = encryption.key_instances.wrapping_add(1);
        parameters.key_instance = encryption.key_instances;
    }
    let is_owner = before.as_ref().is_some_and(|(owner, _)| *owner == nexus);
    match wanted.scope {
        Scope::AllNexuses => {
            encryption.for_one.remove(&nexus);
            encryption.for_all = Some((nexus, Arc::new(parameters)));
        }
        Scope::Local => {
            encryption.for_one.insert(nexus, Arc::new(parameters));
        }
        Scope::Public => {
            encryption.for_one.remove(&nexus);
        }
    }
    // Parameters for all go when the nexus that had set them wants others.
    if is_owner && wanted.scope != Scope::AllNexuses && !only_reads {
        encryption.for_all = None;
    }
    encryption.interested.insert(nexus);
    encryption.locked.remove(&nexus);
    if wanted.is_locked {
        encryption.locked.insert(nexus, encryption.key_instance(nexus));
    }
    if encryption.for_all != before {
        let told: Vec<_> = encryption
            .interested
            .iter()
            .filter(|other| **other != nexus && !encryption.for_one.contains_key(other))
            .copied()
            .collect();
        for other in told {
            drive.unit.raise_for(other, Sense::encryption_parameters_changed());
        }
    }
    super::forget_keys(drive);
    Ok(Completion::good())
}

fn parse(page: &[u8]) -> Result<Wanted, Refusal> {
    let wrong =
        |byte: u16, bit: u8| Refusal(Sense::invalid_field_in_parameter_list(byte, Some(bit)));
    let header =
        (be_u16, be_u16, be_u8, be_u8, be_u8, be_u8, be_u8, be_u8, be_u8, take(7_usize), be_u16);
    let mut header = header;
    let cut = |_: nom::Err<nom::error::Error<&[u8]>>| Refusal(Sense::parameter_list_length_error());
    let (rest, fields) = header.parse(page).map_err(cut)?;
    let (
        code,
        length,
        scopes,
        flags,
        encryption,
        decryption,
        index,
        key_format,
        format,
        _,
        key_length,
    ) = fields;
    if code != SET_DATA_ENCRYPTION {
        return Err(wrong(0, 7));
    }
    if usize::from(length) + 4 != page.len() {
        return Err(Sense::parameter_list_length_error().into());
    }
    let scope = match scopes >> 5 {
        0 => Scope::Public,
        1 => Scope::Local,
        2 => Scope::AllNexuses,
        _ => return Err(wrong(4, 7)),
    };
    let is_locked = scopes & 1 != 0;
    if scope == Scope::Public {
        // Everything else is that of others.
        return Ok(Wanted { scope, is_locked, parameters: Parameters::default(), has_key: false });
    }
    let needs_key = encryption != 0 || decryption != 0;
    check_flags(flags)?;
    check_modes(encryption, decryption)?;
    if index > ALGORITHM_INDEX || (index == 0 && needs_key) {
        return Err(wrong(8, 7));
    }
    // Keys come as they are.
    if key_format != 0 {
        return Err(wrong(9, 7));
    }
    if format > 2 {
        return Err(wrong(10, 7));
    }
    let Some((key, kads)) = rest.split_at_checked(usize::from(key_length)) else {
        return Err(wrong(18, 7));
    };
    let mut parameters = Parameters {
        algorithm_index: index,
        external_check: flags >> 6,
        is_cleared_on_demount: flags & 0x04 != 0,
        ..Parameters::default()
    };
    if !needs_key {
        return Ok(Wanted { scope, is_locked, parameters, has_key: false });
    }
    let key = Key::new(key).ok_or_else(|| wrong(18, 7))?;
    let mut description = describe(kads, HEADER_BYTES + KEY_BYTES)?;
    description.format = format;
    description.is_raw_read_disabled = flags >> 4 & 3 == RAW_DISABLED;
    parameters.use_key(&key, description, (encryption, decryption));
    Ok(Wanted { scope, is_locked, parameters, has_key: true })
}

impl Parameters {
    fn use_key(
        &mut self,
        key: &Key,
        description: KeyDescription,
        (encryption, decryption): (u8, u8),
    ) {
        self.opening = match decryption {
            MODE_DECRYPT => Opening::Decrypt(key.clone()),
            MODE_MIXED => Opening::Mixed(key.clone()),
            _ => Opening::Disabled,
        };
        self.sealing = (encryption == MODE_ENCRYPT)
            .then(|| Sealing { key: key.clone(), description: description.clone() });
        self.description = description;
    }
}

/// EXTERNAL and RAW are for keys that others keep.
fn check_modes(encryption: u8, decryption: u8) -> Result<(), Refusal> {
    let wrong = |byte: u16| Err(Sense::invalid_field_in_parameter_list(byte, Some(7)).into());
    match (encryption, decryption) {
        (0 | MODE_ENCRYPT, 0 | MODE_DECRYPT | MODE_MIXED) => Ok(()),
        (0 | MODE_ENCRYPT, _) => wrong(7),
        _ => wrong(6),
    }
}

/// RDMC: what is written can not be read raw. It never can.
const RAW_DISABLED: u8 = 3;

/// CEEM, RDMC, SDK, CKOD, CKORP and CKORL: what cannot be had is refused.
fn check_flags(flags: u8) -> Result<(), Refusal> {
    let wrong = |bit: u8| Refusal(Sense::invalid_field_in_parameter_list(5, Some(bit)));
    // There is no external encryption that could be checked for.
    if flags >> 6 > 1 {
        return Err(wrong(7));
    }
    if !matches!(flags >> 4 & 3, 0 | RAW_DISABLED) {
        return Err(wrong(5));
    }
    match flags & 0x0b {
        0 => Ok(()),
        rest => Err(wrong(if rest & 0x08 != 0 { 3 } else { rest >> 1 & 1 })),
    }
}

/// Key-associated data descriptors, which begin at this byte of the list: ascending, each once.
fn describe(mut list: &[u8], start: usize) -> Result<KeyDescription, Refusal> {
    let whole = list.len();
    let mut description = KeyDescription::default();
    let mut previous = None;
    while let [kind, _, high, low, rest @ ..] = list {
        let at = u16::try_from(start + whole - list.len()).unwrap_or(u16::MAX);
        let wrong = |byte: u16| Refusal(Sense::invalid_field_in_parameter_list(byte, Some(7)));
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (target, length_max) = match *kind {
            kind if kind == UNAUTHENTICATED.0 => {
                (&mut description.unauthenticated, UNAUTHENTICATED.1)
            }
            kind if kind == AUTHENTICATED.0 => (&mut description.authenticated, AUTHENTICATED.1),
            _ => return Err(wrong(at)),
        };
        if previous.is_some_and(|previous| previous >= *kind) {
            return Err(wrong(at));
        }
        previous = Some(*kind);
        let Some((data, behind)) = rest.split_at_checked(length).filter(|_| length <= length_max)
        else {
            return Err(wrong(at.saturating_add(2)));
        };
        target.extend_from_slice(data);
        list = behind;
    }
    if list.is_empty() { Ok(description) } else { Err(Sense::parameter_list_length_error().into()) }
}
