//! Descriptor sets, compiled from their source.

use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

/// Files in memory: names and sources.
struct Sources(Vec<(String, String)>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, source)) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// The encoded set of these files with all that they import, comments and all.
pub(crate) fn compile(files: &[(&str, &str)]) -> Vec<u8> {
    let mut sources: Vec<(String, String)> = files
        .iter()
        .map(|(name, source)| ((*name).to_owned(), format!("syntax = \"proto3\";\n{source}")))
        .collect();
    let ours = "lighting/v1/common.proto";
    if !files.iter().any(|(name, _)| *name == ours) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(ours);
        sources.push((ours.to_owned(), std::fs::read_to_string(path).expect("our schema")));
    }
    let mut resolver = ChainFileResolver::new();
    resolver.add(GoogleFileResolver::new());
    resolver.add(Sources(sources));
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    for (name, _) in files {
        compiler.open_file(name).unwrap_or_else(|error| panic!("{error:?}"));
    }
    compiler.encode_file_descriptor_set()
}
