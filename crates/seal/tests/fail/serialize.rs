//! A payload is in no document.

fn write<S: serde::Serializer>(payload: &seal::Payload, to: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(payload, to)
}

fn main() {}
