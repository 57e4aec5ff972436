//! Temperature: page 0Dh (SPC-5 §7.3.21).

use std::fmt;

use vtl_scsi::log::{LogPage, LogParameter};

use super::TEMPERATURE;
use crate::Drive;

/// Neither a temperature nor a reference is known.
const NOT_AVAILABLE: u8 = 0xff;

/// Where a drive has its temperature from: a real one, that of the machine that it is part of.
pub struct Thermometer(Box<dyn Fn() -> Option<u8> + Send>);

impl Thermometer {
    /// Asks this, in degrees Celsius, whenever a host asks the drive.
    pub fn new(read: impl Fn() -> Option<u8> + Send + 'static) -> Self {
        Self(Box::new(read))
    }
}

impl Default for Thermometer {
    /// There is no sensor.
    fn default() -> Self {
        Self::new(|| None)
    }
}

impl fmt::Debug for Thermometer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thermometer").finish_non_exhaustive()
    }
}

// 0000h temperature, 0001h the highest at which it may run all the time, which a program does not have: 0 reserved, 1 degrees.
pub(super) fn page(drive: &Drive) -> LogPage {
    let degrees = (drive.thermometer.0)().filter(|degrees| *degrees < NOT_AVAILABLE);
    let values = [degrees.unwrap_or(NOT_AVAILABLE), NOT_AVAILABLE];
    let parameters =
        (0..).zip(values).map(|(code, value)| LogParameter::binary(code, vec![0, value]));
    LogPage::new(TEMPERATURE, parameters.collect())
}
