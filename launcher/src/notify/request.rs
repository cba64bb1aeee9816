//! One server: attempts until it took the notice, refused it, or the time is over.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::text::line;
use crate::web::{Answer, Web};

/// A request that may be sent more than once.
pub(super) struct Request {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) meaning: Meaning,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Its status says it.
    Status,
    /// GraphQL: a status of 200 may be an error.
    Linear,
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Done,
    Again(String, Option<Duration>),
    GiveUp(String),
}

/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Sends until it is taken. The number of the attempt that was.
///
/// # Errors
/// Why it was not, as far as the last attempt tells.
pub(super) fn deliver(web: &Web, request: &Request, deadline: Instant) -> Result<u32, String> {
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // A server that hangs once may answer the next time: one attempt does not use up everything.
    let whole = deadline.saturating_duration_since(Instant::now());
    let one = (whole / 2).max(Duration::from_millis(500));
    let mut pause = FIRST_PAUSE;
    let mut last = "there was no time for it".to_owned();
    for attempt in 1.. {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(last);
        }
        let next = match web.post(&request.url, &headers, &request.body, left.min(one)) {
            Ok(answer) => after(request.meaning, &answer),
            Err(why) => Next::Again(why, None),
        };
        let asked = match next {
            Next::Done => return Ok(attempt),
            Next::GiveUp(why) => return Err(why),
            Next::Again(why, asked) => {
                last = format!("{why}, at attempt {attempt}");
                asked
            }
        };
        let wait = asked.unwrap_or_else(|| spread(pause));
        let left = deadline.saturating_duration_since(Instant::now());
        if wait >= left {
            return Err(format!("{last}; there is no time for another"));
        }
        std::thread::sleep(wait);
        pause *= 2;
    }
    Err(last)
}

/// Several launchers that failed together shall not come back together.
fn spread(pause: Duration) -> Duration {
    let nanos = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_nsec;
    pause + pause * u32::try_from(nanos % 256).unwrap_or(0) / 512
}

fn after(meaning: Meaning, answer: &Answer) -> Next {
    let status = answer.status;
    let said = || match String::from_utf8_lossy(&answer.body).lines().next() {
        Some(first) if !first.trim().is_empty() => format!("it answered {status}: {}", line(first)),
        _ => format!("it answered {status}"),
    };
    match (status, meaning) {
        (200..=299, Meaning::Status) => Next::Done,
        (200..=499, Meaning::Linear) if status != 408 && status != 429 => linear(answer),
        (408 | 429 | 500..=599, _) => Next::Again(said(), answer.retry_after),
        (300..=399, _) => {
            Next::GiveUp(format!("it answered {status}: it is elsewhere now; put the new URL in its place"))
        }
        _ => Next::GiveUp(said()),
    }
}

fn linear(answer: &Answer) -> Next {
    let status = answer.status;
    let Ok(body) = serde_json::from_slice::<Json>(&answer.body) else {
        return Next::GiveUp(format!("it answered {status} and no GraphQL"));
    };
    let error = |pointer| body.pointer(pointer).and_then(Json::as_str);
    if error("/errors/0/extensions/code") == Some("RATELIMITED") {
        return Next::Again("it is asked too often".to_owned(), answer.retry_after);
    }
    if body.pointer("/data/issueCreate/success") == Some(&Json::Bool(true)) {
        return Next::Done;
    }
    let why = error("/errors/0/message").map_or_else(|| "the issue was not made".to_owned(), line);
    Next::GiveUp(format!("it answered {status}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: Some(Duration::from_secs(7)), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn an_answer_is_success_a_pause_or_the_end() {
        let made = r#"{"data":{"issueCreate":{"success":true}}}"#;
        let limited = r#"{"errors":[{"message":"m","extensions":{"code":"RATELIMITED"}}]}"#;
        let wrong = r#"{"errors":[{"message":"no such team"}],"data":null}"#;
        for (meaning, status, body, expected) in [
            (Meaning::Status, 200, "ok", "done"),
            (Meaning::Status, 204, "", "done"),
            (Meaning::Status, 429, "", "again"),
            (Meaning::Status, 503, "", "again"),
            (Meaning::Status, 302, "", "end"),
            (Meaning::Status, 404, "no_service", "end"),
            (Meaning::Linear, 200, made, "done"),
            (Meaning::Linear, 200, wrong, "end"),
            (Meaning::Linear, 200, "<html>", "end"),
            (Meaning::Linear, 400, limited, "again"),
            (Meaning::Linear, 429, "", "again"),
            (Meaning::Linear, 500, "", "again"),
        ] {
            let found = match after(meaning, &answer(status, body)) {
                Next::Done => "done",
                Next::Again(..) => "again",
                Next::GiveUp(_) => "end",
            };
            assert_eq!(found, expected, "{meaning:?} {status} {body}");
        }
    }
}
