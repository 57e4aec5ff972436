//! `vtl label`; tools/labels reads what is drawn back with a scanner.

use std::fs;

use vtl_tests::Scene;

#[test]
fn labels_of_the_library_and_of_others_go_into_a_new_file() {
    let scene = Scene::new();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    let (pdf, svg) = (scene.beside("labels.pdf"), scene.beside("labels.svg"));
    let (pdf, svg) = (pdf.to_str().unwrap(), svg.to_str().unwrap());
    let made = vtl(&["label", "VTL0*", "OTHER1L8", "--output", pdf, "--format", "json"]).done();
    assert_eq!((&made.json()["labels"], &made.json()["sheets"]), (&21.into(), &1.into()));
    assert!(fs::read(pdf).unwrap().starts_with(b"%PDF-"));
    vtl(&["label", "vtl001l9", "--output", svg]).done();
    let drawn = fs::read_to_string(svg).unwrap();
    assert!(drawn.contains("<title>VTL001L9</title>") && drawn.matches("<rect").count() == 51);
    vtl(&["label", "VTL001L9", "--output", svg]).ended(2).says("is there already");
    vtl(&["label", "VTL001L9", "--output", "labels.txt"]).ended(2).says(".pdf or .svg");
    vtl(&["label", "NONE*", "--output", "/tmp/none.pdf"]).ended(4).says("no cartridge matches");
    for bad in ["VTL001", "VTL001L0", "VTL-01L9", "../../L9"] {
        vtl(&["label", bad, "--output", "/tmp/none.pdf"]).ended(2).says(bad);
    }
    assert!(!std::path::Path::new("/tmp/none.pdf").exists());
}
