//! PERSISTENT RESERVE IN and OUT (SPC-5 §6.16, §6.17).

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u64};
use nom::{IResult, Parser};

use super::{Consequences, Denied, PersistentReservations, Registrant, ReservationType, Told};
use crate::cdb::bit;
use crate::device::{Command, Device, Executed, Refusal, UnderPersistentReservation};
use crate::sense::Sense;
use crate::{Completion, ItNexus, NexusName, Status, Task};

/// There is one target port; VPD page 83h tells its relative identifier too.
const RELATIVE_TARGET_PORT: u16 = 1;
const PARAMETER_LIST_BYTES: u32 = 24;

/// A service action, which byte 1 of the usage names. Both commands are carried out whoever holds the reservation; those that only a
/// registered nexus may do are refused by the service action itself.
const fn row<D: Device>(
    name: &'static str,
    usage: &'static [u8; 10],
    execute: fn(&mut D, &mut Task) -> Executed,
) -> Command<D> {
    Command::new(name, usage, execute)
        .service_action(usage[1])
        .under_persistent_reservation(UnderPersistentReservation::Allowed)
}

/// All service actions of PERSISTENT RESERVE IN.
pub const fn in_rows<D: Device>() -> [Command<D>; 4] {
    [
        row(
            "PERSISTENT RESERVE IN (READ KEYS)",
            &[0x5e, 0x00, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
            read_keys::<D>,
        ),
        row(
            "PERSISTENT RESERVE IN (READ RESERVATION)",
            &[0x5e, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
            read_reservation::<D>,
        ),
        row(
            "PERSISTENT RESERVE IN (REPORT CAPABILITIES)",
            &[0x5e, 0x02, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
            report_capabilities::<D>,
        ),
        row(
            "PERSISTENT RESERVE IN (READ FULL STATUS)",
            &[0x5e, 0x03, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
            read_full_status::<D>,
        ),
    ]
}

/// The service actions of PERSISTENT RESERVE OUT, but for REGISTER AND MOVE and REPLACE LOST RESERVATION.
pub const fn out_rows<D: Device>() -> [Command<D>; 7] {
    [
        row(
            "PERSISTENT RESERVE OUT (REGISTER)",
            &[0x5f, 0x00, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            register::<D>,
        ),
        row(
            "PERSISTENT RESERVE OUT (RESERVE)",
            &[0x5f, 0x01, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            reserve::<D>,
        ),
        row(
            "PERSISTENT RESERVE OUT (RELEASE)",
            &[0x5f, 0x02, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            release::<D>,
        ),
        row(
            "PERSISTENT RESERVE OUT (CLEAR)",
            &[0x5f, 0x03, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            clear::<D>,
        ),
        row(
            "PERSISTENT RESERVE OUT (PREEMPT)",
            &[0x5f, 0x04, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            preempt::<D>,
        ),
        row(
            "PERSISTENT RESERVE OUT (PREEMPT AND ABORT)",
            &[0x5f, 0x05, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            preempt_and_abort::<D>,
        ),
        row(
            "PERSISTENT RESERVE OUT (REGISTER AND IGNORE EXISTING KEY)",
            &[0x5f, 0x06, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0],
            register_and_ignore_existing_key::<D>,
        ),
    ]
}

/// What PERSISTENT RESERVE OUT asks for beside the service action.
struct Request {
    nexus: ItNexus,
    /// Whether the nexus may only read.
    only_reads: bool,
    scope_and_type: u8,
    key: u64,
    service_action_key: u64,
    /// APTPL, which only registrations look at.
    is_kept: bool,
}

impl Request {
    fn read(task: &Task) -> Result<Self, Refusal> {
        let (_, scope_and_type, _, length) =
            task.cdb.fields((be_u8, be_u8, take(2_usize), nom::number::complete::be_u32))?;
        if length != PARAMETER_LIST_BYTES {
            return Err(Sense::parameter_list_length_error().into());
        }
        let list = task.parameter_list(usize::try_from(length).unwrap_or(usize::MAX))?;
        let parsed: IResult<&[u8], _> = (be_u64, be_u64, take(4_usize), be_u8).parse(list);
        let Ok((_, (key, service_action_key, _, flags))) = parsed else {
            return Err(Sense::parameter_list_length_error().into());
        };
        // SPEC_I_PT and ALL_TG_PT are not supported, as REPORT CAPABILITIES says.
        for number in [3, 2] {
            if bit(flags, number) {
                return Err(Sense::invalid_field_in_parameter_list(20, Some(number)).into());
            }
        }
        let is_kept = bit(flags, 0);
        let (nexus, only_reads) = (task.nexus, task.rights.is_read_only);
        Ok(Self { nexus, only_reads, scope_and_type, key, service_action_key, is_kept })
    }

    /// The type, where the service action looks at it. The scope has to be the logical unit.
    fn kind(&self) -> Result<ReservationType, Refusal> {
        if self.scope_and_type >> 4 != 0 {
            return Err(Sense::invalid_field_in_cdb(2, Some(7)).into());
        }
        ReservationType::from_code(self.scope_and_type & 0x0f)
            .ok_or(Refusal(Sense::invalid_field_in_cdb(2, Some(3))))
    }
}

fn register<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let request = Request::read(task)?;
    register_with(device, &request, Some(request.key))
}

fn register_and_ignore_existing_key<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let request = Request::read(task)?;
    register_with(device, &request, None)
}

fn register_with<D: Device>(device: &mut D, request: &Request, old: Option<u64>) -> Executed {
    if request.is_kept && device.unit().keeper().is_none() {
        return Err(Sense::invalid_field_in_parameter_list(20, Some(0)).into());
    }
    let name = device.unit().name(request.nexus);
    let new = request.service_action_key;
    change(device, request, |reservations| {
        let (generation, is_first) = (reservations.generation(), !reservations.is_in_use());
        let done = reservations.register(request.nexus, name, old, new)?;
        // Who is not registered and does not want to be has nothing to say about it.
        // Nor has a reader about what others want kept.
        if reservations.generation() != generation && (is_first || !request.only_reads) {
            reservations.set_kept(request.is_kept);
        }
        Ok(done)
    })
}

fn reserve<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let request = Request::read(task)?;
    let kind = request.kind()?;
    change(device, &request, |reservations| reservations.reserve(request.nexus, request.key, kind))
}

fn release<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let request = Request::read(task)?;
    let kind = request.kind()?;
    change(device, &request, |reservations| reservations.release(request.nexus, request.key, kind))
}

fn clear<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let request = Request::read(task)?;
    change(device, &request, |reservations| reservations.clear(request.nexus, request.key))
}

fn preempt<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let request = Request::read(task)?;
    let (kind, victim) = (request.kind()?, request.service_action_key);
    change(device, &request, |reservations| {
        reservations.preempt(request.nexus, request.key, victim, kind)
    })
}

fn preempt_and_abort<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let request = Request::read(task)?;
    let (kind, victim) = (request.kind()?, request.service_action_key);
    let mut aborted = Vec::new();
    let completion = change(device, &request, |reservations| {
        let consequences = reservations.preempt(request.nexus, request.key, victim, kind)?;
        let preempted = consequences.told.iter().filter(|(_, told)| *told == Told::Preempted);
        aborted.extend(preempted.map(|(nexus, _)| *nexus));
        Ok(consequences)
    })?;
    if completion.status != Status::GOOD {
        return Ok(completion);
    }
    Ok(Completion { aborted, ..completion })
}

/// Carries a service action out. What is to outlive the program is durable before it is answered; where that fails, nothing has
/// changed. Who may only read takes nothing away from other initiators: a reservation is what keeps him from winding their tape.
fn change<D: Device>(
    device: &mut D,
    request: &Request,
    work: impl FnOnce(&mut PersistentReservations) -> Result<Consequences, Denied>,
) -> Executed {
    let unit = device.unit_mut();
    let before = unit.persistent().clone();
    let mut done = work(unit.persistent_mut());
    let own = unit.name(request.nexus);
    if request.only_reads && before.others_lose(unit.persistent(), request.nexus, own.as_ref()) {
        *unit.persistent_mut() = before.clone();
        done = Err(Denied::Conflict);
    }
    let after = unit.persistent();
    let kept = after.kept();
    if done.is_ok() && kept != before.kept() {
        let is_durable = unit.keeper().is_some_and(|keeper| keeper.keep(&kept));
        if !is_durable {
            *unit.persistent_mut() = before;
            return Err(Sense::internal_target_failure().into());
        }
    }
    complete(device, done)
}

fn complete<D: Device>(device: &mut D, done: Result<Consequences, Denied>) -> Executed {
    match done {
        Ok(consequences) => {
            for (nexus, told) in consequences.told {
                let attention = match told {
                    Told::Cleared => Sense::reservations_preempted(),
                    Told::Released => Sense::reservations_released(),
                    Told::Preempted => Sense::registrations_preempted(),
                };
                device.unit_mut().raise_for(nexus, attention);
            }
            Ok(Completion::good().after_data_out(PARAMETER_LIST_BYTES.into()))
        }
        Err(Denied::Conflict) => Ok(Completion::with_status(Status::RESERVATION_CONFLICT)),
        Err(Denied::InvalidRelease) => Err(Sense::invalid_release_of_reservation().into()),
        Err(Denied::NoRoom) => Err(Sense::insufficient_registration_resources().into()),
        Err(Denied::ZeroKey) => Err(Sense::invalid_field_in_parameter_list(8, None).into()),
    }
}

// 0-3 generation, 4-7 additional length, then eight bytes a key.
fn read_keys<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let reservations = device.unit().persistent();
    let keys: Vec<u8> =
        reservations.registrants().flat_map(|(_, one)| one.key.to_be_bytes()).collect();
    answer(task, reservations, &keys)
}

// 0-3 generation, 4-7 additional length; where there is one: 8-15 key, 20 reserved, 21 scope and type.
fn read_reservation<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let reservations = device.unit().persistent();
    let mut data = Vec::new();
    if let Some((kind, key)) = reservations.reservation() {
        data.extend(key.to_be_bytes());
        data.extend([0, 0, 0, 0, 0, kind.code(), 0, 0]);
    }
    answer(task, reservations, &data)
}

// 0-1 length, 2 CRH, SIP_C, ATP_C, PTPL_C, 3 TMV, PTPL_A, 4-5 type mask.
fn report_capabilities<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    const TYPE_MASK_IS_VALID: u8 = 0x80;
    const TYPES: [u8; 2] = [0xea, 0x01];
    let [types, more_types] = TYPES;
    let unit = device.unit();
    let can_be_kept = u8::from(unit.keeper().is_some());
    let is_kept = u8::from(unit.persistent().is_kept());
    let data = vec![0, 8, can_be_kept, TYPE_MASK_IS_VALID | is_kept, types, more_types, 0, 0];
    Ok(Completion::data_in_allocated(data, allocation_length(task)?))
}

