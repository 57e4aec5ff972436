//! One command at a time through `SG_IO` (`scsi/sg.h`, interface version 3).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// A SCSI device of this host.
#[derive(Debug)]
pub struct Device(File);

/// Why a device gave no data.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The kernel did not take the command.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The command did not reach the device, or no answer came back.
    #[error("the command did not get through: host status {host:#x}, driver status {driver:#x}")]
    Transport {
        /// From the host adapter.
        host: u16,
        /// From its driver.
        driver: u16,
    },
    /// The device answered with another status than GOOD.
    #[error("the device answered with status {status:#04x}, sense {sense:02x?}")]
    Status {
        /// The SCSI status.
        status: u8,
        /// Sense data, if it sent any.
        sense: Vec<u8>,
    },
}

impl Device {
    /// Opens a generic SCSI device.
    pub fn open(path: &Path) -> io::Result<Self> {
        // A changer or an empty drive must not be waited for.
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.file_type().is_char_device() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this is no device such as /dev/sg0",
            ));
        }
        Ok(Self(file))
    }

    /// Opens a device so that nobody else on this host can open the same node meanwhile. Of `/dev/nstN` the kernel sees to it by itself,
    /// and it lets commands through by `SG_IO` too, for root; `/dev/sgN` is asked for it.
    pub fn open_exclusively(path: &Path) -> io::Result<Self> {
        let open = |writable: bool| {
            OpenOptions::new()
                .read(true)
                .write(writable)
                .custom_flags(libc::O_NONBLOCK | libc::O_EXCL)
                .open(path)
        };
        // The kernel's tape driver does not open a write-protected tape for writing; its state is asked for later.
        let file = open(true).or_else(|error| {
            if error.raw_os_error() == Some(libc::EROFS) { open(false) } else { Err(error) }
        })?;
        if !file.metadata()?.file_type().is_char_device() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this is no device such as /dev/nst0",
            ));
        }
        Ok(Self(file))
    }

    /// Sends a command that has an answer, and gives what came: at most `room` bytes.
    pub fn read(&self, cdb: &[u8], room: usize, timeout: Duration) -> Result<Vec<u8>, DeviceError> {
        let mut data = vec![0; room];
        let answer = self.send(cdb, &mut Data::In(&mut data), timeout)?;
        if answer.status != 0 {
            return Err(DeviceError::Status { status: answer.status, sense: answer.sense });
        }
        data.truncate(answer.transferred);
        Ok(data)
    }

    /// Sends a command and gives whatever the device answered: a status other than GOOD is an answer too.
    pub fn send(
        &self,
        cdb: &[u8],
        data: &mut Data<'_>,
        timeout: Duration,
    ) -> Result<Answer, DeviceError> {
        let mut sense = [0; SENSE_BYTES];
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let (direction, pointer, length) = match data {
            Data::None => (NO_DATA, std::ptr::null_mut(), 0),
            Data::In(buffer) => (FROM_DEVICE, buffer.as_mut_ptr().cast(), buffer.len()),
            // The kernel only reads from it: its structure has one pointer for both directions.
            Data::Out(buffer) => (TO_DEVICE, buffer.as_ptr().cast_mut().cast(), buffer.len()),
        };
        // Invariant: the lengths in the header are those of the buffers that it points to.
        let mut header = SgIoHeader {
            interface_id: INTERFACE_ID,
            direction,
            command_bytes: u8::try_from(cdb.len()).map_err(|_| invalid())?,
            sense_room: u8::try_from(sense.len()).map_err(|_| invalid())?,
            iovec_count: 0,
            data_bytes: u32::try_from(length).map_err(|_| invalid())?,
            data: pointer,
            command: cdb.as_ptr(),
            sense: sense.as_mut_ptr(),
            timeout_ms: u32::try_from(timeout.as_millis()).map_err(|_| invalid())?,
            flags: 0,
            pack_id: 0,
            user: std::ptr::null_mut(),
            status: 0,
            masked_status: 0,
            message_status: 0,
            sense_bytes: 0,
            host_status: 0,
            driver_status: 0,
            residual: 0,
            duration_ms: 0,
            info: 0,
        };
        // SAFETY: SG_IO takes a pointer to a header of interface version 3, which `SgIoHeader` is, field by field (the test
        // below pins its size). The kernel reads `command_bytes` of `command`; it writes at most `data_bytes` to `data` where the
        // direction is FROM_DEVICE, reads as many where it is TO_DEVICE, touches none where it is NO_DATA; and it writes at most
        // `sense_room` to `sense`. These are the lengths of `cdb`, `data` and `sense`, which all outlive the call; those that are
        // written are borrowed mutably, so that nothing else refers to them meanwhile. Without SG_FLAG_MMAP_IO or an iovec it
        // keeps no pointer when it returns. A descriptor that is no SCSI device makes it fail with ENOTTY before it looks at the header.
        #[allow(unsafe_code, reason = "there is no other way to ask the kernel for this")]
        let outcome =
            unsafe { libc::ioctl(self.0.as_raw_fd(), SG_IO, std::ptr::from_mut(&mut header)) };
        if outcome < 0 {
            return Err(io::Error::last_os_error().into());
        }
        // The driver's bit 3 only says that there is sense data.
        let (host, driver) = (header.host_status, header.driver_status & !DRIVER_SENSE);
        if header.status == 0 && (host != 0 || driver != 0) {
            return Err(DeviceError::Transport { host, driver });
        }
        let left = usize::try_from(header.residual).unwrap_or(0).min(length);
        Ok(Answer {
            status: header.status,
            sense: sense.into_iter().take(header.sense_bytes.into()).collect(),
            transferred: length - left,
        })
    }
}

