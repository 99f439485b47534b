//! `virTypedParams*`: lists of named values, as `virConnectSetIdentity` takes them. They live in libc's memory, because a
//! program may make, grow and free them as well as we.

use std::ffi::{c_char, c_double, c_int, c_longlong, c_uint, c_ulonglong};
use std::ptr;

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::messages::{Parameter, ParameterValue, SetIdentity};
use libvirt_rpc::procedures::Procedure;

use super::error::enter;
use super::faults::{new, of, report};
use super::handle::Connect;
use super::raw::{self, quietly};

/// `VIR_TYPED_PARAM_FIELD_LENGTH`
const FIELD_BYTES: usize = 80;

/// `virTypedParameter`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TypedParameter {
    field: [c_char; FIELD_BYTES],
    kind: c_int,
    value: Value,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Value {
    i: c_int,
    ui: c_uint,
    l: c_longlong,
    ul: c_ulonglong,
    d: c_double,
    b: c_char,
    s: *mut c_char,
}

const INT: c_int = 1;
const UINT: c_int = 2;
const LLONG: c_int = 3;
const ULLONG: c_int = 4;
const DOUBLE: c_int = 5;
const BOOLEAN: c_int = 6;
const STRING: c_int = 7;

const fn type_name(kind: c_int) -> Option<&'static str> {
    match kind {
        INT => Some("int"),
        UINT => Some("uint"),
        LLONG => Some("llong"),
        ULLONG => Some("ullong"),
        DOUBLE => Some("double"),
        BOOLEAN => Some("boolean"),
        STRING => Some("string"),
        _ => None,
    }
}

impl TypedParameter {
    /// The name up to its NUL; one without, which a program may make, is all of the field.
    fn name(&self) -> &[u8] {
        // SAFETY: the field is that long, and a char is a byte.
        let field = unsafe { &*ptr::from_ref(&self.field).cast::<[u8; FIELD_BYTES]>() };
        field.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// A list as a program passes it to be added to.
struct List {
    parameters: *mut *mut TypedParameter,
    count: *mut c_int,
    count_max: *mut c_int,
}

impl List {
    /// # Safety
    /// The three belong together, as the header asks, and so do name and value.
    unsafe fn add(&self, name: *const c_char, kind: c_int, value: Value) -> Result<(), RemoteError> {
        // SAFETY: as the caller promises.
        unsafe {
            self.make_room()?;
            let field = field(name)?;
            (*self.parameters).add(self.len()).write(TypedParameter { field, kind, value });
            *self.count += 1;
        }
        Ok(())
    }

    /// # Safety
    /// The count can be read.
    unsafe fn len(&self) -> usize {
        // SAFETY: as the caller promises.
        usize::try_from(unsafe { *self.count }).unwrap_or_default()
    }

    /// Room for one more. libvirt makes it before it looks at what is to be added, so that it stays if that is refused.
    ///
    /// # Safety
    /// As for [`Self::add`].
    unsafe fn make_room(&self) -> Result<(), RemoteError> {
        if self.parameters.is_null() || self.count.is_null() || self.count_max.is_null() {
            return Err(new(Code::InvalidArg, Domain::None, "the list of parameters must not be NULL"));
        }
        // SAFETY: as the caller promises.
        unsafe {
            let count = self.len();
            let room = usize::try_from(*self.count_max).unwrap_or_default();
            if room < count + 1 {
                let room = (room + room / 2).max(count + 1);
                let grown = libc::realloc((*self.parameters).cast(), room * size_of::<TypedParameter>());
                if grown.is_null() {
                    return Err(report(2, 0, "out of memory", "out of memory".into()));
                }
                *self.parameters = grown.cast();
                *self.count_max = c_int::try_from(room).unwrap_or(c_int::MAX);
            }
        }
        Ok(())
    }

    /// # Safety
    /// As for [`Self::add`].
    unsafe fn add_text(&self, name: *const c_char, text: &[u8]) -> Result<(), RemoteError> {
        let s = raw::copy_text(text);
        // SAFETY: as the caller promises; what was not taken is freed.
        unsafe { self.add(name, STRING, Value { s }).inspect_err(|_| raw::free(s)) }
    }
}

/// The name of a parameter in its place; NULL is the empty one.
///
/// # Safety
/// It is NULL or a text.
unsafe fn field(name: *const c_char) -> Result<[c_char; FIELD_BYTES], RemoteError> {
    // SAFETY: as the caller promises.
    let name = unsafe { raw::text(name) }.unwrap_or_default();
    if name.len() >= FIELD_BYTES {
        return Err(refuse(Code::InternalError, &[b"Field name '", name, b"' too long"]));
    }
    let mut field = [0; FIELD_BYTES];
    field.iter_mut().zip(name).for_each(|(to, from)| *to = from.cast_signed() as c_char);
    Ok(field)
}

/// An error that names a parameter: its name need not be UTF-8, and is told as it came.
fn refuse(code: Code, parts: &[&[u8]]) -> RemoteError {
    RemoteError::new(code, Domain::None, parts.concat())
}

macro_rules! add {
    ($($name:ident($type:ty) $kind:ident, $value:expr;)+) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                parameters: *mut *mut TypedParameter,
                count: *mut c_int,
                count_max: *mut c_int,
                name: *const c_char,
                value: $type,
            ) -> c_int {
                let list = List { parameters, count, count_max };
                let convert: fn($type) -> Value = $value;
                // SAFETY: as the header asks.
                enter(-1, |_| unsafe { list.add(name, $kind, convert(value)) }.map(|()| 0))
            }
        )+
    };
}

