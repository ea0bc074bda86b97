//! Who the client says it is, and where a server sends it.

use std::time::Duration;

use crate::server::{Link, PATIENCE, Server};
use longwire_client::protocol::{self, Refusal};
use longwire_client::{
    Authenticator, BoxError, Cause, Client, ConnectError, Credentials, Event, Events, PropertiesBuf,
    Property, ReasonCode, Reconnect,
};
use longwire_proto::packet::{Auth, Disconnect, Packet};
use tokio::time::timeout;

async fn next(events: &mut Events) -> Event {
    timeout(PATIENCE, events.recv()).await.expect("something happens in time").expect("the client goes on")
}

/// User name and password of the next CONNECT.
async fn credentials(link: &mut Link) -> (Option<String>, Option<Vec<u8>>) {
    let mut seen = None;
    link.packet().await.read(|packet| {
        let Packet::Connect(connect) = packet else { panic!("{packet:?}") };
        seen = Some((connect.user_name.map(str::to_owned), connect.password.map(<[u8]>::to_vec)));
    });
    seen.expect("it was read")
}

/// Each connection has fresh credentials; refused ones are replaced by the next, and a source that fails is asked again.
#[tokio::test]
async fn credentials_are_fresh_for_each_connection() {
    let server = Server::new().await;
    let mut made = 0;
    let options = server.options().credentials_with(move || {
        made += 1;
        let number = made;
        async move {
            if number == 2 {
                return Err(BoxError::from("the vault is shut"));
            }
            Ok(Credentials::new("me", format!("token {number}")))
        }
    });
    let (_client, _messages, mut events) = Client::start(options).expect("valid");
    let mut link = server.accept().await;
    assert_eq!(credentials(&mut link).await, (Some("me".into()), Some(b"token 1".to_vec())));
    link.connack(false, ReasonCode::NotAuthorized, PropertiesBuf::new().as_properties()).await;
    assert!(matches!(next(&mut events).await, Event::Disconnected(Cause::Ended(_))));
    assert!(matches!(next(&mut events).await, Event::Reconnecting { .. }));
    let Event::Disconnected(cause) = next(&mut events).await else { panic!("it went on") };
    assert!(cause.to_string().ends_with("there are no credentials: the vault is shut"), "{cause}");
    let mut link = server.accept().await;
    assert_eq!(credentials(&mut link).await, (Some("me".into()), Some(b"token 3".to_vec())));
}

/// A method in which each side proves to the other that it knows a word.
struct Mutual {
    rounds: u8,
}

impl Authenticator for Mutual {
    fn method(&self) -> &'static str {
        "MUTUAL"
    }

    fn start(&mut self) -> Result<Option<Vec<u8>>, BoxError> {
        self.rounds += 1;
        Ok(Some(vec![self.rounds]))
    }

    fn answer(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
        Ok(Some([challenge, b" word"].concat()))
    }

    fn finish(&mut self, data: &[u8]) -> Result<(), BoxError> {
        if data == b"server's word" { Ok(()) } else { Err("the server does not know the word".into()) }
    }
}

fn mutual(data: &[u8]) -> PropertiesBuf {
    PropertiesBuf::from_iter([Property::AuthenticationMethod("MUTUAL"), Property::AuthenticationData(data)])
}

async fn auth(link: &mut Link, reason: ReasonCode, data: &[u8]) {
    link.send(&Packet::Auth(Auth { reason, properties: mutual(data).as_properties() })).await;
}

/// The data of a CONNECT or AUTH.
async fn data(link: &mut Link) -> Vec<u8> {
    let mut data = Vec::new();
    link.packet().await.read(|packet| {
        let properties = match packet {
            Packet::Connect(connect) => connect.properties,
            Packet::Auth(auth) => auth.properties,
            other => panic!("{other:?}"),
        };
        data = properties.authentication_data().unwrap_or_default().to_vec();
    });
    data
}

