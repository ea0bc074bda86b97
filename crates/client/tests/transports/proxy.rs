//! Proxies that do what a script says.

use longwire_client::{DialFault, Options, Proxy, ProxyError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Link;
use crate::{accept, exchange, listen, unreachable};

/// Reads exactly these bytes.
async fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).await.expect("the client writes");
    assert_eq!(bytes, expected, "{}", String::from_utf8_lossy(&bytes));
}

/// What a client makes of a proxy that answers its first bytes by these.
async fn answered(proxy: fn(u16) -> Proxy, answers: &'static [&'static [u8]]) -> (ProxyError, String) {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        let mut stream = accept(&listener).await;
        for answer in answers {
            assert!(stream.read(&mut [0; 1024]).await.expect("the client writes") > 0);
            stream.write_all(answer).await.expect("the client reads");
        }
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = unreachable(Options::new("broker.invalid").proxy(proxy(port))).await;
    let text = error.to_string();
    let error = std::sync::Arc::into_inner(error).expect("nobody else holds it");
    match error.fault {
        DialFault::Proxy { error, .. } => (error, text),
        other => panic!("{other:?}"),
    }
}

/// The proxy, not the client, looks the name up.
#[tokio::test]
async fn an_http_proxy_is_asked_for_the_server_by_name() {
    let (listener, port) = listen().await;
    let proxy = Proxy::http("127.0.0.1", port).credentials("Aladdin", "open sesame");
    let link = async move {
        let mut stream = accept(&listener).await;
        let request = "CONNECT broker.invalid:1883 HTTP/1.1\r\nHost: broker.invalid:1883\r\n\
                       Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
        expect(&mut stream, request.as_bytes()).await;
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await.expect("it reads");
        Link::over(stream)
    };
    exchange(Options::new("broker.invalid").proxy(proxy), link).await;
}

#[tokio::test]
async fn a_socks_proxy_is_asked_for_the_server_by_name() {
    let (listener, port) = listen().await;
    let proxy = Proxy::socks5("127.0.0.1", port).credentials("me", "secret");
    let link = async move {
        let mut stream = accept(&listener).await;
        expect(&mut stream, &[5, 2, 0, 2]).await;
        stream.write_all(&[5, 2]).await.expect("it reads");
        expect(&mut stream, b"\x01\x02me\x06secret").await;
        stream.write_all(&[1, 0]).await.expect("it reads");
        expect(&mut stream, b"\x05\x01\x00\x03\x0Ebroker.invalid\x07\x5B").await;
        stream.write_all(b"\x05\x00\x00\x03\x04host\x00\x50").await.expect("it reads");
        Link::over(stream)
    };
    exchange(Options::new("broker.invalid").proxy(proxy), link).await;
}

#[tokio::test]
async fn a_socks_proxy_that_asks_for_nothing_gets_nothing() {
    let (listener, port) = listen().await;
    let link = async move {
        let mut stream = accept(&listener).await;
        expect(&mut stream, &[5, 1, 0]).await;
        stream.write_all(&[5, 0]).await.expect("it reads");
        expect(&mut stream, b"\x05\x01\x00\x03\x0Ebroker.invalid\x07\x5B").await;
        stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).await.expect("it reads");
        Link::over(stream)
    };
    exchange(Options::new("broker.invalid").proxy(Proxy::socks5("127.0.0.1", port)), link).await;
}

#[tokio::test]
async fn what_a_proxy_refuses_is_explained() {
    let http = |port| Proxy::http("127.0.0.1", port);
    let socks = |port| Proxy::socks5("127.0.0.1", port);
    let (error, _) = answered(http, &[b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"]).await;
    assert!(matches!(error, ProxyError::Credentials), "{error}");
    let (error, _) = answered(http, &[b"HTTP/1.1 502 Bad Gateway\r\nA: b\r\n\r\n"]).await;
    assert!(matches!(error, ProxyError::Status(502)), "{error}");
    let (error, _) = answered(http, &[b"SSH-2.0-server\r\n\r\n"]).await;
    assert!(matches!(error, ProxyError::NotUnderstood), "{error}");
    let (error, _) = answered(http, &[b"HTTP/1.1 200 OK\r\n\r\nmore"]).await;
    assert!(matches!(error, ProxyError::NotUnderstood), "{error}");
    let (error, _) = answered(socks, &[&[5, 0xFF]]).await;
    assert!(matches!(error, ProxyError::Credentials), "{error}");
    let (error, text) = answered(socks, &[&[5, 0], &[5, 5, 0, 1]]).await;
    assert!(matches!(error, ProxyError::Refused(5)), "{error}");
    assert!(
        text.contains("broker.invalid:1883") && text.ends_with("refused its connection (code 5)"),
        "{text}"
    );
    let (error, _) = answered(socks, &[&[4, 0]]).await;
    assert!(matches!(error, ProxyError::NotUnderstood), "{error}");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let (_, port) = listen().await;
    let error = unreachable(Options::new("broker.invalid").proxy(Proxy::http("127.0.0.1", port))).await;
    let text = error.to_string();
    let expected =
        format!("cannot reach broker.invalid:1883: the proxy 127.0.0.1:{port} gives no connection");
    assert!(text.starts_with(&expected), "{text}");
}
