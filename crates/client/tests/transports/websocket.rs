//! WebSocket, against the server's half of `longwire_ws`.

use longwire_client::{Cause, Client, DialFault, Event, Options, OptionsError, Tls, WebSocket};
use longwire_ws::frame::{self, Kind};
use longwire_ws::upgrade::{Offer, Refusal};
use longwire_ws::{End, Reader, Role, code};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use crate::certificates::Authority;
use crate::server::{Link, PATIENCE, Stream};
use crate::{accept, brisk, exchange, listen, unreachable};

/// The server's side of a WebSocket.
struct Socket<S> {
    stream: S,
    /// The request, as it came.
    request: String,
    bytes: Vec<u8>,
}

impl<S: Stream + 'static> Socket<S> {
    /// Grants a client's request.
    async fn open(mut stream: S) -> Self {
        let mut bytes = Vec::new();
        loop {
            if let Some(offer) = Offer::read(&bytes).expect("the client's request is one to grant") {
                let mut answer = Vec::new();
                offer.append_answer(&mut answer);
                let rest = bytes.split_off(offer.len);
                stream.write_all(&answer).await.expect("the client reads");
                let request = String::from_utf8(bytes).expect("HTTP is text");
                return Socket { stream, request, bytes: rest };
            }
            assert!(stream.read_buf(&mut bytes).await.expect("the client writes") > 0, "it closed");
        }
    }

    /// The end of a pipe that the WebSocket's data flows through: in frames of seven bytes, each after a ping, which must
    /// be answered.
    fn into_pipe(mut self) -> DuplexStream {
        let (inner, outer) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let (mut from_script, mut to_script) = tokio::io::split(inner);
            let (mut from_client, mut to_client) = tokio::io::split(self.stream);
            let mut reader = Reader::new(Role::Server);
            let (mut pings, mut pongs) = (0, 0);
            let mut chunk = [0; 700];
            loop {
                let unwrapped = reader.unwrap(&mut self.bytes);
                to_script.write_all(&self.bytes[..unwrapped.data]).await.expect("the script reads");
                self.bytes.drain(..unwrapped.rest);
                if let Some(end) = unwrapped.end {
                    assert_eq!(end, End::Close(Some(code::NORMAL)));
                    let mut close = Vec::new();
                    frame::append_close(end.answer(), None, &mut close);
                    to_client.write_all(&close).await.expect("the client waits for it");
                    return assert!(pongs > 0 && pings > 0, "{pongs} of {pings} pings were answered");
                }
                tokio::select! {
                    read = from_client.read_buf(&mut self.bytes) => {
                        assert!(read.expect("it reads") > 0, "closed without a close frame");
                        pongs += u32::from(self.bytes.contains(&0x8A));
                    }
                    read = from_script.read(&mut chunk) => {
                        let mut frames = Vec::new();
                        for piece in chunk[..read.expect("it reads")].chunks(7) {
                            frame::append(Kind::Ping, b"here?", None, &mut frames);
                            frame::append(Kind::Binary, piece, None, &mut frames);
                            pings += 1;
                        }
                        to_client.write_all(&frames).await.expect("the client reads");
                    }
                }
            }
        });
        outer
    }
}

/// `[MQTT-6.0.0-1]`, `[MQTT-6.0.0-2]`, `[MQTT-6.0.0-1 of 3.1.1]`, `[MQTT-6.0.0-2 of 3.1.1]`: packets larger and smaller
/// than frames, in both directions, all of them binary.
#[tokio::test]
async fn packets_travel_in_frames_of_any_size() {
    let (listener, port) = listen().await;
    let websocket = WebSocket::new("mqtt?v=1").header("Authorization", "Bearer abc");
    let options = Options::new("127.0.0.1").port(port).websocket(websocket);
    let link = async move {
        let socket = Socket::open(accept(&listener).await).await;
        let request = &socket.request;
        assert!(request.starts_with("GET /mqtt?v=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("\r\nHost: 127.0.0.1:{port}\r\n")), "{request}");
        assert!(request.contains("\r\nAuthorization: Bearer abc\r\n"), "{request}");
        Link::over(socket.into_pipe())
    };
    exchange(options, link).await;
}

#[tokio::test]
async fn a_websocket_travels_in_tls() {
    let authority = Authority::new();
    let acceptor = authority.sign(&["localhost"]).acceptor(&["http/1.1"], None);
    let (listener, port) = listen().await;
    let tls = Tls::new().roots_pem(authority.pem()).expect("PEM");
    let options = Options::from_url(&format!("wss://localhost:{port}/mqtt")).expect("a URL").tls(tls);
    let link = async move {
        let stream = acceptor.accept(accept(&listener).await).await.expect("a hand-shake");
        Link::over(Socket::open(stream).await.into_pipe())
    };
    exchange(options, link).await;
}

#[tokio::test]
async fn a_wrong_path_is_explained() {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut stream = accept(&listener).await;
        let mut answer = Vec::new();
        Refusal::NotFound.append_answer(&mut answer);
        stream.write_all(&answer).await.expect("the client reads");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = unreachable(Options::from_url(&format!("ws://127.0.0.1:{port}/nope")).expect("a URL")).await;
    let DialFault::WebSocket(refused) = &error.fault else { panic!("{error:?}") };
    assert_eq!(refused.status, Some(404));
    assert!(error.to_string().ends_with("HTTP status 404: is the path of the URL right?"), "{error}");
}

#[tokio::test]
async fn a_server_of_plain_mqtt_is_told_from_a_websocket() {
    let (listener, port) = listen().await;
    tokio::spawn(async move { accept(&listener).await.write_all(&[0x20, 2, 0, 1]).await });
    let error = unreachable(Options::from_url(&format!("ws://127.0.0.1:{port}")).expect("a URL")).await;
    assert!(error.to_string().ends_with("is this a WebSocket port?"), "{error}");
}

/// `[MQTT-6.0.0-1]`: a text frame ends the connection by code 1003, and the client dials again.
#[tokio::test]
async fn a_server_that_sends_text_is_told_and_dialled_again() {
    let (listener, port) = listen().await;
    let options = Options::from_url(&format!("ws://127.0.0.1:{port}/")).expect("a URL");
    let (_client, _messages, mut events) = Client::start(brisk(options)).expect("valid");
    let mut socket = Socket::open(accept(&listener).await).await;
    socket.stream.write_all(&[0x81, 2, b'h', b'i']).await.expect("the client reads");
    let mut reader = Reader::new(Role::Server);
    let end = loop {
        if let Some(end) = reader.unwrap(&mut socket.bytes).end {
            break end;
        }
        socket.bytes.clear();
        assert!(socket.stream.read_buf(&mut socket.bytes).await.expect("it reads") > 0, "no close frame");
    };
    assert_eq!(end, End::Close(Some(code::UNSUPPORTED_DATA)));
    let event = timeout(PATIENCE, events.recv()).await.expect("in time").expect("it goes on");
    let Event::Disconnected(Cause::Lost(error)) = event else { panic!("{event:?}") };
    assert!(error.to_string().contains("text frame"), "{error}");
    Socket::open(accept(&listener).await).await;
}

#[test]
fn a_request_that_would_not_be_one_is_refused_before_dialling() {
    let refused =
        |websocket| Client::start(Options::new("h").websocket(websocket)).expect_err("it makes no request");
    let path = refused(WebSocket::new("/a b"));
    assert!(matches!(path, OptionsError::WebSocketPath(_)), "{path}");
    let header = refused(WebSocket::new("/").header("X", "a\r\nY: b"));
    assert!(matches!(header, OptionsError::WebSocketHeader(_)), "{header}");
}
