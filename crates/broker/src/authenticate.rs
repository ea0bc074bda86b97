//! Enhanced authentication: the order of AUTH packets on one link. What a method's data means is decided elsewhere:
//! each step is an [`AuthenticationStep`] for the caller, who answers with an [`AuthenticationOutcome`].
//!
//! ```text
//!  CONNECT with a method --> Deciding --Continue--> Asking --AUTH 0x18--> Deciding --Accepted--> Idle (CONNACK)
//!  Idle --AUTH 0x19--> Deciding --Continue--> Asking --AUTH 0x18--> Deciding --Accepted--> Idle (AUTH 0x00)
//!  any --Refused--> closed
//! ```

use longwire_proto::decode::{self, Decoded, Receiver, Rules};
use longwire_proto::packet::{Auth, Connect};
use longwire_proto::property::{PropertiesBuf, Property};
use longwire_proto::{Packet, ReasonCode, Version, encode};

use crate::effect::AuthenticationStep;
use crate::event::Why;
use crate::input::{AuthenticationOutcome, LinkId};
use crate::shard::{Shard, Turn};

/// Enhanced authentication of one link.
#[derive(Debug)]
pub(crate) struct Authentication {
    method: Box<str>,
    stage: Stage,
    /// The CONNECT that waits for the outcome, encoded, and the id it may be assigned.
    connect: Option<(Vec<u8>, Box<str>)>,
}

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody's: the client is authenticated.
    Idle,
    /// The caller's: a step is being decided.
    Deciding,
    /// The client's: it was asked to continue.
    Asking,
}

/// What CONNACK says about a finished authentication `[MQTT-4.12.0-5]`.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) method: Box<str>,
    pub(crate) data: Option<Box<[u8]>>,
}

impl Shard {
    /// CONNECT named a method: it waits until the exchange is over.
    pub(crate) fn authenticate(
        &mut self,
        link_id: LinkId,
        connect: &Connect<'_>,
        assigned_id: &str,
        method: &str,
        turn: &mut Turn<'_, '_>,
    ) {
        let mut bytes = Vec::new();
        if encode::packet(&Packet::Connect(*connect), connect.version, &mut bytes).is_err() {
            let why = Why::BrokeRule("MQTT-3.1.4-1", "a CONNECT that cannot be read again");
            return self.close_link(link_id, Some(ReasonCode::MalformedPacket), why, turn);
        }
        let Some(link) = self.links.at_mut(link_id) else { return };
        link.extra_mut().authentication = Some(Box::new(Authentication {
            method: method.into(),
            stage: Stage::Deciding,
            connect: Some((bytes, assigned_id.into())),
        }));
        turn.effects.authentications.push(AuthenticationStep {
            link: link_id,
            method: method.into(),
            data: connect.properties.authentication_data().map(Into::into),
            is_first: true,
        });
    }

    /// AUTH from a client.
    pub(crate) fn auth(&mut self, link_id: LinkId, auth: &Auth<'_>, turn: &mut Turn<'_, '_>) {
        match self.step(link_id, auth) {
            Ok(step) => turn.effects.authentications.push(step),
            Err((statement, what)) => {
                let why = Why::BrokeRule(statement, what);
                self.close_link(link_id, Some(ReasonCode::ProtocolError), why, turn);
            }
        }
    }

