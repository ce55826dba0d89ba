//! The header is what the sources say.

use std::path::Path;

#[test]
fn the_header_is_the_one_that_cbindgen_makes() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in ["lib", "status", "element"] {
        builder = builder.with_src(here.join(format!("src/{source}.rs")));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let file = here.join("include/rserpool.h");
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if made != committed {
        let new = std::env::temp_dir().join("rserpool.h");
        std::fs::write(&new, made).unwrap();
        panic!("{} differs; what it should be is in {}", file.display(), new.display());
    }
}
