//! What the documentation lists is what the code has.

use std::path::Path;

use steadyhand_core::failure::FailureClass;
use steadyhand_pipeline::codes;

fn error_page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors/README.md");
    std::fs::read_to_string(path).expect("the page is in the repository")
}

#[test]
fn every_code_has_its_row() {
    let page = error_page();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for code in codes::ALL {
        let listed =
            rows.iter().any(|row| row.split('|').nth(1).is_some_and(|c| c.contains(&format!("`{code}`"))));
        assert!(listed, "{code} is not explained in docs/errors/README.md");
    }
}

#[test]
fn every_failure_class_has_its_row() {
    let page = error_page();
    for class in FailureClass::ALL {
        assert!(page.contains(&format!("`{class}`")), "{class} is not in docs/errors/README.md");
    }
}