// Per registrant: 0-7 key, 12 ALL_TG_PT, R_HOLDER, 13 scope and type, 18-19 port, 20-23 length, TransportID.
fn read_full_status<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let reservations = device.unit().persistent();
    let mut data = Vec::new();
    for (nexus, registrant) in reservations.registrants() {
        let held = reservations.reservation().filter(|_| reservations.is_holder(nexus));
        let transport = transport_id(registrant);
        data.extend(registrant.key.to_be_bytes());
        data.extend([0; 4]);
        data.extend([u8::from(held.is_some()), held.map_or(0, |(kind, _)| kind.code())]);
        data.extend([0; 4]);
        data.extend(RELATIVE_TARGET_PORT.to_be_bytes());
        data.extend(u32::try_from(transport.len()).unwrap_or(0).to_be_bytes());
        data.extend(transport);
    }
    answer(task, reservations, &data)
}

/// The `TransportID` of an iSCSI initiator port (SPC-5 §7.6.4.6): the name, the separator and the ISID.
fn transport_id(registrant: &Registrant) -> Vec<u8> {
    const ISCSI_WITH_PORT: u8 = 0x45;
    const LEAST_BYTES: usize = 20;
    let Some(NexusName { initiator, initiator_port }) = &registrant.name else {
        return Vec::new();
    };
    let mut name = format!("{initiator},i,0x{initiator_port}\0").into_bytes();
    name.resize(name.len().next_multiple_of(4).max(LEAST_BYTES), 0);
    let mut id = vec![ISCSI_WITH_PORT, 0];
    id.extend(u16::try_from(name.len()).unwrap_or(0).to_be_bytes());
    id.extend(name);
    id
}

fn answer(task: &Task, reservations: &PersistentReservations, data: &[u8]) -> Executed {
    let mut all = reservations.generation().to_be_bytes().to_vec();
    all.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    all.extend(data);
    Ok(Completion::data_in_allocated(all, allocation_length(task)?))
}

fn allocation_length(task: &Task) -> Result<u32, Refusal> {
    let (_, length) = task.cdb.fields((take(6_usize), be_u16))?;
    Ok(length.into())
}
