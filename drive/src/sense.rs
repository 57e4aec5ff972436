//! What a cartridge could not do, as sense data.

use vtl_media::MediumError;
use vtl_scsi::sense::Sense;

/// The sense for an error of the medium; `residual` is what the command had left to do, in its own unit.
pub(crate) fn of_medium_error(error: &MediumError, residual: Option<i64>) -> Sense {
    let sense = match error {
        MediumError::EndOfDataMissing { .. } => Sense::end_of_data_not_found(),
        MediumError::Fenced | MediumError::ReadOnly | MediumError::Locked { .. } => {
            Sense::write_protected()
        }
        MediumError::Worm => Sense::worm_overwrite_attempted(),
        MediumError::WriteFailed { objects_not_written, .. } => {
            return Sense::write_error()
                .with_information(i64::try_from(*objects_not_written).unwrap_or(i64::MAX));
        }
        MediumError::DoesNotFit => Sense::invalid_field_in_cdb(2, Some(3)),
        MediumError::Mam(_) => Sense::auxiliary_memory_out_of_space(),
        // A record has room for the longest transfer, and no command goes back to a recovery point.
        MediumError::WrongLength { .. } | MediumError::PointLost { .. } => {
            Sense::internal_target_failure()
        }
        // SSC-4 §4.2.22.8
        MediumError::NoKey { .. } | MediumError::AtRest(_) => Sense::unable_to_decrypt_data(),
        MediumError::WrongKey { .. } => Sense::incorrect_encryption_key(),
        MediumError::NotEncrypted { .. } => Sense::unencrypted_data_encountered(),
        MediumError::Damaged { .. } | MediumError::Label(_) | MediumError::Io(_) => {
            Sense::unrecovered_read_error()
        }
    };
    match residual {
        Some(residual) => sense.with_information(residual),
        None => sense,
    }
}
