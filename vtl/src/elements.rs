//! The model of a library's changer, and the addresses that it gives to elements.

use anyhow::Context;
use vtl_changer::ElementMap;
use vtl_scsi::Clock;

use crate::library::Library;

/// Devices tell the time of the machine that they run on, until a host sets them another one.
pub(crate) fn host_clock() -> Clock {
    Clock::new(|| u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

impl Library {
    /// Which model the changer is.
    pub(crate) fn changer_profile(&self) -> anyhow::Result<&'static vtl_changer::Profile> {
        let name = &self.record.changer.profile;
        self.site
            .models()
            .library(name)
            .with_context(|| format!("this version does not know the library model {name}"))
    }

    /// Which addresses its elements have.
    pub(crate) fn element_map(&self, drives: u16) -> anyhow::Result<ElementMap> {
        let record = &self.record;
        let profile = self.changer_profile()?;
        let storage =
            u16::try_from(record.storage_elements).context("too many storage elements")?;
        let import_export = u16::try_from(record.import_export_elements)
            .context("too many import/export elements")?;
        profile
            .element_map(storage, import_export, drives)
            .with_context(|| {
                let limits = profile.limits();
                format!(
                    "a {} has addresses for {} storage, {} import/export elements and {} drives at most",
                    profile.product, limits.storage, limits.import_export, limits.drives
                )
            })
    }
}
