//! Errors from before the API proper, which Barbican's framework (WebOb) words for browsers: text, HTML or JSON as the
//! Accept header prefers, and text without one.

use http::{HeaderValue, StatusCode};

use crate::accept::Accept;
use crate::microversion::BadVersion;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::write::Object;

/// Such an error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Page {
    /// 400 with a reason.
    BadRequest(String),
    /// 401.
    Unauthorized,
    /// 406 with a reason.
    NotAcceptable(String),
    /// 404.
    NotFound,
    /// 405, naming the method.
    MethodNotAllowed(String),
    /// 302 to another place.
    Found(String),
    /// 503 with a reason.
    Unavailable(String),
}

impl From<&BadVersion> for Page {
    fn from(bad: &BadVersion) -> Self {
        match bad {
            BadVersion::Malformed(..) => Self::BadRequest(bad.to_string()),
            BadVersion::Unacceptable(_) => Self::NotAcceptable(bad.to_string()),
        }
    }
}

impl Page {
    /// The answer.
    pub(crate) fn reply(&self, accept: &Accept<'_>) -> Reply {
        let best = match accept {
            Accept::Absent => None,
            Accept::Invalid(_) => Some("text/html"),
            Accept::Valid(..) => accept.best(&["text/html", "application/json"]),
        };
        let (content_type, text) = match best {
            None => ("text/plain; charset=UTF-8", self.text(accept)),
            Some("text/html") => ("text/html; charset=UTF-8", self.html(accept)),
            Some(_) => ("application/json", self.json(accept)),
        };
        let mut reply = Reply::new(self.status()).body(HeaderValue::from_static(content_type), text);
        match self {
            Self::Found(location) => reply.location = HeaderValue::from_str(location).ok(),
            Self::MethodNotAllowed(_) => reply.allow = Some("GET"),
            _ => {}
        }
        reply
    }

    /// The answer of the versions part, which makes its own JSON for clients that prefer it.
    pub(crate) fn reply_of_versions(&self, accept: &Accept<'_>, description: Option<&'static str>) -> Reply {
        let asked = accept.as_sent().filter(|text| !text.is_empty()).map(|text| Accept::parse(Some(text)));
        let best = asked.and_then(|accept| accept.best(&["text/plain", "text/html", "application/json"]));
        if best != Some("application/json") {
            return self.reply(accept);
        }
        let problem = Problem { description: description.map(Into::into), ..Problem::bare(self.status()) };
        Reply { allow: self.reply(accept).allow, ..Reply::problem(&problem) }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Found(_) => StatusCode::FOUND,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn title(&self) -> &'static str {
        Problem::bare(self.status()).title()
    }

    /// The message, with WebOb's markup; the caller's own text is put through `escape`.
    fn message(&self, accept: &Accept<'_>, escape: fn(&str) -> String) -> String {
        match self {
            Self::BadRequest(reason) => format!(
                "The server could not comply with the request since it is either malformed or otherwise \
                 incorrect.<br /><br />\n{}\n\n",
                escape(reason)
            ),
            Self::Unauthorized => "This server could not verify that you are authorized to access the document you \
                                   requested. Either you supplied the wrong credentials (e.g., bad password), or your \
                                   browser does not understand how to supply the credentials required.<br /><br />\n\n\n"
                .to_owned(),
            Self::NotAcceptable(reason) => format!(
                "The resource could not be generated that was acceptable to your browser\n(content of type {}. \
                 <br /><br />\n{}",
                escape(accept.as_sent().unwrap_or("${HTTP_ACCEPT}")),
                escape(reason)
            ),
            Self::NotFound => "The resource could not be found.<br /><br />\n\n\n".to_owned(),
            Self::MethodNotAllowed(method) => {
                format!("The method {} is not allowed for this resource. <br /><br />\n", escape(method))
            }
            Self::Found(location) => {
                let location = escape(location);
                format!(
                    "The resource was found at <a href=\"{location}\">{location}</a>;\n\
                     you should be redirected automatically.\n\n"
                )
            }
            Self::Unavailable(reason) => format!(
                "The server is currently unavailable. Please try again at a later time.<br /><br />\n{}\n\n",
                escape(reason)
            ),
        }
    }

    fn status_line(&self) -> String {
        format!("{} {}", self.status().as_str(), self.title())
    }

    fn text(&self, accept: &Accept<'_>) -> String {
        format!("{}\n\n{}", self.status_line(), without_markup(&self.message(accept, str::to_owned)))
    }

    fn html(&self, accept: &Accept<'_>) -> String {
        let (status, message) = (self.status_line(), self.message(accept, escape_html));
        format!(
            "<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  <h1>{status}</h1>\n  {message}\n \
             </body>\n</html>"
        )
    }

    fn json(&self, accept: &Accept<'_>) -> String {
        let message = self.message(accept, str::to_owned);
        let mut object = Object::new();
        object.text("message", &message).text("code", &self.status_line()).text("title", self.title()).end()
    }
}

