//! TLS: what is trusted, what is shown, and how a certificate that will not do is explained.

use longwire_client::{Cause, Client, DialFault, Event, Options, Tls, TlsError, TlsFault};
use rcgen::date_time_ymd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Authority, Identity};
use crate::server::{Link, PATIENCE};
use crate::{accept, brisk, exchange, listen, unreachable};

/// The options of a client of a server at this port, which trusts this authority.
fn trusting(authority: &Authority, port: u16) -> Options {
    Options::new("localhost").port(port).tls(trust(authority))
}

fn trust(authority: &Authority) -> Tls {
    Tls::new().roots_pem(authority.pem()).expect("PEM")
}

/// A server that does its side of the hand-shakes, however they end.
async fn shaking_hands(identity: &Identity) -> u16 {
    let (listener, port) = listen().await;
    let acceptor = identity.acceptor(&[], None);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

/// Why a client that trusts `authority` does not take to a server with this certificate.
async fn refused(authority: &Authority, identity: &Identity) -> (TlsFault, String) {
    let port = shaking_hands(identity).await;
    let error = unreachable(trusting(authority, port)).await;
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot reach localhost:{port}: ")), "{text}");
    match &error.fault {
        DialFault::Tls(fault) => (fault.clone(), text),
        other => panic!("{other:?}"),
    }
}

async fn served(options: impl FnOnce(u16) -> Options, acceptor: TlsAcceptor) {
    let (listener, port) = listen().await;
    let link = async move {
        let stream = acceptor.accept(accept(&listener).await).await.expect("a hand-shake");
        Link::over(stream)
    };
    exchange(options(port), link).await;
}

#[tokio::test]
async fn a_server_of_a_given_authority_is_spoken_to() {
    let authority = Authority::new();
    let acceptor = authority.sign(&["localhost"]).acceptor(&["mqtt"], None);
    served(|port| trusting(&authority, port), acceptor).await;
}

#[tokio::test]
async fn an_address_may_be_in_the_certificate() {
    let authority = Authority::new();
    let acceptor = authority.sign(&["127.0.0.1"]).acceptor(&[], None);
    served(|port| Options::new("127.0.0.1").port(port).tls(trust(&authority)), acceptor).await;
}

#[tokio::test]
async fn an_unknown_authority_is_explained() {
    let (fault, text) = refused(&Authority::new(), &Authority::new().sign(&["localhost"])).await;
    assert_eq!(fault, TlsFault::UnknownIssuer);
    assert!(text.contains("an authority that is not trusted; name a file"), "{text}");
}

#[tokio::test]
async fn an_authority_is_known_by_its_key_and_not_by_its_name() {
    let identity = Authority::named("One name").sign(&["localhost"]);
    let (fault, _) = refused(&Authority::named("One name"), &identity).await;
    assert_eq!(fault, TlsFault::UnknownIssuer);
}

#[tokio::test]
async fn an_expired_certificate_says_since_when() {
    let authority = Authority::new();
    let identity = authority.sign_with(&["localhost"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    let (fault, text) = refused(&authority, &identity).await;
    let TlsFault::Expired { ago, .. } = fault else { panic!("{fault:?}") };
    assert!(ago.as_secs() > 5 * 365 * 86_400, "{ago:?}");
    assert!(text.contains("expired") && text.ends_with("days ago"), "{text}");
}

#[tokio::test]
async fn a_certificate_of_the_future_points_to_the_clock() {
    let authority = Authority::new();
    let identity = authority.sign_with(&["localhost"], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    let (fault, text) = refused(&authority, &identity).await;
    assert!(matches!(fault, TlsFault::NotYetValid { .. }), "{fault:?}");
    assert!(text.ends_with("is this machine's clock right?"), "{text}");
}

#[tokio::test]
async fn a_certificate_of_other_names_says_which() {
    let authority = Authority::new();
    let (fault, text) = refused(&authority, &authority.sign(&["one.example", "10.0.0.1"])).await;
    let TlsFault::WrongName { wanted, names, .. } = fault else { panic!("{fault:?}") };
    assert_eq!(wanted, "localhost");
    assert_eq!(names[0], "one.example");
    assert!(text.contains("not for 'localhost' but for one.example, "), "{text}");
}

#[tokio::test]
async fn another_server_name_can_be_expected() {
    let authority = Authority::new();
    let acceptor = authority.sign(&["one.example"]).acceptor(&[], None);
    let options =
        |port| Options::new("localhost").port(port).tls(trust(&authority).server_name("one.example"));
    served(options, acceptor).await;
}

#[tokio::test]
async fn names_are_left_out_only_when_asked_for_by_name() {
    let authority = Authority::new();
    let identity = authority.sign(&["one.example"]);
    let any_name = |authority: &Authority| trust(authority).danger_accept_any_name();
    let options = |port| Options::new("localhost").port(port).tls(any_name(&authority));
    served(options, identity.acceptor(&[], None)).await;
    // The authority still counts.
    let port = shaking_hands(&identity).await;
    let other = Options::new("localhost").port(port).tls(any_name(&Authority::new()));
    let error = unreachable(other).await;
    assert!(matches!(&error.fault, DialFault::Tls(TlsFault::UnknownIssuer)), "{error}");
}

#[tokio::test]
async fn any_certificate_is_taken_only_when_asked_for_by_name() {
    let acceptor = Authority::new().sign(&["one.example"]).acceptor(&[], None);
    let tls = Tls::new().danger_accept_any_certificate();
    served(|port| Options::new("localhost").port(port).tls(tls), acceptor).await;
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let authority = Authority::new();
    let acceptor = authority.sign(&["localhost"]).acceptor(&[], Some(&authority));
    let client = authority.sign(&["client-7"]);
    let tls = trust(&authority).identity_pem(&client.certificate, &client.key).expect("PEM");
    served(|port| Options::new("localhost").port(port).tls(tls), acceptor).await;
}

/// In TLS 1.3 a server says so only after the client's side of the hand-shake is done.
#[tokio::test]
async fn a_client_without_the_certificate_wanted_learns_that() {
    let authority = Authority::new();
    let acceptor = authority.sign(&["localhost"]).acceptor(&[], Some(&authority));
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        loop {
            let Err(error) = acceptor.accept(accept(&listener).await).await else { panic!("accepted") };
            assert!(error.to_string().contains("certificate"), "{error}");
        }
    });
    let (_client, _messages, mut events) = Client::start(brisk(trusting(&authority, port))).expect("valid");
    let event = timeout(PATIENCE, events.recv()).await.expect("in time").expect("it goes on");
    let Event::Disconnected(Cause::Lost(error)) = event else { panic!("{event:?}") };
    assert_eq!(error.to_string(), "the server wants another certificate of this client: CertificateRequired");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_before_dialling() {
    let authority = Authority::new();
    let (one, other) = (authority.sign(&["one"]), authority.sign(&["other"]));
    let tls = trust(&authority).identity_pem(&one.certificate, &other.key).expect("PEM");
    let refused = Client::start(Options::new("localhost").tls(tls)).expect_err("they do not fit");
    assert!(matches!(refused, longwire_client::OptionsError::Tls(TlsError::Identity(_))), "{refused}");
}

/// The protocol is announced as `mqtt`, or as what the options say.
#[tokio::test]
async fn the_protocol_is_announced() {
    let authority = Authority::new();
    let identity = authority.sign(&["localhost"]);
    for (tls, announced) in
        [(trust(&authority), Some(&b"mqtt"[..])), (trust(&authority).alpn(["x"]), Some(b"x"))]
    {
        let (listener, port) = listen().await;
        let acceptor = identity.acceptor(&["mqtt", "x"], None);
        let chosen = async move {
            let stream = acceptor.accept(accept(&listener).await).await.expect("a hand-shake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), announced);
            Link::over(stream)
        };
        exchange(Options::new("localhost").port(port).tls(tls), chosen).await;
    }
    let (listener, port) = listen().await;
    let acceptor = identity.acceptor(&["h2"], None);
    tokio::spawn(async move { acceptor.accept(accept(&listener).await).await.map(drop) });
    let error = unreachable(trusting(&authority, port)).await;
    assert!(matches!(&error.fault, DialFault::Tls(TlsFault::Protocol)), "{error}");
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_told_from_a_bad_certificate() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut stream = accept(&listener).await;
        let _ = stream.write_all(b"\x20\x02\x00\x05hello").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = unreachable(trusting(&Authority::new(), port)).await;
    assert!(matches!(&error.fault, DialFault::Tls(TlsFault::HandShake(_))), "{error}");
    assert!(error.to_string().ends_with("does this port speak TLS?"), "{error}");
}

#[tokio::test]
async fn a_hand_shake_that_hangs_is_given_up() {
    let (listener, port) = listen().await;
    let options = trusting(&Authority::new(), port);
    let connecting = tokio::spawn(async move {
        Client::connect(options.dial_timeout(std::time::Duration::from_millis(200))).await
    });
    let _silent = accept(&listener).await;
    let failed = timeout(PATIENCE, connecting).await.expect("in time").expect("no panic");
    let error = failed.expect_err("nobody answers").to_string();
    assert!(error.ends_with("no answer within 200ms from TLS: does this port speak it?"), "{error}");
}
