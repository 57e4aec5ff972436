//! The temperature of this machine, which is that of its drives.

use std::fs;
use std::path::Path;

use vtl_drive::Thermometer;

/// What a sensor says above this is an error of the sensor.
const HIGHEST: i64 = 150;

/// The warmest sensor of the host, as the kernel's hwmon shows them; none if it has none, as a virtual machine.
pub(crate) fn host_thermometer() -> Thermometer {
    Thermometer::new(|| warmest(Path::new("/sys/class/hwmon")))
}

/// In degrees Celsius; files that cannot be read are sensors that do not work.
fn warmest(directory: &Path) -> Option<u8> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let sensors = entries(directory).flat_map(|chip| entries(&chip.path()).collect::<Vec<_>>());
    let inputs = sensors.filter(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("temp") && name.ends_with("_input")
    });
    let thousandths =
        inputs.filter_map(|file| fs::read_to_string(file.path()).ok()?.trim().parse::<i64>().ok());
    let degrees =
        thousandths.map(|value| value / 1000).filter(|degrees| (0..=HIGHEST).contains(degrees));
    degrees.max().and_then(|degrees| u8::try_from(degrees).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warmest_sensor_that_works() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(warmest(&directory.path().join("none")), None);
        let chip = directory.path().join("hwmon0");
        fs::create_dir(&chip).unwrap();
        assert_eq!(warmest(directory.path()), None);
        for (name, text) in [
            ("temp1_input", "38500\n"),
            ("temp2_input", "41000\n"),
            ("temp3_input", "-128000\n"),
            ("temp4_input", "999000\n"),
            ("temp5_input", "broken"),
            ("temp1_max", "90000\n"),
            ("fan1_input", "60000\n"),
        ] {
            fs::write(chip.join(name), text).unwrap();
        }
        assert_eq!(warmest(directory.path()), Some(41));
    }
}