add! {
    virTypedParamsAddInt(c_int) INT, |i| Value { i };
    virTypedParamsAddUInt(c_uint) UINT, |ui| Value { ui };
    virTypedParamsAddLLong(c_longlong) LLONG, |l| Value { l };
    virTypedParamsAddULLong(c_ulonglong) ULLONG, |ul| Value { ul };
    virTypedParamsAddDouble(c_double) DOUBLE, |d| Value { d };
    virTypedParamsAddBoolean(c_int) BOOLEAN, |value| Value { b: (value != 0).into() };
}

/// `virTypedParamsAddString`: NULL is the empty text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virTypedParamsAddString(
    parameters: *mut *mut TypedParameter,
    count: *mut c_int,
    count_max: *mut c_int,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    let list = List { parameters, count, count_max };
    // SAFETY: as the header asks.
    enter(-1, |_| unsafe { list.add_text(name, raw::text(value).unwrap_or_default()) }.map(|()| 0))
}

/// `virTypedParamsAddStringList`: all of one name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virTypedParamsAddStringList(
    parameters: *mut *mut TypedParameter,
    count: *mut c_int,
    count_max: *mut c_int,
    name: *const c_char,
    values: *const *const c_char,
) -> c_int {
    let list = List { parameters, count, count_max };
    if values.is_null() {
        return 0;
    }
    // SAFETY: the values end in NULL, as the header asks.
    if unsafe { *values }.is_null() {
        return -1; // Nothing is added, and the thread's last error stays as it is: so libvirt.
    }
    enter(-1, |_| {
        let mut at = values;
        // SAFETY: the values end in NULL, as the header asks.
        while let Some(text) = unsafe { raw::text(*at) } {
            // SAFETY: as the header asks; there is one more after one that is not NULL.
            unsafe {
                list.add_text(name, text)?;
                at = at.add(1);
            }
        }
        Ok(0)
    })
}

