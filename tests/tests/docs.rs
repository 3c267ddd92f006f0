//! The docs: what they point at is there.

use std::fs;
use std::path::Path;

#[test]
fn every_file_of_ours_that_the_docs_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages = ["README.md", "docs/architecture.md", "docs/design.md", "docs/index.md"];
    let mut named = 0;
    for page in pages {
        let text = fs::read_to_string(root.join(page)).unwrap();
        // In backticks: every second piece. Between `](` and `)`: a link, from where the page is.
        let quoted = text.split('`').skip(1).step_by(2).map(|path| root.join(path));
        let from = root.join(page).parent().unwrap().to_owned();
        let linked = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        let linked = linked.filter(|link| !link.contains("://")).map(|link| from.join(link));
        let ours = quoted.filter(|path| {
            let path = path.strip_prefix(root).unwrap().to_string_lossy();
            path.starts_with("crates/") && !path.contains(char::is_whitespace)
        });
        for path in ours.chain(linked) {
            named += 1;
            assert!(path.exists(), "{page} names {}, which is not there", path.display());
        }
    }
    assert!(named > 30, "only {named} files are named: does this test still find them?");
}
