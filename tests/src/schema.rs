//! Descriptor sets, compiled from their source as an operator's tools would.

use std::path::Path;

use protox::Compiler;

/// The encoded set of these files, by name and source, with all that they import. `lighting.v1` may be
/// imported.
pub fn descriptor_set(files: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, source) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder");
        std::fs::write(path, format!("syntax = \"proto3\";\n{source}")).expect("a file");
    }
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/schema");
    let mut compiler = Compiler::new([folder.path(), &ours]).expect("both are folders");
    compiler.include_imports(true);
    for (name, _) in files {
        compiler.open_file(name).unwrap_or_else(|error| panic!("{error:?}"));
    }
    compiler.encode_file_descriptor_set()
}