/// `virTypedParamsAddFromString`: the text of a value of this type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virTypedParamsAddFromString(
    parameters: *mut *mut TypedParameter,
    count: *mut c_int,
    count_max: *mut c_int,
    name: *const c_char,
    kind: c_int,
    value: *const c_char,
) -> c_int {
    let list = List { parameters, count, count_max };
    enter(-1, |_| {
        // SAFETY: both are texts or NULL, as the header asks.
        let (shown, text) = unsafe {
            list.make_room()?;
            (raw::text(name).unwrap_or(b"(null)"), raw::text(value)) // As libvirt's printf has it.
        };
        let invalid = |parts: &[&[u8]]| refuse(Code::InvalidArg, parts);
        let text = text.ok_or_else(|| invalid(&[b"NULL value for field '", shown, b"'"]))?;
        // SAFETY: as the header asks.
        unsafe { field(name) }?;
        if kind == STRING {
            // SAFETY: as the header asks.
            return unsafe { list.add_text(name, text) }.map(|()| 0);
        }
        if kind == BOOLEAN {
            let parsed = match text {
                b"0" => Some(0),
                b"1" => Some(1),
                word if word.eq_ignore_ascii_case(b"true") => Some(1),
                word if word.eq_ignore_ascii_case(b"false") => Some(0),
                _ => None,
            };
            let b = parsed.ok_or_else(|| invalid(&[b"Invalid boolean value for field '", shown, b"'"]))?;
            // SAFETY: as the header asks.
            return unsafe { list.add(name, kind, Value { b }) }.map(|()| 0);
        }
        let (parsed, expected) = match kind {
            INT => (number(text, i32::MIN.into(), i32::MAX.into()).map(|n| Value { i: n as c_int }), "int"),
            UINT => (
                number(text, -i128::from(u32::MAX), u32::MAX.into()).map(|n| Value { ui: n as c_uint }),
                "unsigned int",
            ),
            LLONG => (
                number(text, i64::MIN.into(), i64::MAX.into()).map(|n| Value { l: n as c_longlong }),
                "long long",
            ),
            ULLONG => (
                number(text, -i128::from(u64::MAX), u64::MAX.into()).map(|n| Value { ul: n as c_ulonglong }),
                "unsigned long long",
            ),
            // SAFETY: it is a text, as the header asks.
            DOUBLE => (unsafe { double(value) }.map(|d| Value { d }), "double"),
            _ => {
                let kind = kind.to_string();
                let parts = [b"unexpected type ", kind.as_bytes(), b" for field ", shown];
                return Err(refuse(Code::InternalError, &parts));
            }
        };
        let value = parsed.ok_or_else(|| {
            invalid(&[b"Invalid value for field '", shown, b"': expected ", expected.as_bytes()])
        })?;
        // SAFETY: as the header asks.
        unsafe { list.add(name, kind, value) }.map(|()| 0)
    })
}

/// A decimal number with nothing after it. One that is unsigned may be written as a negative, as strtoul has it.
fn number(text: &[u8], min: i128, max: i128) -> Option<i128> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r'); // C's, which has the vertical tab too.
    let start = text.iter().position(|byte| !is_space(byte))?;
    let text = std::str::from_utf8(text.get(start..)?).ok()?;
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && (min..=max).contains(number))
}

/// A number as strtod reads it, with nothing after it, and not too large or too small to be written so.
///
/// # Safety
/// It is a text.
unsafe fn double(text: *const c_char) -> Option<f64> {
    let mut end = ptr::null_mut();
    // SAFETY: the locale is our own, and freed when the thread has its own again; the text is as the caller promises.
    unsafe {
        // The point is a point, whatever the program's locale says.
        let plain = libc::newlocale(libc::LC_NUMERIC_MASK, c"C".as_ptr(), ptr::null_mut());
        let before = libc::uselocale(plain);
        *libc::__errno_location() = 0;
        let number = libc::strtod(text, &raw mut end);
        let is_in_range = *libc::__errno_location() == 0;
        libc::uselocale(before);
        if !plain.is_null() {
            libc::freelocale(plain);
        }
        (is_in_range && !ptr::eq(end, text) && *end == 0).then_some(number)
    }
}

/// # Safety
/// There are as many as is said, or it is NULL.
unsafe fn find<'a>(
    parameters: *const TypedParameter,
    count: c_int,
    name: *const c_char,
) -> Option<&'a TypedParameter> {
    // SAFETY: as the caller promises.
    let name = unsafe { raw::text(name) }?;
    // SAFETY: as the caller promises.
    let all = unsafe { slice(parameters, count) };
    all.iter().find(|parameter| parameter.name() == name)
}

/// # Safety
/// There are as many as is said, or it is NULL.
unsafe fn slice<'a>(parameters: *const TypedParameter, count: c_int) -> &'a [TypedParameter] {
    match usize::try_from(count) {
        // SAFETY: as the caller promises.
        Ok(count) if !parameters.is_null() => unsafe { std::slice::from_raw_parts(parameters, count) },
        _ => &[],
    }
}

