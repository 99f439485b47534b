//! `virTypedParams*`: lists of named values, as `virConnectSetIdentity` takes them. They live in libc's memory, because a
//! program may make, grow and free them as well as we.

use std::ffi::{CStr, c_char, c_double, c_int, c_longlong, c_uint, c_ulonglong};
use std::ptr;

use libvirt_rpc::error::{Code, Domain, RemoteError};
use libvirt_rpc::messages::{Parameter, ParameterValue, SetIdentity};
use libvirt_rpc::procedures::Procedure;

use super::error::{enter, new, of, quietly, report};
use super::handle::Connect;
use super::raw;

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
        if self.parameters.is_null() || self.count.is_null() || self.count_max.is_null() {
            return Err(new(Code::InvalidArg, Domain::None, "the list of parameters must not be NULL"));
        }
        // SAFETY: as the caller promises.
        let name = unsafe { raw::text(name) }.unwrap_or_default();
        if name.len() >= FIELD_BYTES {
            let name = String::from_utf8_lossy(name);
            return Err(new(Code::InternalError, Domain::None, format!("Field name '{name}' too long")));
        }
        let mut field = [0; FIELD_BYTES];
        field.iter_mut().zip(name).for_each(|(to, from)| *to = from.cast_signed() as c_char);
        // SAFETY: as the caller promises.
        unsafe {
            let count = usize::try_from(*self.count).unwrap_or_default();
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
            (*self.parameters).add(count).write(TypedParameter { field, kind, value });
            *self.count += 1;
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
    let mut result = if values.is_null() { 0 } else { -1 };
    let added = enter(-1, |_| {
        let mut at = values;
        // SAFETY: the values end in NULL, as the header asks.
        while let Some(text) = (!at.is_null()).then(|| unsafe { raw::text(*at) }).flatten() {
            // SAFETY: as the header asks; there is one more after one that is not NULL.
            unsafe {
                list.add_text(name, text)?;
                at = at.add(1);
            }
            result = 0;
        }
        Ok(0)
    });
    added.min(result)
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
        let (shown, text) = unsafe { (raw::text(name), raw::text(value)) };
        let shown = String::from_utf8_lossy(shown.unwrap_or_default()).into_owned();
        let refuse = |what: String| new(Code::InvalidArg, Domain::None, what);
        let text = text.ok_or_else(|| refuse(format!("NULL value for field '{shown}'")))?;
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
            let b = parsed.ok_or_else(|| refuse(format!("Invalid boolean value for field '{shown}'")))?;
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
                let text = format!("unexpected type {kind} for field {shown}");
                return Err(new(Code::InternalError, Domain::None, text));
            }
        };
        let value = parsed
            .ok_or_else(|| refuse(format!("Invalid value for field '{shown}': expected {expected}")))?;
        // SAFETY: as the header asks.
        unsafe { list.add(name, kind, value) }.map(|()| 0)
    })
}

/// A decimal number with nothing after it. One that is unsigned may be written as a negative, as strtoul has it.
fn number(text: &[u8], min: i128, max: i128) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && (min..=max).contains(number))
}

/// # Safety
/// It is a text.
unsafe fn double(text: *const c_char) -> Option<f64> {
    let mut end = ptr::null_mut();
    // SAFETY: as the caller promises.
    let (number, rest) = unsafe {
        let number = libc::strtod(text, &raw mut end);
        (number, CStr::from_ptr(end))
    };
    // SAFETY: as the caller promises.
    let is_all = rest.is_empty() && !unsafe { CStr::from_ptr(text) }.is_empty();
    // What is too large comes out as infinity, which may also be written out.
    // SAFETY: as the caller promises.
    let is_written = || unsafe { CStr::from_ptr(text) }.to_bytes().iter().any(|byte| byte | 32 == b'n');
    (is_all && (number.is_finite() || is_written())).then_some(number)
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
            let name = String::from_utf8_lossy(found.name());
            let text = match (type_name(kind), type_name(found.kind)) {
                (Some(wanted), Some(is)) => {
                    format!("invalid type '{wanted}' for parameter '{name}', expected '{is}'")
                }
                _ => format!("unknown type ('{}') of parameter '{name}'", found.kind),
            };
            return Err(new(Code::InvalidArg, Domain::None, text));
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
