//! What a row says about a setting, and what the rows become: the typed [`super::Settings`], their flags, and what
//! reads the file.

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
    /// More sentences, or none.
    pub(super) more: &'static str,
    /// Where the operator's guide explains it, or nothing.
    pub(super) guide: &'static str,
    pub(crate) default: DefaultValue,
    /// The numbers that are allowed, for the documents.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes the documents"))]
    pub(super) allowed: fn() -> String,
    /// Whether a reload takes it over.
    pub(crate) reloads: bool,
    /// Whether errors never repeat the value. A key itself or a password in a URL may have been written there by
    /// mistake, and errors end in journals.
    pub(crate) is_secret: bool,
}

/// The flag of a row: its name is the key's.
pub(super) struct Flag {
    pub(super) value: &'static str,
    commands: u8,
}

/// The commands that take a flag. `serve` takes each.
pub(crate) const SERVE: u8 = 1;
pub(crate) const INIT: u8 = 2;
pub(crate) const CHECK: u8 = 4;
pub(crate) const BACKUP: u8 = 8;
pub(crate) const POLICY: u8 = 16;

/// What holds if nobody chose, each as it is written in the file.
#[cfg_attr(not(test), expect(dead_code, reason = "a test writes the documents, which show examples"))]
pub(crate) enum DefaultValue {
    /// This value.
    Fixed(&'static str),
    /// What the words say; for the packaged service it is this value.
    Computed { words: &'static str, packaged: &'static str },
    /// What the words say; there is no value for it, only an example of another one.
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

    pub(super) const fn of(self, section: &'static str, key: &'static str, allowed: fn() -> String) -> Self {
        Self { section, key, allowed, ..self }
    }

    /// A flag whose value is called so, for `serve` and these other commands.
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

    /// The default as a reader sees it.
    pub(super) fn default_in_words(&self) -> String {
        match self.default {
            DefaultValue::Fixed("[]") => "none".to_owned(),
            DefaultValue::Fixed(value) => format!("`{}`", value.trim_matches('"')),
            DefaultValue::Computed { words, .. } | DefaultValue::Absent { words, .. } => words.to_owned(),
        }
    }

    /// The flag, if `command` takes it, but for its kind.
    pub(super) fn arg(&self, command: u8) -> Option<Arg> {
        let flag = self.flag.as_ref().filter(|flag| flag.commands & command != 0)?;
        let (help, sentences) = (self.help, self.sentences());
        let arg = Arg::new(self.key).long(self.key.replace('_', "-")).value_name(flag.value);
        let default = self.default_in_words().replace('`', "");
        let arg = arg.help(format!("{help} [default: {default}]"));
        Some(arg.long_help(format!("{help}{sentences}\n\n[default: {default}]")))
    }

    /// What follows the first sentence in the help.
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

/// Makes of rows what is chosen in each table and what holds there, all of them as `Settings` and `Config`, and `ROWS`. A
/// key that code reads and no row has does not build, nor does a row without its kind, sentence and default.
macro_rules! settings {
    ($(
        $(#[$doc:meta])*
        $field:ident: $chosen:ident => $held:ident, $section:literal {
            $( $key:ident $([$optional:ident])? : $type:ty = $kind:expr, $row:expr; )*
        }
    )*) => {
        $(
            /// What was chosen there.
            $(#[$doc])*
            #[derive(Clone, Debug, Default, Eq, PartialEq)]
            pub(crate) struct $chosen { $( pub(crate) $key: Option<$type>, )* }

            $(#[$doc])*
            #[derive(Clone, Debug, Eq, PartialEq)]
            pub(crate) struct $held { $( pub(crate) $key: settings!(@type $($optional)? $type), )* }
        )*

        /// What was chosen by flags or in the file; what nobody chose is absent.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub(crate) struct Settings { $( pub(crate) $field: $chosen, )* }

        /// Everything chosen or defaulted. It needs no more checks, except for the address to listen at.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub(crate) struct Config {
            $( pub(crate) $field: $held, )*
            pub(crate) derived: Derived,
        }

        /// Every setting, in the order of the documents.
        pub(crate) static ROWS: &[Row] = &[
            $( $( $row.of($section, stringify!($key), || Kind::<$type>::allowed(&$kind)), )* )*
        ];

        impl Settings {
            /// These, and `other` where these do not say.
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

            /// What the flags say. A command has some of them only.
            pub(super) fn of_flags(matches: &clap::ArgMatches) -> Self {
                Self {
                    $( $field: $chosen { $( $key: Kind::<$type>::given(&$kind, matches, stringify!($key)), )* }, )*
                }
            }

            /// These, to which all defaults were added.
            pub(super) fn complete(self, derived: Derived) -> Config {
                Config {
                    $( $field: $held { $( $key: settings!(@value $($optional)? self.$field.$key), )* }, )*
                    derived,
                }
            }
        }

        impl Config {
            /// The rows in which this differs from another.
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

/// The value of a row that has one by default.
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