/// `virTypedParamsGet`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virTypedParamsGet(
    parameters: *mut TypedParameter,
    count: c_int,
    name: *const c_char,
) -> *mut TypedParameter {
    // SAFETY: as the header asks.
    let found = quietly(None, || unsafe { find(parameters, count, name) });
    found.map_or(ptr::null_mut(), |found| ptr::from_ref(found).cast_mut())
}

/// The value of this name and type; 1 if there is one, 0 if not.
///
/// # Safety
/// As for [`find`]; the value can be written to, or is NULL.
unsafe fn get<T>(
    parameters: *const TypedParameter,
    count: c_int,
    name: *const c_char,
    kind: c_int,
    to: *mut T,
    value: fn(Value) -> T,
) -> c_int {
    enter(-1, |_| {
        // SAFETY: as the caller promises.
        let Some(found) = (unsafe { find(parameters, count, name) }) else { return Ok(0) };
        if found.kind != kind {
            let name = found.name();
            let other = found.kind.to_string();
            return Err(match (type_name(kind), type_name(found.kind)) {
                (Some(wanted), Some(is)) => {
                    let (wanted, is) = (wanted.as_bytes(), is.as_bytes());
                    let parts =
                        [b"invalid type '", wanted, b"' for parameter '", name, b"', expected '", is, b"'"];
                    refuse(Code::InvalidArg, &parts)
                }
                _ => {
                    let parts = [b"unknown type ('", other.as_bytes(), b"') of parameter '", name, b"'"];
                    refuse(Code::InvalidArg, &parts)
                }
            });
        }
        // SAFETY: as the caller promises.
        unsafe { raw::put(to, value(found.value)) }
        Ok(1)
    })
}

macro_rules! get {
    ($($name:ident($type:ty) $kind:ident, $value:expr;)+) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                parameters: *mut TypedParameter,
                count: c_int,
                name: *const c_char,
                value: *mut $type,
            ) -> c_int {
                // SAFETY: as the header asks; the kind says which field of the union was written.
                unsafe { get(parameters, count, name, $kind, value, $value) }
            }
        )+
    };
}

get! {
    virTypedParamsGetInt(c_int) INT, |value| value.i;
    virTypedParamsGetUInt(c_uint) UINT, |value| value.ui;
    virTypedParamsGetLLong(c_longlong) LLONG, |value| value.l;
    virTypedParamsGetULLong(c_ulonglong) ULLONG, |value| value.ul;
    virTypedParamsGetDouble(c_double) DOUBLE, |value| value.d;
    virTypedParamsGetBoolean(c_int) BOOLEAN, |value| (value.b != 0).into();
    virTypedParamsGetString(*const c_char) STRING, |value| value.s.cast_const();
}

/// `virTypedParamsClear`: frees the texts, and not the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virTypedParamsClear(parameters: *mut TypedParameter, count: c_int) {
    let count = usize::try_from(count).unwrap_or_default();
    for place in 0..if parameters.is_null() { 0 } else { count } {
        // SAFETY: there are as many, as the header asks; a text is the list's own.
        unsafe {
            let parameter = parameters.add(place);
            if (*parameter).kind == STRING {
                raw::free((*parameter).value.s);
                (*parameter).value.s = ptr::null_mut();
            }
        }
    }
}

/// `virTypedParamsFree`
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virTypedParamsFree(parameters: *mut TypedParameter, count: c_int) {
    // SAFETY: as the header asks.
    unsafe {
        virTypedParamsClear(parameters, count);
        raw::free(parameters);
    }
}

/// Tells the daemon for whom a connection acts.
pub(super) fn set_identity(
    connect: &Connect,
    given: &[TypedParameter],
    flags: u32,
) -> Result<(), RemoteError> {
    let mut parameters = Vec::with_capacity(given.len());
    for parameter in given {
        // SAFETY: the kind says which field of the union was written; a text is one, or NULL.
        let value = unsafe {
            match parameter.kind {
                INT => ParameterValue::Int(parameter.value.i),
                UINT => ParameterValue::UInt(parameter.value.ui),
                LLONG => ParameterValue::LLong(parameter.value.l),
                ULLONG => ParameterValue::ULLong(parameter.value.ul),
                DOUBLE => ParameterValue::Double(parameter.value.d),
                BOOLEAN => ParameterValue::Boolean(parameter.value.b.into()),
                STRING => ParameterValue::String(raw::text(parameter.value.s).unwrap_or_default()),
                other => {
                    let text = format!("unknown parameter type: {other}");
                    return Err(new(Code::Rpc, Domain::Rpc, text));
                }
            }
        };
        parameters.push(Parameter { field: parameter.name(), value });
    }
    let ask = SetIdentity { parameters, flags };
    connect.client.call(Procedure::ConnectSetIdentity, |to| ask.encode(to), |_| Ok(())).map_err(of)
}

