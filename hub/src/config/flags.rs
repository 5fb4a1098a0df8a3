//! How file, environment and flags become one configuration.
//!
//! Every key can be set in the environment as `LAMPLIGHTER__SECTION__KEY=value` and on the command
//! line as `--set section.key=value`, with values in TOML; the usual ones have flags of their own.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::span::Span;
use super::{Config, File, StoreKind, check};

/// In front of a key's name in the environment.
const ENVIRONMENT_PREFIX: &str = "LAMPLIGHTER__";
/// Bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the command line and the environment say.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// The configuration file, TOML
    #[arg(long, value_name = "FILE", env = "LAMPLIGHTER_CONFIG")]
    pub config: Option<PathBuf>,
    /// The folder that holds everything the hub keeps
    #[arg(long, value_name = "DIR", env = "LAMPLIGHTER_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where to listen with TLS, as in 0.0.0.0:8443; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", env = "LAMPLIGHTER_LISTEN")]
    pub listen: Option<String>,
    /// Also listen without TLS, on loopback only
    #[arg(long, value_name = "ADDR:PORT", env = "LAMPLIGHTER_LISTEN_PLAIN")]
    pub listen_plain: Option<String>,
    /// What keeps the state
    #[arg(long, value_enum, env = "LAMPLIGHTER_STORE")]
    pub store: Option<StoreKind>,
    /// Try it out: loopback only, with a CA, a certificate and tokens made in the data folder
    #[arg(long)]
    pub dev: bool,
    /// Set any key of the configuration, as in --set limits.accept_per_s=800
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("can't read {file}: {source}")]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{file} is over {FILE_BYTES_MAX} bytes: not a configuration")]
    TooLong { file: PathBuf },
    #[error("in {file}: {source}")]
    File { file: PathBuf, source: Box<toml::de::Error> },
    #[error("{origin} is not KEY=VALUE with a dot or two underscores in the key")]
    NoKey { origin: String },
    #[error("{origin} is empty or has control characters; unset it or give it a value")]
    BadText { origin: String },
    #[error("{origin} is set twice")]
    Twice { origin: String },
    #[error("in the environment or flags: {0}")]
    Merged(Box<toml::de::Error>),
    #[error("{key} {problem}")]
    Value { key: &'static str, problem: String },
}

/// The configuration that these flags, this environment and the file make together, with the keys as
/// they stand.
///
/// # Errors
/// Says which key of which source is wrong, and where.
pub fn load(
    flags: &Flags,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(File, Config), ConfigError> {
    let mut table = match &flags.config {
        None => Table::new(),
        Some(path) => read(path)?,
    };
    let mut seen = Vec::new();
    let mut variables: Vec<_> =
        environment.into_iter().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        let key = name[ENVIRONMENT_PREFIX.len()..].to_lowercase().replace("__", ".");
        put(&mut table, &mut seen, &name, &key, &text)?;
    }
    seen.clear();
    for setting in &flags.set {
        let origin = format!("--set {setting}");
        let no_key = || ConfigError::NoKey { origin: origin.clone() };
        let (key, text) = setting.split_once('=').ok_or_else(no_key)?;
        put(&mut table, &mut seen, &origin, key.trim(), text)?;
    }
    let has = |key| table.get("devices").is_some_and(|devices| devices.get(key).is_some());
    let registers_all = flags.dev && !has("auto_register");
    let mut file: File = table.try_into().map_err(|error| ConfigError::Merged(Box::new(error)))?;
    file.devices.auto_register |= registers_all;
    apply(flags, &mut file);
    let config = check::config(&file, flags.dev)?;
    Ok((file, config))
}