/// What goes with a command.
#[derive(Debug)]
pub enum Data<'a> {
    /// Nothing.
    None,
    /// Room for what the device sends.
    In(&'a mut [u8]),
    /// What is sent to it.
    Out(&'a [u8]),
}

/// What a device answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The SCSI status.
    pub status: u8,
    /// Sense data, if it sent any.
    pub sense: Vec<u8>,
    /// Bytes of data that went over.
    pub transferred: usize,
}

/// `struct sg_io_hdr`.
#[repr(C)]
struct SgIoHeader {
    interface_id: libc::c_int,
    direction: libc::c_int,
    command_bytes: libc::c_uchar,
    sense_room: libc::c_uchar,
    iovec_count: libc::c_ushort,
    data_bytes: libc::c_uint,
    data: *mut libc::c_void,
    command: *const libc::c_uchar,
    sense: *mut libc::c_uchar,
    timeout_ms: libc::c_uint,
    flags: libc::c_uint,
    pack_id: libc::c_int,
    user: *mut libc::c_void,
    status: libc::c_uchar,
    masked_status: libc::c_uchar,
    message_status: libc::c_uchar,
    sense_bytes: libc::c_uchar,
    host_status: libc::c_ushort,
    driver_status: libc::c_ushort,
    residual: libc::c_int,
    duration_ms: libc::c_uint,
    info: libc::c_uint,
}

const SG_IO: libc::Ioctl = 0x2285;
const INTERFACE_ID: libc::c_int = 'S' as libc::c_int;
const NO_DATA: libc::c_int = -1;
const TO_DEVICE: libc::c_int = -2;
const FROM_DEVICE: libc::c_int = -3;
const DRIVER_SENSE: u16 = 0x08;
const SENSE_BYTES: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_header_has_the_layout_of_the_kernel() {
        assert_eq!(size_of::<SgIoHeader>(), 88);
        assert_eq!(std::mem::offset_of!(SgIoHeader, data), 16);
        assert_eq!(std::mem::offset_of!(SgIoHeader, user), 56);
        assert_eq!(std::mem::offset_of!(SgIoHeader, residual), 72);
    }

    #[test]
    fn what_is_no_scsi_device_is_refused() {
        assert!(Device::open(Path::new("/")).is_err());
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert_eq!(Device::open(file).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        // A device, and no SCSI.
        let null = Device::open(Path::new("/dev/null")).unwrap();
        let answer = null.read(&[0x12, 0, 0, 0, 96, 0], 96, Duration::from_secs(1));
        assert!(matches!(answer, Err(DeviceError::Io(_))), "{answer:?}");
    }
}