#[tokio::test]
async fn both_sides_authenticate_and_do_so_again() {
    let server = Server::new().await;
    let (client, _messages, mut events) =
        Client::start(server.options().authenticator(Mutual { rounds: 0 })).expect("valid");
    let mut link = server.accept().await;
    assert_eq!(data(&mut link).await, [1]);
    auth(&mut link, ReasonCode::ContinueAuthentication, b"which").await;
    assert_eq!(data(&mut link).await, b"which word");
    link.connack(false, ReasonCode::Success, mutual(b"server's word").as_properties()).await;
    assert!(matches!(next(&mut events).await, Event::Connected(_)));

    client.re_authenticate().expect("online");
    assert_eq!(data(&mut link).await, [2]);
    auth(&mut link, ReasonCode::ContinueAuthentication, b"again which").await;
    assert_eq!(data(&mut link).await, b"again which word");
    auth(&mut link, ReasonCode::Success, b"server's word").await;
    assert!(matches!(next(&mut events).await, Event::ReAuthenticated));
    drop(link);
    let mut link = server.accept().await;
    assert_eq!(data(&mut link).await, [3], "each connection begins anew");
}

#[tokio::test]
async fn a_server_that_does_not_prove_itself_gets_nothing() {
    let server = Server::new().await;
    let (client, _messages, mut events) =
        Client::start(server.options().authenticator(Mutual { rounds: 0 })).expect("valid");
    client.publish(longwire_client::Publication::new("secret", "x")).await.expect("it waits");
    let mut link = server.accept().await;
    data(&mut link).await;
    link.connack(false, ReasonCode::Success, mutual(b"a guess").as_properties()).await;
    assert_eq!(link.next().await, None, "not even what was waiting");
    while !matches!(next(&mut events).await, Event::Ended(Cause::AuthenticationGivenUp(_))) {}
}

fn reference(other: &Server) -> PropertiesBuf {
    PropertiesBuf::from_iter([Property::ServerReference(&format!("127.0.0.1:{}", other.port()))])
}

/// CONNACK 0x9C is a detour: when the other server is lost, the first is asked again.
#[tokio::test]
async fn a_client_uses_another_server_until_that_is_lost() {
    let (home, other) = (Server::new().await, Server::new().await);
    let connecting = tokio::spawn(Client::connect(home.options()));
    let mut link = home.accept().await;
    link.expect().await;
    link.connack(false, ReasonCode::UseAnotherServer, reference(&other).as_properties()).await;
    let link = other.welcome().await;
    let (_client, _messages) = connecting.await.expect("no panic").expect("accepted by the other");
    drop(link);
    home.welcome().await;
}

/// DISCONNECT 0x9D is for good.
#[tokio::test]
async fn a_client_stays_with_a_server_that_moved() {
    let (home, other) = (Server::new().await, Server::new().await);
    let (_client, _messages, mut events) = Client::start(home.options()).expect("valid");
    let mut link = home.welcome().await;
    assert!(matches!(next(&mut events).await, Event::Connected(_)));
    let properties = reference(&other);
    let reason = ReasonCode::ServerMoved;
    link.send(&Packet::Disconnect(Disconnect { reason, properties: properties.as_properties() })).await;
    assert!(matches!(next(&mut events).await, Event::Disconnected(_)));
    let Event::Redirected { place } = next(&mut events).await else { panic!("it does not follow") };
    assert_eq!(place, format!("127.0.0.1:{}", other.port()));
    drop(other.welcome().await);
    other.welcome().await;
}

#[tokio::test]
async fn a_client_that_does_not_follow_ends_and_tells_where_it_was_sent() {
    let (home, other) = (Server::new().await, Server::new().await);
    let options = home.options().follow_server_references(false).reconnect(Reconnect::forever());
    let connecting = tokio::spawn(timeout(Duration::from_secs(20), Client::connect(options)));
    let mut link = home.accept().await;
    link.expect().await;
    link.connack(false, ReasonCode::ServerMoved, reference(&other).as_properties()).await;
    let failed = connecting.await.expect("no panic").expect("in time");
    let Err(ConnectError::Failed(Cause::Ended(protocol::Cause::Refused(refusal)))) = failed else {
        panic!("{failed:?}")
    };
    let Refusal { server_reference, .. } = refusal;
    assert_eq!(server_reference, Some(format!("127.0.0.1:{}", other.port())));
}