#[cfg(test)]
mod tests {
    use std::ffi::{CStr, CString};

    use super::super::error::{virGetLastErrorMessage, virResetLastError};
    use super::*;

    /// A list as a program has it.
    struct Program {
        parameters: *mut TypedParameter,
        count: c_int,
        room: c_int,
    }

    impl Program {
        fn new() -> Self {
            Self { parameters: ptr::null_mut(), count: 0, room: 0 }
        }

        fn add(&mut self, name: &CStr, kind: c_int, text: Option<&CStr>) -> c_int {
            let text = text.map_or(ptr::null(), CStr::as_ptr);
            let (list, count, room) = (&raw mut self.parameters, &raw mut self.count, &raw mut self.room);
            // SAFETY: the three belong together, and the texts are texts.
            unsafe { virTypedParamsAddFromString(list, count, room, name.as_ptr(), kind, text) }
        }

        fn strings(&mut self, name: &CStr, values: *const *const c_char) -> c_int {
            let (list, count, room) = (&raw mut self.parameters, &raw mut self.count, &raw mut self.room);
            // SAFETY: the three belong together, and the texts are texts.
            unsafe { virTypedParamsAddStringList(list, count, room, name.as_ptr(), values) }
        }

        fn shown(&self) -> Vec<String> {
            // SAFETY: it is a list, whose kinds say which field of the union was written.
            let show = |it: &TypedParameter| unsafe {
                match it.kind {
                    INT => format!("{}", it.value.i),
                    UINT => format!("{}", it.value.ui),
                    LLONG => format!("{}", it.value.l),
                    ULLONG => format!("{}", it.value.ul),
                    DOUBLE => format!("{}", it.value.d),
                    BOOLEAN => format!("{}", it.value.b),
                    _ => raw::text(it.value.s).unwrap_or_default().escape_ascii().to_string(),
                }
            };
            // SAFETY: as above.
            unsafe { slice(self.parameters, self.count) }.iter().map(show).collect()
        }
    }

    impl Drop for Program {
        fn drop(&mut self) {
            // SAFETY: it is a list, and used no more.
            unsafe { virTypedParamsFree(self.parameters, self.count) }
        }
    }