    fn step(
        &mut self,
        link_id: LinkId,
        auth: &Auth<'_>,
    ) -> Result<AuthenticationStep, (&'static str, &'static str)> {
        let without_method = ("MQTT-4.12.0-7", "AUTH although CONNECT named no authentication method");
        let link = self.links.at_mut(link_id).ok_or(without_method)?;
        if link.extra().is_none_or(|extra| extra.authentication.is_none()) {
            return Err(without_method);
        }
        let authentication = link.extra_mut().authentication.as_mut().ok_or(without_method)?;
        if auth.properties.authentication_method() != Some(&*authentication.method) {
            // Also when it asks for another authentication [MQTT-4.12.1-1].
            return Err(("MQTT-4.12.0-5", "AUTH with another method than CONNECT"));
        }
        let is_first = match (auth.reason, authentication.stage) {
            (ReasonCode::ContinueAuthentication, Stage::Asking) => false,
            (ReasonCode::ReAuthenticate, Stage::Idle) => true,
            (ReasonCode::ReAuthenticate, _) => {
                return Err(("U5-57", "AUTH 0x19 while an authentication is under way"));
            }
            _ => return Err(("MQTT-4.12.0-3", "AUTH that nobody asked for")),
        };
        authentication.stage = Stage::Deciding;
        Ok(AuthenticationStep {
            link: link_id,
            method: authentication.method.clone(),
            data: auth.properties.authentication_data().map(Into::into),
            is_first,
        })
    }

    /// A step was decided. An unknown method is refused like a wrong proof `[MQTT-4.12.0-1]`.
    pub(crate) fn authenticated(
        &mut self,
        link_id: LinkId,
        outcome: AuthenticationOutcome,
        turn: &mut Turn<'_, '_>,
    ) {
        let Some(link) = self.links.at_mut(link_id) else { return };
        let Some(authentication) = link.extra_mut().authentication.as_mut() else { return };
        if authentication.stage != Stage::Deciding {
            return;
        }
        let method = authentication.method.clone();
        match outcome {
            AuthenticationOutcome::Continue(data) => {
                authentication.stage = Stage::Asking;
                self.send_auth(link_id, ReasonCode::ContinueAuthentication, &method, data.as_deref(), turn);
            }
            AuthenticationOutcome::Accepted(data) => {
                authentication.stage = Stage::Idle;
                match authentication.connect.take() {
                    Some((connect, assigned_id)) => {
                        let proof = Proof { method, data };
                        self.connect_again(link_id, &connect, &assigned_id, &proof, turn);
                    }
                    None => self.send_auth(link_id, ReasonCode::Success, &method, data.as_deref(), turn),
                }
            }
            AuthenticationOutcome::Refused(reason) => {
                let why = "the authentication method is unknown or its proof was wrong";
                if authentication.connect.is_some() {
                    let remedy = "use a method this broker offers, or none";
                    self.refuse_connect(link_id, "", reason, why, remedy, turn);
                } else {
                    let why = Why::BrokeRule("MQTT-4.12.1-2", why);
                    self.close_link(link_id, Some(reason), why, turn);
                }
            }
        }
    }

    /// The CONNECT that waited, read again.
    fn connect_again(
        &mut self,
        link_id: LinkId,
        bytes: &[u8],
        assigned_id: &str,
        proof: &Proof,
        turn: &mut Turn<'_, '_>,
    ) {
        let rules = Rules {
            version: Version::V5,
            receiver: Receiver::Server,
            packet_size_max: self.limits.packet_size_max,
            strict_text: self.limits.strict_text,
        };
        if let Ok(Decoded::Packet(Packet::Connect(connect), _)) = decode::packet(bytes, &rules) {
            self.connect(link_id, &connect, assigned_id, Some(proof), turn);
        }
    }

    /// AUTH with the method of CONNECT and nothing that explains `[MQTT-3.15.2-2]` `[MQTT-3.15.2-3]`.
    fn send_auth(
        &mut self,
        link_id: LinkId,
        reason: ReasonCode,
        method: &str,
        data: Option<&[u8]>,
        turn: &mut Turn<'_, '_>,
    ) {
        let mut properties = PropertiesBuf::new();
        properties.push(Property::AuthenticationMethod(method));
        if let Some(data) = data {
            properties.push(Property::AuthenticationData(data));
        }
        let packet = Packet::Auth(Auth { reason, properties: properties.as_properties() });
        self.links.send(link_id, &packet, turn.effects);
    }
}
