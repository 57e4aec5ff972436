//! What the commands of all device types find in a drive: identity, pages, readiness.

use vtl_scsi::device::{Command, Device, Refusal};
use vtl_scsi::log::LogPage;
use vtl_scsi::mode::{ModeHeader, ModeParameters};
use vtl_scsi::sense::Sense;
use vtl_scsi::{ItNexus, LogicalUnit};

use crate::drive::{Bay, Drive, NotLoaded};
use crate::{
    append_only, block_protection, commands, log_page, mode_page, partition, vital_product_data,
};

/// Models for this density and later ones recommend access orders.
const DENSITY_LTO_9: u8 = 0x60;

impl Device for Drive {
    fn commands() -> &'static [Command<Self>] {
        commands::COMMANDS
    }

    fn supports(&self, row: &Command<Self>) -> bool {
        row.service_action != Some(commands::RECOMMENDED_ACCESS_ORDER)
            || self.profile.generation.density >= DENSITY_LTO_9
    }

    fn unit(&self) -> &LogicalUnit {
        &self.unit
    }

    fn unit_mut(&mut self) -> &mut LogicalUnit {
        &mut self.unit
    }

    fn not_ready(&self) -> Option<Sense> {
        match &self.bay {
            Bay::Ready(_) => None,
            Bay::Empty => Some(Sense::medium_not_present()),
            Bay::Unloaded(_) => Some(Sense::initializing_command_required()),
            Bay::Refused(NotLoaded::Cleaning) if self.is_cleaning() => {
                Some(Sense::cleaning_cartridge_installed())
            }
            Bay::Refused(NotLoaded::Cleaning) => Some(Sense::not_ready()),
            Bay::Refused(NotLoaded::CleaningUsedUp) => Some(Sense::cleaning_failed()),
            Bay::Refused(NotLoaded::WrongGeneration) => Some(Sense::incompatible_format()),
            Bay::Refused(NotLoaded::Locked) => Some(Sense::manual_intervention_required()),
            Bay::Refused(NotLoaded::Damaged) => Some(Sense::medium_format_corrupted()),
        }
    }

    fn inquiry_data(&self) -> Vec<u8> {
        self.identity.inquiry_data()
    }

    fn vital_product_data(&self, page: u8) -> Option<Vec<u8>> {
        vital_product_data::page(self, page)
    }

    fn mode_parameters(&mut self) -> &mut ModeParameters {
        mode_page::refresh(self);
        &mut self.mode
    }

    fn mode_header(&self) -> ModeHeader {
        mode_page::header(self)
    }

    fn select_header(
        &mut self,
        device_specific: u8,
        descriptor: Option<[u8; 8]>,
        descriptor_offset: u16,
    ) -> Result<(), Refusal> {
        mode_page::select_header(self, device_specific, descriptor, descriptor_offset)
    }

    fn page_changes_medium(&self, page: (u8, u8), values: &[u8]) -> bool {
        page == (partition::PAGE, 0) || append_only::is_switched(&self.append_only, page, values)
    }

    fn write_protect_bits(&self) -> u8 {
        mode_page::WRITE_PROTECT
    }

    fn show_own_mode_pages(&mut self, nexus: ItNexus) {
        block_protection::show(self, nexus);
    }

    fn is_own_mode_page(&self, page: (u8, u8)) -> bool {
        page == block_protection::PAGE
    }

    fn mode_pages_selected(&mut self, before: &ModeParameters, nexus: ItNexus) {
        block_protection::take_over(self, nexus);
        mode_page::selected(self, before);
        append_only::take_over(&mut self.append_only, &self.mode);
    }

    fn check_mode_page(
        &self,
        (page, subpage): (u8, u8),
        values: &[u8],
        values_offset: u16,
    ) -> Result<(), Refusal> {
        if (page, subpage) == block_protection::PAGE {
            block_protection::check(self, values, values_offset)?;
        }
        if let Some((byte, bit)) = mode_page::refuses(page, values) {
            let byte = values_offset.saturating_add(u16::try_from(byte).unwrap_or(u16::MAX));
            return Err(Sense::invalid_field_in_parameter_list(byte, Some(bit)).into());
        }
        if page == partition::PAGE {
            partition::wanted_sizes(self, values, values_offset)?;
        }
        Ok(())
    }

    fn takes_mode_page(&mut self, (page, _): (u8, u8), values: &[u8]) -> bool {
        if page == partition::PAGE {
            self.prepared_sizes = partition::wanted_sizes(self, values, 0).ok();
        }
        page == partition::PAGE
    }

    fn self_test(&mut self) -> Result<(), Sense> {
        let tested = self.cartridge_mut().map_or(Ok(()), |volume| volume.test_disk());
        if let Err(failure) = &tested {
            self.defer(failure);
        }
        tested.map_err(|_| Sense::self_test_failed())
    }

    fn collect_attentions(&mut self) {
        let failure = match &mut self.bay {
            Bay::Ready(loaded) | Bay::Unloaded(loaded) => loaded.cartridge.take_deferred(),
            Bay::Empty | Bay::Refused(_) => None,
        };
        if let Some(error) = failure {
            self.defer(&error);
        }
    }

    fn log_page_codes(&self) -> Vec<(u8, u8)> {
        log_page::codes(self)
    }

    fn log_page(&mut self, page: u8, subpage: u8, nexus: ItNexus) -> Option<LogPage> {
        log_page::page(self, page, subpage, nexus)
    }

    fn reset_log_page(&mut self, page: u8, _subpage: u8) {
        log_page::reset(self, page);
    }

    fn log_page_was_read(&mut self, page: u8, nexus: ItNexus) {
        if page == log_page::TAPE_ALERT {
            self.tape_alerts_were_read(nexus);
        }
    }
}
