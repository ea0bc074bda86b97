//! Which doors of a broker are open: a connection in each version, one without credentials, and one with a method of
//! authentication that nobody knows.

use std::time::Duration;

use longwire_client::protocol::{self, Refusal};
use longwire_client::{Cause, Client, ConnectError, Options, Version};
use serde_json::{Map, json};

use super::finding::{Findings, Outcome};
use crate::connection::explained;
use crate::server::ServerArgs;

/// A method of enhanced authentication that no broker has.
const METHOD: &str = "longwire-probe";

/// Whether we get in.
pub(super) enum Door {
    /// In this version, the newest that is taken.
    Open(Version),
    /// In none; the code of the last CONNACK, as that version writes it.
    Shut(u8),
}

/// What came of one connection.
enum Answer {
    Accepted,
    Refused(Refusal),
    /// It ended without an answer.
    Silence(Cause),
}

const VERSIONS: [(Version, &str); 3] =
    [(Version::V31, "3.1"), (Version::V311, "3.1.1"), (Version::V5, "5.0")];

/// Tries all doors.
///
/// # Errors
/// Nobody is there, or the options make no sense; the text says where, and what to do.
pub(super) async fn knock(
    server: &ServerArgs,
    patience: Duration,
    findings: &mut Findings,
) -> Result<Door, String> {
    let mut answers = Vec::new();
    for (version, name) in VERSIONS {
        let answer = answer(server.options(patience)?.version(version)).await?;
        if let Answer::Silence(cause @ Cause::Unreachable(_)) = &answer {
            return Err(explained(&server.place(), cause, "the URL chooses another place"));
        }
        answers.push((version, name, answer));
    }
    if let [(_, _, Answer::Silence(_)), (_, _, Answer::Silence(_)), (_, _, Answer::Silence(cause))] =
        answers.as_slice()
    {
        return Err(format!(
            "{}; is it a broker, and is this its port for plain MQTT?",
            explained(&server.place(), cause, "the URL chooses another place")
        ));
    }
    tell_versions(&answers, findings);
    let newest = answers.iter().rev().find(|(_, _, answer)| matches!(answer, Answer::Accepted));
    let Some((newest, _, _)) = newest else { return Ok(Door::Shut(code(&answers))) };
    tell_anonymous(server, patience, *newest, findings).await?;
    if *newest == Version::V5 {
        let options = server.options(patience)?.authentication(METHOD, None, |_| None);
        tell_method(answer(options).await?, findings);
    }
    Ok(Door::Open(*newest))
}

/// The version's own code for the last refusal.
fn code(answers: &[(Version, &str, Answer)]) -> u8 {
    let last = answers.iter().rev().find_map(|(version, _, answer)| match answer {
        Answer::Refused(refusal) if *version == Version::V5 => Some(refusal.reason as u8),
        Answer::Refused(refusal) => Some(refusal.reason.to_v3_connack()),
        _ => None,
    });
    last.unwrap_or(crate::exit::FAILURE)
}

fn tell_versions(answers: &[(Version, &str, Answer)], findings: &mut Findings) {
    let mut object = Map::new();
    let mut texts = Vec::new();
    for (_, name, answer) in answers {
        let (value, text) = match answer {
            Answer::Accepted => (json!(true), (*name).to_owned()),
            Answer::Refused(refusal) => (json!(refusal.to_string()), format!("not {name} ({refusal})")),
            Answer::Silence(cause) => (json!(cause.to_string()), format!("not {name} ({cause})")),
        };
        object.insert((*name).to_owned(), value);
        texts.push(text);
    }
    findings.add("versions", "versions", object.into(), texts.join(", "));
}

async fn tell_anonymous(
    server: &ServerArgs,
    patience: Duration,
    version: Version,
    findings: &mut Findings,
) -> Result<(), String> {
    let outcome = if server.has_credentials() {
        match answer(server.anonymous(patience)?.version(version)).await? {
            Answer::Accepted => Outcome::Works,
            Answer::Refused(refusal) => Outcome::Fails(refusal.to_string()),
            Answer::Silence(cause) => Outcome::Fails(cause.to_string()),
        }
    } else {
        Outcome::Works
    };
    findings.tried("clients without credentials", "anonymous", outcome);
    Ok(())
}

/// A broker that takes any method does not look at it.
fn tell_method(answer: Answer, findings: &mut Findings) {
    let (title, name) = ("an unknown authentication method", "unknown_authentication_method");
    match answer {
        Answer::Accepted => findings.add(title, name, json!("accepted"), "is taken without a word"),
        Answer::Refused(refusal) => {
            findings.add(title, name, json!(refusal.to_string()), format!("is refused: {refusal}"));
        }
        Answer::Silence(cause) => {
            findings.add(title, name, json!(cause.to_string()), format!("ends the connection: {cause}"));
        }
    }
}

/// Connects and leaves.
///
/// # Errors
/// No client can be made of the options; the text says why.
async fn answer(options: Options) -> Result<Answer, String> {
    match Client::connect(options).await {
        Ok((client, _messages)) => {
            client.disconnect().await;
            Ok(Answer::Accepted)
        }
        Err(ConnectError::Failed(Cause::Ended(protocol::Cause::Refused(refusal)))) => {
            Ok(Answer::Refused(refusal))
        }
        Err(ConnectError::Failed(cause)) => Ok(Answer::Silence(cause)),
        Err(ConnectError::Options(error)) => Err(error.to_string()),
    }
}