/// The flags that have names of their own.
fn apply(flags: &Flags, file: &mut File) {
    if flags.dev && flags.listen.is_none() && file.listen == super::file::Listen::default() {
        file.listen.address = "127.0.0.1:8443".to_owned();
    }
    if flags.dev {
        if file.limits.address_exempt.is_empty() {
            // Lamps and dashboards of one machine share its address.
            file.limits.address_exempt = vec!["127.0.0.0/8".to_owned(), "::1".to_owned()];
        }
        if file.drain == super::file::Drain::default() {
            // Nobody is spared a storm here, but someone waits at the terminal.
            file.drain.grace = Span::ms(100);
            file.drain.spread = Span::s(1);
            file.drain.hard_stop = Span::s(10);
        }
    }
    if let Some(folder) = &flags.data_dir {
        file.data.folder.clone_from(folder);
    }
    if let Some(address) = &flags.listen {
        file.listen.address.clone_from(address);
    }
    if let Some(address) = &flags.listen_plain {
        file.listen.plain.clone_from(address);
    }
    if let Some(store) = flags.store {
        file.data.store = store;
    }
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let file = path.to_owned();
    let length = std::fs::metadata(path).map(|metadata| metadata.len());
    match length {
        Ok(length) if length > FILE_BYTES_MAX => return Err(ConfigError::TooLong { file }),
        Ok(_) => {}
        Err(source) => return Err(ConfigError::Read { file, source }),
    }
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { file: file.clone(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    // Read as the whole first: its errors have lines.
    let wrong = |source| ConfigError::File { file: file.clone(), source: Box::new(source) };
    toml::from_str::<File>(text).map_err(wrong)?;
    toml::from_str(text).map_err(wrong)
}

/// Sets `a.b` in the table.
fn put(
    table: &mut Table,
    seen: &mut Vec<String>,
    origin: &str,
    key: &str,
    text: &str,
) -> Result<(), ConfigError> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(ConfigError::BadText { origin: origin.to_owned() });
    }
    if seen.iter().any(|known| known == key) {
        return Err(ConfigError::Twice { origin: origin.to_owned() });
    }
    seen.push(key.to_owned());
    let Some((section, name)) = key.split_once('.').filter(|(_, name)| !name.contains('.')) else {
        return Err(ConfigError::NoKey { origin: origin.to_owned() });
    };
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    match section {
        Value::Table(section) => {
            section.insert(name.to_owned(), value(text));
            Ok(())
        }
        _ => Err(ConfigError::NoKey { origin: origin.to_owned() }),
    }
}

/// A value in TOML; what is none is a string.
fn value(text: &str) -> Value {
    let parsed: Result<Table, _> = toml::from_str(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn flags_are_stronger_than_the_environment_and_that_than_the_file() {
        let file = written("[limits]\naccept_per_s = 100\nhandshakes = 10\nconnections = 50\n");
        let flags = Flags {
            config: Some(file.path().to_owned()),
            set: vec!["limits.handshakes=30".to_owned()],
            ..dev()
        };
        let environment = [
            ("LAMPLIGHTER__LIMITS__ACCEPT_PER_S", "200"),
            ("LAMPLIGHTER__LIMITS__HANDSHAKES", "20"),
            ("UNRELATED", "x"),
        ];
        let (keys, _) = load(&flags, owned(&environment)).expect("valid");
        assert_eq!(keys.limits.connections, 50);
        assert_eq!(keys.limits.accept_per_s, 200);
        assert_eq!(keys.limits.handshakes, 30);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let file = written("[limits]\nacept_per_s = 100\n");
        let flags = Flags { config: Some(file.path().to_owned()), ..dev() };
        let error = load(&flags, []).expect_err("unknown").to_string();
        assert!(error.contains("line 2") && error.contains("acept_per_s"), "{error}");
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_time_without_a_unit_a_key_twice_and_a_tab_for_a_value_are_refused() {
        for bad in [
            "[drain]\ngrace = 10\n",
            "[limits]\nconnections = 1\nconnections = 2\n",
            "[limits]\nconnections =\t\n",
            "limits = 3\n",
            "[[channel]]\npattern = \"a\"\nlast = \"forget\"\n",
        ] {
            let file = written(bad);
            let flags = Flags { config: Some(file.path().to_owned()), ..dev() };
            assert!(load(&flags, []).is_err(), "{bad}");
        }
    }

    #[test]
    fn windows_line_ends_and_a_byte_order_mark_are_fine() {
        let file = written("\u{feff}[limits]\r\nconnections = 7\r\n");
        let flags = Flags { config: Some(file.path().to_owned()), ..dev() };
        assert_eq!(load(&flags, []).expect("valid").0.limits.connections, 7);
    }

    #[test]
    fn an_empty_variable_and_a_setting_twice_are_refused() {
        let empty = [("LAMPLIGHTER__LIMITS__CONNECTIONS", "")];
        assert!(matches!(load(&dev(), owned(&empty)), Err(ConfigError::BadText { .. })));
        let twice = vec!["limits.connections=1".to_owned(), "limits.connections=2".to_owned()];
        let flags = Flags { set: twice, ..dev() };
        assert!(matches!(load(&flags, []), Err(ConfigError::Twice { .. })));
    }

    fn dev() -> Flags {
        Flags { dev: true, ..Flags::default() }
    }

    fn written(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }
}
