//! Compiles the schemas: to descriptors for reflection, and to Rust.
//!
//! The compiler is written in Rust, so no `protoc` is needed. Without the feature `messages` there is
//! nothing to do, and none of it is even built: firmware compiles the crate in a second.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "messages")]
    schemas::compile()?;
    Ok(())
}

#[cfg(feature = "messages")]
mod schemas {
    use std::path::PathBuf;

    use protox::Compiler;

    const ROOT: &str = "schema";
    const FILES: &[&str] = &[
        "lamplighter/v1/envelope.proto",
        "lamplighter/v1/light.proto",
        "lighting/v1/lighting.proto",
    ];

    pub(crate) fn compile() -> Result<(), Box<dyn std::error::Error>> {
        println!("cargo::rerun-if-changed={ROOT}");
        let out = PathBuf::from(std::env::var("OUT_DIR")?);
        let mut compiler = Compiler::new([ROOT])?;
        compiler.include_imports(true).open_files(FILES)?;
        // Comments become documentation in Rust; in the binary they would be dead weight.
        std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
        let described = compiler.include_source_info(true).file_descriptor_set();
        prost_build::Config::new().btree_map(["."]).compile_fds(described)?;
        Ok(())
    }
}
