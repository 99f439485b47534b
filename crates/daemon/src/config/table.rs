//! The columns of a row, and the macro that makes code of the rows: the typed [`super::Settings`] and [`super::Config`],
//! the flags, and the reader of the file.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::rows::{ROWS, SECTIONS, Settings};

/// One setting.
pub(crate) struct Row {
    /// The table of the file, empty for the top level.
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    pub(super) flag: Option<Flag>,
    /// What the setting does, in one sentence without its full stop.
    pub(super) help: &'static str,
    /// Further sentences, if any.
    pub(super) more: &'static str,
    /// The heading in the operator's guide, if any.
    pub(super) guide: &'static str,
    pub(crate) default: DefaultValue,
    /// The numbers that are allowed, for the documents.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes the documents"))]
    pub(super) allowed: fn() -> String,
    /// Whether a reload applies a change.
    pub(crate) reloads: bool,
    /// Whether errors hide the value. An operator may write a key or a password there by mistake, and errors end in
    /// journals.
    pub(crate) is_secret: bool,
}

/// The flag of a row. Its name is the key's.
pub(super) struct Flag {
    pub(super) value: &'static str,
    commands: u8,
}

/// The commands that take a flag, as bits. `serve` takes every flag.
pub(crate) const SERVE: u8 = 1;
pub(crate) const INIT: u8 = 2;
pub(crate) const CHECK: u8 = 4;
pub(crate) const BACKUP: u8 = 8;
pub(crate) const POLICY: u8 = 16;

/// The default, in the file's notation.
#[cfg_attr(not(test), expect(dead_code, reason = "a test writes the documents, which show examples"))]
pub(crate) enum DefaultValue {
    /// This value.
    Fixed(&'static str),
    /// The words describe it; `packaged` is the value for the packaged service.
    Computed { words: &'static str, packaged: &'static str },
    /// The words describe what happens without a value; `example` is a value that may be chosen.
    Absent { words: &'static str, example: &'static str },
}

#[cfg(test)]
impl DefaultValue {
    /// Whether documents show the default, not an example.
    pub(super) fn is_value(&self) -> bool {
        !matches!(self, Self::Absent { .. })
    }
}

impl Row {
    pub(super) const fn new(help: &'static str, default: DefaultValue) -> Self {
        Self {
            section: "",
            key: "",
            flag: None,
            help,
            more: "",
            guide: "",
            default,
            allowed: String::new,
            reloads: false,
            is_secret: false,
        }
    }

    pub(super) const fn with_key(
        self,
        section: &'static str,
        key: &'static str,
        allowed: fn() -> String,
    ) -> Self {
        Self { section, key, allowed, ..self }
    }

    /// Adds a flag with this name of its value, for `serve` and the `others`.
    pub(super) const fn flag(self, value: &'static str, others: u8) -> Self {
        Self { flag: Some(Flag { value, commands: SERVE | others }), ..self }
    }

    pub(super) const fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    pub(super) const fn guide(self, guide: &'static str) -> Self {
        Self { guide, ..self }
    }

    pub(super) const fn reloads(self) -> Self {
        Self { reloads: true, ..self }
    }

    pub(super) const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// The key with its table.
    pub(crate) fn name(&self) -> String {
        if self.section.is_empty() { self.key.to_owned() } else { format!("{}.{}", self.section, self.key) }
    }

    /// The default, for readers.
    pub(super) fn default_in_words(&self) -> String {
        match self.default {
            DefaultValue::Fixed("[]") => "none".to_owned(),
            DefaultValue::Fixed(value) => format!("`{}`", value.trim_matches('"')),
            DefaultValue::Computed { words, .. } | DefaultValue::Absent { words, .. } => words.to_owned(),
        }
    }

    /// The flag, if `command` takes it. Its kind completes it.
    pub(super) fn arg(&self, command: u8) -> Option<Arg> {
        let flag = self.flag.as_ref().filter(|flag| flag.commands & command != 0)?;
        let (help, sentences) = (self.help, self.sentences());
        let arg = Arg::new(self.key).long(self.key.replace('_', "-")).value_name(flag.value);
        let default = self.default_in_words().replace('`', "");
        let arg = arg.help(format!("{help} [default: {default}]"));
        Some(arg.long_help(format!("{help}{sentences}\n\n[default: {default}]")))
    }