    fn message() -> String {
        // SAFETY: the library keeps it until its next error.
        unsafe { CStr::from_ptr(virGetLastErrorMessage()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn the_layout_is_the_headers() {
        let sizes = (
            size_of::<TypedParameter>(),
            std::mem::offset_of!(TypedParameter, kind),
            std::mem::offset_of!(TypedParameter, value),
        );
        assert_eq!(sizes, (96, 80, 88));
    }

    #[test]
    fn a_list_grows_as_libvirts_does() {
        let mut list = Program::new();
        let rooms = (0..20).map(|_| {
            assert_eq!(list.add(c"k", INT, Some(c"1")), 0);
            list.room
        });
        let grown = [1, 2, 3, 4, 6, 6, 9, 9, 9, 13, 13, 13, 13, 19, 19, 19, 19, 19, 19, 28];
        assert_eq!(rooms.collect::<Vec<_>>(), grown);
    }

    #[test]
    fn texts_are_read_as_they_were_measured() {
        // libvirt 9.0.0; the empty text is for what it refuses.
        for (kind, text, value) in [
            (INT, c" 12", "12"),
            (INT, c"\x0b5", "5"),
            (INT, c"010", "10"),
            (INT, c"-2147483648", "-2147483648"),
            (INT, c"2147483648", ""),
            (INT, c"12 ", ""),
            (INT, c"0x10", ""),
            (INT, c"+-1", ""),
            (INT, c"\xc2\xa01", ""),
            (INT, c"", ""),
            (UINT, c"-1", "4294967295"),
            (UINT, c"4294967296", ""),
            (LLONG, c"9223372036854775808", ""),
            (ULLONG, c"-18446744073709551615", "1"),
            (ULLONG, c"18446744073709551616", ""),
            (DOUBLE, c"0x1p3", "8"),
            (DOUBLE, c"-inf", "-inf"),
            (DOUBLE, c"1e999", ""),
            (DOUBLE, c"1e-310", ""),
            (DOUBLE, c"1,5", ""),
            (DOUBLE, c" ", ""),
            (BOOLEAN, c"tRuE", "1"),
            (BOOLEAN, c"0", "0"),
            (BOOLEAN, c"00", ""),
            (STRING, c"12x", "12x"),
        ] {
            let mut list = Program::new();
            let result = list.add(c"k", kind, Some(text));
            assert_eq!(result == 0, !value.is_empty(), "{kind} {text:?}");
            assert_eq!(list.room, 1, "it is made before the text is looked at");
            assert_eq!(list.shown().concat(), value, "{kind} {text:?}");
        }
    }

    #[test]
    fn what_is_refused_says_so() {
        let mut list = Program::new();
        assert_eq!(list.add(c"k", INT, None), -1);
        assert_eq!(message(), "invalid argument: NULL value for field 'k'");
        assert_eq!(list.add(c"k", BOOLEAN, Some(c"yes")), -1);
        assert_eq!(message(), "invalid argument: Invalid boolean value for field 'k'");
        assert_eq!(list.add(c"k", 9, Some(c"yes")), -1);
        assert_eq!(message(), "internal error: unexpected type 9 for field k");
        let name = CString::new("k".repeat(80)).unwrap();
        assert_eq!(list.add(&name, INT, Some(c"x")), -1);
        assert_eq!(message(), format!("internal error: Field name '{}' too long", "k".repeat(80)));
        assert_eq!((list.count, list.room), (0, 1));
    }

    #[test]
    fn no_strings_leave_the_last_error() {
        let mut list = Program::new();
        list.add(c"k", INT, None);
        assert_eq!(list.strings(c"k", ptr::null()), 0);
        assert_eq!(list.strings(c"k", [ptr::null()].as_ptr()), -1);
        assert_eq!(message(), "invalid argument: NULL value for field 'k'");
        assert_eq!(list.strings(c"k", [c"a".as_ptr(), c"".as_ptr(), ptr::null()].as_ptr()), 0);
        assert_eq!(message(), "no error");
        assert_eq!(list.shown(), ["a", ""]);
    }

    #[test]
    fn a_value_is_found_by_name_and_type() {
        let mut list = Program::new();
        list.add(c"a", INT, Some(c"7"));
        list.add(c"a", INT, Some(c"8"));
        list.add(c"s", STRING, Some(c"x"));
        let mut value = 0;
        let (parameters, count) = (list.parameters, list.count);
        // SAFETY: it is a list, the names are texts, and the value can be written to.
        unsafe {
            assert_eq!(virTypedParamsGetInt(parameters, count, c"a".as_ptr(), &raw mut value), 1);
            assert_eq!(value, 7, "the first");
            assert_eq!(virTypedParamsGetInt(parameters, count, c"a".as_ptr(), ptr::null_mut()), 1);
            assert_eq!(virTypedParamsGetInt(parameters, count, c"b".as_ptr(), &raw mut value), 0);
            assert_eq!(virTypedParamsGetInt(parameters, count, ptr::null(), &raw mut value), 0);
            assert_eq!(virTypedParamsGetInt(ptr::null_mut(), 3, c"a".as_ptr(), &raw mut value), 0);
            assert_eq!(virTypedParamsGetInt(parameters, count, c"s".as_ptr(), &raw mut value), -1);
            assert_eq!(
                message(),
                "invalid argument: invalid type 'int' for parameter 's', expected 'string'"
            );
            virResetLastError();
            assert!(virTypedParamsGet(parameters, count, c"b".as_ptr()).is_null());
            virTypedParamsClear(parameters, count);
            virTypedParamsClear(parameters, count);
        }
        assert_eq!(list.shown(), ["7", "8", ""]);
    }
}
