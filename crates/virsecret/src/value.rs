//! The value of a secret, in a type that no code prints, copies or compares by accident.
//!
//! The bytes are wiped when it is dropped. Its memory is not locked: that is for keys, and needs privileges.

use zeroize::Zeroizing;

/// The value of a secret. It leaves through [`Value::expose`] and no other way: it is not printed,
///
/// ```compile_fail
/// fn log(value: &virsecret::Value) { println!("{value}"); }
/// ```
///
/// ```compile_fail
/// fn debug(value: &virsecret::Value) { println!("{value:?}"); }
/// ```
///
/// nor copied or compared:
///
/// ```compile_fail
/// fn keep(value: &virsecret::Value) -> virsecret::Value { value.clone() }
/// ```
///
/// ```compile_fail
/// fn guess(a: &virsecret::Value, b: &virsecret::Value) -> bool { a == b }
/// ```
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// Copies the value out of the reply, whose buffer is wiped too. There is no other copy.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes. A caller that copies them must wipe the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}