    /// The sentences after the first one, for the help.
    fn sentences(&self) -> String {
        let guide = match self.guide {
            "" => String::new(),
            page => format!("See \"{page}\" in the operator's guide."),
        };
        match (self.more, guide.is_empty()) {
            ("", true) => String::new(),
            ("", false) => format!("\n\n{guide}"),
            (more, true) => format!("\n\n{more}"),
            (more, false) => format!("\n\n{more} {guide}"),
        }
    }
}

/// The flags of one command, declared by the rows.
#[derive(Clone, Debug)]
pub(crate) struct Flags<const COMMAND: u8>(pub(crate) Settings);

impl<const COMMAND: u8> Args for Flags<COMMAND> {
    fn augment_args(command: Command) -> Command {
        Settings::add_flags(command, COMMAND)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const COMMAND: u8> FromArgMatches for Flags<COMMAND> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Settings::of_flags(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Makes code of the rows: for each table the chosen values and the complete values, all tables together as `Settings` and
/// `Config`, and the list `ROWS`. Code that reads a key without a row does not build, nor does a row without its kind, sentence
/// and default.
macro_rules! settings {
    ($(
        $(#[$doc:meta])*
        $field:ident: $chosen:ident => $held:ident, $section:literal {
            $( $key:ident $([$optional:ident])? : $type:ty = $kind:expr, $row:expr; )*
        }
    )*) => {
        $(
            /// The chosen values:
            $(#[$doc])*
            #[derive(Clone, Debug, Default, Eq, PartialEq)]
            pub(crate) struct $chosen { $( pub(crate) $key: Option<$type>, )* }

            $(#[$doc])*
            #[derive(Clone, Debug, Eq, PartialEq)]
            pub(crate) struct $held { $( pub(crate) $key: settings!(@type $($optional)? $type), )* }
        )*

        /// What was chosen by flags or in the file. The rest is absent.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub(crate) struct Settings { $( pub(crate) $field: $chosen, )* }

        /// All settings, chosen or by default. They need no more checks, except for the address to listen at.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub(crate) struct Config {
            $( pub(crate) $field: $held, )*
            pub(crate) derived: Derived,
        }

        /// Every setting, in the order of the documents.
        pub(crate) static ROWS: &[Row] = &[
            $( $( $row.with_key($section, stringify!($key), || Kind::<$type>::allowed(&$kind)), )* )*
        ];

        impl Settings {
            /// These settings, and those of `other` that are absent here.
            pub(super) fn or(self, other: Self) -> Self {
                Self { $( $field: $chosen { $( $key: self.$field.$key.or(other.$field.$key), )* }, )* }
            }

            /// Reads the value that the file has for a row.
            pub(super) fn read(&mut self, row: &Row, value: &FileValue<'_>) -> Result<(), WrongValue> {
                $( $(
                    if (row.section, row.key) == ($section, stringify!($key)) {
                        self.$field.$key = Some(Kind::<$type>::read(&$kind, value)?);
                    }
                )* )*
                Ok(())
            }

            /// Adds the flags that a command takes.
            pub(super) fn add_flags(mut to: clap::Command, command: u8) -> clap::Command {
                let mut args = ROWS.iter().map(|row| row.arg(command));
                $( $(
                    if let Some(arg) = args.next().flatten() {
                        to = to.arg(Kind::<$type>::flag(&$kind, arg));
                    }
                )* )*
                to
            }

            /// The settings in the flags. A command has only some of the flags.
            pub(super) fn of_flags(matches: &clap::ArgMatches) -> Self {
                Self {
                    $( $field: $chosen { $( $key: Kind::<$type>::given(&$kind, matches, stringify!($key)), )* }, )*
                }
            }

            /// The complete values, after all defaults were added.
            pub(super) fn complete(self, derived: Derived) -> Config {
                Config {
                    $( $field: $held { $( $key: settings!(@value $($optional)? self.$field.$key), )* }, )*
                    derived,
                }
            }
        }

        impl Config {
            /// The rows in which two configurations differ.
            pub(super) fn differing(&self, other: &Self) -> impl Iterator<Item = &'static Row> {
                let differs = [$( $( self.$field.$key != other.$field.$key, )* )*];
                ROWS.iter().zip(differs).filter_map(|(row, differs)| differs.then_some(row))
            }
        }
    };
    (@type optional $type:ty) => { Option<$type> };
    (@type $type:ty) => { $type };
    (@value optional $value:expr) => { $value };
    (@value $value:expr) => { super::table::of_default($value) };
}

/// The value of a row with a default.
#[expect(clippy::expect_used, reason = "a test completes the settings that nobody chose")]
pub(super) fn of_default<T>(value: Option<T>) -> T {
    value.expect("the default of the row was added")
}

pub(super) use settings;

/// The fixed defaults, as a file.
pub(super) fn defaults() -> String {
    let mut text = String::new();
    for (section, _) in SECTIONS {
        text += &if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        for row in ROWS.iter().filter(|row| row.section == section) {
            if let DefaultValue::Fixed(value) = row.default {
                text += &format!("{} = {value}\n", row.key);
            }
        }
    }
    text
}
