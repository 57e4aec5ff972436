//! Every command descriptor block with any data, at drives with all kinds of media and at a changer.

use bolero::check;
use vtl_fuzz::command::{Command, Table};
use vtl_fuzz::device::{Medium, changer, drive, run_all};

const TAPE: u8 = 1;
const CHANGER: u8 = 8;

fn commands(medium: Medium) {
    vtl_fuzz::watch();
    let table = Table::of(&mut drive(medium));
    let name = format!("drive_{medium:?}").to_ascii_lowercase();
    check!(name = name).with_type::<Vec<Command>>().for_each(|commands| {
        let mut drive = drive(medium);
        run_all(&mut drive, commands.iter().map(|command| command.task(&table)), TAPE);
        drop(drive);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

#[test]
fn drive_blank() {
    commands(Medium::Blank);
}

#[test]
fn drive_written() {
    commands(Medium::Written);
}

#[test]
fn drive_worm() {
    commands(Medium::Worm);
}

#[test]
fn drive_encrypted() {
    commands(Medium::Encrypted);
}

#[test]
fn drive_partitioned() {
    commands(Medium::Partitioned);
}

#[test]
fn changer_commands() {
    vtl_fuzz::watch();
    let table = Table::of(&mut changer());
    check!().with_type::<Vec<Command>>().for_each(|commands| {
        let mut changer = changer();
        run_all(&mut changer, commands.iter().map(|command| command.task(&table)), CHANGER);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}
