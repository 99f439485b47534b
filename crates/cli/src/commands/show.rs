//! `donjon show`: shows the attributes of a secret, without its value.

use virsecret::Secret;

use super::Session;
use crate::cli::Show;
use crate::error::Error;
use crate::reference::usage_text;
use crate::xml::{self, Facts};
use crate::{console, json};

pub(crate) fn run(session: &Session<'_>, flags: &Show) -> Result<(), Error> {
    let secret = flags.secret.lookup(session.connection)?;
    let document = session.connection.xml(&secret)?;
    if flags.xml {
        return console::say(document.trim_end());
    }
    let facts = xml::read(&document)?;
    if session.json { console::say(object(&secret, facts)) } else { console::say(text(&secret, &facts)) }
}

fn text(secret: &Secret, facts: &Facts) -> String {
    let yes_no = |is| if is { "yes" } else { "no" };
    let description = facts.description.as_deref().unwrap_or("-");
    format!(
        "UUID:         {}\nUsage:        {}\nDescription:  {}\nPrivate:      {}\nEphemeral:    {}",
        secret.uuid,
        usage_text(secret),
        console::line(description),
        yes_no(facts.private),
        yes_no(facts.ephemeral)
    )
}

fn object(secret: &Secret, facts: Facts) -> serde_json::Value {
    let more = [
        ("description", facts.description.into()),
        ("private", facts.private.into()),
        ("ephemeral", facts.ephemeral.into()),
    ];
    json::secret_with(secret, more)
}

#[cfg(test)]
mod tests {
    use virsecret::{UsageType, Uuid};

    use super::*;

    #[test]
    fn attributes_are_text_or_an_object() {
        let secret =
            Secret { usage_type: UsageType::Ceph, usage_id: b"client.x".to_vec(), ..Uuid::nil().into() };
        let facts = Facts { description: Some("a\nb".into()), private: true, ephemeral: false };
        expect_test::expect![[r#"
            UUID:         00000000-0000-0000-0000-000000000000
            Usage:        ceph:client.x
            Description:  a\nb
            Private:      yes
            Ephemeral:    no"#]]
        .assert_eq(&text(&secret, &facts));
        expect_test::expect![[
            r#"{"description":"a\nb","ephemeral":false,"private":true,"usage":{"id":"client.x","type":"ceph"},"uuid":"00000000-0000-0000-0000-000000000000"}"#
        ]]
        .assert_eq(&object(&secret, facts).to_string());
    }
}