/// A page for a HEAD request: the framework's default type, and nothing.
pub(crate) fn without_body(reply: Reply) -> Reply {
    let html = HeaderValue::from_static("text/html; charset=UTF-8");
    Reply { content_type: Some(html), body: bytes::Bytes::new(), ..reply }
}

/// As WebOb makes plain text: line ends become spaces, line breaks become line ends, other tags go.
fn without_markup(text: &str) -> String {
    let text = text.replace('\n', " ").replace('\r', "").replace("<br />", "\n");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, tag)) = rest.split_once('<') {
        let Some((_, after)) = tag.split_once('>') else { break }; // Nor does any later tag end.
        out.push_str(before);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn escape_html(text: &str) -> String {
    // The ampersand first, since the others become texts with one.
    let escapes = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#x27;")];
    escapes.into_iter().fold(text.to_owned(), |text, (c, escaped)| text.replace(c, escaped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(page: &Page, accept: Option<&str>, content_type: &str, text: &str) {
        let reply = page.reply(&Accept::parse(accept));
        assert_eq!(reply.content_type.unwrap(), content_type);
        assert_eq!(std::str::from_utf8(&reply.body).unwrap(), text);
    }

    fn check_text(page: &Page, text: &str) {
        check(page, None, "text/plain; charset=UTF-8", text);
    }

    #[test]
    fn pages_are_webobs() {
        let missing = Page::BadRequest("Missing X-Project-Id".into());
        check_text(
            &missing,
            "400 Bad Request\n\nThe server could not comply with the request since it is either malformed or \
             otherwise incorrect.\n\n Missing X-Project-Id  ",
        );
        check(
            &missing,
            Some("application/json"),
            "application/json",
            "{\"message\": \"The server could not comply with the request since it is either malformed or otherwise \
             incorrect.<br /><br />\\nMissing X-Project-Id\\n\\n\", \"code\": \"400 Bad Request\", \"title\": \"Bad \
             Request\"}",
        );
        check_text(
            &Page::NotAcceptable("Invalid microversion: Unacceptable version header: 1.3".into()),
            "406 Not Acceptable\n\nThe resource could not be generated that was acceptable to your browser (content \
             of type ${HTTP_ACCEPT}. \n\n Invalid microversion: Unacceptable version header: 1.3",
        );
        check(
            &Page::NotAcceptable(String::new()),
            Some("text/html"),
            "text/html; charset=UTF-8",
            "<html>\n <head>\n  <title>406 Not Acceptable</title>\n </head>\n <body>\n  <h1>406 Not Acceptable</h1>\n  \
             The resource could not be generated that was acceptable to your browser\n(content of type text/html. \
             <br /><br />\n\n </body>\n</html>",
        );
        check_text(&Page::NotFound, "404 Not Found\n\nThe resource could not be found.\n\n   ");
        check_text(
            &Page::MethodNotAllowed("PUT".into()),
            "405 Method Not Allowed\n\nThe method PUT is not allowed for this resource. \n\n ",
        );
        check_text(
            &Page::Unauthorized,
            "401 Unauthorized\n\nThis server could not verify that you are authorized to access the document you \
             requested. Either you supplied the wrong credentials (e.g., bad password), or your browser does not \
             understand how to supply the credentials required.\n\n   ",
        );
        let unavailable = Page::Unavailable("The Keystone service is temporarily unavailable.".into());
        check_text(
            &unavailable,
            "503 Service Unavailable\n\nThe server is currently unavailable. Please try again at a later time.\n\n The \
             Keystone service is temporarily unavailable.  ",
        );
        check(
            &unavailable,
            Some("*/*"),
            "text/html; charset=UTF-8",
            "<html>\n <head>\n  <title>503 Service Unavailable</title>\n </head>\n <body>\n  <h1>503 Service \
             Unavailable</h1>\n  The server is currently unavailable. Please try again at a later time.<br /><br \
             />\nThe Keystone service is temporarily unavailable.\n\n\n </body>\n</html>",
        );
        check_text(
            &Page::Found("http://h/v1/".into()),
            "302 Found\n\nThe resource was found at http://h/v1/; you should be redirected automatically.  ",
        );
    }

    #[test]
    fn tags_are_removed_and_other_angles_stay() {
        for (text, expect) in [
            ("a<b>c</b>d", "acd"),
            ("a<b<c>d", "ad"),
            ("1 < 2, <i>3</i> < 4 < 5", "1 3 < 4 < 5"),
            ("x<br />\ny\r", "x\n y"),
            (">", ">"),
        ] {
            assert_eq!(without_markup(text), expect, "{text}");
        }
        let open = "<".repeat(1 << 20);
        assert!(without_markup(&open) == open); // Each held against all that follows would take minutes.
    }

    #[test]
    fn text_of_the_request_is_escaped() {
        let page = Page::BadRequest("<script>".into());
        let reply = page.reply(&Accept::parse(Some("text/html")));
        assert!(std::str::from_utf8(&reply.body).unwrap().contains("&lt;script&gt;"));
    }
}
