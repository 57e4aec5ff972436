//! Attributes on their way to the tape's memory: they are there and proved, or the receipt says that they are not.

use vtl_media::{AttributeFormat, CopyState};

use super::scripted::{Drive, Scene, Swap, objects};
use super::*;
use crate::receipt::Attribute;

fn text(identifier: u16, value: &str) -> Attribute {
    Attribute::new(0, identifier, AttributeFormat::Ascii, value.as_bytes())
}

fn of_source() -> Vec<Attribute> {
    let guid = Attribute::new(0, 0x0820, AttributeFormat::Binary, &[7; 36]);
    vec![text(0x0800, "VENDOR  "), text(0x0801, "Backup"), text(0x0808, "weekly"), guid]
}

fn run(
    scene: &Scene,
    drive: &mut Drive,
    attributes: &[Attribute],
) -> Result<Exported, ExportError> {
    let entry = scene.entry();
    scene.carry_out(&Order { attributes, ..scene.order(&entry) }, drive)
}

/// The receipt said that attributes had not been looked at, and they were not on the tape either.
#[test]
fn attributes_are_on_the_tape_and_proved() {
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    let exported = run(&scene, &mut drive, &of_source()).unwrap();
    assert_eq!(drive.memory, of_source());
    assert_eq!(exported.manifest.attributes, of_source());
    assert_eq!(exported.proof.attributes, Some(of_source()));
    assert!(exported.manifest.attributes_left_out.is_empty());
    assert!(!exported.proof.not_checked.iter().any(|line| line.contains("attribute")));
    let receipt = scene.receipts.receipt(exported.copy.id).unwrap();
    assert_eq!(receipt.content().manifest, exported.manifest);
    let sheet = &exported.manifest.how_to_read;
    assert!(sheet.contains("#   0808h: weekly\n") && sheet.contains("sg_read_attr"), "{sheet}");
}

/// A drive without the commands (tgt's): the copy is one all the same, and answer, receipt and sheet say what is not on the tape.
#[test]
fn a_drive_that_refuses_them_is_no_error_and_the_receipt_says_so() {
    let refused = || TapeError::Refused("the drive says 5/20/00".into());
    for readable in [None, Some(refused())] {
        let mut drive = Drive {
            on_memory_write: Some((None, refused())),
            on_memory_read: readable,
            ..Drive::blank()
        };
        let exported = run(&Scene::new(), &mut drive, &of_source()).unwrap();
        assert_eq!(exported.copy.state, CopyState::Receipted);
        let Exported { manifest, proof, .. } = exported;
        assert!(manifest.attributes.is_empty() && proof.attributes.is_none());
        assert_eq!(manifest.attributes_left_out.len(), 4);
        let told = proof.not_checked.join("\n");
        assert!(
            told.contains("not on the tape: 0800h, 0801h, 0808h, 0820h (the drive says 5/20/00)")
        );
        assert!(manifest.how_to_read.contains("# NOT ON THE TAPE"), "{}", manifest.how_to_read);
    }
}

#[test]
fn one_that_is_refused_keeps_the_others() {
    let error = TapeError::Refused("the drive says 5/26/00".into());
    let mut drive = Drive { on_memory_write: Some((Some(0x0801), error)), ..Drive::blank() };
    let exported = run(&Scene::new(), &mut drive, &of_source()).unwrap();
    let left: Vec<u16> =
        exported.manifest.attributes_left_out.iter().map(|left| left.identifier).collect();
    assert_eq!((left, drive.memory.len()), (vec![0x0801], 3));
    assert_eq!(exported.proof.attributes, Some(drive.memory));
}

/// Any other failure is one of the export: a bad memory fails the copy, a broken drive lets it go on.
#[test]
fn a_memory_that_fails_another_way_fails_the_export() {
    let medium = TapeError::Medium("3/0C/0B".into());
    let broken = TapeError::Hardware("4/44/00".into());
    for (error, is_final) in [(medium, true), (broken, false)] {
        let (scene, mut drive) = (Scene::new(), Drive::blank());
        drive.on_memory_write = Some((None, error.clone()));
        let failed = run(&scene, &mut drive, &of_source()).unwrap_err();
        assert_eq!(failed.is_final(), is_final, "{failed}");
        assert!(
            failed.to_string().starts_with("attribute 0800h of the tape's memory: "),
            "{failed}"
        );
        let state = if is_final { CopyState::Failed } else { CopyState::Staged };
        assert_eq!(scene.states(), [state]);
        drive.on_memory_write = None;
        if !is_final {
            run(&scene, &mut drive, &of_source()).unwrap();
            assert_eq!((drive.memory.len(), drive.objects == objects()), (4, true));
        }
    }
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    drive.on_memory_read = Some(TapeError::Medium("3/11/12".into()));
    assert!(run(&scene, &mut drive, &of_source()).unwrap_err().is_final());
}

/// The drive took it, and after the tape was out and in again it is not there: that is no copy.
#[test]
fn an_attribute_that_does_not_come_back_is_no_proof() {
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    drive.on_reload = Some(Swap::Forgets);
    let failed = run(&scene, &mut drive, &of_source()).unwrap_err();
    assert!(failed.to_string().ends_with("attribute 0820h is not on the tape"), "{failed}");
    assert_eq!(scene.states(), [CopyState::Failed]);
}

/// A tape of another backup software is overwritten: its media pool is not that of the copy. Its barcode is on its label, and stays.
#[test]
fn what_the_tape_had_before_goes_and_its_barcode_stays() {
    let before = || vec![text(0x0806, "SCR001L9"), text(0x0808, "old"), text(0x0803, "old")];
    let own = Some("SCR001L9".to_owned());
    let mut drive = Drive { memory: before(), barcode: own.clone(), ..Drive::blank() };
    let wanted = [text(0x0806, "A00001L9"), text(0x0808, "weekly")];
    let exported = run(&Scene::new(), &mut drive, &wanted).unwrap();
    assert_eq!(drive.memory, [text(0x0806, "SCR001L9"), text(0x0808, "weekly")]);
    let left = &exported.manifest.attributes_left_out;
    assert_eq!((left.len(), left[0].why.as_str()), (1, "the tape's own barcode is SCR001L9"));
    let same = [text(0x0806, "SCR001L9                        ")];
    let mut drive = Drive { memory: before(), barcode: own, ..Drive::blank() };
    let exported = run(&Scene::new(), &mut drive, &same).unwrap();
    assert_eq!((&drive.memory[..], exported.manifest.attributes.len()), (&same[..], 1));
}
