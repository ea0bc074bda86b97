//! A socket of this machine.

use longwire_client::Options;
use tokio::net::UnixListener;

use crate::server::Link;
use crate::{exchange, unreachable};

fn path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("longwire-client-{}-{name}.sock", std::process::id()))
}

#[tokio::test]
async fn a_server_on_this_machine_is_reached_by_its_path() {
    let path = path("served");
    let listener = UnixListener::bind(&path).expect("the temporary folder takes a socket");
    let options = Options::from_url(&format!("unix:{}", path.display())).expect("a URL");
    exchange(options, async move { Link::over(listener.accept().await.expect("accepted").0) }).await;
    std::fs::remove_file(&path).expect("it was made");
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let path = path("absent");
    let error = unreachable(Options::unix(&path)).await.to_string();
    assert!(error.starts_with(&format!("cannot reach {}: ", path.display())), "{error}");
    assert!(error.ends_with("; is a broker listening on this socket?"), "{error}");
}
